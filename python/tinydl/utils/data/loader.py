"""The loader: batches of a data set in some order, prepared in the background, resumable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from ... import random
from .dataset import fetch
from .sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """An iterable over the batches of a data set; each iteration is one epoch.

    Args:
        dataset: anything with `__getitem__` and `__len__`. One with `gather` (a `TensorDataset`, for example) is asked
            for whole batches, unless there is a `collate_fn`.
        batch_size: samples in a batch.
        shuffle: visit the samples in a new random order in each epoch; by default in theirs.
        sampler: an iterable of indices to visit instead.
        batch_sampler: an iterable of lists of indices, one for each batch; excludes the four arguments about batches.
        num_workers: how many threads prepare batches ahead while the loop runs; 0 prepares each when it is asked for.
            They are threads, not processes: array work overlaps, since it releases Python's lock, pure Python does not.
            The order of the batches is the same for any number; that of a data set's own random draws is not.
        collate_fn: makes a batch from a list of samples; by default `default_collate`.
        drop_last: drop a last batch that is smaller.
        pin_memory, pin_memory_device, persistent_workers: have no effect; memory needs no pinning, and threads start
            in an instant.
        timeout, worker_init_fn, multiprocessing_context, in_order: PyTorch's, about processes; only the defaults.
        generator: where the shuffling seed is drawn from, at the first iteration; by default `tinydl.random`.
        seed: the shuffling seed itself, instead.
        prefetch_factor: how many batches each worker prepares ahead; by default 2.

    The order of epoch e depends on the seed and e alone. `state_dict` holds (epoch, seed, position); a loader that
    loads it continues with the batch after the last one that was handed out. After a loop that was left early, the
    next one begins a new epoch.

    An error in a worker is raised in the loop, at its batch, with the worker's traceback. Leaving the loop stops the
    threads.

    >>> import tinydl
    >>> loader = DataLoader(tinydl.arange(5).tolist(), batch_size=2)
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: None = None,
        multiprocessing_context: None = None,
        generator: random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
    ) -> None:
        if timeout or worker_init_fn is not None or multiprocessing_context is not None or not in_order:
            raise ValueError(
                "DataLoader: timeout, worker_init_fn, multiprocessing_context and in_order=False are for processes; "
                "the workers are threads, which need none of them"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle exclude each other")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must be at least 0, got {num_workers}")
        if prefetch_factor is not None and (num_workers == 0 or prefetch_factor < 1):
            raise ValueError("DataLoader: prefetch_factor must be at least 1, and needs num_workers")
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator, seed=seed) if shuffle else SequentialSampler(dataset)
        self.dataset = dataset
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last) if batch_sampler is None else batch_sampler
        self.sampler = getattr(self.batch_sampler, "sampler", None)
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor or 2
        self.collate_fn = collate_fn
        self.epoch = 0
        self.position = 0  # batches of this epoch that were handed out
        self._resuming = False

    def __len__(self) -> int:
        return len(self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self.position and not self._resuming:
            self.epoch, self.position = self.epoch + 1, 0
        self._resuming = False
        if hasattr(self.sampler, "epoch"):
            self.sampler.epoch = self.epoch  # type: ignore[union-attr]
        batches = islice(iter(self.batch_sampler), self.position, None)
        return self._run(batches, self.epoch, self.position)

    def _run(self, batches: Iterator[list[int]], epoch: int, position: int) -> Iterator[Any]:
        prepared = self._ahead(batches) if self.num_workers else map(self._fetch, batches)
        for batch in prepared:
            position += 1
            self.epoch, self.position = epoch, position
            yield batch
        self.epoch, self.position = epoch + 1, 0

    def _fetch(self, indices: list[int]) -> Any:
        return fetch(self.dataset, indices, self.collate_fn)

    def _ahead(self, batches: Iterator[list[int]]) -> Iterator[Any]:
        """The batches in their order, while the threads prepare the next ones: a bounded number."""
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader")
        try:
            waiting = deque(
                pool.submit(self._fetch, b) for b in islice(batches, self.num_workers * self.prefetch_factor)
            )
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(pool.submit(self._fetch, b) for b in islice(batches, 1))
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    # -- State ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, int | None]:
        """Where the loader stands: epoch, batches of it handed out (position), and the shuffling seed or None."""
        return {"epoch": self.epoch, "seed": getattr(self.sampler, "seed", None), "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another loader of the same data set and batch size stood.

        ValueError where the state lacks an entry, or has a seed while this loader does not shuffle (or the reverse).
        """
        if set(state) != {"epoch", "seed", "position"}:
            raise ValueError(f"DataLoader: got a state of {sorted(state)}, wanted epoch, position and seed")
        seeded = hasattr(type(self.sampler), "seed")
        if seeded != (state["seed"] is not None):
            raise ValueError(f"DataLoader: the state has seed {state['seed']}; does this loader shuffle: {seeded}")
        if seeded:
            self.sampler.seed = state["seed"]  # type: ignore[union-attr]
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self._resuming = True
