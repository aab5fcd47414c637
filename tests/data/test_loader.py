"""The loader: order, batches, threads, errors, resuming."""

import itertools
import threading
import time
import traceback

import numpy as np
import pytest

import tinydl
from tinydl.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
)


class Numbers(Dataset):
    """Samples are their indices; counts what is being prepared."""

    def __init__(self, n, bad=None, delay=0.0):
        self.n, self.bad, self.delay = n, bad, delay
        self.seen = []

    def __getitem__(self, i):
        if i == self.bad:
            raise RuntimeError(f"sample {i} is broken")
        time.sleep(self.delay)
        self.seen.append(i)
        return i

    def __len__(self):
        return self.n


def flat(loader):
    return [i for batch in loader for i in batch.tolist()]


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("n", [0, 1, 5, 6, 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches(workers, n, drop_last):
    loader = DataLoader(Numbers(n), batch_size=3, num_workers=workers, drop_last=drop_last)
    batches = [batch.tolist() for batch in loader]
    expected = [list(range(n))[i : i + 3] for i in range(0, n, 3)]
    if drop_last and n % 3:
        expected.pop()
    assert batches == expected
    assert len(loader) == len(expected)
    assert not threads()


def test_tensor_datasets_are_gathered_whole():
    class Watched(TensorDataset):
        def __getitem__(self, index):
            raise AssertionError("asked for a single sample")

        def gather(self, indices):
            return super().gather(indices)

    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    batches = list(DataLoader(Watched(x, np.arange(5)), batch_size=2))
    assert [b[0].shape for b in batches] == [(2, 2), (2, 2), (1, 2)]
    assert np.concatenate([np.asarray(b[1]) for b in batches]).tolist() == [0, 1, 2, 3, 4]


def test_collate_fn_gets_the_samples():
    data = TensorDataset(np.arange(4))
    assert list(DataLoader(data, batch_size=3, collate_fn=len)) == [3, 1]


def test_shuffling_visits_everything_in_a_new_order_each_epoch():
    loader = DataLoader(Numbers(100), batch_size=7, shuffle=True, seed=1)
    epochs = [flat(loader) for _ in range(3)]
    for order in epochs:
        assert sorted(order) == list(range(100))
    assert len({tuple(order) for order in epochs}) == 3
    assert list(range(100)) not in epochs


def test_the_order_follows_the_seed():
    def epochs(**options):
        loader = DataLoader(Numbers(30), batch_size=4, shuffle=True, **options)
        return [flat(loader), flat(loader)]

    assert epochs(seed=1) == epochs(seed=1) != epochs(seed=2)
    assert epochs(generator=tinydl.Generator(1)) == epochs(generator=tinydl.Generator(1))
    assert epochs(generator=tinydl.Generator(1)) != epochs(generator=tinydl.Generator(2))
    tinydl.manual_seed(5)
    first, second = epochs(), epochs()
    assert first != second
    tinydl.manual_seed(5)
    assert epochs() == first


def test_the_order_does_not_depend_on_the_workers():
    orders = {tuple(flat(DataLoader(Numbers(50), 4, True, seed=9, num_workers=n))) for n in (0, 1, 2, 5)}
    assert len(orders) == 1


def test_orders_are_fixed_for_all_time():
    """These numbers must never change: resumed trainings rely on them."""
    assert list(RandomSampler(range(8), seed=1234)) == [7, 2, 6, 0, 5, 3, 1, 4]
    sampler = RandomSampler(range(8), seed=1234)
    sampler.epoch = 3
    assert list(sampler) == [5, 7, 6, 0, 3, 4, 1, 2]


def test_orders_are_uniform():
    counts = np.zeros((4, 4))
    sampler = RandomSampler(range(4), seed=0)
    for _ in range(4000):
        counts[np.arange(4), list(sampler)] += 1
    assert np.abs(counts - 1000).max() < 150  # over five standard deviations


def test_samplers():
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert len(RandomSampler(range(9))) == 9
    assert len(BatchSampler(range(5), 2)) == 3
    assert len(BatchSampler(range(5), 2, drop_last=True)) == 2
    assert flat(DataLoader(Numbers(9), batch_size=2, sampler=[8, 1, 1])) == [8, 1, 1]
    loader = DataLoader(Numbers(9), batch_sampler=[[0, 1, 2], [5]])
    assert [b.tolist() for b in loader] == [[0, 1, 2], [5]]
    assert len(loader) == 2
    assert list(DataLoader(Numbers(3), batch_sampler=[])) == []
    with pytest.raises(NotImplementedError, match="Sampler does not define __iter__"):
        iter(Sampler())


# -- Threads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
def test_prefetching_is_bounded(workers):
    data = Numbers(100)
    batches = iter(DataLoader(data, batch_size=1, num_workers=workers, prefetch_factor=2))
    next(batches)
    time.sleep(0.05)
    assert len(data.seen) <= 2 * workers + 1
    assert len(data.seen) > workers
    batches.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_leaving_the_loop_stops_the_threads(workers):
    for _ in DataLoader(Numbers(1000, delay=0.001), batch_size=2, num_workers=workers):
        assert threads()
        break
    assert not threads()


def test_an_error_in_the_loop_stops_the_threads():
    def loop():
        for _ in DataLoader(Numbers(1000), num_workers=2):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        loop()
    assert not threads()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_in_a_worker_surfaces_at_its_batch(workers):
    loader = DataLoader(Numbers(20, bad=9), batch_size=2, num_workers=workers)
    got = []

    def loop():
        for batch in loader:
            got.append(batch.tolist())

    with pytest.raises(RuntimeError, match="sample 9 is broken") as caught:
        loop()
    assert got == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert "__getitem__" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert not threads()


def test_batches_are_prepared_while_the_loop_runs():
    data = Numbers(3)
    batches = iter(DataLoader(data, num_workers=1))
    next(batches)
    deadline = time.monotonic() + 5
    while len(data.seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert data.seen == [0, 1, 2]
    batches.close()


# -- Resuming -----------------------------------------------------------------------------------------------------


def make(seed, workers=0, **options):
    return DataLoader(Numbers(23), batch_size=4, shuffle=True, seed=seed, num_workers=workers, **options)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", range(13))
def test_a_resumed_loader_sees_the_same_batches(stop, workers):
    """Stops after `stop` batches of two epochs of six, at any place, and goes on in another loader."""
    whole = make(1)
    expected = [batch.tolist() for _ in range(3) for batch in whole]
    first, got, state = make(1, workers), [], None
    state = first.state_dict()
    for batch in itertools.chain.from_iterable(first for _ in range(3)):
        if len(got) == stop:
            break
        got.append(batch.tolist())
        state = first.state_dict()
    resumed = make(99, workers)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    while resumed.epoch < 3:
        got.extend(batch.tolist() for batch in resumed)
    assert got == expected


def test_the_state():
    loader = make(7)
    assert loader.state_dict() == {"epoch": 0, "seed": 7, "position": 0}
    batches = iter(loader)
    next(batches)
    next(batches)
    assert loader.state_dict() == {"epoch": 0, "seed": 7, "position": 2}
    list(batches)
    assert loader.state_dict() == {"epoch": 1, "seed": 7, "position": 0}
    assert DataLoader(Numbers(3)).state_dict() == {"epoch": 0, "seed": None, "position": 0}


def test_a_loop_left_early_is_followed_by_a_new_epoch():
    loader = make(7)
    next(iter(loader))
    assert loader.state_dict()["position"] == 1
    second = flat(loader)
    assert len(second) == 23
    twin = make(7)
    flat(twin)
    assert flat(twin) == second


def test_a_state_draws_nothing_from_the_default_generator():
    state = make(7).state_dict()
    loader = DataLoader(Numbers(23), batch_size=4, shuffle=True)
    before = tinydl.random.default_generator.state()
    loader.load_state_dict(state)
    flat(loader)
    assert tinydl.random.default_generator.state() == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: DataLoader(Numbers(3), batch_size=0), ValueError, "batch_size must be a positive integer, got 0"),
        (lambda: DataLoader(Numbers(3), batch_size=2.5), ValueError, "batch_size must be a positive integer, got 2.5"),
        (lambda: DataLoader(Numbers(3), batch_size=True), ValueError, "got True"),
        (lambda: DataLoader(Numbers(3), shuffle=True, sampler=[0]), ValueError, "sampler and shuffle"),
        (lambda: DataLoader(Numbers(3), 2, batch_sampler=[[0]]), ValueError, "batch_sampler excludes"),
        (lambda: DataLoader(Numbers(3), num_workers=-1), ValueError, "num_workers"),
        (lambda: DataLoader(Numbers(3), prefetch_factor=2), ValueError, "needs num_workers"),
        (lambda: DataLoader(Numbers(3), shuffle=True, seed="x"), TypeError, "seed of type str"),
        (lambda: make(1).load_state_dict({"epoch": 1}), ValueError, r"a state of \['epoch'\]"),
        (
            lambda: make(1).load_state_dict({"epoch": 1, "seed": None, "position": 0}),
            ValueError,
            "does this loader shuffle: True",
        ),
        (lambda: next(iter(DataLoader(Numbers(3), sampler=["a"]))), ValueError, "invalid literal"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()
