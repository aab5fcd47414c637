"""Data sets: sequences of samples, and parts of them.

A data set whose class also defines `gather(indices)`, the collated batch of the samples at an array of indices, is
asked for whole batches instead of single samples.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ... import random
from ...creation import as_tensor
from ...tensor import Array, Tensor
from .collate import default_collate
from .permutation import draw_seed, permutation


class Dataset:
    """A sequence of samples: subclasses define `__getitem__` and `__len__`."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Sample i is the tuple of the i-th rows of some tensors (or arrays), which must be equally many.

    >>> import tinydl
    >>> TensorDataset(tinydl.arange(3), tinydl.zeros(3, 2))[1]
    (tensor(1), tensor([0., 0.]))
    """

    def __init__(self, *tensors: Tensor | Array) -> None:
        self.tensors = tuple([as_tensor(t) for t in tensors])
        if not tensors or any(t.ndim == 0 for t in self.tensors):
            raise ValueError("TensorDataset: wanted one tensor or more, each with at least one axis")
        if len({len(t) for t in self.tensors}) > 1:
            raise ValueError(f"TensorDataset: got {[t.shape for t in self.tensors]}, wanted equal first axes")

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])

    def gather(self, indices: Array) -> list[Tensor]:
        """The batch of the samples at `indices`: one indexing for each tensor."""
        return [Tensor(t._data[indices]) for t in self.tensors]


class ConcatDataset(Dataset):
    """The samples of several data sets, one after the other; `a + b` of two data sets is one.

    >>> import tinydl
    >>> both = TensorDataset(tinydl.arange(3)) + TensorDataset(tinydl.arange(10, 12))
    >>> len(both), both[3]
    (5, (tensor(10),))
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: got no data sets, wanted one or more")
        self.cumulative_sizes = np.cumsum([len(part) for part in self.datasets]).tolist()

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"ConcatDataset: index {index} is out of range for {size} samples")
        index %= size
        part = bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]  # type: ignore[no-any-return]


class Subset(Dataset):
    """The samples of a data set at some indices, in their order."""

    def __init__(self, dataset: Any, indices: Sequence[int] | Array) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def gather(self, indices: Array) -> Any:
        """The batch of the subset's samples at `indices`."""
        return fetch(self.dataset, self.indices[indices])


def fetch(dataset: Any, indices: Sequence[int] | Array, collate_fn: Any = None) -> Any:
    """The batch of the samples at `indices`, collated by `collate_fn` (None is `default_collate`)."""
    if collate_fn is None and _gathers(type(dataset)):
        return dataset.gather(np.asarray(indices, dtype=np.int64))
    return (collate_fn or default_collate)([dataset[int(i)] for i in indices])


def _gathers(kind: type) -> bool:
    """Whether a class's `gather` speaks for its `__getitem__`: a subclass may have changed the latter alone."""
    for base in kind.__mro__:
        if "gather" in vars(base):
            return True
        if "__getitem__" in vars(base):
            return False
    return False


def random_split(dataset: Any, lengths: Sequence[float], generator: random.Generator | None = None) -> list[Subset]:
    """Split a data set at random into parts that share no sample.

    Args:
        dataset: what to split.
        lengths: the parts' sizes, which sum to the data set's; or fractions that sum to 1, rounded down, with the
            samples that remain going to the first parts one by one.
        generator: where the random order is drawn from; by default `tinydl.random`.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    counts = _counts(len(dataset), lengths)
    order = permutation(len(dataset), draw_seed(generator))
    ends = np.cumsum(counts)
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _counts(total: int, lengths: Sequence[float]) -> list[int]:
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: got the lengths {list(lengths)}, wanted none below 0")
    if all(isinstance(length, int | np.integer) for length in lengths) and sum(lengths) == total:
        return [int(length) for length in lengths]
    if not math.isclose(sum(lengths), 1, abs_tol=1e-9):
        raise ValueError(f"random_split: the lengths {list(lengths)} sum neither to the {total} samples nor to 1")
    counts = [math.floor(total * fraction) for fraction in lengths]
    for i in range(total - sum(counts)):
        counts[i % len(counts)] += 1
    return counts
