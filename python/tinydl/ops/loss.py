"""Losses: cross-entropy of logits or of probabilities, and the squared error."""

from __future__ import annotations

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import cast, operands

REDUCTIONS = ("mean", "sum", "none")


def _check_reduction(op: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}: got reduction {reduction!r}, wanted 'mean', 'sum' or 'none'")


def _check_tensors(op: str, input: Tensor, target: Tensor) -> None:
    for name, value in (("input", input), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: {name} is of type {type(value).__name__}, wanted a tensor")


# -- Cross-entropy of logits ------------------------------------------------------------------------------------


class CrossEntropy(Function):
    """loss_i = -sum_c t_ic ln softmax(x_i)_c; dx_i = softmax(x_i) sum_c t_ic - t_i, dt_ic = -ln softmax(x_i)_c."""

    def __init__(self, reduction: str) -> None:
        self.reduction = reduction

    def forward(self, x: Array, target: Array) -> Array:
        loss, stats = backend.of(x).cross_entropy(x, target, self.reduction)
        self.save(x, target, stats)
        return loss  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        x, target, stats = self.saved
        dx = None
        if self.needs[0]:
            dx = backend.of(x).cross_entropy_backward(grad, x, target, stats, self.reduction)
        return dx, self._target_grad(grad) if self.needs[1] else None

    def _target_grad(self, grad: Array) -> Array:
        x, _, (maxima, sums, _) = self.saved
        axis = min(1, x.ndim - 1)
        rows = x.shape[:axis] + x.shape[axis + 1 :]
        scale = grad / max(maxima.size, 1) if self.reduction == "mean" else grad
        wide = [
            np.expand_dims(np.broadcast_to(a, rows), axis) for a in (maxima.reshape(rows), sums.reshape(rows), scale)
        ]
        return np.asarray((wide[0] - x + np.log(wide[1])) * wide[2], x.dtype)


def cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The cross-entropy between softmax(input) over the classes and the target.

    With class indices, loss_i = -ln softmax(x_i)[t_i]; with probabilities, loss_i = -sum_c t_ic ln softmax(x_i)_c.

    Args:
        input: logits of shape (C,), (N, C) or (N, C, d1, ...), float32 or float64.
        target: class indices in [0, C), integers of the input's shape without C; or probabilities (or any weights)
            of the input's shape.
        reduction: "mean" over all rows (NaN where there are none), "sum", or "none".

    Returns:
        A tensor without axes or, unreduced, of the input's shape without C.

    Raises:
        ValueError: the shapes do not fit, or the reduction has another name.
        TypeError: integers are wanted and got floats, or the other way round.
        IndexError: a label is negative, or C or above; the error names its row.

    >>> import tinydl
    >>> from tinydl.ops.loss import cross_entropy
    >>> logits = tinydl.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> print(f"{cross_entropy(logits, tinydl.tensor([0, 1])).item():.4f}")
    0.4100
    >>> print(f"{cross_entropy(logits, tinydl.tensor([[1.0, 0.0], [0.5, 0.5]]), reduction='sum').item():.4f}")
    0.8201
    """
    _check_tensors("cross_entropy", input, target)
    _check_reduction("cross_entropy", reduction)
    if target.shape == input.shape and input.ndim:
        if target.dtype not in dtypes.FLOATS:
            raise TypeError(f"cross_entropy: got probabilities of dtype {target.dtype}, wanted float32 or float64")
        target = cast(target, input.dtype)
    return CrossEntropy(reduction).apply(input, target)  # type: ignore[no-any-return]


# -- Cross-entropy of probabilities -----------------------------------------------------------------------------


class CrossEntropyOfProbabilities(Function):
    """loss_i = -sum_c t_ic ln z_ic with z = clip(q, e, 1 - e), q_i = p_i / sum_c p_ic.

    dq_ic = -t_ic / z_ic where q is not clipped, else 0; dp_i = (dq_i - sum_c dq_ic q_ic) / sum_c p_ic.
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def forward(self, p: Array, target: Array) -> Array:
        self.save(p, target)
        _, _, clipped = self._normalise(p)
        if target.ndim == p.ndim:
            return np.asarray(-np.sum(target * np.log(clipped), axis=-1))
        return np.asarray(-np.log(np.take_along_axis(clipped, target[..., None], -1)[..., 0]))

    def _normalise(self, p: Array) -> tuple[Array, Array, Array]:
        total = p.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            q = p / total
        low, high = p.dtype.type(self.epsilon), p.dtype.type(1 - self.epsilon)
        return total, q, np.clip(q, low, high)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        p, target = self.saved
        total, q, clipped = self._normalise(p)
        grad = grad[..., None]
        target_grad = -np.log(clipped) * grad if self.needs[1] else None
        if not self.needs[0]:
            return None, target_grad
        if target.ndim != p.ndim:
            labels = target[..., None]
            target = np.zeros_like(p)
            np.put_along_axis(target, labels, 1, -1)
        dq = np.where(q == clipped, -target / clipped * grad, p.dtype.type(0))
        return (dq - np.sum(dq * q, axis=-1, keepdims=True)) / total, target_grad


def categorical_crossentropy_probabilities(input: Tensor, target: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The cross-entropy of probabilities, one loss for each row, as Keras 3 computes it with from_logits=False.

    loss_i = -sum_c t_ic ln clip(p_ic / sum_j p_ij, epsilon, 1 - epsilon); with class indices t_i is one-hot. Clipped
    probabilities get no gradient. `cross_entropy` on logits is faster and more accurate.

    Args:
        input: probabilities of shape (..., C), classes last; float32 or float64.
        target: class indices in [0, C) of shape (...), or probabilities of shape (..., C).
        epsilon: how near to 0 and 1 a probability may come.

    Raises:
        ValueError: the shapes do not fit. TypeError: a wrong dtype. IndexError: a label is out of range.

    >>> import tinydl
    >>> loss = categorical_crossentropy_probabilities(tinydl.tensor([[0.25, 0.75]]), tinydl.tensor([1]))
    >>> print(f"{loss.item():.4f}")
    0.2877
    """
    op = "categorical_crossentropy_probabilities"
    _check_tensors(op, input, target)
    if input.dtype not in dtypes.FLOATS:
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")
    if input.ndim == 0 or input.shape[-1] == 0 or target.shape not in (input.shape, input.shape[:-1]):
        raise ValueError(
            f"{op}: probabilities of shape {input.shape} need class indices of shape {input.shape[:-1]} or "
            f"probabilities of their own shape, got a target of shape {target.shape}"
        )
    if target.ndim == input.ndim:
        target = cast(target, input.dtype)
    else:
        _check_labels(op, target._data, input.shape[-1])
    return CrossEntropyOfProbabilities(epsilon).apply(input, target)  # type: ignore[no-any-return]


def _check_labels(op: str, labels: Array, classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: got labels of dtype {labels.dtype}, wanted integers")
    wrong = np.argwhere((labels < 0) | (labels >= classes))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        place = f"row {at[0]}" if labels.ndim == 1 else str(at)
        raise IndexError(f"{op}: label {labels[at]} at {place} is out of range for {classes} classes")


# -- Squared error ----------------------------------------------------------------------------------------------


class MseLoss(Function):
    """loss = (x - t)^2, its sum or its mean; dx = 2 (x - t), dt = -dx."""

    def __init__(self, reduction: str) -> None:
        self.reduction = reduction

    def forward(self, x: Array, target: Array) -> Array:
        self.save(x, target)
        kernels = backend.of(x)
        if self.reduction == "none":
            error = kernels.sub(x, target)
            return kernels.mul(error, error)  # type: ignore[no-any-return]
        return kernels.squared_error(x, target, x.size if self.reduction == "mean" else 1)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        x, target = self.saved
        kernels = backend.of(x)
        if self.reduction == "none":
            dx = kernels.mul(kernels.squared_error_backward(x, target, 2.0), grad)
        else:
            count = max(x.size, 1) if self.reduction == "mean" else 1
            dx = kernels.squared_error_backward(x, target, 2 * grad.item() / count)
        return dx if self.needs[0] else None, kernels.neg(dx) if self.needs[1] else None


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared error (x_i - t_i)^2: its mean over all elements (NaN where there are none), its sum, or each.

    Both arguments get gradients. Their shapes must be equal: a broadcast here is nearly always a mistake.

    Raises:
        ValueError: the shapes differ, or the reduction has another name.
        TypeError: a wrong dtype.

    >>> import tinydl
    >>> from tinydl.ops.loss import mse_loss
    >>> mse_loss(tinydl.tensor([1.0, 2.0]), tinydl.tensor([1.0, 4.0]))
    tensor(2.)
    """
    _check_tensors("mse_loss", input, target)
    _check_reduction("mse_loss", reduction)
    if input.shape != target.shape:
        raise ValueError(
            f"mse_loss: got an input of shape {input.shape} and a target of shape {target.shape}, wanted equal shapes; "
            "broadcast or reshape one of them"
        )
    return MseLoss(reduction).apply(*operands(input, target))  # type: ignore[no-any-return]
