"""From what users give as data to batches of tensors: arrays, data sets, loaders, generators; weights of samples."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..tensor import Array, Tensor
from ..train.data import Steps
from ..utils.data import Dataset
from . import tree

ARRAYS = (np.ndarray, Tensor, list, tuple, Mapping)
"""The types that hold all samples at once."""


def is_several(data: Any) -> bool:
    """Whether it is a dictionary, or a list of arrays, rather than one array or nested lists of numbers."""
    if isinstance(data, list | tuple):
        return bool(data) and all(isinstance(each, np.ndarray | Tensor | Mapping) for each in data)
    return isinstance(data, Mapping)


def several(arrays: Any) -> list[Any]:
    """A list of arrays as it is, or the one array in a list."""
    return arrays if isinstance(arrays, list) else [arrays]


class ArrayDataset(Dataset):
    """Rows of inputs, given as float32 whatever their dtype is, with what is beside them: targets and weights.

    Each is an array, or a list of arrays.
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(several(self.arrays[0])[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(tree.map_leaves(lambda t: t[0], part) for part in self.gather(np.array([index])))

    def gather(self, indices: Array) -> list[Any]:
        """The batch of the samples at `indices`."""
        return as_batch([_taken(part, indices) for part in self.arrays])


def _taken(part: Any, indices: Array) -> Any:
    return [each.take(indices, 0) for each in part] if isinstance(part, list) else part.take(indices, 0)


def as_batch(arrays: Sequence[Any]) -> list[Any]:
    """Tensors of a batch's inputs, in float32, and of what is beside them; of lists of arrays, lists."""
    x, *rest = arrays
    return [_floats(x), *[list(map(Tensor, part)) if isinstance(part, list) else Tensor(part) for part in rest]]


def _floats(x: Any) -> Any:
    if isinstance(x, list):
        return [_floats(each) for each in x]
    return Tensor(x if x.dtype == np.float32 else x.astype(np.float32))


class Batches:
    """The batches of a loader, each changed by a function; resumable where the loader is."""

    def __init__(self, loader: Iterable[Any], change: Callable[[Any], Any]) -> None:
        self.loader = loader
        self.change = change
        if hasattr(loader, "state_dict"):
            self.state_dict, self.load_state_dict = loader.state_dict, loader.load_state_dict  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return map(self.change, self.loader)


def limited(loader: Iterable[Any], op: str, steps: Any, go_on: bool = False) -> Iterable[Any]:
    """The loader, with `steps` batches an epoch where that is not None; see `Steps`."""
    if steps is None:
        return loader
    try:
        return Steps(loader, steps, go_on)
    except ValueError as error:
        raise ValueError(f"{op}: {error}") from None


def first_of(data: Any) -> tuple[Any, Any]:
    """The inputs of a first batch, or those of a first sample as a batch; and the data, with nothing lost."""
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return tree.map_leaves(lambda x: x[None], _as_arrays(_inputs(data[0]))), data
    if hasattr(data, "dataset"):
        return first_of(data.dataset)[0], data
    batches = iter(data)
    first = next(batches, None)
    if first is None:
        raise ValueError("the data is empty: it gave no batch")
    return _as_arrays(_inputs(first)), itertools.chain([first], batches) if batches is data else data


def _inputs(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) else batch


def _as_arrays(inputs: Any) -> Any:
    """The inputs as an array, or as several."""
    return tree.map_leaves(lambda x: array_of("x", x), inputs) if is_several(inputs) else array_of("x", inputs)


def array_of(name: str, data: Any) -> Array:
    """An array from an array, a tensor or nested lists of numbers."""
    array = data._data if isinstance(data, Tensor) else np.asarray(data)
    if array.dtype.kind not in "biufV":
        raise TypeError(f"{name}: got data of dtype {array.dtype}, wanted numbers in a regular shape")
    if not array.ndim:
        raise ValueError(f"{name}: got a single number, wanted an array with one row for each sample")
    return array


def weights_of(name: str, weights: Any, samples: int) -> Array:
    """Weights as a float32 array with a row for each sample. ValueError for other lengths, NaN and infinity."""
    array = array_of(name, weights).astype(np.float32)
    if len(array) != samples:
        raise ValueError(f"{name}: got {len(array)} weights for {samples} samples")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: the weights must be finite numbers, got {array[~np.isfinite(array)][0]}")
    return array


def weights_by_class(name: str, targets: Array, class_weight: Mapping[int, float]) -> Array:
    """The weight of each sample's class (N,), 1 for classes that are not listed.

    The class is the target (N,) or (N, 1), or of targets (N, C), such as one-hot rows, where they are largest.
    """
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"{name}: got a {type(class_weight).__name__}, wanted a dict from class index to weight")
    for label, weight in class_weight.items():
        whole = isinstance(label, numbers.Integral) and not isinstance(label, bool)
        if not whole or label < 0:
            raise ValueError(f"{name}: got the class {label!r}, wanted indices from 0")
        if not isinstance(weight, numbers.Real) or not 0 <= float(weight) < float("inf"):
            raise ValueError(f"{name}: got the weight {weight!r} for class {label}, wanted a number of at least 0")
    if targets.ndim > 2:
        raise ValueError(f"{name}: targets of shape {targets.shape} do not say one class for each sample")
    labels = targets if targets.ndim == 1 else targets.argmax(-1) if targets.shape[-1] != 1 else targets[:, 0]
    found, places = np.unique(np.round(labels).astype(np.int64), return_inverse=True)
    return np.array([float(class_weight.get(int(label), 1.0)) for label in found], np.float32)[places.reshape(-1)]


def three(validation_data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) from two or three of them, or (data set or loader, None, None)."""
    if not isinstance(validation_data, tuple | list):
        return validation_data, None, None
    if len(validation_data) not in (2, 3):
        raise ValueError(
            f"fit: validation_data has {len(validation_data)} items, wanted (x, y) or (x, y, sample_weight)"
        )
    return (*validation_data, None)[:3]


def split(x: Any, y: Any, weight: Any, share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The first samples to train on, and the last `share` of them to evaluate: each (x, y, weight or None).

    All are arrays, or lists or dictionaries of arrays.
    """
    if not 0 < share < 1:
        raise ValueError(f"fit: got validation_split={share}, wanted a number between 0 and 1")
    if not isinstance(x, ARRAYS):
        raise ValueError(f"fit: validation_split needs arrays, got a {type(x).__name__}: pass validation_data")
    count = len(tree.flatten(x)[0])
    at = int(count * (1 - share))
    if not 0 < at < count:
        raise ValueError(f"fit: validation_split={share} of {count} samples leaves a part empty")

    def part(which: slice) -> tuple[Any, ...]:
        return tuple(tree.map_leaves(lambda a: None if a is None else a[which], each) for each in (x, y, weight))

    return part(slice(at)), part(slice(at, None))
