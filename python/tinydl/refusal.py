"""What a wrong call says: errors that name the operation, what it got and what it wanted.

Operations check what is cheap to check. What slips through fails somewhere inside, with a message of Python's, NumPy's
or pybind11's about a line that the caller has never seen. `guarded` turns such an error into one about the call: it
compares the arguments with the function's annotations, once the call has failed. Errors that an operation or a kernel
raises on purpose pass unchanged, and so do those of the caller's own code, such as hooks and layers.
"""

from __future__ import annotations

import dis
import functools
import inspect
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union

import numpy as np

from .tensor import Tensor

# What a step of training calls again and again. As methods and within the layers these go without a guard, which the
# names of the main module and of nn.functional have; the first line checks its arguments itself and has none there.
QUICK = frozenset(("add", "sub", "mul", "div", "relu"))
_TRAINING = """
    neg abs exp log sqrt pow square sum mean matmul mm bmm linear conv1d conv2d leaky_relu elu gelu silu sigmoid tanh
    softmax log_softmax cross_entropy nll_loss mse_loss binary_cross_entropy binary_cross_entropy_with_logits batch_norm
    layer_norm group_norm embedding dropout max_pool2d avg_pool2d reshape view flatten permute transpose t squeeze
    unsqueeze expand contiguous cat stack maximum minimum where backward register_hook retain_grad
"""
TRAINING = QUICK | frozenset(_TRAINING.split())
WITH_DIM = frozenset(("sum", "mean", "softmax", "log_softmax", "squeeze", "unsqueeze"))  # guarded as methods, too

ACCIDENTS = (AttributeError, TypeError, ValueError, LookupError, ArithmeticError, AssertionError)
_FOLDER = os.path.dirname(__file__) + os.sep
_OURS = (_FOLDER, os.path.dirname(np.__file__) + os.sep, "<frozen")  # whose lines the caller has not written
_LIBRARY = os.path.dirname(inspect.__file__) + os.sep  # nor Python's, but for what is installed there
_NAMED = re.compile(r"[\w.]+: ")  # a message that begins with the operation
_VAGUE = "an argument is of the wrong kind"
_PYTHON = re.compile("not supported between|object is not|unsupported operand|unhashable|cannot unpack|^ufunc")
_SIGNATURE = re.compile(r"1\. \((.*)\) ->")


@functools.cache
def guarded(function: Callable[..., Any], aliased: bool = False) -> Any:
    """The function with errors about the call. Adds 0.1 us to it, so that the most called ones go without.

    `aliased` lets it take NumPy's names `axis` and `keepdims` for `dim` and `keepdim`.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ACCIDENTS as error:
            if aliased and not ALIASES.keys().isdisjoint(kwargs):
                return call(*args, **_renamed(function, error, kwargs))
            better = explained(function, error, args, kwargs)
            if better is error:
                raise
            raise better from better.__cause__

    return call


# NumPy's names, which PyTorch's compiled functions take too; found out after the call has failed.
ALIASES = {"axis": "dim", "keepdims": "keepdim"}
# Which PyTorch has in Python.
NOT_ALIASED = frozenset(("split", "split_method", "norm", "unique", "unique_consecutive"))


def _renamed(function: Callable[..., Any], error: Exception, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under PyTorch's names; the error again where the function has no such argument, or has it twice."""
    own = inspect.signature(function).parameters
    for alias in ALIASES.keys() & kwargs.keys():
        if function.__name__ in NOT_ALIASED or alias in own or ALIASES[alias] not in own or ALIASES[alias] in kwargs:
            raise error
    return {ALIASES.get(name, name): value for name, value in kwargs.items()}


def guard(space: dict[str, Any], skip: frozenset[str] = QUICK, aliased: bool = False) -> None:
    """Put guarded functions in the place of a module's public ones, there and in the modules that define them."""
    for name, function in list(space.items()):
        public = inspect.isfunction(function) and not name.startswith("_") and function.__name__ not in skip
        if public and function.__module__.startswith("tinydl.") and not _is_guarded(function):
            space[name] = guarded(function, aliased)
            home, own = vars(sys.modules[function.__module__]), function.__name__
            if own not in TRAINING and home.get(own) is function:
                home[own] = space[name]


def _is_guarded(function: Callable[..., Any]) -> bool:
    return function.__code__ is guarded(_is_guarded).__code__


def explained(
    function: Callable[..., Any],
    error: Exception,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    op: str | None = None,
) -> Exception:
    """The error to raise where a call ended in `error`: that one if it was raised on purpose and names the operation.

    `op` is the operation's name, by default the function's.
    """
    if _from_callers_code(error):
        return error
    op = op or function.__name__.strip("_")
    vague = _VAGUE in str(error)
    if not vague and not _by_accident(error):
        return error if _says_where(error) else _built_in(error)(f"{op}: {error}")
    try:
        given = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return error
    hints = _hints(function)
    for name, value in given.arguments.items():
        kind = inspect.signature(function).parameters[name].kind
        values = value if kind is inspect.Parameter.VAR_POSITIONAL else (value,)
        for part in values if kind is not inspect.Parameter.VAR_KEYWORD else ():
            if not fits(part, hints.get(name, Any)):
                return TypeError(f"{op}: {name} is {kind_of(part)}, wanted {described(hints[name])}")
    if vague:
        return error
    got = ", ".join(f"{name}: {kind_of(value)}" for name, value in given.arguments.items())
    better = _built_in(error)(f"{op}: {told(error)} (got {got})")
    better.__cause__ = error  # no argument is to blame, so that it may be a fault of ours
    return better


