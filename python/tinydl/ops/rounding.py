"""Signs, rounding, and division with a whole quotient."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .arguments import check_tensors
from .by_numpy import BinaryByNumpy, ByNumpy
from .elementwise import Binary, Operand, apply_binary, apply_float, operands, quiet, refuse_bool, swapped

# -- Steps: the gradient is zero wherever there is one ----------------------------------------------------------


class Step(ByNumpy):
    """y = f(x), constant between its jumps; dy/dx = 0."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def backward(self, grad: Array) -> Array:
        return np.zeros_like(grad)


class Frac(ByNumpy):
    """y = x - trunc x; dy/dx = 1."""

    @staticmethod
    def value(x: Array) -> Any:
        """The part behind the point, with the sign of x."""
        return x - np.trunc(x)

    def slope(self, x: Array, y: Array) -> Any:
        return backend.scalar(1, x)


def _step(op: str, value: Any, input: Tensor) -> Tensor:
    """A step function; integers are whole already."""
    refuse_bool(op, input)
    if input._data.dtype.kind in "iu":
        return Tensor(input._data.copy(order="K"))
    return apply_float(op, Step(value), input)


def _sign(x: Array) -> Any:
    return np.where(np.isnan(x), x.dtype.type(0), np.sign(x))


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1, elementwise; 0 for NaN."""
    data = input._data
    if data.dtype.kind in "iub":
        return Tensor(data.copy(order="K") if data.dtype.char == "?" else backend.asarray(np.sign(data)))
    return apply_float("sign", Step(_sign), input)


def sgn(input: Tensor) -> Tensor:
    """`sign`, which it equals where numbers are real."""
    return sign(input)


class Heaviside(Function):
    """y = 0, v or 1 where x is below, at or above 0."""

    def forward(self, x: Array, values: Array) -> Array:
        return backend.asarray(np.where(x == 0, values, (x > 0).astype(x.dtype)))

    def backward(self, grad: Array) -> Array:
        raise RuntimeError("heaviside: the step function has no gradient; detach its input")


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """The step function: 0 for x < 0, 1 for x > 0, and `values` at 0. It has no gradient: backward refuses it.

    >>> import tinydl
    >>> tinydl.heaviside(tinydl.tensor([-2.0, 0.0, 3.0]), tinydl.tensor(0.5))
    tensor([0. , 0.5, 1. ])
    """
    check_tensors("heaviside", input=input, values=values)
    if input.dtype != values.dtype:
        raise TypeError(f"heaviside: got dtypes {input.dtype} and {values.dtype}, wanted one for both")
    return Heaviside().apply(input, values)  # type: ignore[no-any-return]


def signbit(input: Tensor) -> Tensor:
    """Whether the sign bit is set (also -0 has it), elementwise."""
    data = input._data
    return Tensor(
        backend.asarray(
            np.zeros(data.shape, np.bool_)
            if data.dtype.kind in "ub"
            else data < 0
            if data.dtype.kind == "i"
            else np.signbit(data)
        )
    )


def floor(input: Tensor) -> Tensor:
    """The largest integer ≤ x, elementwise, in the tensor's dtype."""
    return _step("floor", np.floor, input)


def ceil(input: Tensor) -> Tensor:
    """The smallest integer ≥ x, elementwise, in the tensor's dtype."""
    return _step("ceil", np.ceil, input)


def trunc(input: Tensor) -> Tensor:
    """x without the part behind the point, elementwise."""
    return _step("trunc", np.trunc, input)


