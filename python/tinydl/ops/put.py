"""Elements put at indices, in place and recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..creation import as_tensor
from ..tensor import Tensor
from .elementwise import cast, move
from .index import index_add
from .indexing import setitem
from .inplace import change
from .view import expand, reshape


def index_put_(self: Tensor, indices: Sequence[Tensor], values: Any, accumulate: bool = False) -> Tensor:
    """`self[indices] = values` in place, or with `accumulate` `+=` where an element named twice takes both.

    >>> import tinydl
    >>> tinydl.zeros(3).index_put_([tinydl.tensor([0, 0])], tinydl.tensor([1.0, 2.0]), accumulate=True)
    tensor([3., 0., 0.])
    """
    if accumulate:
        return change("index_put_", self, _put_add, tuple(indices), values)
    setitem(self, tuple(indices), values)
    return self


def _put_add(input: Tensor, indices: tuple[Any, ...], values: Any) -> Tensor:
    arrays: list[Any] = []
    for index in indices:
        array = index._data if isinstance(index, Tensor) else np.asarray(index)
        array = backend.place(array, input.device)
        arrays += list(array.nonzero()) if array.dtype == bool else [array]
    if not arrays or len(arrays) > input.ndim:
        raise IndexError(f"index_put_: got {len(arrays)} indices for shape {input.shape}")
    wide = np.broadcast_arrays(*arrays)
    lead, rest = input.shape[: len(wide)], input.shape[len(wide) :]
    for axis, (array, size) in enumerate(zip(wide, lead, strict=True)):
        if array.size and not (-size <= array.min() and array.max() < size):
            raise IndexError(f"index_put_: an index of axis {axis} is out of range for size {size}")
    flat: Any = backend.numpy_of(wide[0]).zeros(wide[0].shape, np.int64)
    for array, size in zip(wide, lead, strict=True):
        flat = flat * size + array % max(size, 1)
    source = move(cast(as_tensor(values), input.dtype), input.device)
    rows = reshape(expand(source, (*wide[0].shape, *rest)), (flat.size, *rest))
    out = index_add(reshape(input, (math.prod(lead), *rest)), 0, Tensor(flat.reshape(-1)), rows)
    return reshape(out, input.shape)


def index_put(input: Tensor, indices: Sequence[Tensor], values: Any, accumulate: bool = False) -> Tensor:
    """A copy with input[indices] replaced by the values, or with `accumulate` increased by them."""
    return index_put_(input.clone(), indices, values, accumulate)


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Set the elements of equal indices, in place; `wrap` starts anew below the square of a tall matrix.

    >>> import tinydl
    >>> tinydl.zeros(2, 2).fill_diagonal_(3)
    tensor([[3., 0.],
            [0., 3.]])
    """
    if self.ndim < 2:
        raise ValueError(f"fill_diagonal_: got shape {self.shape}, wanted two axes or more")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise ValueError(
            f"fill_diagonal_: got shape {self.shape}, wanted axes of one size where there are more than two"
        )
    at = np.arange(self.shape[0] if wrap and self.ndim == 2 else min(self.shape))
    if wrap and self.ndim == 2:
        columns = self.shape[1]
        at = at[at % (columns + 1) < columns]
        keys = [Tensor(at), Tensor(at % (columns + 1))]
    else:
        keys = [Tensor(at)] * self.ndim
    setitem(self, tuple(keys), fill_value)
    return self
