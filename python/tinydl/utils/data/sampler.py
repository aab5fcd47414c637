"""Samplers: the order in which a loader visits the indices of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ... import random, sampling
from ...tensor import Tensor
from .permutation import draw_seed, permutation

_T = TypeVar("_T", covariant=True)


class Sampler(Generic[_T]):
    """An iterable of indices, or of lists of them; subclasses define `__iter__`, and `__len__` where it is known."""

    def __iter__(self) -> Iterator[_T]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... below the data set's length."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Every index once, in a random order that is a function of the seed and the epoch alone.

    Args:
        data_source: the data set.
        generator: where the seed is drawn from, on first use; by default `tinydl.random`, so that
            `tinydl.manual_seed` fixes the order.
        seed: the seed itself, instead.

    Attributes:
        epoch: whose order the next iteration takes; each iteration counts it up.

    >>> sampler = RandomSampler(range(4), seed=3)
    >>> first, second = list(sampler), list(sampler)
    >>> sampler.epoch = 0
    >>> list(sampler) == first
    True
    """

    def __init__(
        self, data_source: Sized, *, generator: random.Generator | None = None, seed: int | None = None
    ) -> None:
        self.data_source = data_source
        self.generator = generator
        self.epoch = 0
        self._seed: int | None = None
        if seed is not None:
            self.seed = seed

    @property
    def seed(self) -> int:
        """The seed, drawn now if there was none."""
        if self._seed is None:
            self._seed = draw_seed(self.generator)
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        if not isinstance(seed, int):
            raise TypeError(f"RandomSampler: got a seed of type {type(seed).__name__}, wanted an integer")
        self._seed = seed % (1 << 64)

    def __iter__(self) -> Iterator[int]:
        order = permutation(len(self.data_source), self.seed, self.epoch)
        self.epoch += 1
        return iter(order.tolist())

    def __len__(self) -> int:
        return len(self.data_source)


class SubsetRandomSampler(RandomSampler):
    """Every one of the listed indices once, in a random order.

    >>> sorted(SubsetRandomSampler([3, 5, 7], seed=0))
    [3, 5, 7]
    """

    def __init__(
        self, indices: Sequence[int], generator: random.Generator | None = None, *, seed: int | None = None
    ) -> None:
        super().__init__(indices, generator=generator, seed=seed)
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        return iter([int(self.indices[at]) for at in super().__iter__()])


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with the given weights, one for each sample, with or without replacement.

    >>> list(WeightedRandomSampler([0.0, 1.0], num_samples=3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: random.Generator | None = None,
    ) -> None:
        if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
            raise ValueError(f"WeightedRandomSampler: num_samples must be a positive integer, got {num_samples!r}")
        self.weights = Tensor(np.array(weights, np.float64))
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: got weights of shape {self.weights.shape}, wanted a vector")
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = sampling.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; `drop_last` drops a last list that is shorter.

    >>> list(BatchSampler(range(5), batch_size=2))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(iter(self.sampler))  # the order is drawn now, not at the first batch

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