fix = trunc


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with `decimals` digits behind the point, elementwise; halves go to the even neighbour.

    >>> import tinydl
    >>> tinydl.round(tinydl.tensor([0.5, 1.5, -2.6]))
    tensor([ 0.,  2., -3.])
    """
    if decimals == 0:
        return _step("round", np.round, input)
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"round: got dtype {input.dtype} with decimals={decimals}, wanted a floating-point dtype")
    return apply_float("round", Step(lambda x: _round_decimals(x, decimals)), input)


def _round_decimals(x: Array, decimals: int) -> Any:
    scale = backend.scalar(10.0 ** np.abs(decimals), x)
    return np.round(x * scale) / scale if decimals > 0 else np.round(x / scale) * scale


def frac(input: Tensor) -> Tensor:
    """The part behind the point, y = x - trunc x, elementwise, with the sign of x."""
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"frac: got dtype {input.dtype}, wanted a floating-point dtype")
    return apply_float("frac", Frac(), input)


# -- Division with a whole quotient -----------------------------------------------------------------------------


def _trunc_divide(a: Array, b: Array) -> Any:
    if a.dtype.kind not in "iu":
        return np.trunc(a / b)
    floored = np.floor_divide(a, b)
    return floored + ((floored < 0) & (floored * b != a)).astype(a.dtype)


class _Quotient(Binary):
    """y = a/b rounded by `value`; dy/da = dy/db = 0."""

    value: Any

    def compute(self, a: Array, b: Array) -> Array:
        return quiet(self.value, a, b)

    def grad_a(self, grad: Array) -> Array:
        return np.zeros_like(grad)

    grad_b = grad_a


class FloorDivide(_Quotient):
    """y = floor(a/b)."""

    value: Any = np.floor_divide


class TruncDivide(_Quotient):
    """y = trunc(a/b)."""

    value: Any = staticmethod(_trunc_divide)


class Remainder(BinaryByNumpy):
    """y = a - b floor(a/b), with the sign of b; dy/da = 1, dy/db = -floor(a/b)."""

    value: Any = np.remainder

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return backend.scalar(1, a)

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return -np.floor_divide(a, b)


class Fmod(Remainder):
    """y = a - b trunc(a/b), with the sign of a; dy/da = 1, dy/db = -trunc(a/b)."""

    value: Any = np.fmod

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return -np.trunc(a / b)


def _whole(op: str, function: type[Binary], input: Operand, other: Operand) -> Tensor:
    a, b = operands(input, other)
    refuse_bool(op, a)
    divisors = b._data
    if divisors.dtype.kind in "iu":
        if type(other) is int:  # which is checked without waiting for a GPU
            divisors = np.asarray(other).astype(divisors.dtype)
        if not divisors.all():
            raise ValueError(f"{op}: division of integers by zero")
    return apply_binary(function, a, b)


def rounded_div(input: Operand, other: Operand, rounding_mode: str) -> Tensor:
    """`div` with a rounding mode: "trunc" or "floor"."""
    functions: dict[str, type[Binary]] = {"trunc": TruncDivide, "floor": FloorDivide}
    if not isinstance(rounding_mode, str) or rounding_mode not in functions:
        raise ValueError(f"div: got rounding_mode={rounding_mode!r}, wanted None, 'trunc' or 'floor'")
    return _whole("div", functions[rounding_mode], input, other)


def floor_divide(input: Operand, other: Operand) -> Tensor:
    """y = floor(input / other) with broadcasting; the gradient is zero. ValueError for integers divided by 0.

    >>> import tinydl
    >>> tinydl.tensor([7, -7]) // 2
    tensor([ 3, -4])
    """
    return _whole("floor_divide", FloorDivide, input, other)


def remainder(input: Operand, other: Operand) -> Tensor:
    """y = input - other floor(input/other), with the sign of `other`; ValueError for integers divided by 0.

    >>> import tinydl
    >>> tinydl.tensor([7, -7]) % 4
    tensor([3, 1])
    """
    return _whole("remainder", Remainder, input, other)


def fmod(input: Operand, other: Operand) -> Tensor:
    """y = input - other trunc(input/other), with the sign of `input`; ValueError for integers divided by 0."""
    if not isinstance(input, Tensor):
        raise TypeError(f"fmod: got {type(input).__name__}, wanted a tensor")
    return _whole("fmod", Fmod, input, other)


rfloor_divide, rremainder = swapped(floor_divide), swapped(remainder)
