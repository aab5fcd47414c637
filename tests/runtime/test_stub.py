"""The extension's type stub declares what the extension has: every function, its parameters and their order."""

import ast
import re
from pathlib import Path

import pytest

import tinydl
from tinydl import _cpu


def declared():
    tree = ast.parse((Path(tinydl.__file__).parent / "_cpu.pyi").read_text())
    return {node.name: [a.arg for a in node.args.args] for node in tree.body if isinstance(node, ast.FunctionDef)}


def functions():
    return sorted(name for name, value in vars(_cpu).items() if callable(value) and not name.startswith("_"))


def test_names():
    assert sorted(declared()) == functions()


@pytest.mark.parametrize("name", functions())
def test_parameters(name):
    signature = re.search(rf"{name}\((.*)\) ->", getattr(_cpu, name).__doc__).group(1)
    parameters = re.findall(r"(?:^|, )(\w+): ", re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", signature)))
    assert declared()[name] == parameters
