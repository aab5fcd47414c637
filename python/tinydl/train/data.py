"""What a trainer accepts as data: a loader, a data set, or arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from .. import backend
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


def parts(op: str, batch: Any) -> list[Any]:
    """(inputs, targets) or (inputs, targets, weights) of a batch, as tensors; lists of tensors remain lists."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        what = f"{len(batch)} items" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(f"{op}: got a batch of {what}, wanted (inputs, targets) or (inputs, targets, weights)")
    return [part if type(part) is Tensor else _part(part) for part in batch]


def _part(part: Any) -> Any:
    several = isinstance(part, list | tuple) and part and all([isinstance(each, Tensor) for each in part])
    return list(part) if several else as_tensor(part)


def samples(part: Any) -> int:
    """How many samples a tensor, or a list of tensors, of a batch has."""
    return len(part[0] if isinstance(part, list) else part)


def length(loader: Any) -> int | None:
    """How many batches an epoch has, where that is known."""
    try:
        return len(loader)
    except TypeError:
        return None


class Steps:
    """A number of batches of a loader as an epoch.

    Args:
        loader: an iterable of batches, or an iterator.
        steps: how many batches an epoch has.
        go_on: whether an epoch begins with the batch after the last one of the epoch before, as training does, rather
            than with the loader's first. An epoch whose loader runs out of batches ends early, with a warning.

    >>> batches = Steps([1, 2, 3, 4], 2, go_on=True)
    >>> list(batches), list(batches), list(batches)
    ([1, 2], [3, 4], [1, 2])
    """

    def __init__(self, loader: Iterable[Any], steps: int, go_on: bool = False) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise ValueError(f"got {steps!r} steps, wanted a positive number of batches")
        self.loader = loader
        self.steps = int(steps)
        self.go_on = go_on
        self.position = 0  # batches of this epoch that were given
        self._batches: Iterator[Any] | None = None
        self._resuming = False

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        if not self._resuming:
            self.position = 0
        self._resuming = False
        if not self.go_on:
            self._batches = None
        for _ in range(2):  # a loader whose batches have all been given begins anew
            before = self.position
            yield from self._take()
            if self.position > before or self.position == self.steps:
                break
            self._batches = None
        if self.position < self.steps:
            warnings.warn(f"the data ran out after {self.position} of the epoch's {self.steps} steps", stacklevel=2)
            self._batches = None
        self.position = 0

    def _take(self) -> Iterator[Any]:
        if self._batches is None:
            self._batches = iter(self.loader)
        for batch in islice(self._batches, self.steps - self.position):
            self.position += 1
            yield batch

    def state_dict(self) -> dict[str, Any] | None:
        """How many of the epoch's batches have been given, and the loader's state; None where it has none."""
        if not hasattr(self.loader, "state_dict"):
            return None
        return {"position": self.position, "loader": self.loader.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.position, self._batches, self._resuming = int(state["position"]), None, True
        self.loader.load_state_dict(state["loader"])  # type: ignore[attr-defined]


def inputs_of(batch: Any) -> Any:
    """The inputs of a batch, which may have targets beside them: a tensor, or several in a list or dictionary."""
    inputs = batch[0] if isinstance(batch, tuple | list) else batch
    return inputs if isinstance(inputs, Mapping) else _part(inputs)


def placed(value: Any, device: str | None) -> Any:
    """A batch with its tensors on a device; None leaves them where they are."""
    if device is None:
        return value
    if isinstance(value, Tensor):
        return value.to(device=device)
    if isinstance(value, Mapping):
        return {name: placed(item, device) for name, item in value.items()}
    return [placed(item, device) for item in value] if isinstance(value, list | tuple) else value


def arrays_of(outputs: Any) -> Any:
    """The arrays of a tensor, or of several in a list or dictionary."""
    if isinstance(outputs, Mapping):
        return {name: arrays_of(each) for name, each in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [arrays_of(each) for each in outputs]
    return backend.to_host(outputs._data)


def joined(batches: Sequence[Any]) -> Any:
    """The arrays of all batches, one after the other."""
    first = batches[0]
    if isinstance(first, dict):
        return {name: joined([batch[name] for batch in batches]) for name in first}
    if isinstance(first, list):
        return [joined([batch[number] for batch in batches]) for number in range(len(first))]
    return np.concatenate(batches)
