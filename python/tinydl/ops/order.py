"""Order statistics: medians, quantiles, the most frequent element. NumPy computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import return_types
from .extremes import ExtremeOfAll, check_choice, choose
from .reduce import axis_of

INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


def _sorted_places(x: Array, axis: int) -> Array:
    return np.argsort(x, axis=axis, kind="stable")  # NaN last


def _median_places(x: Array, axis: int, skip_nan: bool) -> Array:
    """Where the lower median of each slice is: the first NaN if there is one, unless they are skipped."""
    order = _sorted_places(x, axis)
    numpy = backend.numpy_of(x)
    nan = np.isnan(x) if x.dtype.kind == "f" else numpy.zeros(x.shape, bool)
    count = anywhere.count_nonzero(~nan, axis, True) if skip_nan else numpy.full(_without(x.shape, axis), x.shape[axis])
    middle = np.maximum((count - 1) // 2, 0)
    places = np.take_along_axis(order, middle, axis)
    return places if skip_nan else np.where(nan.any(axis, keepdims=True), nan.argmax(axis, keepdims=True), places)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


class MedianOfAll(ExtremeOfAll):
    """The lower median of all elements; the gradient is shared equally among the elements that equal it."""

    def __init__(self, skip_nan: bool) -> None:
        self.skip_nan = skip_nan
        self.axes = ()
        self.keepdim = True

    def forward(self, x: Array) -> Array:
        flat = x.reshape(-1)
        y = flat[_median_places(flat, 0, self.skip_nan)[0]] if x.size else backend.scalar(np.nan, x)
        self.save(x, backend.asarray(y))
        self.axes = tuple(range(x.ndim))
        return backend.asarray(y)

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        equal = (x == y) | (np.isnan(x) & np.isnan(y))
        share = backend.asarray(grad / np.maximum(anywhere.count_nonzero(equal), 1), grad.dtype)
        return np.where(equal, share, grad.dtype.type(0))


def _prepared(op: str, input: Tensor, dim: Any, keepdim: bool) -> tuple[Tensor, int, bool]:
    axis = axis_of(op, dim, input.ndim)
    if input.ndim == 0:
        return input.reshape(1), 0, False
    check_choice(op, input, (axis,))
    return input, axis, keepdim


def _median(op: str, input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    if input._data.dtype == np.bool_:
        raise TypeError(f"{op}: got dtype bool, wanted numbers")
    if dim is None:
        return MedianOfAll(skip_nan).apply(input)
    input, axis, keepdim = _prepared(op, input, dim, keepdim)
    return choose(input, axis, _median_places(input._data, axis, skip_nan), keepdim)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of all elements; along an axis as a named tuple (values, indices). NaN where one is NaN.

    Of an even number of elements it is the smaller of the two in the middle, as in PyTorch; the gradient goes to the
    chosen element, and over all elements is shared by those that equal it.

    >>> import tinydl
    >>> tinydl.median(tinydl.tensor([3.0, 1.0, 4.0, 2.0]))
    tensor(2.)
    """
    out = _median("median", input, dim, keepdim, False)
    return out if dim is None else return_types.median(*out)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of the elements that are not NaN, as `median`; NaN where there are none."""
    out = _median("nanmedian", input, dim, keepdim, True)
    return out if dim is None else return_types.nanmedian(*out)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> return_types.mode:
    """(values, indices): the most frequent element along an axis, the smallest of equally frequent ones.

    A NaN equals no other and counts as the largest. The CPU counts, for tensors on a GPU too.

    >>> import tinydl
    >>> tinydl.mode(tinydl.tensor([3, 1, 1, 3, 2]))
    mode(values=tensor(1), indices=tensor(2))
    """
    input, axis, keepdim = _prepared("mode", input, dim, keepdim)
    places = anywhere.through_host(_mode_places, np.moveaxis(input._data, axis, -1))
    return return_types.mode(*choose(input, axis, np.moveaxis(places, -1, axis), keepdim))


def _mode_places(rows: Array) -> Array:
    """Where the most frequent element of each row is: (..., 1)."""
    places = np.zeros((*rows.shape[:-1], 1), np.int64)
    for at in np.ndindex(rows.shape[:-1]):
        values, counts = np.unique(rows[at], return_counts=True, equal_nan=False)
        chosen = values[counts.argmax()]
        places[at] = np.flatnonzero(rows[at] == chosen if chosen == chosen else np.isnan(rows[at]))[-1]
    return places


class Quantile(Function):
    """y = (1 - w) s_lower + w s_upper of the sorted slice s; each part's gradient goes to its element."""

    def __init__(self, q: Array, interpolation: str, skip_nan: bool) -> None:
        self.q = q
        self.interpolation = interpolation
        self.skip_nan = skip_nan

    def forward(self, x: Array) -> Array:
        """x (..., n) gives y (..., q)."""
        order = _sorted_places(x, -1)
        nan = np.isnan(x)
        if self.skip_nan:
            rank = self.q * np.maximum(anywhere.count_nonzero(~nan, -1, True) - 1, 0).astype(x.dtype)
        else:  # a NaN is sorted to the end, and is the result
            end = x.shape[-1] - 1
            rank = np.where(nan.any(-1, keepdims=True), x.dtype.type(end), self.q * x.dtype.type(end))
        below, above, weight = self.neighbours(rank)
        self.shape = x.shape
        self.places = np.take_along_axis(order, below, -1), np.take_along_axis(order, above, -1)
        self.weight = weight.astype(x.dtype)
        low, high = (np.take_along_axis(x, places, -1) for places in self.places)
        with np.errstate(invalid="ignore"):
            return np.where(weight == 0, low, low + (high - low) * self.weight).astype(x.dtype)

    def neighbours(self, rank: Array) -> tuple[Array, Array, Array]:
        """The ranks below and above, and the weight of the one above."""
        if self.interpolation == "lower":
            rank = np.floor(rank)
        elif self.interpolation == "higher":
            rank = np.ceil(rank)
        elif self.interpolation == "nearest":
            rank = np.round(rank)
        below = np.floor(rank).astype(np.int64)
        above = np.ceil(rank).astype(np.int64)
        weight = rank - below
        return below, above, np.where(weight > 0, 0.5, 0.0) if self.interpolation == "midpoint" else weight

    def backward(self, grad: Array) -> Array:
        out = backend.zeros(self.shape, grad)
        index: list[Array] = anywhere.open_grid(grad.shape, grad)
        for places, weight in zip(self.places, (1 - self.weight, self.weight), strict=True):
            index[-1] = places
            anywhere.add_at(out, tuple(index), grad * weight)
        return out


