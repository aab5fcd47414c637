"""Functions without a kernel: NumPy computes them, and their slopes stand beside them."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd import Function
from ..tensor import Array
from .elementwise import Binary, quiet


class ByNumpy(Function):
    """y = f(x) for functions without a kernel: `value` is NumPy's f, and `slope` gives dy/dx."""

    value: Any

    def forward(self, x: Array) -> Array:
        y = quiet(self.value, x)
        self.save(x, y)
        return y

    def backward(self, grad: Array) -> Array:
        return backend.asarray(quiet(lambda g, x, y: g * self.slope(x, y), grad, *self.saved), grad.dtype)

    def slope(self, x: Array, y: Array) -> Any:
        """dy/dx."""
        raise NotImplementedError


class BinaryByNumpy(Binary):
    """y = f(a, b) for functions without a kernel: `value` is NumPy's f, the slopes give dy/da and dy/db."""

    value: Any

    def compute(self, a: Array, b: Array) -> Array:
        return quiet(self.value, a, b)

    def save_for(self, a: Array, b: Array, y: Array) -> None:
        self.save(a, b, y)

    def grad_a(self, grad: Array) -> Array:
        return quiet(lambda g, a, b, y: g * self.slope_a(a, b, y), grad, *self.saved)

    def grad_b(self, grad: Array) -> Array:
        return quiet(lambda g, a, b, y: g * self.slope_b(a, b, y), grad, *self.saved)

    def slope_a(self, a: Array, b: Array, y: Array) -> Any:
        """dy/da."""
        raise NotImplementedError

    def slope_b(self, a: Array, b: Array, y: Array) -> Any:
        """dy/db."""
        raise NotImplementedError
