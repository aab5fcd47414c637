"""What NumPy's functions do and CuPy's do otherwise or not at all, for arrays wherever they lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from . import backend

Array = np.ndarray[Any, Any]


def through_host(function: Callable[..., Any], *arrays: Array) -> Any:
    """function(*arrays) by NumPy: where arrays lie on a GPU, it waits for the GPU and copies there and back."""
    like = next((a for a in arrays if not backend.is_on_host(a)), None)
    if like is None:
        return function(*arrays)
    out = function(*map(backend.to_host, arrays))
    return tuple([backend.beside(part, like) for part in out]) if type(out) is tuple else backend.beside(out, like)


def contiguous(array: Array) -> Array:
    """The array, or a copy, with at least one axis and its elements in row-major order without gaps."""
    return backend.numpy_of(array).ascontiguousarray(array)  # type: ignore[no-any-return]


def eye(size: int, like: Array) -> Array:
    """The identity matrix in the dtype of `like`, where that lies."""
    return backend.numpy_of(like).eye(size, dtype=like.dtype)  # type: ignore[no-any-return]


def as_strided(array: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """A view of any shape and strides (in bytes) of the memory."""
    return backend.numpy_of(array).lib.stride_tricks.as_strided(array, shape, strides)  # type: ignore[no-any-return]


def open_grid(shape: Sequence[int], like: Array) -> list[Array]:
    """For each axis its places 0, 1, ..., of shape (1, ..., n, ..., 1), where `like` lies."""
    axes = range(len(shape))
    arange = backend.numpy_of(like).arange
    return [arange(n).reshape([n if axis == d else 1 for axis in axes]) for d, n in enumerate(shape)]


def add_at(target: Array, places: Any, values: Any) -> None:
    """target[places] += values, for each place as often as it occurs.

    A GPU adds unsigned 64-bit integers only; the sums of signed ones are the same bits. Other dtypes without atomic
    sums are added up in wider ones.
    """
    if backend.is_on_host(target) or target.dtype.char in "iILefd":
        np.add.at(target, places, values)
    elif target.dtype == np.int64:
        bits = backend.asarray(values, np.int64).view(np.uint64) if backend.is_array(values) else np.uint64(values)
        np.add.at(target.view(np.uint64), places, bits)
    else:
        wide = target.astype(np.int32 if target.dtype.kind in "iu" else np.float32)
        np.add.at(wide, places, backend.asarray(values, wide.dtype) if backend.is_array(values) else values)
        target[...] = wide


def sums(places: Array, values: Array, size: int) -> Array:
    """y[p] = the sum of the values whose place is p, in float64: `numpy.bincount`, which on a GPU would wait for it."""
    if backend.is_on_host(places):
        return np.bincount(places, values, size)
    out: Array = backend.numpy_of(places).zeros(size, np.float64)
    np.add.at(out, places, values)
    return out


def accumulate(ufunc: Any, array: Array, axis: int) -> Array:
    """ufunc.accumulate of an associative function; a GPU doubles the steps between what it puts together."""
    if backend.is_on_host(array) or ufunc in (np.add, np.multiply):
        return ufunc.accumulate(array, axis=axis)  # type: ignore[no-any-return]
    out = array.copy()
    rows = np.moveaxis(out, axis, 0)
    step = 1
    while step < len(rows):
        rows[step:] = ufunc(rows[step:], rows[:-step])
        step *= 2
    return out


def count_nonzero(array: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """How many elements are not 0, along axes, as an array (int64)."""
    return backend.asarray(np.sum(array != 0, axis=axis, keepdims=keepdims, dtype=np.int64))


def erfc(array: Array) -> Array:
    """1 - erf x without its cancellation, element by element; by the CPU where CuPy is not what there is."""
    if backend.numpy_of(array).__name__ == "cupy":
        from cupyx.scipy.special import erfc as function

        return function(array).astype(array.dtype, copy=False)  # type: ignore[no-any-return]  # of 16 bits: float64
    return through_host(lambda x: _erfc(x).astype(x.dtype) if x.size else np.zeros_like(x), array)  # type: ignore[no-any-return]


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


# -- Linear algebra ---------------------------------------------------------------------------------------------


def raising(like: Array) -> Any:
    """A context in which linear algebra raises LinAlgError as NumPy's does; CuPy then waits for the GPU."""
    if backend.numpy_of(like).__name__ != "cupy":
        return nullcontext()
    from cupyx import errstate

    return errstate(linalg="raise")


def solve(a: Array, b: Array) -> Array:
    """X of A X = B for matrices whose batch axes broadcast, which CuPy's do not."""
    if not backend.is_on_host(a):
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    return np.linalg.solve(a, b)
