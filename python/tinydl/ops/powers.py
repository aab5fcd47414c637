"""Powers and roots."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .by_numpy import BinaryByNumpy
from .elementwise import Operand, apply_binary, apply_float, cast, mul, operands, quiet, tensor_operands
from .join import stack


def _power(x: Array, exponent: float) -> Array:
    """x^exponent; the exponents of everyday use are products, a root and a quotient."""
    kernels = backend.of(x)
    y: Array
    if exponent == 2:
        y = kernels.mul(x, x)
    elif exponent == 3:
        y = kernels.mul(kernels.mul(x, x), x)
    elif exponent == 0.5:
        y = kernels.sqrt(x)
    elif exponent in (-1, -0.5):
        y = kernels.div(backend.scalar(1, x), x if exponent == -1 else kernels.sqrt(x))
    else:
        y = quiet(np.power, x, backend.scalar(exponent, x))
    return y


class Pow(Function):
    """y = x^p for a number p; dy/dx = p x^(p-1)."""

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent

    def forward(self, x: Array) -> Array:
        self.save(x)
        return _power(x, self.exponent)

    def backward(self, grad: Array) -> Array:
        (x,) = self.saved
        if self.exponent == 0:
            return np.zeros_like(grad)
        kernels = backend.of(grad)
        slope = kernels.mul(_power(x, self.exponent - 1), backend.scalar(self.exponent, x))
        return kernels.mul(grad, slope)  # type: ignore[no-any-return]


class PowTensor(BinaryByNumpy):
    """y = a^b; dy/da = b a^(b-1), 0 at b = 0; dy/db = y ln a, 0 at a = 0 <= b."""

    value: Any = np.power

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return np.where(b == 0, a.dtype.type(0), b * np.power(a, b - 1))

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return np.where((a == 0) & (b >= 0), a.dtype.type(0), y * np.log(a))


class Rsqrt(Function):
    """y = x^(-1/2); dy/dx = -y^3/2."""

    def forward(self, x: Array) -> Array:
        kernels = backend.of(x)
        y: Array = kernels.div(backend.scalar(1, x), kernels.sqrt(x))
        self.save(y)
        return y

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        half = kernels.mul(_power(self.saved[0], 3), backend.scalar(-0.5, grad))
        return kernels.mul(grad, half)  # type: ignore[no-any-return]


class Hypot(BinaryByNumpy):
    """y = (a^2 + b^2)^(1/2); dy/da = a/y, dy/db = b/y."""

    value: Any = np.hypot

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return a / y

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return b / y


def _integer_power(a: Array, b: Array) -> Array:
    """a^b for integers; a negative b gives 0 but for a = 1 and a = -1, as the quotient 1/a^|b| rounds."""
    if b.dtype.kind != "i" or not (b < 0).any():
        return backend.asarray(np.power(a, b))
    unit = np.where(np.abs(a) == 1, np.power(a, np.abs(b)), a.dtype.type(0))
    return np.where(b < 0, unit, np.power(a, np.maximum(b, 0)))


def pow(input: Operand, exponent: Operand) -> Tensor:
    """y = input^exponent with broadcasting and type promotion; either may be a number.

    ValueError for integers raised to a negative integer number.

    >>> import tinydl
    >>> tinydl.pow(tinydl.tensor([1.0, 3.0]), 2)
    tensor([1., 9.])
    >>> 2 ** tinydl.tensor([1.0, 3.0])
    tensor([2., 8.])
    """
    if autocast.on:
        input, exponent = autocast.inputs("pow", input, exponent)
    if isinstance(input, Tensor) and isinstance(exponent, int | float):
        data = input._data
        if data.dtype.kind in "iub" and not isinstance(exponent, float):
            if exponent < 0:
                raise ValueError("pow: integers to negative integer powers are not integers; convert to float first")
            dtype = dtypes.result_type(data, exponent)
            return Tensor(backend.asarray(np.power(data, backend.scalar(exponent, data, dtype))).astype(dtype))
        return apply_float("pow", Pow(exponent), input)
    a, b = operands(input, exponent)
    if a._data.dtype.kind in "iub":
        if a._data.dtype.char == "?":
            raise TypeError("pow: got two bool tensors, wanted numbers")
        return Tensor(_integer_power(a._data, b._data))
    return apply_binary(PowTensor, a, b)


def float_power(input: Operand, exponent: Operand) -> Tensor:
    """y = input^exponent, computed in float64."""
    return pow(_double(input), _double(exponent))


def _double(value: Operand) -> Any:
    return cast(value, dtypes.float64) if isinstance(value, Tensor) else value


def square(input: Tensor) -> Tensor:
    """y = x^2, elementwise."""
    return pow(input, 2) if input._data.dtype.char == "?" else mul(input, input)


def reciprocal(input: Tensor) -> Tensor:
    """y = 1/x, elementwise; infinite at 0."""
    return apply_float("reciprocal", Pow(-1), input)


def rsqrt(input: Tensor) -> Tensor:
    """y = 1/x^(1/2), elementwise; infinite at 0, NaN below."""
    return apply_float("rsqrt", Rsqrt(), input)


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """The hypotenuse y = (input^2 + other^2)^(1/2) with broadcasting, without overflow on the way.

    >>> import tinydl
    >>> tinydl.hypot(tinydl.tensor([3.0]), tinydl.tensor([4.0]))
    tensor([5.])
    """
    a, b = tensor_operands("hypot", input, other)
    if not dtypes.is_floating_point(a.dtype):
        raise TypeError(f"hypot: got dtype {a.dtype}, wanted a floating-point dtype")
    return apply_binary(Hypot, a, b)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Columns of powers of a vector, N of them (by default as many as elements), descending unless `increasing`.

    >>> import tinydl
    >>> tinydl.vander(tinydl.tensor([1, 2, 3]), 3)
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise ValueError(f"vander: got shape {x.shape}, wanted a vector")
    out = linalg_vander(x, N)
    return out if increasing else out.flip(-1)


def linalg_vander(x: Tensor, N: int | None = None) -> Tensor:
    """Columns of the powers 0 to N - 1 of the last axis; N is its size by default."""
    if x.ndim == 0:
        raise ValueError("linalg.vander: got a tensor without axes, wanted at least one")
    if N is not None and N < 0:
        raise ValueError(f"linalg.vander: got N={N}, wanted at least 0")
    if not dtypes.is_floating_point(x.dtype):
        x = cast(x, dtypes.int64)
    count = x.shape[-1] if N is None else N
    columns = [pow(x, i) for i in range(count)]
    return stack(columns, -1) if columns else Tensor(backend.empty((*x.shape, 0), x._data))
