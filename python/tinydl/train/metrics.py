"""Metrics: sums over the batches of an epoch, exact also where the last batch is smaller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Array, Tensor

__all__ = ["Accuracy", "MeanLoss", "Metric", "Scores", "spread"]


class Metric:
    """A mean total/count over the samples since `reset`; subclasses define `update`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self.total: float = 0
        self.count: float = 0

    def update(self, output: Array, target: Array, weight: Array | None = None) -> None:
        """Count a batch: what the model returned, what was wanted, and how much each sample counts.

        A metric that is never weighted needs no third argument.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def result(self) -> float:
        """The mean over all samples so far; NaN where there were none."""
        return self.total / self.count if self.count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The sums, for a checkpoint in the middle of an epoch."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from sums that `state_dict` returned."""
        self.total, self.count = state["total"], state["count"]


class MeanLoss(Metric):
    """The mean loss of a sample, from the mean losses of batches."""

    def __init__(self, name: str = "loss") -> None:
        super().__init__(name)

    def add(self, loss: float, samples: int) -> None:
        """Count a batch of `samples` whose mean loss is `loss`."""
        self.total += loss * samples
        self.count += samples


class Accuracy(Metric):
    """The share of samples that are classified as the target says.

    What the arrays mean follows from their shapes, by Keras's rules:

    - outputs with one number a sample, (N,) or (..., 1): two classes; the prediction is 1 above `threshold`,
      and targets have the same number of elements.
    - outputs (..., C), targets without the class axis or with one of size 1: the targets are class indices.
    - outputs and targets of one shape (..., C): one-hot targets or probabilities, of which the largest counts.

    The prediction is the class of the largest output, so that logits serve as well as probabilities.

    Args:
        name: the key in the history.
        threshold: what outputs of one number a sample are compared with: 0.5 for probabilities, 0 for logits.
        axis: the axis of the classes.

    >>> metric = Accuracy()
    >>> metric.update(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.array([1, 0, 0]))
    >>> round(metric.result(), 4)
    0.6667
    """

    def __init__(self, name: str = "accuracy", threshold: float = 0.5, axis: int = -1) -> None:
        super().__init__(name)
        self.threshold = threshold
        self.axis = axis

    def update(self, output: Array, target: Array, weight: Array | None = None) -> None:
        """Count a batch. ValueError where the shapes do not fit."""
        if output.ndim < 2 or output.shape[self.axis] == 1:
            got, wanted = output > self.threshold, target
            got = got if output.ndim < 2 else got.squeeze(self.axis)
        elif target.shape == output.shape:
            got, wanted = output.argmax(self.axis), target.argmax(self.axis)
        else:
            got, wanted = output.argmax(self.axis), target
        wanted = wanted.reshape(got.shape) if wanted.size == got.size else wanted
        if got.shape != wanted.shape:
            raise ValueError(f"{self.name}: outputs of shape {output.shape} do not fit targets of shape {target.shape}")
        right = got == wanted
        if weight is None:
            self.total += int(np.count_nonzero(right))
            self.count += got.size
        else:
            weight = spread(weight, got.shape)
            self.total += float(weight[right].sum(dtype=np.float64))
            self.count += float(weight.sum(dtype=np.float64))


def spread(weight: Array, shape: tuple[int, ...]) -> Array:
    """Weights of samples (N,), or of their first axes (N, ...), as weights of values of a shape (N, ...).

    Last axes of size 1 count for nothing. ValueError where the shapes do not fit.

    >>> spread(np.array([[1], [2]]), (2, 3))
    array([[1, 1, 1],
           [2, 2, 2]])
    """
    given = weight.shape
    while weight.ndim > 1 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    if weight.shape != shape[: weight.ndim]:
        raise ValueError(f"weights of shape {given} do not fit values of shape {shape}, one or more for each sample")
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)


class Scores:
    """The mean loss and the metrics over the samples since `reset`.

    Args:
        metrics: these count all samples alike.
        weighted: these count each sample with its weight, where the batches have weights.
    """

    def __init__(self, metrics: Iterable[Metric] = (), weighted: Iterable[Metric] = ()) -> None:
        self.loss = MeanLoss()
        self.metrics = list(metrics)
        self.weighted = list(weighted)

    def __iter__(self) -> Any:
        yield self.loss
        yield from self.metrics
        yield from self.weighted

    def reset(self) -> None:
        """Forget all samples."""
        for metric in self:
            metric.reset()

    def add(self, loss: float, outputs: Tensor, wanted: Sequence[Tensor]) -> None:
        """Count a batch: its mean loss, the model's outputs, and (targets,) or (targets, weights)."""
        self.loss.add(loss, len(wanted[0]))
        for metric in self.metrics:
            metric.update(*map(_on_host, (outputs, wanted[0])))
        for metric in self.weighted:
            metric.update(*map(_on_host, (outputs, *wanted)))

    def logs(self) -> dict[str, float]:
        """All results by name; "weighted_" before that of a weighted metric whose name is taken."""
        logs = {self.loss.name: self.loss.result()}
        for metric in self.metrics:
            logs[metric.name] = metric.result()
        for metric in self.weighted:
            logs[f"weighted_{metric.name}" if metric.name in logs else metric.name] = metric.result()
        return logs


def _on_host(tensor: Tensor) -> Array:
    return backend.to_host(tensor._data)
