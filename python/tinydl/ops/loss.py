"""Losses of class labels: cross-entropy of logits, and the negative log-likelihood."""

from __future__ import annotations

from typing import Any
from warnings import warn

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import check_tensors
from .elementwise import cast, operands
from .reduce import mean, sum

REDUCTIONS = ("mean", "sum", "none")

# -- What all losses share --------------------------------------------------------------------------------------


def reduction_of(op: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """The reduction that the arguments ask for: PyTorch's deprecated two, with its warning, replace the third."""
    if size_average is None and reduce is None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"{op}: got reduction {reduction!r}, wanted 'mean', 'sum' or 'none'")
        return reduction
    meant = "none" if reduce is False else "sum" if size_average is False else "mean"
    warn(f"{op}: size_average and reduce are deprecated; use reduction='{meant}' instead", UserWarning, stacklevel=3)
    return meant


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses, their mean or their sum."""
    return losses if reduction == "none" else mean(losses) if reduction == "mean" else sum(losses)


def check_weight(op: str, weight: Any) -> None:
    """TypeError where a weight is neither None nor a tensor, ValueError where it wants a gradient."""
    if weight is None:
        return
    if not isinstance(weight, Tensor):
        raise TypeError(f"{op}: a weight is of type {type(weight).__name__}, wanted a tensor")
    if weight.requires_grad:
        raise ValueError(f"{op}: weights get no gradient; pass weight.detach()")


# -- Cross-entropy of logits ------------------------------------------------------------------------------------


class CrossEntropy(Function):
    """loss_i = -sum_c u_ic ln softmax(x_i)_c; dx_i = softmax(x_i) sum_c u_ic - u_i, dt_ic = -w_c hit ln softmax(x_i)_c.

    u_ic = w_c (hit t_ic + (1 - hit)/C), with one-hot t for class indices, hit = 1 - label_smoothing.
    """

    def __init__(self, reduction: str, ignore_index: int, label_smoothing: float) -> None:
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, x: Array, target: Array, weight: Array | None) -> Array:
        loss, stats = backend.of(x).cross_entropy(
            x, target, self.reduction, weight, self.ignore_index, self.label_smoothing
        )
        self.save(x, target, stats, weight)
        return loss  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, None]:
        x, target, stats, weight = self.saved
        dx = None
        if self.needs[0]:
            dx = backend.of(x).cross_entropy_backward(
                grad, x, target, stats, self.reduction, weight, self.ignore_index, self.label_smoothing
            )
        return dx, self._target_grad(grad) if self.needs[1] else None, None

    def _target_grad(self, grad: Array) -> Array:
        x, _, (maxima, sums, _), weight = self.saved
        axis = min(1, x.ndim - 1)
        rows = x.shape[:axis] + x.shape[axis + 1 :]
        scale = grad / max(maxima.size, 1) if self.reduction == "mean" else grad
        wide = [
            np.expand_dims(np.broadcast_to(a, rows), axis) for a in (maxima.reshape(rows), sums.reshape(rows), scale)
        ]
        hit = backend.scalar(1 - self.label_smoothing, x)
        if weight is not None:
            hit = (hit * weight).reshape(-1, *(1,) * (x.ndim - axis - 1))
        return backend.asarray((wide[0] - x + np.log(wide[1])) * wide[2] * hit, x.dtype)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy between softmax(input) over the classes and the target.

    With class indices, loss_i = -w[t_i] ln softmax(x_i)[t_i], 0 where t_i = ignore_index, and the mean is the sum over
    the sum of the w[t_i] of rows that are not ignored (NaN where there are none). With probabilities, loss_i =
    -sum_c w_c t_ic ln softmax(x_i)_c, and the mean is over all rows.

    Args:
        input: logits of shape (C,), (N, C) or (N, C, d1, ...).
        target: class indices in [0, C), integers of the input's shape without C; or probabilities (or any weights)
            of the input's shape, which may get gradients.
        weight: a weight w_c for each class, shape (C,), of the input's dtype; ones by default.
        size_average, reduce: PyTorch's deprecated names for a reduction.
        ignore_index: the class index of rows that do not count.
        reduction: "mean", "sum", or "none".
        label_smoothing: how much of each row's target is spread evenly over the classes, in [0, 1].

    Returns:
        A tensor without axes or, unreduced, of the input's shape without C.

    Raises:
        ValueError: the shapes do not fit, the reduction has another name, label_smoothing is outside [0, 1], or an
            ignore_index of 0 or above comes with probabilities.
        TypeError: integers are wanted and got floats, or the other way round.
        IndexError: a label is negative, or C or above; the error names its row.

    >>> import tinydl
    >>> from tinydl.ops.loss import cross_entropy
    >>> logits = tinydl.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> print(f"{cross_entropy(logits, tinydl.tensor([0, 1])).item():.4f}")
    0.4100
    >>> print(f"{cross_entropy(logits, tinydl.tensor([[1.0, 0.0], [0.5, 0.5]]), reduction='sum').item():.4f}")
    0.8201
    """
    if autocast.on:
        input, target, weight = autocast.inputs("cross_entropy", input, target, weight)
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        check_tensors("cross_entropy", input=input, target=target)
    check_weight("cross_entropy", weight)
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    if target.shape == input.shape and input.ndim:
        if not dtypes.is_floating_point(target.dtype):
            raise TypeError(f"cross_entropy: got probabilities of dtype {target.dtype}, wanted a floating-point dtype")
        if ignore_index >= 0:
            raise ValueError(f"cross_entropy: ignore_index={ignore_index} needs class indices, got probabilities")
        input, target = operands(input, target)
    if not backend.takes(input._data) and dtypes.is_floating_point(input.dtype):
        return _half(cross_entropy, input, target, weight, ignore_index, reduction, label_smoothing=label_smoothing)
    return CrossEntropy(reduction, ignore_index, label_smoothing).apply(input, target, weight)  # type: ignore[no-any-return]


