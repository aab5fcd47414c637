"""Cross-entropies of classes and of probabilities of two classes.

Where a loss takes probabilities and the model ends in a softmax, `Sequential` trains on the logits before the softmax
with the same loss of logits. The number is the same in exact arithmetic; in float32 the logarithm of a softmax is more
accurate than the logarithm of its rounded result, needs no clipping at 1e-7, and its gradient never vanishes. This is
decided in `Sequential.compile` by `on_logits`, and nowhere else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ...creation import as_tensor
from ...nn import functional as F
from ...ops import elementwise
from ...ops.activation import sigmoid
from ...tensor import Array, Tensor
from .base import FunctionLoss, check_shapes, clip, outputs_of, tensors

_NO_CLASS = int(np.iinfo(np.int64).min)  # an ignore_index that no label has


def _log_probabilities(p: Tensor) -> Tensor:
    """ln of probabilities (..., C) whose sums are made 1, in [1e-7, 1 - 1e-7]."""
    return elementwise.log(clip(p / p.sum(-1, keepdim=True)))


def _classes_last(y: Tensor, axis: int) -> Tensor:
    return y if axis in (-1, y.ndim - 1) else y.permute(*(d for d in range(y.ndim) if d != axis % y.ndim), axis)


# -- One class of several ---------------------------------------------------------------------------------------


def _dense(y_true: Any, y_pred: Any, axis: int) -> tuple[Tensor, Tensor]:
    t, y = tensors(y_true, y_pred)
    if t.shape != y.shape:
        raise ValueError(
            f"categorical_crossentropy: targets of shape {t.shape} do not fit outputs of shape {y.shape}; wanted "
            "one-hot targets (for class indices use sparse_categorical_crossentropy)"
        )
    return _classes_last(t, axis), _classes_last(y, axis)


def _rows(y: Tensor) -> Tensor:
    return y if y.ndim == 2 else y.reshape(-1, y.shape[-1])


def _check_smoothing(op: str, label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{op}: got label_smoothing={label_smoothing}, wanted a number in [0, 1]")


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-Σ_c t_c ln p_c of one-hot targets or probabilities t, with p = y_pred, or softmax(y_pred) with `from_logits`.

    Sums of probabilities are made 1, and ln is taken of p in [1e-7, 1 - 1e-7]. With label smoothing s, t becomes
    (1 - s) t + s/C. `axis` holds the classes.

    >>> print(f"{categorical_crossentropy([[0, 1]], [[0.25, 0.75]]).item():.4f}")
    0.2877
    """
    _check_smoothing("categorical_crossentropy", label_smoothing)
    t, y = _dense(y_true, y_pred, axis)
    if from_logits:
        losses = F.cross_entropy(_rows(y), _rows(t), reduction="none", label_smoothing=label_smoothing)
        return losses.reshape(y.shape[:-1])
    if label_smoothing:
        t = t * (1 - label_smoothing) + label_smoothing / y.shape[-1]
    return -(t * _log_probabilities(y)).sum(-1)


def _sparse(y_true: Any, y_pred: Any, axis: int) -> tuple[Tensor, Tensor]:
    y = _classes_last(outputs_of(y_pred), axis)
    labels = y_true if isinstance(y_true, Tensor) else as_tensor(np.asarray(y_true))
    labels = labels if labels.dtype.kind in "iu" else labels.long()
    wanted = y.shape[:-1]
    if labels.shape not in (wanted, (*wanted, 1)):
        raise ValueError(
            f"sparse_categorical_crossentropy: targets of shape {labels.shape} do not fit outputs of shape {y.shape}; "
            f"wanted class indices of shape {wanted} (for one-hot targets use categorical_crossentropy)"
        )
    return labels.reshape(wanted), y


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """-ln p[t] of class indices t of shape (N, ...) or (N, ..., 1), as `categorical_crossentropy` of one-hot targets.

    Targets of `ignore_class` have the loss 0. IndexError where another is no class.
    """
    labels, y = _sparse(y_true, y_pred, axis)
    ignored = _NO_CLASS if ignore_class is None else ignore_class
    function, scores = (F.cross_entropy, y) if from_logits else (F.nll_loss, _log_probabilities(y))
    losses = function(_rows(scores), labels.reshape(-1), ignore_index=ignored, reduction="none")
    return losses.reshape(labels.shape)


