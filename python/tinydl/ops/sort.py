"""Sorting and what rests on it: NumPy's order, PyTorch's arguments. NaN counts as the largest number."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import anywhere, backend
from ..tensor import Array, Tensor
from .index import Gather, index_of
from .indexing import check_range
from .reduce import axes_of


class Sorted(NamedTuple):
    """The values, and where they were along the axis (int64)."""

    values: Tensor
    indices: Tensor


def _axis(op: str, input: Tensor, dim: int) -> int:
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    return (axes_of(op, dim, input.ndim) or (0,))[0]


def _order(x: Array, axis: int, descending: bool) -> Array:
    """The stable order along an axis; x has at least one."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    last = x.shape[axis] - 1
    return np.flip(last - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    """The slices from start to stop along an axis: a view."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _values(input: Tensor, indices: Array, axis: int) -> Sorted:
    """The elements at the indices, recorded."""
    at = Tensor(anywhere.contiguous(backend.asarray(indices, np.int64)).reshape(indices.shape))
    if not backend.takes(input._data) and not input.requires_grad:  # without a check of what is in range
        return Sorted(Tensor(np.take_along_axis(input._data, at._data, axis)), at)
    return Sorted(Gather(axis).apply(input, at), at)


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Sorted:
    """The elements in order along an axis, and where they were: (values, indices).

    Equal elements always keep their order, whatever `stable` says. NaN comes after all numbers (before, descending).

    >>> import tinydl
    >>> tinydl.sort(tinydl.tensor([3.0, 1.0, 2.0]))
    Sorted(values=tensor([1., 2., 3.]), indices=tensor([1, 2, 0]))
    """
    axis = _axis("sort", input, dim)
    if not input.ndim:
        return Sorted(input.clone(), Tensor(backend.numpy_of(input._data).zeros((), np.int64)))
    return _values(input, _order(input._data, axis, descending), axis)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices (int64) that sort along an axis; equal elements keep their order."""
    return sort(input.detach(), dim, descending).indices


def msort(input: Tensor) -> Tensor:
    """The elements in order along the first axis."""
    return sort(input, 0).values


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """The k largest (or smallest) elements along an axis, in order, and where they were: (values, indices).

    They are in order even without `sorted`. ValueError where k is negative or above the axis's size.

    >>> import tinydl
    >>> tinydl.topk(tinydl.tensor([1.0, 5.0, 3.0]), 2)
    Sorted(values=tensor([5., 3.]), indices=tensor([1, 2]))
    """
    axis = _axis("topk", input, dim)
    size = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= size:
        raise ValueError(f"topk: got k={k} for an axis of size {size}")
    if not input.ndim:
        picked = input.reshape(1)[: int(k)]
        return Sorted(
            picked.reshape(()) if k else picked, Tensor(backend.numpy_of(input._data).zeros(() if k else 0, np.int64))
        )
    x = input._data
    if k == 0 or 8 * k > size:
        return _values(input, _part(_order(x, axis, largest), axis, 0, k), axis)
    cut = np.argpartition(x, size - k if largest else k - 1, axis)
    some = np.sort(_part(cut, axis, size - k if largest else 0, size if largest else k), axis)
    order = _order(np.take_along_axis(x, some, axis), axis, largest)
    return _values(input, np.take_along_axis(some, order, axis), axis)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Sorted:
    """The k-th smallest element along an axis, counted from 1, and where it was: (values, indices)."""
    axis = _axis("kthvalue", input, dim)
    size = input.shape[axis] if input.ndim else 1
    if not 1 <= k <= size:
        raise ValueError(f"kthvalue: got k={k}, wanted 1 to {size}, the size of the axis")
    if not input.ndim:
        return sort(input)
    found = _values(input, _part(_order(input._data, axis, False), axis, k - 1, k), axis)
    return found if keepdim else Sorted(found.values.squeeze(axis), found.indices.squeeze(axis))


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements (or slices along an axis), in order.

    Returns:
        The elements or, where asked for, a tuple with the inverse (where each of the input's elements is among them)
        and the counts (how often each occurs), both int64.

    >>> import tinydl
    >>> tinydl.unique(tinydl.tensor([2, 1, 2]), return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
    """
    if dim is not None:
        (dim,) = axes_of("unique", dim, input.ndim)
    x = input._data
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    inverse = inverse.reshape(x.shape if dim is None else (x.shape[dim],))
    out = [Tensor(values)]
    if return_inverse:
        out.append(Tensor(backend.asarray(inverse, np.int64)))
    if return_counts:
        out.append(Tensor(backend.asarray(counts, np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along an axis) that differ from the one before; see `unique` for what is returned.

    >>> import tinydl
    >>> tinydl.unique_consecutive(tinydl.tensor([1, 1, 2, 1]), return_counts=True)
    (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    x = (
        input._data.ravel()
        if dim is None
        else np.moveaxis(input._data, axes_of("unique_consecutive", dim, input.ndim), (0,))
    )
    first = backend.numpy_of(x).ones(len(x), np.bool_)
    if len(x):
        first[1:] = (x[1:] != x[:-1]).any(tuple(range(1, x.ndim)))
    starts = np.flatnonzero(first)
    values = x[starts] if dim is None else np.moveaxis(x[starts], 0, dim)
    out = [Tensor(anywhere.contiguous(values))]
    if return_inverse:
        inverse = np.cumsum(first, dtype=np.int64) - 1
        out.append(Tensor(inverse.reshape(input.shape if dim is None else -1)))
    if return_counts:
        out.append(Tensor(np.diff(starts, append=len(x)).astype(np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


# -- Places in sorted sequences -------------------------------------------------------------------------------------


def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """The places i that keep the last axis sorted: s[i - 1] < v <= s[i]; with `right`, s[i - 1] <= v < s[i].

    Args:
        sorted_sequence: one sequence for all values, or one for each row of values (the same leading sizes).
        input: the values, or one number.
        out_int32: int32 indices rather than int64.
        right, side: `side="right"` is `right=True`.
        sorter: the indices that sort each sequence, where it is not sorted (int64, of its shape).

    >>> import tinydl
    >>> tinydl.searchsorted(tinydl.tensor([1, 3, 5]), tinydl.tensor([3, 6]))
    tensor([1, 3])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: got side={side!r} and right={right}, wanted 'left' or 'right' alone")
    where: Any = "right" if right or side == "right" else "left"
    rows = sorted_sequence._data
    values = input._data if isinstance(input, Tensor) else backend.scalar(input, rows, np.asarray(input).dtype)
    backend.check_together("searchsorted", rows, values)
    if rows.ndim == 0:
        raise ValueError("searchsorted: got a sequence without axes")
    if sorter is not None:
        if sorter.shape != rows.shape:
            raise ValueError(f"searchsorted: got a sorter of shape {sorter.shape} for sequences of shape {rows.shape}")
        places = check_range("searchsorted", index_of("searchsorted", sorter, only_int64=True), rows.shape[-1])
        rows = np.take_along_axis(rows, places, -1)
    dtype = np.int32 if out_int32 else np.int64
    if rows.ndim == 1:
        return Tensor(backend.asarray(np.searchsorted(rows, values, where), dtype))
    if values.shape[:-1] != rows.shape[:-1]:
        raise ValueError(f"searchsorted: sequences of shape {rows.shape} do not fit values of shape {values.shape}")
    out = backend.numpy_of(rows).empty(values.shape, dtype)
    for at in np.ndindex(rows.shape[:-1]):
        out[at] = np.searchsorted(rows[at], values[at], where)
    return Tensor(out)


def bucketize(input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The bucket i of each value v: boundaries[i - 1] < v <= boundaries[i]; with `right`, the other way round.

    >>> import tinydl
    >>> tinydl.bucketize(tinydl.tensor([0.5, 1.0, 9.0]), tinydl.tensor([1.0, 2.0]))
    tensor([0, 0, 2])
    """
    if boundaries.ndim != 1:
        raise ValueError(f"bucketize: got boundaries of shape {boundaries.shape}, wanted one axis")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