def _half(
    op: Any, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, **options: Any
) -> Tensor:
    """The loss of float16 and bfloat16, computed in float32."""
    wide = [None if t is None or t.dtype.kind in "iu" else cast(t, dtypes.float32) for t in (input, target, weight)]
    loss = op(wide[0], wide[1] or target, wide[2], ignore_index=ignore_index, reduction=reduction, **options)
    return cast(loss, input.dtype)


class NllLoss(Function):
    """loss_i = -w[t_i] x_i[t_i]; dx_ic = -w_c [c = t_i]."""

    def __init__(self, reduction: str, ignore_index: int) -> None:
        self.reduction = reduction
        self.ignore_index = ignore_index

    def forward(self, x: Array, target: Array, weight: Array | None) -> Array:
        self.save(x, target, weight)
        return backend.of(x).nll_loss(x, target, self.reduction, weight, self.ignore_index)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> tuple[Array, None, None]:
        x, target, weight = self.saved
        dx = backend.of(x).nll_loss_backward(grad, x, target, self.reduction, weight, self.ignore_index)
        return dx, None, None


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood loss_i = -w[t_i] x_i[t_i] of log-probabilities x and class indices t.

    Arguments, means, shapes and errors are those of `cross_entropy` with class indices, which is
    nll_loss(log_softmax(x, 1), t) in one step.

    >>> import tinydl
    >>> from tinydl.ops.loss import nll_loss
    >>> nll_loss(tinydl.tensor([[-1.0, -2.0], [-3.0, -4.0]]), tinydl.tensor([1, -100]))
    tensor(2.)
    """
    if autocast.on:
        input, target, weight = autocast.inputs("nll_loss", input, target, weight)
    check_tensors("nll_loss", input=input, target=target)
    check_weight("nll_loss", weight)
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    if not backend.takes(input._data) and dtypes.is_floating_point(input.dtype):
        return _half(nll_loss, input, target, weight, ignore_index, reduction)
    return NllLoss(reduction, ignore_index).apply(input, target, weight)  # type: ignore[no-any-return]
