"""Metrics of classes and of probabilities."""

from __future__ import annotations

import numpy as np

from ...tensor import Array
from ...train.metrics import Accuracy
from .base import EPSILON, MeanMetricWrapper


class BinaryAccuracy(Accuracy):
    """The share of outputs (N, 1) that lie on the target's side of the threshold."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name, threshold)


class CategoricalAccuracy(Accuracy):
    """The share of samples whose largest output is the class of the one-hot target."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(Accuracy):
    """The share of samples whose largest output is the target's class index."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)


def sparse_top_k(y_true: Array, y_pred: Array, k: int = 5) -> Array:
    """Whether fewer than k outputs of a sample are larger than that of its class."""
    labels = y_true.reshape(-1).astype(np.int64)
    rows = y_pred.reshape(-1, y_pred.shape[-1])
    own = rows[np.arange(len(rows)), labels][:, None]
    return np.asarray((rows > own).sum(-1) < k, np.float64).reshape(y_pred.shape[:-1])


def top_k(y_true: Array, y_pred: Array, k: int = 5) -> Array:
    """The same for one-hot targets."""
    return sparse_top_k(y_true.argmax(-1), y_pred, k)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose class, given one-hot, is among the k largest outputs."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(top_k, name, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose class, given as an index, is among the k largest outputs."""

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(sparse_top_k, name, k=k)


# -- Of probabilities -------------------------------------------------------------------------------------------


def _clipped(probabilities: Array) -> Array:
    return np.clip(probabilities, EPSILON, 1 - EPSILON)


def _normalised(probabilities: Array) -> Array:
    return _clipped(probabilities / probabilities.sum(-1, keepdims=True))


def _softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def binary_crossentropy(y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0) -> Array:
    """-(t ln p + (1 - t) ln(1 - p)), the mean over the last axis."""
    p = _clipped(1 / (1 + np.exp(-y_pred)) if from_logits else y_pred)
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    return np.asarray(loss.mean(-1) if loss.ndim > 1 else loss)


def categorical_crossentropy(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0
) -> Array:
    """-Σ_c t_c ln p_c of one-hot targets."""
    p = _clipped(_softmax(y_pred)) if from_logits else _normalised(y_pred)
    t = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]
    return np.asarray(-(t * np.log(p)).sum(-1))


def sparse_categorical_crossentropy(y_true: Array, y_pred: Array, from_logits: bool = False) -> Array:
    """-ln p of the target's class."""
    p = _clipped(_softmax(y_pred)) if from_logits else _normalised(y_pred)
    labels = y_true.reshape(p.shape[:-1]).astype(np.int64)
    return np.asarray(-np.log(np.take_along_axis(p, labels[..., None], -1)[..., 0]))


def kl_divergence(y_true: Array, y_pred: Array) -> Array:
    """Σ_c t_c ln(t_c / p_c), with both clipped to [1e-7, 1]."""
    t, p = np.clip(y_true, EPSILON, 1), np.clip(y_pred, EPSILON, 1)
    return np.asarray((t * np.log(t / p)).sum(-1))


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean of -(t ln p + (1 - t) ln(1 - p))."""

    def __init__(
        self, name: str = "binary_crossentropy", from_logits: bool = False, label_smoothing: float = 0
    ) -> None:
        super().__init__(binary_crossentropy, name, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean of -Σ_c t_c ln p_c of one-hot targets."""

    def __init__(
        self, name: str = "categorical_crossentropy", from_logits: bool = False, label_smoothing: float = 0
    ) -> None:
        super().__init__(categorical_crossentropy, name, from_logits=from_logits, label_smoothing=label_smoothing)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean of -ln p of the target's class."""

    def __init__(self, name: str = "sparse_categorical_crossentropy", from_logits: bool = False) -> None:
        super().__init__(sparse_categorical_crossentropy, name, from_logits=from_logits)


class KLDivergence(MeanMetricWrapper):
    """The mean of Σ_c t_c ln(t_c / p_c)."""

    def __init__(self, name: str = "kl_divergence") -> None:
        super().__init__(kl_divergence, name)


def hinge(y_true: Array, y_pred: Array, power: int = 1) -> Array:
    """max(1 - t y, 0)^power with targets of -1 and 1 (0 counts as -1), the mean over the last axis."""
    t = np.where(y_true == 0, -1, y_true) if np.isin(y_true, (0, 1)).all() else y_true
    loss = np.maximum(1 - t * y_pred, 0) ** power
    return np.asarray(loss.mean(-1) if loss.ndim > 1 else loss)


class Hinge(MeanMetricWrapper):
    """The mean of max(1 - t y, 0)."""

    def __init__(self, name: str = "hinge") -> None:
        super().__init__(hinge, name)


class SquaredHinge(MeanMetricWrapper):
    """The mean of max(1 - t y, 0)²."""

    def __init__(self, name: str = "squared_hinge") -> None:
        super().__init__(hinge, name, power=2)