def _built_in(error: Exception) -> type[Exception]:
    """What to raise for an error, which may be of a class that takes other arguments than a message."""
    if isinstance(error, AttributeError):
        return TypeError
    return next((kind for kind in (IndexError, TypeError, ValueError) if isinstance(error, kind)), ValueError)


def _says_where(error: Exception) -> bool:
    """Whether an error that was raised on purpose begins with an operation, or is about the call itself."""
    outside = error.__traceback__ is None or error.__traceback__.tb_next is None
    return outside or type(error) not in (ValueError, TypeError, IndexError) or bool(_NAMED.match(str(error)))


def _from_callers_code(error: BaseException) -> bool:
    """Whether the error went through lines of the caller's on its way here."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        library = file.startswith(_LIBRARY) and "-packages" not in file
        if not library and not file.startswith(_OURS):
            return True
        trace = trace.tb_next
    return False


def _by_accident(error: BaseException) -> bool:
    """Whether Python, NumPy or pybind11 raised the error within the project or NumPy, not a line that says `raise`."""
    trace = error.__traceback__
    if trace is None or trace.tb_next is None:
        return False  # the call itself: an argument is missing, or unknown
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    if not code.co_filename.startswith(_FOLDER):
        return True
    raised = dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    kernel = isinstance(error, ValueError | TypeError | IndexError) and _NAMED.match(str(error))
    return not raised and not (kernel and "incompatible function arguments" not in str(error))


def told(error: Exception) -> str:
    """What the error says, without what only a programmer of the engine can use."""
    text = str(error)
    wanted = _SIGNATURE.search(text)
    if "incompatible function arguments" in text and wanted:
        return f"{_VAGUE}, wanted ({wanted.group(1)})"
    if isinstance(error, AttributeError | KeyError) or _PYTHON.search(text):
        return _VAGUE
    return text.splitlines()[0] if text else "an argument is wrong"


# -- Annotations ------------------------------------------------------------------------------------------------


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except (NameError, TypeError):  # names that exist for type checkers only
        return {}


def _is_integer(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dtype.kind in "iub" and value.numel() == 1
    return isinstance(value, int | np.integer | np.bool_)


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, int | float | np.number | np.bool_)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value may be what the annotation says; numbers may be tensors of one element."""
    if hint is Any or isinstance(hint, TypeVar) or hint is inspect.Parameter.empty:
        return True
    if hint is None or hint is type(None):
        return value is None
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        wanted = isinstance(value, tuple | list) and len(value) == len(parts)
        return wanted and all(fits(v, part) for v, part in zip(value, parts, strict=True))
    if origin in (tuple, list, Sequence, Iterable):
        if not isinstance(value, tuple | list):
            return (
                origin is not tuple and origin is not list and isinstance(value, origin) and value.__class__ is not str
            )
        return not parts or all(fits(v, parts[0]) for v in value)
    if hint in (int, float):
        return _is_integer(value) if hint is int else _is_number(value)
    if hint is bool:
        return isinstance(value, bool | int | np.bool_)
    kind = origin or hint
    if not isinstance(kind, type) or kind.__module__ == "typing":  # such as BinaryIO, which no file is an instance of
        return True
    return isinstance(value, kind)


_WORDS = {int: "an integer", float: "a number", str: "a string", bool: "a bool", Tensor: "a tensor"}


def described(hint: Any) -> str:
    """An annotation in words: "a tensor or a number"."""
    if hint is None or hint is type(None):
        return "None"
    if hint in _WORDS:
        return _WORDS[hint]
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(described(part) for part in parts))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, parts))
    if origin in (tuple, list, Sequence, Iterable):
        of = " and ".join(dict.fromkeys(described(part) for part in parts if part is not Ellipsis))
        return f"a {'tuple' if origin is tuple else 'sequence'} of {of}" if of else "a sequence"
    if origin is np.ndarray or hint is np.ndarray:
        return "an array"
    if origin is Callable or hint is Callable:
        return "a function"
    return f"a {getattr(origin or hint, '__name__', hint)}"


def kind_of(value: Any) -> str:
    """A value in words: what a message says that it got."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if value is None or isinstance(value, int | float | complex | str | np.generic):
        return repr(value)
    if isinstance(value, tuple | list) and len(value) <= 8 and not any(isinstance(v, Tensor) for v in value):
        return f"the {type(value).__name__} {value!r}"
    return f"of type {type(value).__name__}"
