"""Softmax along one axis."""

from __future__ import annotations

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .reduce import axes_of


class Softmax(Function):
    """y_i = e^(x_i) / sum_j e^(x_j) along an axis; dx_i = y_i (dy_i - sum_j dy_j y_j)."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        y: Array = backend.of(x).softmax(x, self.axis)
        self.save(y)
        return y

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).softmax_backward(grad, self.saved[0], self.axis)  # type: ignore[no-any-return]


def softmax(input: Tensor, dim: int) -> Tensor:
    """y_i = e^(x_i - m) / sum_j e^(x_j - m) along the axis `dim`, where m = max_j x_j: positive, with sum 1.

    The result has the input's shape; in memory `dim` lies innermost. A slice that holds NaN or +infinity, or nothing
    but -infinity, becomes NaN.

    Raises:
        IndexError: `dim` is out of range.
        TypeError: `dim` is not one integer, or the input is neither float32 nor float64.

    >>> import tinydl
    >>> tinydl.softmax(tinydl.tensor([[0.0, 0.0], [1000.0, 0.0]]), dim=1)
    tensor([[0.5, 0.5],
            [1. , 0. ]])
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"softmax: got {type(input).__name__}, wanted a tensor")
    if not isinstance(dim, int):
        raise TypeError(f"softmax: got dim {dim!r}, wanted one integer")
    if input.ndim == 0:
        axes_of("softmax", dim, 0)
        return Softmax(0).apply(input.reshape(1)).reshape(())  # type: ignore[no-any-return]
    (axis,) = axes_of("softmax", dim, input.ndim)
    return Softmax(axis).apply(input)  # type: ignore[no-any-return]
