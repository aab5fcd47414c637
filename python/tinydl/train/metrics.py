"""Metrics: sums over the batches of an epoch, exact also where the last batch is smaller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..tensor import Array

__all__ = ["Accuracy", "MeanLoss", "Metric"]


class Metric:
    """A mean total/count over the samples since `reset`; subclasses define `update`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self.total: float = 0
        self.count = 0

    def update(self, output: Array, target: Array) -> None:
        """Count a batch: what the model returned, and what was wanted."""
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

    def update(self, output: Array, target: Array) -> None:
        """Count a batch. ValueError where the shapes do not fit."""
        if output.ndim < 2 or output.shape[self.axis] == 1:
            got, wanted = (output > self.threshold).reshape(-1), target.reshape(-1)
        elif target.shape == output.shape:
            got, wanted = output.argmax(self.axis), target.argmax(self.axis)
        else:
            got = output.argmax(self.axis)
            wanted = target.reshape(got.shape) if target.size == got.size else target
        if got.shape != wanted.shape:
            raise ValueError(f"{self.name}: outputs of shape {output.shape} do not fit targets of shape {target.shape}")
        self.total += int(np.count_nonzero(got == wanted))
        self.count += got.size
