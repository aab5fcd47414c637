"""Exponentials, logarithms and error functions beyond exp, log and erf."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..tensor import Array, Tensor
from .by_numpy import BinaryByNumpy, ByNumpy
from .elementwise import Operand, Unary, apply_binary, apply_float, float_operands, tensor_operands


class Exp2(ByNumpy):
    """y = 2^x; dy/dx = y ln 2."""

    value: Any = np.exp2

    def slope(self, x: Array, y: Array) -> Any:
        return y * math.log(2)


class Expm1(Unary):
    """y = e^x - 1; dy/dx = y + 1."""

    kernel = "expm1"

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        return kernels.mul(grad, kernels.add(self.saved[0], backend.scalar(1, grad)))  # type: ignore[no-any-return]


class Log1p(Unary):
    """y = ln(1 + x); dy/dx = 1/(1 + x)."""

    kernel = "log1p"

    def save_for(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        return kernels.div(grad, kernels.add(self.saved[0], backend.scalar(1, grad)))  # type: ignore[no-any-return]


class Log2(ByNumpy):
    """y = log2 x; dy/dx = 1/(x ln 2)."""

    value: Any = np.log2

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / (x * math.log(2))


class Log10(ByNumpy):
    """y = log10 x; dy/dx = 1/(x ln 10)."""

    value: Any = np.log10

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / (x * math.log(10))


class Erfc(ByNumpy):
    """y = 1 - erf x; dy/dx = -2/sqrt(pi) e^(-x^2)."""

    @staticmethod
    def value(x: Array) -> Any:
        """The C library's function, element by element: 1 - erf x would cancel."""
        return anywhere.erfc(x)

    def slope(self, x: Array, y: Array) -> Any:
        return np.exp(-x * x) * (-2 / math.sqrt(math.pi))


class Logit(ByNumpy):
    """y = ln(z/(1 - z)) with z = x, or x clamped to [eps, 1 - eps]; dy/dx = 1/(z (1 - z)), 0 outside the clamp."""

    def __init__(self, eps: float | None) -> None:
        self.eps = eps

    def value(self, x: Array) -> Any:
        """The logarithm of the odds."""
        z = x if self.eps is None else np.clip(x, x.dtype.type(self.eps), x.dtype.type(1 - self.eps))
        return np.log(z / (1 - z))

    def slope(self, x: Array, y: Array) -> Any:
        low, high = (0, 1) if self.eps is None else (self.eps, 1 - self.eps)
        outside = np.nan if self.eps is None else 0
        return np.where((x < low) | (x > high), backend.scalar(outside, x), 1 / (x * (1 - x)))


class Xlogy(BinaryByNumpy):
    """y = a ln b, 0 where a = 0 and b is no NaN; dy/da = ln b (0 at a = 0 >= b), dy/db = a/b."""

    @staticmethod
    def value(a: Array, b: Array) -> Any:
        """The product, with 0 ln 0 = 0."""
        return np.where((a == 0) & ~np.isnan(b), a.dtype.type(0), a * np.log(b))

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return np.where((a == 0) & (b <= 0), a.dtype.type(0), np.log(b))

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return a / b


class Logaddexp(BinaryByNumpy):
    """y = ln(e^a + e^b); dy/da = 1/(1 + e^(b-a)), dy/db = 1/(1 + e^(a-b))."""

    value: Any = np.logaddexp

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        return 1 / (1 + np.exp(b - a))

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        return 1 / (1 + np.exp(a - b))


def exp2(input: Tensor) -> Tensor:
    """y = 2^x, elementwise."""
    return apply_float("exp2", Exp2(), input)


def expm1(input: Tensor) -> Tensor:
    """y = e^x - 1, elementwise, accurate near 0."""
    return apply_float("expm1", Expm1(), input)


def log1p(input: Tensor) -> Tensor:
    """y = ln(1 + x), elementwise, accurate near 0; -inf at -1, NaN below."""
    return apply_float("log1p", Log1p(), input)


def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2, elementwise; -inf at 0, NaN below."""
    return apply_float("log2", Log2(), input)


def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10, elementwise; -inf at 0, NaN below."""
    return apply_float("log10", Log10(), input)


def erfc(input: Tensor) -> Tensor:
    """The complementary error function y = 1 - erf x, elementwise, accurate where it is small."""
    return apply_float("erfc", Erfc(), input)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """The inverse of the logistic function, y = ln(x/(1 - x)), elementwise; x is clamped to [eps, 1 - eps] first.

    Without `eps`, x outside [0, 1] gives NaN.

    >>> import tinydl
    >>> tinydl.logit(tinydl.tensor([0.5, 2.0]), eps=1e-6)
    tensor([ 0.      , 13.802318])
    """
    return apply_float("logit", Logit(eps), input)


def xlogy(input: Operand, other: Operand) -> Tensor:
    """y = input ln(other) with broadcasting; 0 where input is 0, unless other is NaN."""
    return apply_binary(Xlogy, *float_operands(input, other))


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """y = ln(e^input + e^other) with broadcasting, without overflow."""
    a, b = tensor_operands("logaddexp", input, other)
    if not dtypes.is_floating_point(a.dtype):
        raise TypeError(f"logaddexp: got dtype {a.dtype}, wanted a floating-point dtype")
    return apply_binary(Logaddexp, a, b)
