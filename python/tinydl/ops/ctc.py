"""Connectionist temporal classification: the loss of a sequence of labels whose alignment is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import check_floating, check_tensors
from .loss import reduced, reduction_of
from .selection import where

Lengths = Tensor | int | Sequence[int]


class Ctc(Function):
    """loss_n = -ln p(l | x): the sum over all paths that become l without repetitions and blanks.

    With l' = blank l_1 blank l_2 ... blank and y = e^x, over the steps t and the places s of l' (Graves et al. 2006,
    equations 6 to 10):

    - alpha_t(s) = (alpha_{t-1}(s) + alpha_{t-1}(s-1) + [l'_s not in {blank, l'_{s-2}}] alpha_{t-1}(s-2)) y_t(l'_s)
    - beta_t(s) = the same from behind, here without the factor of its own step
    - p = alpha_T(last) + alpha_T(last - 1), and dx_tk = y_tk - (sum over s with l'_s = k of alpha_t(s) beta_t(s)) / p

    in logarithms. dx is the gradient for x that come from log_softmax, which passes it on unchanged; the rows of its
    second term sum to 1.
    """

    def __init__(self, labels: Array, steps: Array, counts: Array, blank: int) -> None:
        self.steps = steps
        self.last = 2 * counts
        numpy = backend.numpy_of(labels)
        self.extended = numpy.full((labels.shape[0], 2 * labels.shape[1] + 1), blank, np.int64)
        self.extended[:, 1::2] = labels
        self.skips = numpy.zeros(self.extended.shape, bool)
        self.skips[:, 2:] = self.extended[:, 2:] != self.extended[:, :-2]

    def forward(self, x: Array) -> Array:
        at = np.broadcast_to(self.extended, (x.shape[0], *self.extended.shape))
        emitted = np.take_along_axis(x.astype(np.float64), at, 2)
        rows = backend.numpy_of(x).arange(x.shape[1])
        with np.errstate(invalid="ignore"):  # NaN, which may stand behind a sequence's end
            alpha = self._alpha(emitted)
            at_blank, at_label = alpha[self.steps, rows, self.last], alpha[self.steps, rows, self.last - 1]
            loss = -np.logaddexp(at_blank, np.where(self.last > 0, at_label, -np.inf))
        self.save(x, emitted, alpha, loss)
        out: Array = (loss + 0.0).astype(x.dtype)  # 0, not -0
        return out

    def _alpha(self, emitted: Array) -> Array:
        """ln alpha after 0, 1 ... T steps; before the first, all paths stand in front of l'."""
        steps, batch, places = emitted.shape
        alpha: Array = backend.numpy_of(emitted).full((steps + 1, batch, places), -np.inf)
        alpha[0, :, 0] = 0
        for t in range(steps):
            alpha[t + 1] = emitted[t] + (_reached(alpha[t], self.skips) if t else _started(alpha[0]))
        return alpha

    def _beta(self, emitted: Array) -> Array:
        """ln beta: what is still to come after steps 1 ... T; sequences that have ended wait at their last places."""
        steps, batch, places = emitted.shape
        beta: Array = backend.numpy_of(emitted).full((steps, batch, places), -np.inf)
        place, last = backend.numpy_of(emitted).arange(places), self.last[:, None]
        final = np.where((place == last) | (place == last - 1), 0.0, -np.inf)
        skips = np.zeros_like(self.skips)
        skips[:, 2:] = self.skips[:, :1:-1]
        for t in reversed(range(steps)):
            if t + 1 < steps:
                after = emitted[t + 1] + beta[t + 1]
                beta[t] = _reached(after[:, ::-1], skips)[:, ::-1]
            beta[t] = np.where((self.steps == t + 1)[:, None], final, beta[t])
        return beta

    def backward(self, grad: Array) -> Array:
        x, emitted, alpha, loss = self.saved
        steps, batch, classes = x.shape
        with np.errstate(invalid="ignore"):
            share = np.exp(alpha[1:] + self._beta(emitted) + np.where(loss == np.inf, 0, loss)[:, None])
        arange = backend.numpy_of(x).arange
        slots = arange(steps * batch).reshape(steps, batch, 1) * classes + self.extended
        shares = anywhere.sums(slots.ravel(), share.ravel(), steps * batch * classes).reshape(x.shape)
        shares = np.where((loss == np.inf)[:, None], np.nan, shares)  # no path leads to the labels: NaN, as in PyTorch
        live = arange(steps)[:, None] < self.steps
        dx = np.where((live & (grad != 0))[..., None], (np.exp(x.astype(np.float64)) - shares) * grad[:, None], 0)
        return dx.astype(x.dtype)


def _started(before: Array) -> Array:
    """Where a path's first step may lead: to the first blank and the first label."""
    out = before.copy()
    out[:, 1:2] = 0
    return out


def _reached(before: Array, skips: Array) -> Array:
    """ln of the sum over the places from which one step leads to each: itself, the one before, or the second before."""
    out = before.copy()
    out[:, 1:] = np.logaddexp(before[:, 1:], before[:, :-1])
    out[:, 2:] = np.where(skips[:, 2:], np.logaddexp(out[:, 2:], before[:, :-2]), out[:, 2:])
    return out


# -- Arguments --------------------------------------------------------------------------------------------------


def _lengths(name: str, given: Lengths, batch: int) -> Array:
    """One length for each sequence, as int64, read by the CPU."""
    found = np.asarray(backend.to_host(given._data) if isinstance(given, Tensor) else given)
    if found.size and found.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: got {name} of dtype {found.dtype}, wanted integers")
    if found.size != batch or found.ndim > 1:
        raise ValueError(f"ctc_loss: got {name} of shape {found.shape}, wanted one for each of {batch} sequences")
    return found.reshape(batch).astype(np.int64)


def _padded(targets: Array, counts: Array) -> Array:
    """Targets as (N, longest), where places behind the end hold 0."""
    longest = int(counts.max(initial=0))
    out = np.zeros((counts.size, longest), np.int64)
    live = np.arange(longest) < counts[:, None]
    if targets.ndim == 1:
        if targets.size != counts.sum():
            raise ValueError(
                f"ctc_loss: got {targets.size} concatenated targets, wanted {counts.sum()}, the sum of target_lengths"
            )
        out[live] = targets
        return out
    if targets.ndim != 2 or targets.shape[0] != counts.size or targets.shape[1] < longest:
        raise ValueError(f"ctc_loss: got targets of shape {targets.shape}, wanted ({counts.size}, {longest} or more)")
    out[live] = targets[:, :longest][live]
    return out


def _check(x: Tensor, labels: Array, steps: Array, counts: Array, blank: int) -> None:
    """Errors where numbers are out of their ranges."""
    longest, batch, classes = x.shape
    if not 0 <= blank < classes:
        raise ValueError(f"ctc_loss: got blank={blank}, wanted a class from 0 to {classes - 1}")
    if not longest or not batch:
        raise ValueError(f"ctc_loss: got log_probs of shape {x.shape}, wanted at least one step and one sequence")
    if steps.min() < 0 or steps.max() > longest:
        raise ValueError(f"ctc_loss: got input_lengths {steps.tolist()}, wanted them from 0 to {longest}")
    wrong = np.argwhere((labels < 0) | (labels >= classes))
    if wrong.size:
        n, s = wrong[0]
        raise IndexError(
            f"ctc_loss: target {s} of sequence {n} is {labels[n, s]}, wanted a class from 0 to {classes - 1}"
        )


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-ln p(targets | log_probs), where p sums over all alignments: one class or blank in each step, repetitions of a
    class count once, and blanks are left out (Graves et al. 2006, "Connectionist temporal classification").

    Args:
        log_probs: log-probabilities of T steps and C classes, from log_softmax: (T, N, C), or (T, C) of one sequence.
            What they get is the gradient that log_softmax passes on unchanged: e^x less the share of the alignments.
        targets: labels, integers in [0, C): (N, S) with anything behind each end, or all concatenated, (sum of
            target_lengths,). The CPU reads and checks them, and the lengths.
        input_lengths: how many steps each sequence has, (N,); a number for one sequence.
        target_lengths: how many labels each has, alike.
        blank: the class that stands for none.
        reduction: "mean" (of each loss over its number of labels, at least 1), "sum" or "none".
        zero_infinity: whether losses of sequences too short for their labels are 0, with gradient 0, instead of
            infinite, with gradient NaN.

    Returns:
        A tensor without axes; unreduced (N,), or without axes for log_probs (T, C).

    Raises:
        ValueError: shapes do not fit, lengths or the blank are out of range, or there is no step or no sequence.
        TypeError: log_probs are no floats, targets or lengths no integers.
        IndexError: a label is out of range; the error names its place.

    >>> import tinydl
    >>> even = tinydl.full((2, 1, 2), 0.5).log()  # one label in two steps: a-, -a or aa, of four
    >>> print(f"{ctc_loss(even, tinydl.tensor([[1]]), [2], [1]).exp().item():.4f}")
    1.3333
    """
    if autocast.on:
        (log_probs,) = autocast.inputs("ctc_loss", log_probs)
    check_tensors("ctc_loss", log_probs=log_probs, targets=targets)
    check_floating("ctc_loss", log_probs)
    reduction = reduction_of("ctc_loss", reduction)
    if targets.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: got targets of dtype {targets.dtype}, wanted integers")
    if log_probs.ndim not in (2, 3):
        raise ValueError(f"ctc_loss: got log_probs of shape {log_probs.shape}, wanted (T, N, C) or (T, C)")
    batched = log_probs.ndim == 3
    x = log_probs if batched else log_probs.unsqueeze(1)
    steps = _lengths("input_lengths", input_lengths, x.shape[1])
    counts = _lengths("target_lengths", target_lengths, x.shape[1])
    if counts.size and counts.min() < 0:
        raise ValueError(f"ctc_loss: got target_lengths {counts.tolist()}, wanted none below 0")
    labels = _padded(backend.to_host(targets._data), counts)
    _check(x, labels, steps, counts, blank)
    labels, steps, counts = (backend.beside(array, x._data) for array in (labels, steps, counts))
    losses: Tensor = Ctc(labels, steps, counts, blank).apply(x)
    if zero_infinity:
        losses = where(Tensor(losses._data == np.inf), 0.0, losses)
    if reduction == "mean":
        losses = losses / Tensor(np.maximum(counts, 1).astype(losses.dtype))
    return reduced(losses if batched or reduction != "none" else losses.squeeze(0), reduction)
