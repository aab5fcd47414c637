"""Data sets, splits and collation."""

from collections import namedtuple

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tinydl.utils.data import Dataset, Subset, TensorDataset, default_collate, random_split
from tinydl.utils.data.dataset import fetch
from tinydl.utils.extras import require


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, i):
        return i * i

    def __len__(self):
        return self.n


class Doubled(TensorDataset):
    """Overrides the samples, and so must not be gathered by the parent."""

    def __getitem__(self, index):
        return tuple(2 * t for t in super().__getitem__(index))


def test_tensor_dataset(rng):
    x, y = normal(rng, (5, 3)), np.arange(5)
    data = TensorDataset(tinydl.tensor(x), y)
    assert len(data) == 5
    image, label = data[2]
    assert image.tolist() == x[2].tolist()
    assert label.item() == 2
    assert [t.tolist() for t in data.gather(np.array([4, 0, 4]))] == [x[[4, 0, 4]].tolist(), [4, 0, 4]]


def test_gathering_equals_collecting_in_every_layout(rng):
    x = normal(rng, (7, 3, 4, 5))
    indices = [5, 0, 0, 6]
    for name, view in layouts(x):
        data = TensorDataset(view)
        (batch,) = fetch(data, indices)
        (collected,) = default_collate([data[i] for i in indices])
        assert batch.tolist() == collected.tolist() == x[indices].tolist(), name
        if name == "channels-last":
            assert batch._data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_batch_is_a_copy():
    x = np.zeros((3, 2), np.float32)
    (batch,) = TensorDataset(x).gather(np.array([0, 1, 2]))
    batch.fill_(1)
    assert not x.any()


def test_an_overridden_sample_is_respected():
    data = Doubled(np.arange(4))
    assert fetch(data, [1, 3])[0].tolist() == [2, 6]
    assert fetch(Subset(data, [3, 2]), [1])[0].tolist() == [4]


def test_a_subset_of_a_subset():
    data = Subset(Subset(Squares(10), [9, 7, 5, 3]), [2, 0])
    assert len(data) == 2
    assert data[1] == 81
    assert data[-1] == 81
    assert fetch(data, [0, 1, 0]).tolist() == [25, 81, 25]
    with pytest.raises(IndexError):
        data[2]


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [([7, 3], [7, 3]), ([0.75, 0.25], [8, 2]), ([0.5, 0.5], [5, 5]), ([1 / 3] * 3, [4, 3, 3]), ([10, 0], [10, 0])],
)
def test_random_split(lengths, sizes):
    parts = random_split(Squares(10), lengths, generator=tinydl.Generator(1))
    assert [len(p) for p in parts] == sizes
    assert sorted(i for p in parts for i in p.indices.tolist()) == list(range(10))


def test_random_split_follows_the_seed():
    def order(generator=None):
        return [p.indices.tolist() for p in random_split(Squares(50), [25, 25], generator)]

    tinydl.manual_seed(3)
    first, second = order(), order()
    assert first != second
    tinydl.manual_seed(3)
    assert order() == first
    assert order(tinydl.Generator(5)) == order(tinydl.Generator(5)) != order(tinydl.Generator(6))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TensorDataset(), ValueError, "one tensor or more"),
        (lambda: TensorDataset(np.float32(1)), ValueError, "at least one axis"),
        (lambda: TensorDataset(np.zeros(2), np.zeros((3, 1))), ValueError, r"\(2,\), \(3, 1\)"),
        (lambda: random_split(Squares(10), [5, 4]), ValueError, "neither to the 10 samples nor to 1"),
        (lambda: random_split(Squares(10), [11, -1]), ValueError, "none below 0"),
        (lambda: Dataset()[0], NotImplementedError, "__getitem__"),
        (lambda: len(Dataset()), NotImplementedError, "__len__"),
        (lambda: TensorDataset(np.zeros(2)).gather(np.array([2])), IndexError, "out of bounds"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


Point = namedtuple("Point", "x y")


def test_collate_by_type():
    assert default_collate([1, 2]).dtype == tinydl.int64
    assert default_collate([True, False]).dtype == tinydl.bool
    assert default_collate([1.5, 2]).dtype == tinydl.float64
    assert default_collate([np.float32(1), np.float32(2)]).dtype == tinydl.float32
    assert default_collate(["a", "b"]) == ["a", "b"]
    stacked = default_collate([tinydl.zeros(2, 3), tinydl.ones(2, 3)])
    assert stacked.shape == (2, 2, 3)
    assert stacked.tolist()[1] == [[1, 1, 1], [1, 1, 1]]
    pairs = default_collate([(1, "a"), (2, "b")])
    assert isinstance(pairs, list)
    assert pairs[0].tolist() == [1, 2]
    assert pairs[1] == ["a", "b"]
    assert default_collate([{"k": [1, 2]}, {"k": [3, 4]}])["k"][1].tolist() == [2, 4]
    assert default_collate([Point(1, 2), Point(3, 4)]).y.tolist() == [2, 4]


def test_collate_is_pytorchs(torch):
    from torch.utils.data import default_collate as theirs

    samples = [(np.full((2, 2), i, np.float32), i, 0.5 * i, {"name": "n", "x": [i, i]}) for i in range(3)]
    a, b = default_collate(samples), theirs(samples)
    assert type(a) is type(b)
    for got, expected in ((a[0], b[0]), (a[1], b[1]), (a[2], b[2]), (a[3]["x"][1], b[3]["x"][1])):
        assert got.tolist() == expected.tolist()
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
    assert a[3]["name"] == b[3]["name"]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([], ValueError, "no samples"),
        ([np.zeros(2), np.zeros(3)], ValueError, r"shapes \[\(2,\), \(3,\)\]"),
        ([(1, 2), (1,)], ValueError, r"\[1, 2\] elements"),
        ([object()], TypeError, "type object"),
        ([None], TypeError, "NoneType"),
    ],
)
def test_collate_refuses(batch, error, message):
    with pytest.raises(error, match=message):
        default_collate(batch)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    with pytest.raises(ImportError, match=r"needs no_such_library.*pip install 'tinydl\[data\]'"):
        require("no_such_library.sub", extra="data")
    assert require("json", extra="data").loads("1") == 1
