"""The larger and the smaller of two tensors, and values held between bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .by_numpy import BinaryByNumpy
from .elementwise import Binary, apply_binary, apply_float, cast, is_half, quiet, tensor_operands
from .reduce import sum_to


class Maximum(Binary):
    """y = max(a, b); the gradient goes to the larger, half to each of two equals."""

    def compute(self, a: Array, b: Array) -> Array:
        return backend.of(a).maximum(a, b) if backend.takes(a) else quiet(np.maximum, a, b)

    def save_for(self, a: Array, b: Array, y: Array) -> None:
        self.save(a, b)

    def grad_a(self, grad: Array) -> Array:
        a, b = self.saved
        return backend.of(grad).maximum_backward(grad, a, b)  # type: ignore[no-any-return]

    def grad_b(self, grad: Array) -> Array:
        a, b = self.saved
        return backend.of(grad).maximum_backward(grad, b, a)  # type: ignore[no-any-return]


class Minimum(Maximum):
    """y = min(a, b); the gradient goes to the smaller, half to each of two equals."""

    def compute(self, a: Array, b: Array) -> Array:
        return backend.of(a).minimum(a, b) if backend.takes(a) else quiet(np.minimum, a, b)

    def grad_a(self, grad: Array) -> Array:
        a, b = self.saved
        return backend.of(grad).minimum_backward(grad, a, b)  # type: ignore[no-any-return]

    def grad_b(self, grad: Array) -> Array:
        a, b = self.saved
        return backend.of(grad).minimum_backward(grad, b, a)  # type: ignore[no-any-return]


class Fmax(BinaryByNumpy):
    """y = max(a, b), the other where one is NaN; the gradient goes to a where a >= b or b is NaN, else to b."""

    value: Any = np.fmax

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return ((a >= b) | np.isnan(b)).astype(a.dtype)

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return 1 - self.slope_a(a, b, y)


class Fmin(Fmax):
    """y = min(a, b), the other where one is NaN; the gradient goes to a where a <= b or b is NaN, else to b."""

    value: Any = np.fmin

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return ((a <= b) | np.isnan(b)).astype(a.dtype)


class Clamp(Function):
    """y = min(max(x, low), high) for numbers; the gradient passes where low <= x <= high."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        self.save(x)
        return backend.of(x).clamp(x, self.low, self.high)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).clamp_backward(grad, self.saved[0], self.low, self.high)  # type: ignore[no-any-return]


class ClampTensor(Function):
    """y = min(max(x, low), high) for tensors, of which one may be None; each element's gradient goes to its source."""

    def forward(self, x: Array, low: Array | None, high: Array | None) -> Array:
        self.save(x, low, high)
        y = x if low is None else quiet(np.maximum, x, low)
        return y if high is None else quiet(np.minimum, y, high)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, low, high = self.saved
        below = np.False_ if low is None else x < low
        above = np.False_ if high is None else x > high
        crossed = np.False_ if low is None or high is None else high < low
        inside = (np.True_ if low is None else x >= low) & (np.True_ if high is None else x <= high)
        equal = np.False_ if low is None or high is None else high == low
        sources = inside, below & ~(crossed | equal), above | crossed
        return tuple(
            sum_to(np.where(source, grad, grad.dtype.type(0)), array.shape) if needed else None
            for source, array, needed in zip(sources, self.saved, self.needs, strict=True)
        )


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two tensors, elementwise with broadcasting; NaN where either is.

    Two equal elements share the gradient.

    >>> import tinydl
    >>> tinydl.maximum(tinydl.tensor([1.0, 5.0]), tinydl.tensor([3.0]))
    tensor([3., 5.])
    """
    return apply_binary(Maximum, *tensor_operands("maximum", input, other))


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two tensors, elementwise with broadcasting; NaN where either is. Equals share the gradient."""
    return apply_binary(Minimum, *tensor_operands("minimum", input, other))


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two tensors, elementwise with broadcasting; where one is NaN, the other."""
    return apply_binary(Fmax, *tensor_operands("fmax", input, other))


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two tensors, elementwise with broadcasting; where one is NaN, the other."""
    return apply_binary(Fmin, *tensor_operands("fmin", input, other))


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """y = min(max(x, min), max), elementwise; the bounds are numbers or tensors, and one may be missing.

    NaN stays NaN; `max` wins where the bounds cross; the gradient passes at the bounds.

    >>> import tinydl
    >>> tinydl.clamp(tinydl.tensor([-1.0, 0.5, 3.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    if min is None and max is None:
        raise ValueError("clamp: got neither min nor max")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return _clamp_tensor(input, min, max)
    for bound in (min, max):
        if bound is not None and not isinstance(bound, int | float | np.number):
            raise TypeError(f"clamp: got a bound of type {type(bound).__name__}, wanted a number or a tensor")
    wide = isinstance(input, Tensor) and backend.takes(input._data)
    dtype = input._data.dtype if wide else _bounded_dtype(input._data, min, max)
    if dtype.char == "?":
        raise TypeError("clamp: got bools, wanted numbers")
    if dtype.kind in "iu":
        return Tensor(_clamp_integers(input._data.astype(dtype), min, max))
    low, high = -math.inf if min is None else float(min), math.inf if max is None else float(max)
    if math.isnan(low) or math.isnan(high):
        return _clamp_tensor(input, *(Tensor(backend.scalar(x, input._data, dtype)) for x in (low, high)))
    return apply_float("clamp", Clamp(low, high), input)


def _bounded_dtype(data: Array, *bounds: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = data.dtype
    for bound in bounds:
        if bound is not None:
            dtype = dtypes.result_type(np.empty(data.shape, dtype), getattr(bound, "_data", bound))
    if dtype.char == "?" and None not in bounds:
        raise TypeError("clamp: got bools, wanted numbers")
    return dtype


def _clamp_integers(x: Array, low: int | None, high: int | None) -> Array:
    """Bounds beyond the dtype's range are that range's ends."""
    info = np.iinfo(x.dtype)
    first = info.min if low is None else int(np.clip(low, info.min, info.max))
    last = info.max if high is None else int(np.clip(high, info.min, info.max))
    return backend.asarray(np.minimum(np.maximum(x, first), last), dtype=x.dtype)


def _clamp_tensor(input: Tensor, low: Any, high: Any) -> Tensor:
    for bound in (low, high):
        if bound is not None and not isinstance(bound, Tensor):
            raise TypeError("clamp: got a tensor and a number as bounds, wanted two tensors or two numbers")
    dtype = _bounded_dtype(input._data, low, high)
    parts = [None if t is None else cast(t, dtype) for t in (input, low, high)]
    if any(t is not None and is_half(t) for t in parts):
        wide = [None if t is None else cast(t, dtypes.float32) for t in parts]
        return cast(ClampTensor().apply(*wide), dtype)
    return ClampTensor().apply(*parts)  # type: ignore[no-any-return]


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """y = max(x, min), elementwise."""
    return clamp(input, min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """y = min(x, max), elementwise."""
    return clamp(input, None, max)


clip = clamp
