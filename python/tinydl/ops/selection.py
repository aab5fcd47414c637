"""Elements chosen by a condition."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import Operand, apply_float, cast, is_half, operands
from .reduce import sum_to


class Where(Function):
    """y = c ? a : b for a bool array c; the gradient goes where the element came from."""

    def __init__(self, condition: Array) -> None:
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        if True in self.needs:  # backward wants the condition as it is now
            self.condition = self.condition.copy(order="K")
        return _choose(self.condition, a, b)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        zero = backend.scalar(0, grad)
        return (
            sum_to(_choose(self.condition, grad, zero), self.shapes[0]) if self.needs[0] else None,
            sum_to(_choose(self.condition, zero, grad), self.shapes[1]) if self.needs[1] else None,
        )


def _choose(condition: Array, a: Array, b: Array) -> Array:
    if backend.takes(a):
        return backend.of(a).where(condition, a, b)  # type: ignore[no-any-return]
    try:
        return np.where(condition, a, b)
    except ValueError:
        raise ValueError(f"where: shapes {condition.shape}, {a.shape} and {b.shape} do not broadcast") from None


class NanToNum(Function):
    """y = x with NaN and the infinities replaced; the gradient of what was replaced is 0."""

    def __init__(self, nan: float, posinf: float | None, neginf: float | None) -> None:
        self.values = nan, posinf, neginf

    def forward(self, x: Array) -> Array:
        self.save(x)
        nan, posinf, neginf = self.values
        if x.dtype.kind == "V":  # bfloat16, which NumPy's function leaves as it is
            from ml_dtypes import finfo

            limits: Any = finfo(x.dtype)  # type: ignore[no-untyped-call]
            high, low = (limits.max if posinf is None else posinf), (limits.min if neginf is None else neginf)
            y = np.where(np.isnan(x), backend.scalar(nan, x), x)
            y = np.where(x == np.inf, backend.scalar(high, x), y)
            return np.where(x == -np.inf, backend.scalar(low, x), y)
        return backend.asarray(np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf))

    def backward(self, grad: Array) -> Array:
        (x,) = self.saved
        return np.where(np.isfinite(x), grad, grad.dtype.type(0))


def where(condition: Tensor, input: Operand | None = None, other: Operand | None = None) -> Tensor:
    """y = input where the condition holds, else other; with broadcasting and type promotion.

    With the condition alone, the tuple of the indices where it holds, as `nonzero(as_tuple=True)` gives them.

    TypeError for a condition that is no bool tensor.

    >>> import tinydl
    >>> x = tinydl.tensor([-1.0, 2.0])
    >>> tinydl.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None and isinstance(condition, Tensor):
        indices = np.nonzero(np.atleast_1d(condition._data))
        return tuple([Tensor(index) for index in indices])  # type: ignore[return-value]
    if input is None or other is None:
        raise TypeError("where: got one of input and other, wanted both or neither")
    if not isinstance(condition, Tensor) or condition._data.dtype.char != "?":
        got = condition.dtype if isinstance(condition, Tensor) else type(condition).__name__
        raise TypeError(f"where: got a condition of type {got}, wanted a bool tensor")
    a, b = operands(input, other)
    function = Where(condition._data)
    if is_half(a):
        return cast(function.apply(cast(a, dtypes.float32), cast(b, dtypes.float32)), a.dtype)
    return function.apply(a, b)  # type: ignore[no-any-return]


def where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor's elements where the condition holds, else those of `other`."""
    return where(condition, self, other)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN replaced by `nan`, by default 0, the infinities by `posinf` and `neginf`, by default the largest numbers.

    >>> import tinydl
    >>> tinydl.nan_to_num(tinydl.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    if not dtypes.is_floating_point(input.dtype):
        return Tensor(input._data.copy(order="K"))
    return apply_float("nan_to_num", NanToNum(nan or 0.0, posinf, neginf), input)
