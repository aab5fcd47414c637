"""Metrics from counts of true and false positives and negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...tensor import Array
from .base import EPSILON, Metric, aligned

Thresholds = float | Sequence[float] | None


class _Counts(Metric):
    """Counts over all outputs, each compared with every threshold: an output above it is a positive.

    Args:
        thresholds: one or several, from 0 to 1; the default is 0.5.
        top_k: only the k largest outputs of a sample can be positives; without thresholds they all are.
        class_id: look at one class of the last axis only.
    """

    sums = ("tp", "fp", "tn", "fn")

    def __init__(
        self, thresholds: Thresholds = None, name: str = "", top_k: int | None = None, class_id: int | None = None
    ) -> None:
        given = (0.5 if top_k is None else -0.5) if thresholds is None else thresholds
        self.thresholds = np.atleast_1d(np.asarray(given, np.float64))
        in_range = (self.thresholds >= -EPSILON) & (self.thresholds <= 1 + EPSILON)
        if self.thresholds.ndim != 1 or not (in_range.all() or thresholds is None):
            raise ValueError(f"{type(self).__name__}: got thresholds={thresholds!r}, wanted numbers from 0 to 1")
        self.several = np.ndim(given) > 0
        self.top_k = top_k
        self.class_id = class_id
        super().__init__(name)

    def reset(self) -> None:
        """Forget all samples."""
        self.tp, self.fp, self.tn, self.fn = (np.zeros(len(self.thresholds)) for _ in range(4))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets 0 and 1 and outputs from 0 to 1, of one shape."""
        true, pred = aligned(y_true, y_pred)
        if true.shape != pred.shape:
            raise ValueError(f"{self.name}: outputs of shape {pred.shape} do not fit targets of shape {true.shape}")
        if pred.size and not (pred.min() >= 0 and pred.max() <= 1):
            raise ValueError(f"{self.name}: outputs must lie between 0 and 1, got {pred.min()} to {pred.max()}")
        if self.top_k is not None:
            pred = np.where(_among_largest(pred, self.top_k), pred, -1)  # below every threshold, also the default's
        if self.class_id is not None:
            true, pred = true[..., self.class_id], pred[..., self.class_id]
        weight = np.ones(true.shape)
        if sample_weight is not None:
            given = np.asarray(sample_weight, np.float64)
            weight = weight * given.reshape((*given.shape, *[1] * (true.ndim - given.ndim)))
        self._count(true.reshape(-1) > 0.5, pred.reshape(-1), weight.reshape(-1))

    def _count(self, true: Array, pred: Array, weight: Array) -> None:
        for i, threshold in enumerate(self.thresholds):
            positive = pred > threshold
            self.tp[i] += weight[positive & true].sum()
            self.fp[i] += weight[positive & ~true].sum()
            self.tn[i] += weight[~positive & ~true].sum()
            self.fn[i] += weight[~positive & true].sum()

    def values(self) -> Array:
        """The metric at each threshold."""
        raise NotImplementedError(f"{type(self).__name__} does not define values")

    def result(self) -> Any:
        """The metric: a number, or an array for several thresholds."""
        values = self.values()
        return values if self.several else float(values[0])


def _among_largest(pred: Array, k: int) -> Array:
    """Whether an output is one of the k largest of its row; of equal ones the first count."""
    order = np.argsort(-pred, axis=-1, kind="stable")
    among = np.zeros(pred.shape, bool)
    np.put_along_axis(among, order[..., :k], True, axis=-1)
    return among


def _ratio(part: Array, rest: Array) -> Array:
    """part / (part + rest); 0 where both are 0."""
    whole = part + rest
    return np.asarray(np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0))


class TruePositives(_Counts):
    """How many outputs are above the threshold and should be."""

    def __init__(self, thresholds: Thresholds = None, name: str = "true_positives") -> None:
        super().__init__(thresholds, name)

    def values(self) -> Array:
        """The counts."""
        return self.tp


class TrueNegatives(_Counts):
    """How many outputs are not above the threshold and should not be."""

    def __init__(self, thresholds: Thresholds = None, name: str = "true_negatives") -> None:
        super().__init__(thresholds, name)

    def values(self) -> Array:
        """The counts."""
        return self.tn


class FalsePositives(_Counts):
    """How many outputs are above the threshold and should not be."""

    def __init__(self, thresholds: Thresholds = None, name: str = "false_positives") -> None:
        super().__init__(thresholds, name)

    def values(self) -> Array:
        """The counts."""
        return self.fp


class FalseNegatives(_Counts):
    """How many outputs are not above the threshold and should be."""

    def __init__(self, thresholds: Thresholds = None, name: str = "false_negatives") -> None:
        super().__init__(thresholds, name)

    def values(self) -> Array:
        """The counts."""
        return self.fn


class Precision(_Counts):
    """True positives over all positives, TP / (TP + FP)."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "precision",
    ) -> None:
        super().__init__(thresholds, name, top_k, class_id)

    def values(self) -> Array:
        """The precision; 0 where there is no positive."""
        return _ratio(self.tp, self.fp)


class Recall(_Counts):
    """True positives over all that should be, TP / (TP + FN)."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "recall",
    ) -> None:
        super().__init__(thresholds, name, top_k, class_id)

    def values(self) -> Array:
        """The recall; 0 where nothing should be positive."""
        return _ratio(self.tp, self.fn)


