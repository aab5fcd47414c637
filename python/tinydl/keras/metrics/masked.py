"""Metrics of outputs with masks: what a mask hides does not count."""

from __future__ import annotations

from collections.abc import Sequence

from ...tensor import Tensor
from ...train.metrics import Accuracy, Metric, Scores
from ..layers.masks import mask_of, times, weight_of
from .base import MeanMetricWrapper, OfProbabilities


def update(metric: Metric, output: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
    """Let a metric count a batch; in means over the samples, as in Keras, only what the output's mask does not hide."""
    given = () if weight is None else (weight._data,)
    mask = mask_of(output)
    if mask is not None and isinstance(
        metric.metric if isinstance(metric, OfProbabilities) else metric, Accuracy | MeanMetricWrapper
    ):
        given = (times(weight_of(mask, None), *(given or (None,))),)
    metric.update(output._data, target._data, *given)


class MaskedScores(Scores):
    """The mean loss and the metrics of a model whose output may have a mask."""

    def add(self, loss: float, outputs: Tensor, wanted: Sequence[Tensor]) -> None:
        """Count a batch: its mean loss, the model's outputs, and (targets,) or (targets, weights)."""
        if mask_of(outputs) is None:
            super().add(loss, outputs, wanted)
            return
        self.loss.add(loss, len(wanted[0]))
        for metric in self.metrics:
            update(metric, outputs, wanted[0])
        for metric in self.weighted:
            update(metric, outputs, *wanted)
