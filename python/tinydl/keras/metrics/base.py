"""What the metrics share: totals over the samples since `reset_state`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import no_grad
from ...tensor import Array, Tensor
from ...train import metrics
from ..config import Configured

EPSILON = 1e-7  # Keras's, which keeps quotients and logarithms finite


class Metric(Configured, metrics.Metric):
    """A number about all batches since `reset_state`.

    A subclass defines `update_state` and, unless it is the mean `total / count`, `result`; sums that are arrays are
    named in `sums`.
    """

    sums: tuple[str, ...] = ("total", "count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch: what was wanted, what the model returned, and how much each sample counts."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state")

    def update(self, output: Array, target: Array, weight: Array | None = None) -> None:
        """Count a batch, as `Trainer` does."""
        if weight is None:
            self.update_state(target, output)
        else:
            self.update_state(target, output, weight)

    def reset_state(self) -> None:
        """Forget all samples."""
        self.reset()

    def __call__(self, *args: Any, **options: Any) -> float:
        """Count a batch, and return the result so far."""
        self.update_state(*args, **options)
        return self.result()

    def state_dict(self) -> dict[str, Any]:
        """The sums, for a checkpoint in the middle of an epoch."""
        return {name: getattr(self, name) for name in self.sums}

    def load_state_dict(self, state: Any) -> None:
        """Go on from sums that `state_dict` returned."""
        for name in self.sums:
            setattr(self, name, state[name])


class Mean(Metric):
    """The mean of numbers, weighted: `update_state(values, sample_weight)`."""

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Count some numbers."""
        self.add(as_array(values), sample_weight)

    def add(self, values: Array, sample_weight: Any = None) -> None:
        """Count values (N, ...), each with its sample's weight (N, ...), which is 1 by default."""
        if sample_weight is None:
            self.total += float(values.sum())
            self.count += values.size
            return
        weight = metrics.spread(as_array(sample_weight), values.shape)
        self.total += float((values * weight).sum())
        self.count += float(weight.sum())

    def result(self) -> float:
        """The mean; 0 where nothing has been counted, as in Keras."""
        return self.total / self.count if self.count else 0.0


class Sum(Metric):
    """The sum of numbers, weighted: `update_state(values, sample_weight)`."""

    sums = ("total",)

    def __init__(self, name: str = "sum") -> None:
        super().__init__(name)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Count some numbers."""
        array = as_array(values)
        self.total += float((array if sample_weight is None else array * as_array(sample_weight)).sum())

    def result(self) -> float:
        """The sum."""
        return self.total


class MeanMetricWrapper(Mean):
    """The mean over the samples of fn(y_true, y_pred, **options), which returns one number a sample.

    Args:
        fn: takes and returns NumPy arrays; y_true and y_pred have the same number of axes, where that is possible.
        name: by default the function's.
        options: further arguments of fn.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **options: Any) -> None:
        super().__init__(name or fn.__name__)
        self.fn = fn
        self.options = options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Count a batch."""
        self.add(as_array(self.fn(*aligned(y_true, y_pred), **self.options)), sample_weight)


class OfProbabilities(metrics.Metric):
    """Another metric, of the outputs after an activation that the trainer's forward pass leaves out."""

    def __init__(self, metric: metrics.Metric, activate: Callable[[Tensor], Tensor]) -> None:
        self.metric = metric
        self.activate = activate
        self.name = metric.name

    def reset(self) -> None:
        """Forget all samples."""
        self.metric.reset()

    def update(self, output: Array, target: Array, weight: Array | None = None) -> None:
        """Count a batch."""
        with no_grad():
            activated = self.activate(Tensor(output))._data
        if weight is None:
            self.metric.update(activated, target)
        else:
            self.metric.update(activated, target, weight)

    def result(self) -> float:
        """The other metric's."""
        return self.metric.result()

    def state_dict(self) -> dict[str, Any]:
        """The other metric's sums."""
        return self.metric.state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Go on from sums that `state_dict` returned."""
        self.metric.load_state_dict(state)


def as_array(values: Any) -> Array:
    """Values as an array; floats in float64, so that sums over many batches lose nothing."""
    array = values._data if isinstance(values, Tensor) else np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind not in "iub" else array


def aligned(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Both as arrays; an axis of size 1 that only one of them has at its end is dropped."""
    true, pred = as_array(y_true), as_array(y_pred)
    if true.ndim == pred.ndim + 1 and true.shape[-1] == 1:
        true = true[..., 0]
    if pred.ndim == true.ndim + 1 and pred.shape[-1] == 1:
        pred = pred[..., 0]
    return true, pred
