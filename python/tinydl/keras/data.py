"""Arrays as a data set: batches by one indexing, converted on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Array, Tensor
from ..utils.data import Dataset


class ArrayDataset(Dataset):
    """Rows of inputs, given as float32 whatever their dtype is, with the targets beside them if there are any."""

    def __init__(self, x: Array, y: Array | None = None) -> None:
        self.arrays = (x,) if y is None else (x, y)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(t[0] for t in self.gather(np.array([index])))

    def gather(self, indices: Array) -> list[Tensor]:
        """The batch of the samples at `indices`."""
        x, *y = [array.take(indices, 0) for array in self.arrays]
        return [Tensor(x if x.dtype == np.float32 else x.astype(np.float32)), *map(Tensor, y)]


def array_of(name: str, data: Any) -> Array:
    """An array from an array, a tensor or nested lists of numbers."""
    array = data._data if isinstance(data, Tensor) else np.asarray(data)
    if array.dtype.kind not in "biufV":
        raise TypeError(f"{name}: got data of dtype {array.dtype}, wanted numbers in a regular shape")
    if not array.ndim:
        raise ValueError(f"{name}: got a single number, wanted an array with one row for each sample")
    return array


def two(validation_data: Any) -> tuple[Any, Any]:
    """(x, y) from a pair, or (data set, None)."""
    if isinstance(validation_data, tuple | list):
        if len(validation_data) != 2:
            raise ValueError(f"fit: validation_data has {len(validation_data)} items, wanted (x, y)")
        return validation_data[0], validation_data[1]
    return validation_data, None


def split(x: Any, y: Any, share: float) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The first samples to train on, and the last `share` of them to evaluate."""
    if not 0 < share < 1:
        raise ValueError(f"fit: got validation_split={share}, wanted a number between 0 and 1")
    inputs, targets = array_of("fit: x", x), array_of("fit: y", y)
    at = int(len(inputs) * (1 - share))
    if not 0 < at < len(inputs):
        raise ValueError(f"fit: validation_split={share} of {len(inputs)} samples leaves a part empty")
    return (inputs[:at], targets[:at]), (inputs[at:], targets[at:])
