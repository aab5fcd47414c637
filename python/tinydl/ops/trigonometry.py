"""Trigonometric and hyperbolic functions, all but sinc computed by NumPy; angles are in radians."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Array, Tensor
from .by_numpy import BinaryByNumpy, ByNumpy
from .elementwise import Unary, apply_binary, apply_float, float_operands, mul, tensor_operands


class Sin(ByNumpy):
    """y = sin x; dy/dx = cos x."""

    value: Any = np.sin

    def slope(self, x: Array, y: Array) -> Any:
        return np.cos(x)


class Sinc(Unary):
    """y = sin(pi x)/(pi x), 1 at 0; dy/dx = (cos(pi x) - y)/x, 0 at 0."""

    kernel = "sinc"

    def save_for(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).sinc_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Cos(ByNumpy):
    """y = cos x; dy/dx = -sin x."""

    value: Any = np.cos

    def slope(self, x: Array, y: Array) -> Any:
        return -np.sin(x)


class Tan(ByNumpy):
    """y = tan x; dy/dx = 1 + y^2."""

    value: Any = np.tan

    def slope(self, x: Array, y: Array) -> Any:
        return 1 + y * y


class Asin(ByNumpy):
    """y = asin x; dy/dx = (1 - x^2)^(-1/2)."""

    value: Any = np.arcsin

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / np.sqrt(1 - x * x)


class Acos(ByNumpy):
    """y = acos x; dy/dx = -(1 - x^2)^(-1/2)."""

    value: Any = np.arccos

    def slope(self, x: Array, y: Array) -> Any:
        return -1 / np.sqrt(1 - x * x)


class Atan(ByNumpy):
    """y = atan x; dy/dx = 1/(1 + x^2)."""

    value: Any = np.arctan

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / (1 + x * x)


class Sinh(ByNumpy):
    """y = sinh x; dy/dx = cosh x."""

    value: Any = np.sinh

    def slope(self, x: Array, y: Array) -> Any:
        return np.cosh(x)


class Cosh(ByNumpy):
    """y = cosh x; dy/dx = sinh x."""

    value: Any = np.cosh

    def slope(self, x: Array, y: Array) -> Any:
        return np.sinh(x)


class Asinh(ByNumpy):
    """y = asinh x; dy/dx = (x^2 + 1)^(-1/2)."""

    value: Any = np.arcsinh

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / np.sqrt(x * x + 1)


class Acosh(ByNumpy):
    """y = acosh x; dy/dx = (x^2 - 1)^(-1/2)."""

    value: Any = np.arccosh

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / np.sqrt(x * x - 1)


class Atanh(ByNumpy):
    """y = atanh x; dy/dx = 1/(1 - x^2)."""

    value: Any = np.arctanh

    def slope(self, x: Array, y: Array) -> Any:
        return 1 / (1 - x * x)


class Atan2(BinaryByNumpy):
    """y = the angle of the point (b, a); dy/da = b/(a^2 + b^2), dy/db = -a/(a^2 + b^2), 0 at the origin."""

    value: Any = np.arctan2

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        squared = a * a + b * b
        return np.where(squared == 0, a.dtype.type(0), b / squared)

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        squared = a * a + b * b
        return np.where(squared == 0, a.dtype.type(0), -a / squared)


def sin(input: Tensor) -> Tensor:
    """The sine, elementwise.

    >>> import tinydl
    >>> tinydl.sin(tinydl.tensor([0.0, 2.0]))
    tensor([0.       , 0.9092974])
    """
    return apply_float("sin", Sin(), input)


def sinc(input: Tensor) -> Tensor:
    """The normalised sine y = sin(pi x)/(pi x), 1 at 0, elementwise (Woodward, 1953); NaN at infinities.

    Integers become float32. At other whole numbers y is exactly 0, where PyTorch returns what is left of rounding pi x.

    >>> import tinydl
    >>> tinydl.sinc(tinydl.tensor([0.0, 0.5, 2.0]))
    tensor([1.       , 0.6366198, 0.       ])
    """
    return apply_float("sinc", Sinc(), input)


def cos(input: Tensor) -> Tensor:
    """The cosine, elementwise."""
    return apply_float("cos", Cos(), input)


def tan(input: Tensor) -> Tensor:
    """The tangent, elementwise."""
    return apply_float("tan", Tan(), input)


def asin(input: Tensor) -> Tensor:
    """The arcsine, elementwise; NaN outside [-1, 1]."""
    return apply_float("asin", Asin(), input)


def acos(input: Tensor) -> Tensor:
    """The arccosine, elementwise; NaN outside [-1, 1]."""
    return apply_float("acos", Acos(), input)


def atan(input: Tensor) -> Tensor:
    """The arctangent, elementwise."""
    return apply_float("atan", Atan(), input)


def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine, elementwise."""
    return apply_float("sinh", Sinh(), input)


def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine, elementwise."""
    return apply_float("cosh", Cosh(), input)


def asinh(input: Tensor) -> Tensor:
    """The inverse hyperbolic sine, elementwise."""
    return apply_float("asinh", Asinh(), input)


def acosh(input: Tensor) -> Tensor:
    """The inverse hyperbolic cosine, elementwise; NaN below 1."""
    return apply_float("acosh", Acosh(), input)


def atanh(input: Tensor) -> Tensor:
    """The inverse hyperbolic tangent, elementwise; NaN outside [-1, 1]."""
    return apply_float("atanh", Atanh(), input)


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle in (-pi, pi] of the point (other, input), with broadcasting.

    >>> import tinydl
    >>> tinydl.atan2(tinydl.tensor([1.0]), tinydl.tensor([-1.0]))
    tensor([2.3561945])
    """
    tensor_operands("atan2", input, other)
    return apply_binary(Atan2, *float_operands(input, other))


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians: y = x pi/180."""
    return mul(input, math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees: y = x 180/pi."""
    return mul(input, 180 / math.pi)


arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
