"""Public names and arguments against PyTorch's: the differences are those of `lists.py`, each with its reason.

What PyTorch gives no signature of, neither in stubs nor in a docstring's first line, is compared by name only.
"""

import inspect
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import tinydl
import tinydl.nn.functional
import tinydl.optim.lr_scheduler
import tinydl.utils.data

from .lists import ADDED, ARGUMENTS, DIFFERENT, MISSING
from .signatures import differences, of_callable, of_docstring, stubs

# Ours, PyTorch's, its stub files of compiled functions.
SPACES = {
    "": (tinydl, "", [("_C/_VariableFunctions.pyi", None)]),
    "Tensor.": (tinydl.Tensor, "Tensor", [("_C/__init__.pyi", "TensorBase")]),
    "nn.": (tinydl.nn, "nn", []),
    "nn.functional.": (
        tinydl.nn.functional,
        "nn.functional",
        [("nn/functional.pyi", None), ("_C/_nn.pyi", None), ("_C/_VariableFunctions.pyi", None)],
    ),
    "nn.init.": (tinydl.nn.init, "nn.init", []),
    "nn.utils.": (tinydl.nn.utils, "nn.utils", []),
    "optim.": (tinydl.optim, "optim", []),
    "optim.lr_scheduler.": (tinydl.optim.lr_scheduler, "optim.lr_scheduler", []),
    "utils.data.": (tinydl.utils.data, "utils.data", []),
    "autograd.": (tinydl.autograd, "autograd", []),
    "linalg.": (tinydl.linalg, "linalg", [("_C/_linalg.pyi", None)]),
}


def public(space):
    """The names of what can be called in one of our modules or classes."""
    names = getattr(space, "__all__", None) or [name for name in dir(space) if not name.startswith("_")]
    return [n for n in names if callable(getattr(space, n)) and _ours(getattr(space, n))]


def _ours(thing):
    return not inspect.ismodule(thing) and (getattr(thing, "__module__", None) or "").startswith("tinydl")


def theirs(torch, path):
    for part in filter(None, path.split(".")):
        torch = getattr(torch, part)
    return torch


def overloads(torch, space, name, files):
    """The signatures of PyTorch's function of a name; empty where there are none to compare with."""
    function = getattr(space, name)
    inspected = None if inspect.isbuiltin(function) else of_callable(function)
    if inspected:
        return [inspected]
    for path, cls in files:
        file = Path(torch.__file__).parent / path
        found = stubs(file, cls).get(name, []) if file.is_file() else []
        if found:
            return found
    documented = of_docstring(function) if inspected is None else inspected
    return [] if documented is None else [documented]


def compared(torch, prefix):
    """{name: differences} of one of the spaces."""
    ours, path, files = SPACES[prefix]
    space = theirs(torch, path)
    found = {}
    for name in public(ours):
        if not hasattr(space, name):
            found[prefix + name] = "no such name"
            continue
        mine, signatures = of_callable(getattr(ours, name)), overloads(torch, space, name, files)
        if mine is None or not signatures:
            continue
        if inspect.isclass(ours):
            mine = dict(list(mine.items())[1:])  # self
        mine, *signatures = ({n: p for n, p in s.items() if n not in ARGUMENTS} for s in (mine, *signatures))
        text = "; ".join(differences(mine, signatures))
        if text:
            found[prefix + name] = text
    return found


@pytest.mark.parametrize("prefix", SPACES)
def test_names_and_arguments(torch, prefix):
    found = compared(torch, prefix)
    if prefix == "Tensor.":  # what a line on the function of that name says already
        found = {name: text for name, text in found.items() if DIFFERENT.get(name[7:], ("",))[0] != text}
    listed = {
        name: text
        for name, (text, _) in DIFFERENT.items()
        if name.rpartition(".")[0] + "." == prefix or (not prefix and "." not in name)
    }
    listed |= {name: "no such name" for name in ADDED if _belongs(name, prefix)}
    assert found == listed


def _belongs(name, prefix):
    return name.startswith(prefix) and "." not in name[len(prefix) :]


def missing(torch, prefix):
    """The names of PyTorch's classes and functions that we lack; of the main module and the tensor, of all else too."""
    ours, path, _ = SPACES[prefix]
    space = theirs(torch, path)
    for name in dir(space):
        thing = getattr(space, name)
        defined = (getattr(thing, "__module__", None) or "torch").startswith("torch")
        of_interest = callable(thing) or (prefix in ("", "Tensor.") and not inspect.ismodule(thing))
        if not name.startswith("_") and defined and of_interest and not hasattr(ours, name):
            yield name


@pytest.mark.filterwarnings("ignore")  # of deprecated names that are looked at
@pytest.mark.parametrize("prefix", MISSING)
def test_what_is_missing_is_listed(torch, prefix):
    """What PyTorch has and we lack is what the list says, and each of its names and patterns stands for something."""
    lacking = set(missing(torch, prefix))
    patterns = [pattern for names in MISSING[prefix].values() for pattern in names.split()]
    matches = {pattern: {name for name in lacking if fnmatchcase(name, pattern)} for pattern in patterns}
    assert lacking - set().union(*matches.values()) == set(), "neither there nor listed"
    assert [pattern for pattern, names in matches.items() if not names] == [], "listed, but no longer missing"


def test_every_space_is_walked():
    assert set(MISSING) == set(SPACES)
    names = [name for prefix in MISSING for name in " ".join(MISSING[prefix].values()).split()]
    assert len(MISSING[""]) < 30
    assert not {"*", "?*"} & set(names)


def test_every_difference_has_its_reason():
    assert all(reason for _, reason in DIFFERENT.values())
    assert all(ADDED.values())
    assert len(DIFFERENT) < 60  # the list stays short
