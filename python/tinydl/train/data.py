"""What a trainer accepts as data: a loader, a data set, or arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..creation import as_tensor
from ..tensor import Tensor
from ..utils.data import DataLoader, TensorDataset

_PREFETCH_BYTES = 1 << 20


def loader_of(op: str, data: Any, batch_size: int, shuffle: bool) -> Iterable[Any]:
    """The loader of some data.

    Args:
        op: who asks, for error messages.
        data: a `DataLoader` or another iterable of batches, as it is; a data set; a tuple of arrays with equally many
            rows; or one array.
        batch_size: of the loader made for a data set or arrays.
        shuffle: whether that loader shuffles.

    Raises:
        ValueError: the data is empty, or the arrays have different numbers of rows.
        TypeError: something else was given.
    """
    if isinstance(data, Tensor | np.ndarray):
        data = (data,)
    if isinstance(data, tuple):
        data = _arrays(op, data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        if not len(data):
            raise ValueError(f"{op}: the data is empty")
        workers = 1 if _batch_bytes(data, batch_size) >= _PREFETCH_BYTES else 0
        return DataLoader(data, batch_size=batch_size, shuffle=shuffle, num_workers=workers)
    if isinstance(data, Iterable):
        return data
    kind = type(data).__name__
    raise TypeError(f"{op}: got data of type {kind}, wanted a DataLoader, a Dataset or a tuple of arrays")


def _arrays(op: str, data: tuple[Any, ...]) -> TensorDataset:
    tensors = [as_tensor(item) for item in data if item is not None]
    if not tensors or any(t.ndim == 0 for t in tensors):
        raise ValueError(f"{op}: wanted arrays with one row for each sample, got shapes {[t.shape for t in tensors]}")
    rows = [len(t) for t in tensors]
    if len(set(rows)) > 1:
        raise ValueError(f"{op}: inputs and targets must be equally many, got {' and '.join(map(str, rows))} rows")
    return TensorDataset(*tensors)


def _batch_bytes(data: Any, batch_size: int) -> int:
    """About how much memory a batch of plain arrays takes; 0 for other data sets.

    A data set may draw random numbers when it is asked for a sample: ahead of time, in a thread, they would come from
    the generator in another order than the model's.

    A thread that prepares batches ahead costs some 50 microseconds a batch, as much as copying a megabyte takes: small
    batches are quicker to gather on the spot.
    """
    tensors = data.tensors if type(data) is TensorDataset else ()
    return sum(batch_size * t._data.nbytes // max(len(t), 1) for t in tensors)


def samples_in(loader: Any) -> int | None:
    """How many samples an epoch has, where that is known."""
    dataset: Any = getattr(loader, "dataset", None)
    if not hasattr(dataset, "__len__") or not hasattr(loader, "__len__"):
        return None
    batches = getattr(loader, "batch_sampler", None)
    if getattr(batches, "drop_last", False):
        return len(loader) * int(batches.batch_size)  # type: ignore[union-attr]
    return len(dataset)


def pair(op: str, batch: Any) -> tuple[Tensor, Tensor]:
    """(inputs, targets) of a batch, as tensors."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        what = f"{len(batch)} items" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(f"{op}: got a batch of {what}, wanted (inputs, targets)")
    inputs, targets = batch
    return (
        inputs if type(inputs) is Tensor else as_tensor(inputs),
        targets if type(targets) is Tensor else as_tensor(targets),
    )


def inputs_of(batch: Any) -> Tensor:
    """The inputs of a batch, which may have targets beside them."""
    return as_tensor(batch[0] if isinstance(batch, tuple | list) else batch)
