"""Losses that ask for a margin between scores or distances; composed of other operations, or computed by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast, elementwise
from .arguments import check_floating, check_tensors
from .bounds import clamp_min, minimum
from .distance import pairwise_distance
from .elementwise import operands
from .loss import check_weight, reduced, reduction_of
from .pair_loss import binary_cross_entropy_with_logits
from .reduce import axes_of
from .selection import where


def _mask_loss(mask: Array, losses: Tensor) -> Tensor:
    """The losses where the mask is set, else 0."""
    return where(Tensor(backend.asarray(mask)), losses, 0.0)


def _ramp(x: Tensor) -> Tensor:
    """max(x, 0); the gradient at 0 is 1, as in PyTorch."""
    return clamp_min(x, 0)


# -- Embeddings and rankings ------------------------------------------------------------------------------------


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x_i where t_i = 1, max(0, margin - x_i) where t_i = -1 (their sum for another t, as in PyTorch).

    >>> import tinydl
    >>> x, t = tinydl.tensor([0.5, 0.25]), tinydl.tensor([1, -1])
    >>> tinydl.nn.functional.hinge_embedding_loss(x, t, reduction="none")
    tensor([0.5 , 0.75])
    """
    if autocast.on:
        input, target = autocast.inputs("hinge_embedding_loss", input, target)
    check_tensors("hinge_embedding_loss", input=input, target=target)
    check_floating("hinge_embedding_loss", input)
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    if input.shape != target.shape:
        shape = _common("hinge_embedding_loss", input, target)
        input, target = input.expand(shape), target.expand(shape)
    near = _mask_loss(target._data != -1, input)
    far = _mask_loss(target._data != 1, _ramp(margin - input))
    return reduced(near + far, reduction)


def _common(op: str, *tensors: Tensor) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(t.shape for t in tensors))
    except ValueError:
        raise ValueError(f"{op}: shapes {', '.join(str(t.shape) for t in tensors)} do not broadcast") from None


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -t_i (a_i - b_i) + margin): with t = 1 the first input should rank higher, with -1 the second.

    ValueError unless all have the same number of axes and broadcast.

    >>> import tinydl
    >>> a, b = tinydl.tensor([3.0, 1.0]), tinydl.tensor([1.0, 2.0])
    >>> tinydl.nn.functional.margin_ranking_loss(a, b, tinydl.tensor([1, 1]), reduction="none")
    tensor([0., 1.])
    """
    if autocast.on:
        input1, input2, target = autocast.inputs("margin_ranking_loss", input1, input2, target)
    op = "margin_ranking_loss"
    check_tensors(op, input1=input1, input2=input2, target=target)
    check_floating(op, input1, input2)
    reduction = reduction_of(op, reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ValueError(
            f"{op}: got shapes {input1.shape}, {input2.shape} and {target.shape}, wanted as many axes in each"
        )
    _common(op, input1, input2, target)
    return reduced(_ramp(-target * (input1 - input2) + margin), reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(a, b) where t = 1, max(0, cos(a, b) - margin) where t = -1, for rows (N, D) or one pair (D,).

    cos(a, b) = a.b / sqrt((a.a + e) (b.b + e)) with PyTorch's e = 1e-12.

    >>> import tinydl
    >>> a, b = tinydl.tensor([[1.0, 0.0]]), tinydl.tensor([[0.0, 1.0]])
    >>> tinydl.nn.functional.cosine_embedding_loss(a, b, tinydl.tensor([1]))
    tensor(1.)
    """
    if autocast.on:
        input1, input2, target = autocast.inputs("cosine_embedding_loss", input1, input2, target)
    op = "cosine_embedding_loss"
    check_tensors(op, input1=input1, input2=input2, target=target)
    check_floating(op, input1, input2)
    reduction = reduction_of(op, reduction, size_average, reduce)
    if input1.ndim not in (1, 2) or input1.shape[:-1] != target.shape or input1.ndim != input2.ndim:
        raise ValueError(
            f"{op}: got shapes {input1.shape}, {input2.shape} and a target of shape {target.shape}; wanted (N, D), "
            "(N, D) and (N,), or (D,), (D,) and ()"
        )
    _common(op, input1, input2)
    a, b = operands(input1, input2)
    squares = ((a * a).sum(-1) + 1e-12) * ((b * b).sum(-1) + 1e-12)
    cosine = (a * b).sum(-1) / elementwise.sqrt(squares)
    near = _mask_loss(target._data == 1, 1 - cosine)
    far = _mask_loss(target._data == -1, _ramp(cosine - margin))
    return reduced(near + far, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) with the distance d of `pairwise_distance`.

    With `swap`, min(d(a, n), d(p, n)) replaces d(a, n). ValueError unless margin > 0 and the axes are as many.

    >>> import tinydl
    >>> a, n = tinydl.zeros(1, 2), tinydl.tensor([[3.0, 4.0]])
    >>> tinydl.nn.functional.triplet_margin_loss(a, n, a, eps=0)
    tensor(6.)
    """
    if autocast.on:
        anchor, positive, negative = autocast.inputs("triplet_margin_loss", anchor, positive, negative)
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    return _triplets("triplet_margin_loss", (anchor, positive, negative), distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own (by default `pairwise_distance`)."""
    distance = pairwise_distance if distance_function is None else distance_function
    op = "triplet_margin_with_distance_loss"
    return _triplets(op, (anchor, positive, negative), distance, margin, swap, reduction_of(op, reduction))


