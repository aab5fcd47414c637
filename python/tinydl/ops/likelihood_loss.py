"""Losses that are negative logarithms of likelihoods: of normal and of Poisson distributions."""

from __future__ import annotations

import math

import numpy as np

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast, elementwise
from .arguments import check_tensors
from .loss import reduced, reduction_of
from .pair_loss import broadcast_pair
from .view import unsqueeze


class _AtLeast(Function):
    """y = max(x, bound), with the gradient of y = x everywhere."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def forward(self, x: Array) -> Array:
        return backend.asarray(np.maximum(x, backend.scalar(self.bound, x)))

    def backward(self, grad: Array) -> Array:
        return grad


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """1/2 (ln v_i + (x_i - t_i)^2 / v_i), v = max(var, eps): the likelihood of t under normal(x, v), without constant.

    Args:
        input, target: the means and what was seen; their shapes are broadcast.
        var: variances: of the input's shape, or without its last axis, or with one axis of size 1, or one number. All
            three get gradients, var the one of v.
        full: add the constant 1/2 ln 2 pi.
        eps: the least variance.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a variance is negative, for which tensors on a GPU are waited for, or its shape does not fit.

    >>> import tinydl
    >>> tinydl.nn.functional.gaussian_nll_loss(tinydl.tensor([1.0]), tinydl.tensor([3.0]), 1.0)
    tensor(2.)
    """
    if autocast.on:
        input, target, var = autocast.inputs("gaussian_nll_loss", input, target, var)
    op = "gaussian_nll_loss"
    check_tensors(op, input=input, target=target)
    reduction = reduction_of(op, reduction)
    if not isinstance(var, Tensor):
        smallest = np.asarray(var)
        var = Tensor(backend.numpy_of(input._data).full(input.shape, var, input.dtype))
    else:
        smallest = var._data
    if bool(np.any(smallest < 0)):
        raise ValueError(f"{op}: got a negative variance")
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = unsqueeze(var, -1)
        elif var.ndim != input.ndim or [b for a, b in zip(input.shape, var.shape, strict=True) if a != b] != [1]:
            raise ValueError(f"{op}: variances of shape {var.shape} do not fit an input of shape {input.shape}")
    v: Tensor = _AtLeast(eps).apply(var)
    loss = (elementwise.log(v) + (input - target) ** 2 / v) * 0.5
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


class _Stirling(Function):
    """y = t ln t - t + 1/2 ln(2 pi t) for t > 1, else 0: nearly ln t!."""

    def forward(self, t: Array) -> Array:
        self.save(t)
        safe = np.where(t > 1, t, t.dtype.type(2))
        y = safe * np.log(safe) - safe + t.dtype.type(0.5) * np.log(2 * np.pi * safe).astype(t.dtype)
        return backend.asarray(np.where(t > 1, y, t.dtype.type(0)))

    def backward(self, grad: Array) -> Array:
        (t,) = self.saved
        safe = np.where(t > 1, t, t.dtype.type(2))
        return backend.asarray(np.where(t > 1, grad * (np.log(safe) + t.dtype.type(0.5) / safe), t.dtype.type(0)))


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """e^x - t x, or x - t ln(x + eps) without `log_input`: the likelihood of counts t under a Poisson distribution.

    `full` adds Stirling's t ln t - t + 1/2 ln(2 pi t) where t > 1. Shapes are broadcast; `size_average` and `reduce`
    are PyTorch's deprecated names for a reduction.

    >>> import tinydl
    >>> tinydl.nn.functional.poisson_nll_loss(tinydl.tensor([0.0]), tinydl.tensor([3.0]))
    tensor(1.)
    """
    if autocast.on:
        input, target = autocast.inputs("poisson_nll_loss", input, target)
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    x, t = broadcast_pair("poisson_nll_loss", input, target, warned=False)
    loss = elementwise.exp(x) - t * x if log_input else x - t * elementwise.log(x + eps)
    return reduced(loss + _Stirling().apply(t) if full else loss, reduction)
