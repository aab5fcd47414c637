"""Activations: elementwise functions between the layers of a network."""

from __future__ import annotations

from .. import backend
from ..tensor import Array, Tensor
from .elementwise import Unary, apply_float


class Relu(Unary):
    """y = max(x, 0); dy/dx = [y > 0]."""

    kernel = "relu"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).relu_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Sigmoid(Unary):
    """y = 1/(1 + e^-x); dy/dx = y (1 - y)."""

    kernel = "sigmoid"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).sigmoid_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Tanh(Unary):
    """y = tanh x; dy/dx = 1 - y^2."""

    kernel = "tanh"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).tanh_backward(grad, self.saved[0])  # type: ignore[no-any-return]


def relu(input: Tensor) -> Tensor:
    """The rectified linear unit y = max(x, 0), elementwise; NaN stays NaN.

    >>> import tinydl
    >>> tinydl.relu(tinydl.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return apply_float("relu", Relu(), input)


def sigmoid(input: Tensor) -> Tensor:
    """The logistic function y = 1/(1 + e^-x), elementwise, without overflow at either end."""
    return apply_float("sigmoid", Sigmoid(), input)


def tanh(input: Tensor) -> Tensor:
    """y = tanh x, elementwise."""
    return apply_float("tanh", Tanh(), input)