def _quantile(
    op: str, input: Tensor, q: float | Tensor, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Tensor:
    if input.dtype not in dtypes.FLOATS:
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")
    if isinstance(q, Tensor) and q.dtype != input.dtype:
        raise TypeError(f"{op}: got q of dtype {q.dtype} for an input of dtype {input.dtype}")
    levels = q._data if isinstance(q, Tensor) else np.asarray(q, np.float64)
    if levels.ndim > 1 or not np.all((levels >= 0) & (levels <= 1)):
        raise ValueError(f"{op}: got q={levels.tolist()}, wanted a number in [0, 1] or a vector of them")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"{op}: interpolation {interpolation!r} is unknown; known: {', '.join(INTERPOLATIONS)}")
    axis = 0 if dim is None else axis_of(op, dim, input.ndim)
    whole = dim is None or input.ndim == 0
    kept = (1,) * input.ndim if whole else _without(input.shape, axis)
    others = [d for d in range(input.ndim) if d != axis]
    rows = input.reshape(-1) if whole else input.permute(*others, axis)
    if input.numel() == 0:
        raise ValueError(f"{op}: nothing to choose from in shape {input.shape} along dim {dim}")
    wide = backend.beside(np.atleast_1d(levels).astype(input.dtype), input._data)
    out: Tensor = Quantile(wide, interpolation, skip_nan).apply(rows)
    out = out.permute(out.ndim - 1, *range(out.ndim - 1))  # (q, the other axes)
    if keepdim:
        out = out.reshape(len(wide), *kept)
    return out if levels.ndim else out.reshape(out.shape[1:])


def quantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The q-th quantile (0 <= q <= 1) of all elements or along an axis; a vector of q gives a first axis of that size.

    Between two elements it is interpolated: "linear", "lower", "higher", "nearest" or "midpoint".

    >>> import tinydl
    >>> tinydl.quantile(tinydl.tensor([3.0, 1.0, 4.0, 2.0]), 0.5)
    tensor(2.5)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The quantile of the elements that are not NaN, as `quantile`; NaN where there are none."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
