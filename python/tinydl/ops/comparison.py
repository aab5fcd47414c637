"""Comparisons and tests of values: bool tensors, which have no gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..tensor import Array, Tensor
from .elementwise import quiet

_COMPARABLE = (Tensor, np.ndarray, int, float, np.number, np.bool_)


def raw_operands(op: str, input: Tensor, other: Any) -> tuple[Any, Any]:
    """Arrays and numbers of the dtype that promotion gives; integers beyond a tensor's range stay as they are."""
    if not isinstance(other, _COMPARABLE):
        raise TypeError(f"{op}: got an operand of type {type(other).__name__}, wanted a tensor or a number")
    a = input._data
    b: Any = other._data if isinstance(other, Tensor) else other
    dtype = dtypes.result_type(a, b)
    if a.dtype is not dtype:
        a = a.astype(dtype)
    if backend.is_array(b):
        b = backend.asarray(b, dtype)
    elif not isinstance(b, int) or dtype.kind == "f":
        b = backend.scalar(b, a, dtype)
    return a, b


def broadcast(op: str, ufunc: Any, a: Any, b: Any) -> Tensor:
    """The ufunc of two arrays as a tensor, with an error that names the shapes."""
    try:
        return Tensor(quiet(ufunc, a, b))
    except TypeError:  # arrays of two devices, as a rule
        return Tensor(quiet(ufunc, *backend.together(op, a, b)))
    except ValueError:
        raise ValueError(f"{op}: shapes {np.shape(a)} and {np.shape(b)} do not broadcast") from None


def _compare(op: str, ufunc: Any, input: Any, other: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    a = input._data
    if isinstance(other, Tensor) and other._data.shape == a.shape and other._data.dtype is a.dtype:
        b = other._data
        if type(b) is not type(a):
            a, b = backend.together(op, a, b)
        return Tensor(backend.asarray(ufunc(a, b)))
    if (type(other) is float or type(other) is int) and backend.takes(a):
        return Tensor(backend.asarray(ufunc(a, backend.scalar(other, a))))
    return broadcast(op, ufunc, *raw_operands(op, input, other))


def eq(input: Tensor, other: Any) -> Tensor:
    """Whether input = other, elementwise with broadcasting; NaN equals nothing.

    >>> import tinydl
    >>> tinydl.tensor([1.0, 2.0]) == 2
    tensor([False,  True])
    """
    return _compare("eq", np.equal, input, other)


def ne(input: Tensor, other: Any) -> Tensor:
    """Whether input ≠ other, elementwise with broadcasting."""
    return _compare("ne", np.not_equal, input, other)


def lt(input: Tensor, other: Any) -> Tensor:
    """Whether input < other, elementwise with broadcasting."""
    return _compare("lt", np.less, input, other)


def le(input: Tensor, other: Any) -> Tensor:
    """Whether input ≤ other, elementwise with broadcasting."""
    return _compare("le", np.less_equal, input, other)


def gt(input: Tensor, other: Any) -> Tensor:
    """Whether input > other, elementwise with broadcasting."""
    return _compare("gt", np.greater, input, other)


def ge(input: Tensor, other: Any) -> Tensor:
    """Whether input ≥ other, elementwise with broadcasting."""
    return _compare("ge", np.greater_equal, input, other)


not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge


def as_operator(function: Callable[[Tensor, Any], Tensor]) -> Callable[[Tensor, Any], Any]:
    """The operator: what cannot be compared is left to Python, for which `tensor == None` is False."""

    def compare(self: Tensor, other: Any) -> Any:
        return function(self, other) if isinstance(other, _COMPARABLE) else NotImplemented

    return compare


# -- Kinds of floating-point numbers ----------------------------------------------------------------------------


def isnan(input: Tensor) -> Tensor:
    """Whether an element is NaN."""
    return Tensor(backend.asarray(np.isnan(input._data)))


def isinf(input: Tensor) -> Tensor:
    """Whether an element is infinite."""
    return Tensor(backend.asarray(np.isinf(input._data)))


def isfinite(input: Tensor) -> Tensor:
    """Whether an element is neither infinite nor NaN."""
    return Tensor(backend.asarray(np.isfinite(input._data)))


def isposinf(input: Tensor) -> Tensor:
    """Whether an element is infinity."""
    return Tensor(backend.asarray(input._data == np.inf))


def isneginf(input: Tensor) -> Tensor:
    """Whether an element is minus infinity."""
    return Tensor(backend.asarray(input._data == -np.inf))


# -- Equality within a tolerance, and as a whole ----------------------------------------------------------------


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| ≤ atol + rtol |other|, elementwise with broadcasting.

    Infinities are close to themselves alone; NaN is close to NaN if `equal_nan`.
    TypeError for two dtypes, ValueError for a negative tolerance.

    >>> import tinydl
    >>> tinydl.isclose(tinydl.tensor([1.0, 2.0]), tinydl.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    for value in (input, other):
        if not isinstance(value, Tensor):
            raise TypeError(f"isclose: got {type(value).__name__}, wanted a tensor")
    if input.dtype != other.dtype:
        raise TypeError(f"isclose: got dtypes {input.dtype} and {other.dtype}, wanted one")
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: got rtol={rtol} and atol={atol}, wanted none below 0")
    wide = np.float32 if input._data.dtype.itemsize == 2 and dtypes.is_floating_point(input.dtype) else None
    a, b = (t._data.astype(wide or np.float64 if t._data.dtype.kind in "iub" else t.dtype) for t in (input, other))
    return broadcast("isclose", lambda a, b: _is_close(a, b, rtol, atol, equal_nan), a, b)


def _is_close(a: Array, b: Array, rtol: float, atol: float, equal_nan: bool) -> Any:
    difference = np.abs(a - b)
    close = (a == b) | (np.isfinite(difference) & (difference <= atol + np.abs(rtol * b)))
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds for every element."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._data.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    >>> import tinydl
    >>> tinydl.equal(tinydl.tensor([1, 2]), tinydl.tensor([1, 2]))
    True
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"equal: got {type(other).__name__}, wanted a tensor")
    return input.shape == other.shape and bool(eq(input, other)._data.all())
