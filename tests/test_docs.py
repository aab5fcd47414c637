"""Everything that the documentation shows runs: the examples of the docstrings, and those of the README."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import tinydl

ROOT = Path(__file__).parent.parent
MODULES = sorted(m.name for m in pkgutil.walk_packages(tinydl.__path__, "tinydl.") if not m.name.endswith("__main__"))
README = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    tinydl.manual_seed(0)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = sum(len(t.examples) for name in MODULES for t in finder.find(importlib.import_module(name)))
    assert examples > 50


@pytest.mark.parametrize("number", range(len(README)))
def test_readme(number, capsys):
    exec(compile(README[number], f"README.md, example {number + 1}", "exec"), {})
    assert capsys.readouterr().out


def test_the_readme_has_both_styles():
    assert any("nn.Sequential" in code for code in README)
    assert any("layers.Conv2D" in code for code in README)
