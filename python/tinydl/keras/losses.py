"""Losses, by name, as objects, or as functions loss(y_true, y_pred).

Where a loss takes probabilities and the model ends in a softmax, `Sequential` trains on the logits before the softmax
with the same loss of logits. The number is the same in exact arithmetic; in float32 the logarithm of a softmax is more
accurate than the logarithm of its rounded result, needs no clipping at 1e-7, and its gradient never vanishes. This is
decided in `Sequential.compile` by `on_logits`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import as_tensor
from ..ops import loss as ops
from ..tensor import Array, Tensor
from .lookup import find, supported


class Loss:
    """A function of targets and outputs (N, ..., C): the mean over the batch.

    Args:
        reduction: "sum_over_batch_size", the mean.
        name: of the loss.
    """

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = None, **options: Any) -> None:
        supported(type(self).__name__, options)
        if reduction not in ("sum_over_batch_size", "mean"):
            owner = type(self).__name__
            raise ValueError(f"{owner}: reduction={reduction!r} is not available, wanted 'sum_over_batch_size'")
        self.name = name

    def __call__(self, y_true: Any, y_pred: Any) -> Tensor:
        """The mean loss."""
        return self.of(as_tensor(y_pred), as_tensor(self.targets(_array(y_true))))

    def targets(self, y: Array) -> Array:
        """The targets as `of` takes them. ValueError or TypeError where they cannot be."""
        return y.astype(np.float32, copy=False)

    def of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of outputs and prepared targets."""
        raise NotImplementedError(f"{type(self).__name__} does not define of")

    def on_logits(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The same loss as a function of logits, for a model that ends in a softmax; None where there is none."""
        return None


class _Crossentropy(Loss):
    """-Σ_c t_c ln p_c of probabilities p, or of softmax(outputs) with `from_logits`."""

    def __init__(self, from_logits: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.from_logits = from_logits

    def of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss; sums of probabilities are made 1, and ln taken of p in [1e-7, 1 - 1e-7]."""
        if self.from_logits:
            return self.of_logits(outputs, targets)
        return ops.categorical_crossentropy_probabilities(*self.rows(outputs, targets)).mean()

    def of_logits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of logits."""
        return ops.cross_entropy(*self.rows(outputs, targets))

    def on_logits(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The loss of logits, unless the outputs are said to be logits."""
        return None if self.from_logits else self.of_logits

    def rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (rows, C), and the targets of the rows."""
        raise NotImplementedError


class SparseCategoricalCrossentropy(_Crossentropy):
    """Cross-entropy with class indices (N, ...) or (N, ..., 1) as targets."""

    def __init__(self, from_logits: bool = False, ignore_class: int | None = None, **options: Any) -> None:
        super().__init__(from_logits, ignore_class=ignore_class, **options)

    def targets(self, y: Array) -> Array:
        """Integers."""
        if y.dtype.kind == "f" and not np.array_equal(y, np.floor(y)):
            raise ValueError("sparse_categorical_crossentropy: the targets must be class indices, got fractions")
        return y.astype(np.int64, copy=False)

    def rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (rows, C), targets (rows,)."""
        wanted = outputs.shape[:-1]
        if targets.shape not in (wanted, (*wanted, 1)):
            raise ValueError(
                f"sparse_categorical_crossentropy: targets of shape {targets.shape} do not fit outputs of shape "
                f"{outputs.shape}; wanted class indices of shape {wanted} "
                "(for one-hot targets use categorical_crossentropy)"
            )
        if outputs.ndim == 2 and targets.ndim == 1:
            return outputs, targets
        return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1)


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy with one-hot targets or probabilities (N, ..., C)."""

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, **options: Any) -> None:
        refused = {"label_smoothing": label_smoothing or None, "axis": None if axis == -1 else axis}
        super().__init__(from_logits, **refused, **options)

    def rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both (rows, C)."""
        if targets.shape != outputs.shape:
            raise ValueError(
                f"categorical_crossentropy: targets of shape {targets.shape} do not fit outputs of shape "
                f"{outputs.shape}; wanted one-hot targets (for class indices use sparse_categorical_crossentropy)"
            )
        if outputs.ndim == 2:
            return outputs, targets
        classes = outputs.shape[-1]
        return outputs.reshape(-1, classes), targets.reshape(-1, classes)


class MeanSquaredError(Loss):
    """The mean of (y - t)² over all elements; an axis of size 1 that only one of the two has at its end is ignored."""

    def of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean."""
        if targets.shape != outputs.shape and (*targets.shape, 1) == outputs.shape:
            targets = targets.reshape(outputs.shape)
        elif targets.shape != outputs.shape and targets.shape == (*outputs.shape, 1):
            outputs = outputs.reshape(targets.shape)
        return ops.mse_loss(outputs, targets)


class Custom(Loss):
    """A function f(y_true, y_pred) that returns one loss, or one for each sample."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def targets(self, y: Array) -> Array:
        """Floats as float32, integers as they are."""
        return super().targets(y) if y.dtype.kind == "f" else y

    def of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean."""
        value = self.function(targets, outputs)
        return value.mean() if value.ndim else value  # type: ignore[no-any-return]


KNOWN: dict[str, type[Loss]] = {
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
}


def get(identifier: Any) -> Loss:
    """The loss of a name, of a class, of an object, or of a function."""
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return Custom(identifier)
    return find("loss", identifier, KNOWN)()  # type: ignore[no-any-return]


def _array(y: Any) -> Array:
    return y._data if isinstance(y, Tensor) else np.asarray(y)