def _triplets(
    op: str, triplet: tuple[Tensor, Tensor, Tensor], distance: Any, margin: float, swap: bool, reduction: str
) -> Tensor:
    anchor, positive, negative = triplet
    check_tensors(op, anchor=anchor, positive=positive, negative=negative)
    if not margin > 0:
        raise ValueError(f"{op}: got margin={margin}, wanted a positive number")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ValueError(
            f"{op}: got shapes {anchor.shape}, {positive.shape} and {negative.shape}, wanted as many axes in each"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(_ramp(near - far + margin), reduction)


# -- Several classes --------------------------------------------------------------------------------------------


class _MultiMargin(Function):
    """loss_i = sum_{c != t_i} w[t_i] max(0, margin - x_i[t_i] + x_ic)^p / C, p = 1 or 2."""

    def __init__(self, labels: Array, p: int, margin: float, weight: Array | None) -> None:
        self.labels = labels[:, None]
        self.p, self.margin, self.weight = p, margin, weight

    def _slack(self, x: Array) -> Array:
        slack: Array = x.dtype.type(self.margin) - np.take_along_axis(x, self.labels, 1) + x
        np.put_along_axis(slack, self.labels, 0, 1)
        return backend.asarray(np.maximum(slack, 0))

    def _scale(self, x: Array) -> Array:
        weight = np.ones_like(self.labels, x.dtype) if self.weight is None else self.weight[self.labels]
        return backend.asarray(weight / x.dtype.type(x.shape[1]))

    def forward(self, x: Array) -> Array:
        self.save(x)
        return backend.asarray((self._slack(x) ** self.p * self._scale(x)).sum(1), x.dtype)

    def backward(self, grad: Array) -> Array:
        (x,) = self.saved
        slack = self._slack(x)
        dx: Array = (np.sign(slack) if self.p == 1 else 2 * slack) * self._scale(x) * grad[:, None]
        np.put_along_axis(dx, self.labels, -dx.sum(1, keepdims=True), 1)
        return dx


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum_{c != t} w_t max(0, margin - x_t + x_c)^p / C of scores (N, C) and class indices (N,), or (C,) and ().

    ValueError unless p is 1 or 2 and the shapes fit; IndexError where a label is out of range.

    >>> import tinydl
    >>> tinydl.nn.functional.multi_margin_loss(tinydl.tensor([[0.5, 0.25]]), tinydl.tensor([0]))
    tensor(0.375)
    """
    if autocast.on:
        input, target, weight = autocast.inputs("multi_margin_loss", input, target, weight)
    op = "multi_margin_loss"
    check_tensors(op, input=input, target=target)
    check_floating(op, input)
    check_weight(op, weight)
    reduction = reduction_of(op, reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"{op}: got p={p}, wanted 1 or 2")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1] or input.shape[-1] == 0:
        raise ValueError(
            f"{op}: got scores of shape {input.shape} and a target of shape {target.shape}, wanted (N, C) and (N,)"
        )
    classes = input.shape[-1]
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{op}: got weights of shape {weight.shape}, wanted one for each of {classes} classes")
    labels = np.atleast_1d(target._data)
    _check_labels(op, labels, 0, classes)
    scores = input if input.ndim == 2 else input.unsqueeze(0)
    losses: Tensor = _MultiMargin(labels, p, margin, None if weight is None else weight._data).apply(scores)
    return reduced(losses if input.ndim == 2 else losses.squeeze(0), reduction)


def _check_labels(op: str, labels: Array, least: int, classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: got a target of dtype {labels.dtype}, wanted integer class indices")
    wrong = np.argwhere((labels < least) | (labels >= classes))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise IndexError(f"{op}: label {labels[at]} at {at} is out of range for {classes} classes")


class _MultiLabelMargin(Function):
    """loss_i = sum over targets t and other classes c of max(0, 1 - (x_it - x_ic)) / C."""

    def __init__(self, labels: Array) -> None:
        ended = anywhere.accumulate(np.logical_or, labels < 0, 1)  # targets end before the first -1
        self.labels = labels
        self.valid = ~ended
        classes = backend.numpy_of(labels).arange(labels.shape[1])
        self.others = ~((labels[:, :, None] == classes) & self.valid[:, :, None]).any(1)

    def _slack(self, x: Array) -> Array:
        """(N, targets, C), 0 where no pair is meant."""
        scores = np.take_along_axis(x, np.where(self.valid, self.labels, 0), 1)
        slack = np.maximum(1 - (scores[:, :, None] - x[:, None, :]), 0)
        meant = self.valid[:, :, None] & self.others[:, None, :]
        return backend.asarray(np.where(meant, slack, x.dtype.type(0)))

    def forward(self, x: Array) -> Array:
        self.save(x)
        return backend.asarray(self._slack(x).sum((1, 2)) / max(x.shape[1], 1), x.dtype)

    def backward(self, grad: Array) -> Array:
        (x,) = self.saved
        each = np.sign(self._slack(x)) * (grad / max(x.shape[1], 1))[:, None, None].astype(x.dtype)
        dx: Array = each.sum(1)
        rows = backend.numpy_of(x).arange(len(x))[:, None]
        at = np.where(self.valid, self.labels, 0)
        anywhere.add_at(dx, (rows, at), np.where(self.valid, -each.sum(2), x.dtype.type(0)))
        return dx


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over targets t and classes c that are none of max(0, 1 - (x_t - x_c)) / C.

    Scores and targets have one shape, (N, C) or (C,); a row of the target lists class indices, up to its first -1.

    >>> import tinydl
    >>> x, t = tinydl.tensor([0.5, 0.25, 0.0]), tinydl.tensor([0, -1, 2])
    >>> print(f"{tinydl.nn.functional.multilabel_margin_loss(x, t).item():.4f}")
    0.4167
    """
    if autocast.on:
        input, target = autocast.inputs("multilabel_margin_loss", input, target)
    op = "multilabel_margin_loss"
    check_tensors(op, input=input, target=target)
    check_floating(op, input)
    reduction = reduction_of(op, reduction, size_average, reduce)
    if input.ndim not in (1, 2) or target.shape != input.shape:
        raise ValueError(
            f"{op}: got scores of shape {input.shape} and a target of shape {target.shape}, wanted (N, C) twice"
        )
    labels = np.atleast_2d(target._data)
    _check_labels(op, labels, -1, input.shape[-1])
    scores = input if input.ndim == 2 else input.unsqueeze(0)
    losses: Tensor = _MultiLabelMargin(labels).apply(scores)
    return reduced(losses if input.ndim == 2 else losses.squeeze(0), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The binary cross-entropy of logits (N, C), averaged over the classes (the last axis); see that for arguments.

    >>> import tinydl
    >>> x, t = tinydl.tensor([[0.0, 0.0]]), tinydl.tensor([[1.0, 0.0]])
    >>> print(f"{tinydl.nn.functional.multilabel_soft_margin_loss(x, t).item():.4f}")
    0.6931
    """
    if autocast.on:
        input, target, weight = autocast.inputs("multilabel_soft_margin_loss", input, target, weight)
    op = "multilabel_soft_margin_loss"
    check_tensors(op, input=input, target=target)
    reduction = reduction_of(op, reduction, size_average, reduce)
    axes_of(op, -1, input.ndim)
    if not input.ndim:
        raise ValueError(f"{op}: got an input without axes, wanted (N, C)")
    if not dtypes.is_floating_point(target.dtype):
        target = elementwise.cast(target, input.dtype)
    losses = binary_cross_entropy_with_logits(input, target, weight, reduction="none").mean(-1)
    return reduced(losses, reduction)
