"""Parameters of functions, of ours and of PyTorch's, in a form that can be compared.

PyTorch's compiled functions have no signature to inspect; its wheel has stubs of them, with overloads.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

REQUIRED = "required"
ANY = "any number"
_ADDRESS = re.compile(r" object at 0x[0-9a-f]+")


class Parameter(NamedTuple):
    """A default, or REQUIRED; and whether the parameter has a place in the order."""

    default: Any
    positional: bool


Parameters = dict[str, Parameter]  # in order; *sizes is a parameter called sizes, *args is none


def of_callable(function: Callable[..., Any]) -> Parameters | None:
    """The parameters of a Python function or class; None where there is nothing to inspect."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    return {
        p.name: Parameter(
            ANY if p.kind is p.VAR_POSITIONAL else REQUIRED if p.default is p.empty else p.default,
            p.kind is not p.KEYWORD_ONLY,
        )
        for p in parameters
        if p.kind is not p.VAR_KEYWORD and not (p.kind is p.VAR_POSITIONAL and p.name == "args")
    }


def of_docstring(function: Callable[..., Any]) -> Parameters | None:
    """The parameters in a docstring's first line, such as "linalg.inv(A, *, out=None) -> Tensor"."""
    found = re.match(r"\s*[\w.]*?(\w+\(.*\)) *(->.*)?\n", function.__doc__ or "")
    if found is None:
        return None
    try:
        node = ast.parse(f"def {found[1]}: ...").body[0]
    except SyntaxError:
        return None
    return _parameters(node.args) if isinstance(node, ast.FunctionDef) else None


@cache
def stubs(path: Path, cls: str | None = None) -> Mapping[str, list[Parameters]]:
    """The overloads of the functions, or of the methods of a class, in a stub file."""
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    if cls is not None:
        body = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == cls).body
    found: dict[str, list[Parameters]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(_parameters(node.args))
    return found


def _parameters(args: ast.arguments) -> Parameters:
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    found = {a.arg: Parameter(_value(d), True) for a, d in zip(positional, defaults, strict=True)}
    if args.vararg is not None:
        found[args.vararg.arg] = Parameter(ANY, True)
    found |= {a.arg: Parameter(_value(d), False) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)}
    return found


def _value(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def differences(ours: Parameters, overloads: Sequence[Parameters]) -> list[str]:
    """What of PyTorch's overloads our one signature lacks, orders or defaults otherwise, and what it adds.

    Our signature stands for all overloads: a parameter that one of them requires may have a default, and where
    overloads differ in an order or a default, one of them must agree.
    """
    theirs = {name: [o[name].default for o in overloads if name in o] for o in overloads for name in o}
    found = [f"lacks {name}" for name in theirs if name not in ours]
    found += [f"adds {name}" for name in ours if name not in theirs]
    if overloads and not any(_in_order(ours, o) for o in overloads):
        found.append("orders " + ", ".join(ours))
    for name, defaults in theirs.items():
        given = [d for d in defaults if d not in (REQUIRED, ANY)]
        mine = ours[name].default if name in ours else ANY
        if mine is not ANY and given and not any(_same(mine, d) for d in given):
            found.append(f"defaults {name} to {mine!r}, not {_ADDRESS.sub('', repr(given[0]))}")
    return found


def _in_order(ours: Parameters, theirs: Parameters) -> bool:
    common = [n for n, p in ours.items() if p.positional and n in theirs and theirs[n].positional]
    return common == [n for n, p in theirs.items() if p.positional and n in ours and ours[n].positional]


def _same(ours: Any, theirs: Any) -> bool:
    if theirs is Ellipsis:  # a stub that does not say
        return ours is not REQUIRED
    if {repr(ours), repr(theirs)} <= {"None", "()", "[]"}:  # no stride, no dims
        return True
    if theirs is None and str(ours) in ("float32", "int64"):  # the default dtype
        return True
    if inspect.isfunction(ours) and inspect.isfunction(theirs):
        return ours.__name__ == theirs.__name__
    return ours is theirs or str(ours) == str(theirs).split(".")[-1] or bool(ours == theirs)