class _Crossentropy(FunctionLoss):
    """A cross-entropy of classes: its twin of logits trains models that end in a softmax."""

    def on_logits(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The loss of logits, unless the outputs are said to be logits."""
        if self.options["from_logits"]:
            return None
        twin = copy.copy(self)
        twin.options = {**self.options, "from_logits": True}
        return twin.of


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy with one-hot targets or probabilities (N, ..., C)."""

    function = staticmethod(categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        _check_smoothing("CategoricalCrossentropy", label_smoothing)
        super().__init__(reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """Of logits, in one kernel."""
        if not self.options["from_logits"]:
            return None
        t, y = _dense(y_true, y_pred, self.options["axis"])
        return F.cross_entropy(_rows(y), _rows(t), reduction=reduction, label_smoothing=self.options["label_smoothing"])


class SparseCategoricalCrossentropy(_Crossentropy):
    """Cross-entropy with class indices (N, ...) or (N, ..., 1) as targets; means leave out `ignore_class`."""

    function = staticmethod(sparse_categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)

    def targets(self, y: Array) -> Array:
        """Integers."""
        if y.dtype.kind == "f" and not np.array_equal(y, np.floor(y)):
            raise ValueError("sparse_categorical_crossentropy: the targets must be class indices, got fractions")
        return y.astype(np.int64, copy=False)

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """Of logits, in one kernel."""
        if not self.options["from_logits"]:
            return None
        labels, y = _sparse(y_true, y_pred, self.options["axis"])
        ignored = self.options["ignore_class"]
        ignored = _NO_CLASS if ignored is None else ignored
        return F.cross_entropy(_rows(y), labels.reshape(-1), ignore_index=ignored, reduction=reduction)

    def count(self, y_true: Tensor, losses: Tensor) -> Any:
        """The number of targets that are not ignored."""
        ignored = self.options["ignore_class"]
        return losses.numel() if ignored is None else int(np.sum(y_true._data != ignored))


class CategoricalFocalCrossentropy(FunctionLoss):
    """-alpha Σ_c t_c (1 - p_c)^gamma ln p_c (Lin et al.: Focal loss for dense object detection, 2017)."""

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )

    @staticmethod
    def function(
        y_true: Any,
        y_pred: Any,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> Tensor:
        """-alpha Σ_c t_c (1 - p_c)^gamma ln p_c along the axis."""
        t, y = _dense(y_true, y_pred, axis)
        p = y.softmax(-1) if from_logits else y
        p = clip(p / p.sum(-1, keepdim=True))
        if label_smoothing:
            t = t * (1 - label_smoothing) + label_smoothing / y.shape[-1]
        return -(t * (1 - p) ** gamma * elementwise.log(p)).sum(-1) * alpha


categorical_focal_crossentropy = CategoricalFocalCrossentropy.function


# -- Yes or no --------------------------------------------------------------------------------------------------


def _binary(op: str, y_true: Any, y_pred: Any, label_smoothing: float) -> tuple[Tensor, Tensor]:
    _check_smoothing(op, label_smoothing)
    t, y = tensors(y_true, y_pred)
    check_shapes(op, t, y)
    if t.shape != y.shape:
        shape = np.broadcast_shapes(t.shape, y.shape)
        t, y = t.expand(shape), y.expand(shape)
    return (t * (1 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else t), y


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """mean -t ln p - (1 - t) ln(1 - p) along the axis, with p = y_pred, or sigmoid(y_pred) with `from_logits`.

    Probabilities are clipped to [1e-7, 1 - 1e-7]. With label smoothing s, t becomes (1 - s) t + s/2.

    >>> print(f"{binary_crossentropy([[0, 1]], [[0.5, 0.5]]).item():.4f}")
    0.6931
    """
    t, y = _binary("binary_crossentropy", y_true, y_pred, label_smoothing)
    if from_logits:
        return F.binary_cross_entropy_with_logits(y, t, reduction="none").mean(axis)
    return _of_probabilities(t, clip(y)).mean(axis)


def _of_probabilities(t: Tensor, p: Tensor) -> Tensor:
    return -(t * elementwise.log(p) + (1 - t) * elementwise.log(1 - p))


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """mean (1 - q)^gamma times the binary cross-entropy, q = t p + (1 - t)(1 - p), along the axis.

    With `apply_class_balancing`, positive targets have the weight alpha and negative ones 1 - alpha.
    """
    t, y = _binary("binary_focal_crossentropy", y_true, y_pred, label_smoothing)
    p = sigmoid(y) if from_logits else y
    losses = (1 - (t * p + (1 - t) * (1 - p))) ** gamma * _of_probabilities(t, clip(p))
    if apply_class_balancing:
        losses = (t * alpha + (1 - t) * (1 - alpha)) * losses
    return losses.mean(axis)


class BinaryCrossentropy(FunctionLoss):
    """-t ln p - (1 - t) ln(1 - p)."""

    function = staticmethod(binary_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        _check_smoothing("BinaryCrossentropy", label_smoothing)
        super().__init__(reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)

    def fused(self, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor | None:
        """The mean of logits' losses, in one kernel."""
        if not self.options["from_logits"] or reduction != "mean":
            return None
        t, y = _binary("binary_crossentropy", y_true, y_pred, self.options["label_smoothing"])
        return F.binary_cross_entropy_with_logits(y, t)


class BinaryFocalCrossentropy(FunctionLoss):
    """The binary cross-entropy, less of it where the output is right (Lin et al. 2017)."""

    function = staticmethod(binary_focal_crossentropy)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
