"""Losses of scores that ask for a margin."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import Function
from ...ops.activation import relu
from ...tensor import Array, Tensor
from .base import FunctionLoss, check_shapes, tensors


def _signs(op: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets of -1 and 1, made of 0 and 1 where they are that, and outputs."""
    t, y = tensors(y_true, y_pred)
    check_shapes(op, t, y)
    if bool(np.all((t._data == 0) | (t._data == 1))):
        t = t * 2 - 1
    return t, y


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean max(0, 1 - t y) over the last axis; targets are -1 and 1, or 0 and 1."""
    t, y = _signs("hinge", y_true, y_pred)
    return relu(1 - t * y).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean max(0, 1 - t y)² over the last axis; targets are -1 and 1, or 0 and 1.

    >>> squared_hinge([[0.0, 1.0]], [[1.0, 1.0]])
    tensor([2.])
    """
    t, y = _signs("squared_hinge", y_true, y_pred)
    return (relu(1 - t * y) ** 2).mean(-1)


class _Largest(Function):
    """The largest element along the last axis; the first of equals gets the gradient."""

    def forward(self, x: Array) -> Array:
        """The maxima."""
        self.at = np.argmax(x, axis=-1, keepdims=True)
        self.shape = x.shape
        return np.asarray(np.take_along_axis(x, self.at, -1)[..., 0])

    def backward(self, grad: Array) -> Array:
        """The gradient at the maxima."""
        dx = np.zeros(self.shape, grad.dtype)
        np.put_along_axis(dx, self.at, grad[..., None], -1)
        return dx


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """max(0, max_c (1 - t_c) y_c - sum_c t_c y_c + 1) for one-hot t over the last axis."""
    t, y = tensors(y_true, y_pred)
    check_shapes("categorical_hinge", t, y)
    other: Tensor = _Largest().apply((1 - t) * y)
    return relu(other - (t * y).sum(-1) + 1)


class Hinge(FunctionLoss):
    """max(0, 1 - t y)."""

    function = staticmethod(hinge)


class SquaredHinge(FunctionLoss):
    """max(0, 1 - t y)²."""

    function = staticmethod(squared_hinge)


class CategoricalHinge(FunctionLoss):
    """max(0, max_c (1 - t_c) y_c - Σ_c t_c y_c + 1)."""

    function = staticmethod(categorical_hinge)
