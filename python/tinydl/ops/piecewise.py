"""Activations made of straight pieces. At the ends of a piece they have PyTorch's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..tensor import Array, Tensor
from .activation import Activation, apply_activation
from .by_numpy import ByNumpy
from .elementwise import refuse_bool
from .inplace import change


class Hardtanh(Activation):
    """y = min(max(x, low), high); dy/dx = 1 for low < x < high, else 0."""

    kernel = "hardtanh"

    def forward(self, x: Array) -> Array:
        self.save(x)
        return backend.of(x).clamp(x, *self.parameters)  # type: ignore[no-any-return]


class Hardsigmoid(ByNumpy):
    """y = min(max(x + 3, 0), 6)/6; dy/dx = 1/6 for -3 < x < 3, else 0."""

    @staticmethod
    def value(x: Array) -> Any:
        """The line between the two constants."""
        return np.minimum(np.maximum(x + 3, 0), 6) / 6

    def slope(self, x: Array, y: Array) -> Any:
        return np.where((x > -3) & (x < 3), backend.scalar(1 / 6, x), x.dtype.type(0))


class Hardswish(ByNumpy):
    """y = x min(max(x + 3, 0), 6)/6; dy/dx = 0 for x <= -3, x/3 + 1/2 up to 3, then 1."""

    @staticmethod
    def value(x: Array) -> Any:
        """x times its hard sigmoid."""
        return x * (np.minimum(np.maximum(x + 3, 0), 6) / 6)

    def slope(self, x: Array, y: Array) -> Any:
        one, zero = backend.scalar(1, x), backend.scalar(0, x)
        return np.where(x <= -3, zero, np.where(x < 3, x / 3 + one / 2, one))


class Threshold(ByNumpy):
    """y = x for x > threshold, the value elsewhere; dy/dx = 1 or 0."""

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold, self.constant = threshold, value

    def value(self, x: Array) -> Any:
        """x above the threshold."""
        return np.where(x <= self.threshold, backend.scalar(self.constant, x), x)

    def slope(self, x: Array, y: Array) -> Any:
        return np.where(x <= self.threshold, x.dtype.type(0), x.dtype.type(1))


class Shrink(ByNumpy):
    """y = 0 for |x| <= lambda, else x moved towards 0 by `step`; dy/dx = 0 or 1."""

    def __init__(self, lambd: float, step: float) -> None:
        self.lambd, self.step = lambd, step

    def value(self, x: Array) -> Any:
        """Zero in the middle."""
        step = backend.scalar(self.step, x)
        return np.where(self.inside(x), x.dtype.type(0), np.where(x > 0, x - step, x + step))

    def slope(self, x: Array, y: Array) -> Any:
        return (~self.inside(x)).astype(x.dtype)

    def inside(self, x: Array) -> Any:
        """Where |x| <= lambda."""
        lambd = backend.scalar(self.lambd, x)
        return (x >= -lambd) & (x <= lambd)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """y = min(max(x, min_val), max_val), elementwise; the gradient at the bounds is 0, where clamp's is 1.

    ValueError for min_val > max_val.

    >>> import tinydl
    >>> tinydl.nn.functional.hardtanh(tinydl.tensor([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: got min_val={min_val} above max_val={max_val}")
    if inplace:
        return change("hardtanh_", input, hardtanh, min_val, max_val)
    if isinstance(input, Tensor) and input._data.dtype.kind in "iub":
        refuse_bool("hardtanh", input)
        if input._data.dtype.kind == "u" and min_val <= -1:
            raise ValueError(f"hardtanh: got min_val={min_val} for dtype {input.dtype}, which has no negative numbers")
        return Tensor(np.clip(input._data, int(min_val), int(max_val)).astype(input.dtype))
    return apply_activation("hardtanh", Hardtanh(min_val, max_val), input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6), elementwise."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x + 3, 0), 6)/6, elementwise."""
    if inplace:
        return change("hardsigmoid_", input, hardsigmoid)
    return apply_activation("hardsigmoid", Hardsigmoid(), input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x min(max(x + 3, 0), 6)/6, elementwise (Howard et al., 2019)."""
    if inplace:
        return change("hardswish_", input, hardswish)
    return apply_activation("hardswish", Hardswish(), input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """y = x for x > threshold, `value` elsewhere.

    >>> import tinydl
    >>> tinydl.threshold(tinydl.tensor([0.5, 2.0]), 1, -1)
    tensor([-1.,  2.])
    """
    if inplace:
        return change("threshold_", input, globals()["threshold"], threshold, value)
    if isinstance(input, Tensor) and input._data.dtype.kind in "iub":
        refuse_bool("threshold", input)
        return Tensor(np.where(input._data <= threshold, value, input._data).astype(input.dtype))
    return apply_activation("threshold", Threshold(threshold, value), input)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = 0 for |x| ≤ lambd, else x."""
    return apply_activation("hardshrink", Shrink(lambd, 0.0), input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = 0 for |x| ≤ lambd, else x moved towards 0 by lambd; ValueError for a negative lambd."""
    if lambd < 0:
        raise ValueError(f"softshrink: got lambd={lambd}, wanted at least 0")
    return apply_activation("softshrink", Shrink(lambd, lambd), input)
