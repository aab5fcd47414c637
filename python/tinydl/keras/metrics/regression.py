"""Metrics of numbers: means over the samples of an error that is itself a mean over the last axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...tensor import Array
from .base import EPSILON, MeanMetricWrapper, Metric, aligned


def _last_mean(values: Array) -> Array:
    return np.asarray(values.mean(-1) if values.ndim > 1 else values)


def mean_squared_error(y_true: Array, y_pred: Array) -> Array:
    """(y - t)²."""
    return _last_mean(np.square(y_pred - y_true))


def mean_absolute_error(y_true: Array, y_pred: Array) -> Array:
    """|y - t|."""
    return _last_mean(np.abs(y_pred - y_true))


def mean_absolute_percentage_error(y_true: Array, y_pred: Array) -> Array:
    """100 |t - y| / max(|t|, 1e-7)."""
    return 100 * _last_mean(np.abs((y_true - y_pred) / np.maximum(np.abs(y_true), EPSILON)))


def mean_squared_logarithmic_error(y_true: Array, y_pred: Array) -> Array:
    """(ln(1 + y) - ln(1 + t))², negative values counting as 1e-7."""
    return _last_mean(np.square(np.log1p(np.maximum(y_pred, EPSILON)) - np.log1p(np.maximum(y_true, EPSILON))))


def log_cosh(y_true: Array, y_pred: Array) -> Array:
    """ln cosh(y - t), computed as |d| + ln((1 + e^(-2|d|)) / 2)."""
    d = np.abs(y_pred - y_true)
    return _last_mean(d + np.log1p(np.exp(-2 * d)) - math.log(2))


def cosine_similarity(y_true: Array, y_pred: Array, axis: int = -1) -> Array:
    """Σ t y / (|t| |y|) along an axis; 0 where one of them is 0."""
    true, pred = (v / np.sqrt(np.maximum((v * v).sum(axis, keepdims=True), 1e-12)) for v in (y_true, y_pred))
    return np.asarray((true * pred).sum(axis))


class MeanSquaredError(MeanMetricWrapper):
    """The mean of (y - t)²."""

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(mean_squared_error, name)


class RootMeanSquaredError(MeanMetricWrapper):
    """The square root of the mean of (y - t)²."""

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(mean_squared_error, name)

    def result(self) -> float:
        """The root."""
        return math.sqrt(super().result())


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of |y - t|."""

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(mean_absolute_error, name)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of 100 |t - y| / |t|."""

    def __init__(self, name: str = "mean_absolute_percentage_error") -> None:
        super().__init__(mean_absolute_percentage_error, name)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of (ln(1 + y) - ln(1 + t))²."""

    def __init__(self, name: str = "mean_squared_logarithmic_error") -> None:
        super().__init__(mean_squared_logarithmic_error, name)


class LogCoshError(MeanMetricWrapper):
    """The mean of ln cosh(y - t)."""

    def __init__(self, name: str = "logcosh") -> None:
        super().__init__(log_cosh, name)


class CosineSimilarity(MeanMetricWrapper):
    """The mean of the cosine of the angle between y and t."""

    def __init__(self, name: str = "cosine_similarity", axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, axis=axis)


class R2Score(Metric):
    """The coefficient of determination 1 - Σ(t - y)² / Σ(t - mean t)², the mean of it over the outputs.

    Args:
        class_aggregation: "uniform_average", or "variance_weighted_average", which weights with Σ(t - mean t)².
    """

    sums = ("count", "squared", "error", "sum")

    def __init__(self, class_aggregation: str = "uniform_average", name: str = "r2_score") -> None:
        if class_aggregation not in ("uniform_average", "variance_weighted_average"):
            raise ValueError(
                f"R2Score: got class_aggregation={class_aggregation!r}, wanted 'uniform_average' or "
                "'variance_weighted_average'"
            )
        self.class_aggregation = class_aggregation
        super().__init__(name)

    def reset(self) -> None:
        """Forget all samples."""
        self.count = 0
        self.sum: Any = 0.0
        self.squared: Any = 0.0
        self.error: Any = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch (N, outputs)."""
        true, pred = aligned(y_true, y_pred)
        true, pred = (v.reshape(len(v), -1).astype(np.float64) for v in (true, pred))
        weight = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.sum = self.sum + weight @ true
        self.squared = self.squared + weight @ true**2
        self.error = self.error + weight @ (true - pred) ** 2
        self.count += float(weight.sum())

    def result(self) -> float:
        """The score."""
        if not self.count:
            return 0.0
        spread = np.atleast_1d(self.squared - self.sum**2 / self.count)
        scores = 1 - np.atleast_1d(self.error) / np.where(spread == 0, EPSILON, spread)
        weights = None if self.class_aggregation == "uniform_average" else spread
        return float(np.average(scores, weights=weights))
