"""Losses of numbers: errors, divergences, similarity. Each function returns the mean over the last axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...nn import functional as F
from ...ops import elementwise
from ...tensor import Tensor
from .base import EPSILON, FunctionLoss, check_shapes, clip, tensors


def _pair(op: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one dtype and shape."""
    t, y = tensors(y_true, y_pred)
    if t.shape != y.shape:
        check_shapes(op, t, y)
        shape = np.broadcast_shapes(t.shape, y.shape)
        t, y = t.expand(shape), y.expand(shape)
    return t, y


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean (t - y)² over the last axis.

    >>> mean_squared_error([[1.0, 2.0]], [[1.0, 4.0]])
    tensor([2.])
    """
    t, y = _pair("mean_squared_error", y_true, y_pred)
    return F.mse_loss(y, t, reduction="none").mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean |t - y| over the last axis."""
    t, y = _pair("mean_absolute_error", y_true, y_pred)
    return F.l1_loss(y, t, reduction="none").mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 mean |t - y| / max(|t|, 1e-7) over the last axis."""
    t, y = _pair("mean_absolute_percentage_error", y_true, y_pred)
    size = clip(F.l1_loss(t, t.detach() * 0, reduction="none"), EPSILON, math.inf)
    return (F.l1_loss(y, t, reduction="none") / size).mean(-1) * 100


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean (ln(1 + t) - ln(1 + y))² over the last axis, with t and y at least 1e-7."""
    t, y = _pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [elementwise.log(clip(a, EPSILON, math.inf) + 1) for a in (t, y)]
    return F.mse_loss(logs[1], logs[0], reduction="none").mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """mean of e²/2 where |e| ≤ delta, else delta |e| - delta²/2, with e = t - y, over the last axis."""
    t, y = _pair("huber", y_true, y_pred)
    return F.huber_loss(y, t, reduction="none", delta=delta).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """mean ln cosh(y - t) = mean e + ln(1 + e^(-2e)) - ln 2, e = y - t, over the last axis."""
    t, y = _pair("log_cosh", y_true, y_pred)
    e = F.l1_loss(y, t, reduction="none")
    return (e + F.soft_margin_loss(e * 2, e.detach() * 0 + 1, reduction="none") - math.log(2)).mean(-1)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """sum t ln(t / y) over the last axis, with t and y clipped to [1e-7, 1]."""
    t, y = _pair("kl_divergence", y_true, y_pred)
    return F.kl_div(elementwise.log(clip(y, EPSILON, 1.0)), clip(t, EPSILON, 1.0), reduction="none").sum(-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """mean y - t ln(y + 1e-7) over the last axis."""
    t, y = _pair("poisson", y_true, y_pred)
    return (y - t * elementwise.log(y + EPSILON)).mean(-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """-cos(t, y) along the axis: -1 for equal directions; lengths are at least 1e-12."""
    t, y = _pair("cosine_similarity", y_true, y_pred)
    lengths = [elementwise.sqrt(clip((a * a).sum(axis), 1e-24, math.inf)) for a in (t, y)]
    return -((t * y).sum(axis) / lengths[0] / lengths[1])


class MeanSquaredError(FunctionLoss):
    """The mean of (t - y)²; an axis of size 1 that only one of the two has at its end is ignored."""

    function = staticmethod(mean_squared_error)

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """The mean in one kernel."""
        t, y = _pair("mean_squared_error", y_true, y_pred)
        return F.mse_loss(y, t) if reduction == "mean" else None


class MeanAbsoluteError(FunctionLoss):
    """The mean of |t - y|."""

    function = staticmethod(mean_absolute_error)

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """The mean in one kernel."""
        t, y = _pair("mean_absolute_error", y_true, y_pred)
        return F.l1_loss(y, t) if reduction == "mean" else None


class MeanAbsolutePercentageError(FunctionLoss):
    """100 |t - y| / |t|."""

    function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(FunctionLoss):
    """(ln(1 + t) - ln(1 + y))²."""

    function = staticmethod(mean_squared_logarithmic_error)


class Huber(FunctionLoss):
    """e²/2 where |e| ≤ delta, else delta |e| - delta²/2, with e = t - y."""

    function = staticmethod(huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, delta=delta)

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """The mean in one kernel."""
        t, y = _pair("huber", y_true, y_pred)
        return F.huber_loss(y, t, delta=self.options["delta"]) if reduction == "mean" else None


class LogCosh(FunctionLoss):
    """ln cosh(y - t)."""

    function = staticmethod(log_cosh)


class KLDivergence(FunctionLoss):
    """Σ t ln(t / y)."""

    function = staticmethod(kl_divergence)


class Poisson(FunctionLoss):
    """y - t ln y."""

    function = staticmethod(poisson)


class CosineSimilarity(FunctionLoss):
    """-cos(t, y) along an axis."""

    function = staticmethod(cosine_similarity)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis=axis)