class AUC(_Counts):
    """The area under the curve of recall over false positives (ROC) or of precision over recall (PR).

    The curve goes through `num_thresholds` points. Between them ROC is a straight line; PR is integrated as Davis and
    Goadrich 2006 show, since precision is not linear there ("interpolation"), or takes the smaller ("minoring") or
    larger ("majoring") end.

    Args:
        num_thresholds: of the curve, evenly from below 0 to above 1.
        curve: "ROC" or "PR".
        summation_method: "interpolation", "minoring" or "majoring".
        thresholds: those between the ends, instead of evenly spaced ones.
        from_logits: whether the outputs are logits of a sigmoid.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str = "auc",
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in ("ROC", "PR") or summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"AUC: got curve={curve!r} and summation_method={summation_method!r}, wanted 'ROC' or 'PR' and "
                "'interpolation', 'minoring' or 'majoring'"
            )
        if thresholds is None and num_thresholds < 2:
            raise ValueError(f"AUC: got num_thresholds={num_thresholds}, wanted at least 2")
        inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1) if thresholds is None else np.sort(thresholds)
        self.curve, self.summation_method, self.from_logits = curve, summation_method, from_logits
        super().__init__([-EPSILON, *inner, 1 + EPSILON], name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch."""
        if self.from_logits:
            y_pred = 1 / (1 + np.exp(-np.asarray(y_pred, np.float64)))
        super().update_state(y_true, y_pred, sample_weight)

    def _count(self, true: Array, pred: Array, weight: Array) -> None:
        """All thresholds at once: an output is above those that sort before it."""
        above = np.searchsorted(self.thresholds, pred, side="left")
        for mask, positives, negatives in ((true, self.tp, self.fn), (~true, self.fp, self.tn)):
            histogram = np.bincount(above[mask], weight[mask], len(self.thresholds) + 1)
            positive = histogram[::-1].cumsum()[::-1][1:]
            positives += positive
            negatives += histogram.sum() - positive

    def result(self) -> float:
        """The area."""
        recall = _ratio(self.tp, self.fn)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated_pr()
        x, y = (_ratio(self.fp, self.tn), recall) if self.curve == "ROC" else (recall, _ratio(self.tp, self.fp))
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return float(((x[:-1] - x[1:]) * heights).sum())

    def _interpolated_pr(self) -> float:
        """∫ TP / P dTP over each step, with TP linear in P = TP + FP: TP = slope P + intercept."""
        positives = self.tp + self.fp
        d_tp, d_p = self.tp[:-1] - self.tp[1:], positives[:-1] - positives[1:]
        slope = np.divide(d_tp, d_p, out=np.zeros_like(d_tp), where=d_p > 0)
        intercept = self.tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        quotient = np.divide(positives[:-1], positives[1:], out=np.ones_like(d_p), where=both)
        whole = self.tp[1:] + self.fn[1:]
        area = slope * (d_tp + intercept * np.log(quotient))
        return float(np.divide(area, whole, out=np.zeros_like(area), where=whole > 0).sum())


class F1Score(Metric):
    """The harmonic mean 2 P R / (P + R) of precision and recall, for one-hot targets (N, C).

    Args:
        average: None gives an array with one score a class; "macro" their mean; "weighted" their mean weighted with
            the classes' numbers of samples; "micro" the score of all counts together.
        threshold: outputs above it are positives; by default the largest output of each sample.
    """

    sums = ("tp", "fp", "fn")

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str = "f1_score") -> None:
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"F1Score: got average={average!r}, wanted None, 'micro', 'macro' or 'weighted'")
        self.average, self.threshold = average, threshold
        super().__init__(name)

    def reset(self) -> None:
        """Forget all samples."""
        self.tp: Any = np.zeros(1)
        self.fp: Any = np.zeros(1)
        self.fn: Any = np.zeros(1)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch (N, C)."""
        true, pred = aligned(y_true, y_pred)
        if true.shape != pred.shape or true.ndim != 2:
            raise ValueError(f"{self.name}: got shapes {true.shape} and {pred.shape}, wanted (N, C) twice")
        best = pred == pred.max(-1, keepdims=True)
        positive = best & (np.abs(pred) > 1e-9) if self.threshold is None else pred > self.threshold
        weight = 1.0 if sample_weight is None else np.asarray(sample_weight, np.float64)[:, None]
        true = true > 0.5
        self.tp = self.tp + (weight * (positive & true)).sum(0)
        self.fp = self.fp + (weight * (positive & ~true)).sum(0)
        self.fn = self.fn + (weight * (~positive & true)).sum(0)

    def result(self) -> Any:
        """The score or scores."""
        tp, fp, fn = self.tp, self.fp, self.fn
        if self.average == "micro":
            tp, fp, fn = (np.atleast_1d(v.sum()) for v in (tp, fp, fn))
        scores = _ratio(tp, (fp + fn) / 2)
        if self.average is None:
            return scores
        weights = tp + fn if self.average == "weighted" and (tp + fn).any() else None
        return float(np.average(scores, weights=weights))
