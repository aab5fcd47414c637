"""What all losses share: targets, sample weights, reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import dtypes
from ...autograd import Function
from ...creation import as_tensor
from ...tensor import Array, Tensor
from ..config import Configured
from ..layers.masks import mask_of, times, weight_of

EPSILON = 1e-7
"""Keras's `backend.epsilon()`: how near to 0 and 1 a probability may come."""

MEANS = ("sum_over_batch_size", "mean")
REDUCTIONS = (*MEANS, "mean_with_sample_weight", "sum", "none", None)


class Loss(Configured):
    """A function of targets and outputs. A loss of one's own defines `call`, which returns one value for each sample.

    Args:
        name: of the loss.
        reduction: "sum_over_batch_size" or "mean" (over all that `call` returns), "sum", "none" or None, or
            "mean_with_sample_weight", which divides by the sum of the weights.
        dtype: has no effect: losses are computed in the outputs' dtype.
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            known = ", ".join(repr(r) for r in REDUCTIONS)
            raise ValueError(f"{type(self).__name__}: got reduction={reduction!r}, wanted one of {known}")
        self.name = name
        self.reduction = reduction

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss; `sample_weight` is broadcast to what `call` returns."""
        return self.of(outputs_of(y_pred), as_tensor(self.targets(_array(y_true))), sample_weight)

    def targets(self, y: Array) -> Array:
        """The targets as `of` takes them. ValueError or TypeError where they cannot be."""
        return y if y.dtype.kind == "f" else y.astype(np.float32)

    def of(self, outputs: Tensor, targets: Tensor, sample_weight: Any = None) -> Tensor:
        """The reduced loss of outputs and prepared targets; steps that the outputs' mask hides do not count."""
        mask = mask_of(outputs)
        if mask is not None:
            given = None if sample_weight is None else _array(sample_weight)
            sample_weight = times(weight_of(mask, self.reduction), given)
        if sample_weight is None and self.reduction not in ("none", None):
            fused = self.fused(targets, outputs, "sum" if self.reduction == "sum" else "mean")
            if fused is not None:
                return fused
        losses = self.call(targets, outputs)
        divisor = self.count(targets, losses)
        if sample_weight is not None:
            losses, weight = _weighted(losses, as_tensor(_array(sample_weight), dtype=losses.dtype))
            if self.reduction == "mean_with_sample_weight":
                divisor = weight.expand(losses.shape).sum()
            losses = losses * weight
        if self.reduction in ("none", None):
            return losses
        total = losses.sum()
        return total if self.reduction == "sum" else total / divisor

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The losses of the samples."""
        raise NotImplementedError(f"{type(self).__name__} does not define call")

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """The mean or the sum in one kernel, where there is one."""
        return None

    def count(self, y_true: Tensor, losses: Tensor) -> Any:
        """What a mean divides by."""
        return losses.numel()

    def on_logits(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The same loss as a function of logits, for a model that ends in a softmax; None where there is none."""
        return None


class FunctionLoss(Loss):
    """A loss that is a function f(y_true, y_pred, **options), one value for each sample."""

    function: Callable[..., Tensor]

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(name or type(self).function.__name__, reduction, dtype)
        self.options = options

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The losses of the samples."""
        return type(self).function(y_true, y_pred, **self.options)


class Custom(Loss):
    """A function f(y_true, y_pred) that returns one loss, or one for each sample."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__(getattr(function, "__name__", "loss"))
        self.function = function

    def targets(self, y: Array) -> Array:
        """Floats as float32, integers as they are."""
        return y.astype(np.float32, copy=False) if y.dtype.kind == "f" else y

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """What the function returns."""
        return self.function(y_true, y_pred)  # type: ignore[no-any-return]


def _array(y: Any) -> Array:
    return y._data if isinstance(y, Tensor) else np.asarray(y)


def outputs_of(y_pred: Any) -> Tensor:
    """Outputs as a floating-point tensor."""
    outputs = as_tensor(y_pred)
    return outputs if dtypes.is_floating_point(outputs.dtype) else outputs.float()


def tensors(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of the outputs' floating-point dtype, and of one rank where a last axis of size 1 differs."""
    outputs = outputs_of(y_pred)
    targets = y_true if isinstance(y_true, Tensor) else as_tensor(np.asarray(y_true))
    return same_rank(targets.to(outputs.dtype), outputs)


def same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Keras's rule for shapes that differ by a last axis of size 1: the vector gets it, else the longer loses it."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b.unsqueeze(-1)) if b.ndim == 1 else (a.squeeze(-1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a.unsqueeze(-1), b) if a.ndim == 1 else (a, b.squeeze(-1))
    return a, b


def _weighted(losses: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (N, ...), and weights that broadcast to them: given for samples (N,), or for their first axes (N, ...)."""
    if not losses.ndim and weight.ndim:
        raise ValueError("the loss is one number for the batch: sample weights need one loss for each sample")
    losses, weight = same_rank(losses, weight)
    missing = losses.ndim - weight.ndim
    if missing > 0 and weight.ndim and weight.shape == losses.shape[: weight.ndim]:
        weight = weight.reshape(*weight.shape, *[1] * missing)
    try:
        fits = np.broadcast_shapes(losses.shape, weight.shape) == losses.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"sample_weight of shape {weight.shape} does not fit losses of shape {losses.shape}")
    return losses, weight


def check_shapes(op: str, y_true: Tensor, y_pred: Tensor) -> None:
    """ValueError unless the shapes broadcast."""
    try:
        np.broadcast_shapes(y_true.shape, y_pred.shape)
    except ValueError:
        raise ValueError(f"{op}: targets of shape {y_true.shape} do not fit outputs of shape {y_pred.shape}") from None


class Clip(Function):
    """y = min(max(x, low), high); what is clipped gets no gradient."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        """The clipped array."""
        self.save(x)
        return np.asarray(np.clip(x, x.dtype.type(self.low), x.dtype.type(self.high)))

    def backward(self, grad: Array) -> Array:
        """The gradient where nothing was clipped."""
        (x,) = self.saved
        inside = (x >= x.dtype.type(self.low)) & (x <= x.dtype.type(self.high))
        return np.asarray(np.where(inside, grad, grad.dtype.type(0)))


def clip(x: Tensor, low: float = EPSILON, high: float = 1 - EPSILON) -> Tensor:
    """The elements clipped to [low, high]."""
    return Clip(low, high).apply(x)  # type: ignore[no-any-return]
