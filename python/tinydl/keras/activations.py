"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops import activation
from ..ops import softmax as softmax_op
from ..tensor import Tensor
from .lookup import find

FUSED = ("relu", "sigmoid", "tanh")
"""The activations that the kernels of matmul and conv take in."""


def linear(x: Tensor) -> Tensor:
    """The input itself."""
    return x


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return activation.relu(x)


def sigmoid(x: Tensor) -> Tensor:
    """1/(1 + e^-x)."""
    return activation.sigmoid(x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return activation.tanh(x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """e^(x_i) / Σ_j e^(x_j) along an axis."""
    return softmax_op.softmax(x, axis)


KNOWN: dict[str, Callable[..., Tensor]] = {f.__name__: f for f in (linear, relu, sigmoid, softmax, tanh)}


def name_of(activation: Any) -> str:
    """The name of an activation given by name, as a function of this module, or as None ("linear")."""
    if activation is None:
        return "linear"
    for name, function in KNOWN.items():
        if activation is function:
            return name
    find("activation", activation, KNOWN)
    return str(activation)


def get(identifier: Any) -> Callable[..., Tensor]:
    """The function of a name."""
    return KNOWN[name_of(identifier)]
