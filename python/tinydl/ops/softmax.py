"""Softmax along one axis, its logarithm, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, creation, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .elementwise import cast, div, neg
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


class LogSoftmax(Function):
    """y_i = x_i - ln sum_j e^(x_j) along an axis; dx_i = dy_i - e^(y_i) sum_j dy_j."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        y: Array = backend.of(x).log_softmax(x, self.axis)
        self.save(y)
        return y

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).log_softmax_backward(grad, self.saved[0], self.axis)  # type: ignore[no-any-return]


def _along(op: str, function: type[Softmax] | type[LogSoftmax], input: Tensor, dim: int, dtype: Any) -> Tensor:
    if autocast.on and dtype is None:
        (input,) = autocast.inputs(op, input)
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    if not isinstance(dim, int):
        raise TypeError(f"{op}: got dim {dim!r}, wanted one integer")
    if dtype is not None:
        input = cast(input, dtypes.wanted(op, dtype))
    if not backend.takes(input._data):
        return _half(op, function, input, dim)
    if input.ndim == 0:
        axes_of(op, dim, 0)
        return function(0).apply(input.reshape(1)).reshape(())  # type: ignore[no-any-return]
    (axis,) = axes_of(op, dim, input.ndim)
    return function(axis).apply(input)  # type: ignore[no-any-return]


def _half(op: str, function: type[Softmax] | type[LogSoftmax], input: Tensor, dim: int) -> Tensor:
    """float16 and bfloat16 compute in float32; integers are refused."""
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(
            f"{op}: got dtype {input.dtype}, wanted a floating-point dtype; pass dtype= or convert the input"
        )
    return cast(_along(op, function, input, dim, dtypes.float32), input.dtype)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = e^(x_i - m) / sum_j e^(x_j - m) along the axis `dim`, where m = max_j x_j: positive, with sum 1.

    The result has the input's shape; in memory `dim` lies innermost. A slice that holds NaN or +infinity, or nothing
    but -infinity, becomes NaN. With `dtype`, the input is converted first.

    Raises:
        IndexError: `dim` is out of range.
        TypeError: `dim` is not one integer, or the input (after `dtype`) is not floating-point.

    >>> import tinydl
    >>> tinydl.softmax(tinydl.tensor([[0.0, 0.0], [1000.0, 0.0]]), dim=1)
    tensor([[0.5, 0.5],
            [1. , 0. ]])
    """
    return _along("softmax", Softmax, input, dim, dtype)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = (x_i - m) - ln sum_j e^(x_j - m) along the axis `dim`, where m = max_j x_j.

    More accurate than the logarithm of `softmax`, and finite where that underflows. Arguments, specials and errors are
    those of `softmax`.

    >>> import tinydl
    >>> tinydl.log_softmax(tinydl.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    return _along("log_softmax", LogSoftmax, input, dim, dtype)


def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """softmax(-input) along the axis `dim`.

    >>> import tinydl
    >>> tinydl.nn.functional.softmin(tinydl.tensor([0.0, 0.0]), dim=0)
    tensor([0.5, 0.5])
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"softmin: got {type(input).__name__}, wanted a tensor")
    return _along("softmin", Softmax, neg(input), dim, dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A draw from the Gumbel-softmax distribution: softmax((logits + g) / tau) with g_i = -ln(-ln u_i), u_i uniform.

    With `hard` the result is one-hot at the largest element and has the soft draw's gradient. `eps` is ignored, as in
    PyTorch. (Jang, Gu, Poole: Categorical reparameterization with Gumbel-softmax, 2017.)

    >>> import tinydl
    >>> tinydl.nn.functional.gumbel_softmax(tinydl.zeros(2, 3), hard=True).sum(1)
    tensor([1., 1.])
    """
    if not isinstance(logits, Tensor):
        raise TypeError(f"gumbel_softmax: got {type(logits).__name__}, wanted a tensor")
    if not dtypes.is_floating_point(logits.dtype):
        raise TypeError(f"gumbel_softmax: got dtype {logits.dtype}, wanted a floating-point dtype")
    axes_of("gumbel_softmax", dim, logits.ndim)
    u = np.maximum(creation.uniform(logits.shape, 0.0, 1.0, device=logits.device)._data, np.finfo(np.float32).tiny)
    noise = Tensor(backend.asarray(-np.log(-np.log(u)), logits.dtype))
    soft = softmax(div(logits + noise, tau), dim)
    if not hard:
        return soft
    one_hot = np.zeros_like(soft._data)
    np.put_along_axis(one_hot, np.argmax(soft._data, axis=dim, keepdims=True), 1, axis=dim)
    return (Tensor(one_hot) - soft.detach()) + soft
