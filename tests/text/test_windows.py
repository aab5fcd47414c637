"""Windows of tokens: which, how many, and how they move."""

import numpy as np
import pytest

import tinydl
from tinydl.text import TokenWindows
from tinydl.utils.data import DataLoader


@pytest.mark.parametrize("length", [1, 2, 3, 7, 99])
@pytest.mark.parametrize("tokens", [100, 101, 103])
def test_windows_that_stand(tokens, length):
    data = TokenWindows(np.arange(tokens), length)
    inputs = np.concatenate([data[i][0].numpy() for i in range(len(data))])
    assert np.array_equal(inputs, np.arange(len(data) * length))  # the text, cut into pieces
    assert tokens - 1 - len(inputs) < length  # and no further piece has room
    for x, y in (data[0], data[-1]):
        assert np.array_equal(y.numpy(), x.numpy() + 1)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("tokens", [100, 101, 103])
def test_windows_that_move(tokens, length):
    tinydl.manual_seed(0)
    data = TokenWindows(np.arange(tokens), length, shifted=True)
    seen = set()
    for _ in range(40):
        x, y = data.gather(np.arange(len(data)))
        assert np.array_equal(y.numpy(), x.numpy() + 1)
        moved = x.numpy()[:, 0] - np.arange(len(data)) * length
        assert moved.min() >= 0
        assert moved.max() < length
        seen |= set(y.numpy().ravel().tolist())
    assert max(seen) <= tokens - 1
    assert tokens - 1 - max(seen) < length


def test_batches_are_the_samples():
    data = TokenWindows(np.arange(50) ** 2, 4)
    (x, y), *_ = DataLoader(data, batch_size=3)
    for row in range(3):
        assert x[row].tolist() == data[row][0].tolist()
        assert y[row].tolist() == data[row][1].tolist()
    assert x.dtype == y.dtype == np.int64


def test_the_seed_fixes_the_moves():
    data = TokenWindows(np.arange(1000), 10, shifted=True)

    def starts(seed):
        tinydl.manual_seed(seed)
        return [data.gather(np.arange(50))[0][:, 0].tolist() for _ in range(2)]

    one, two = starts(1), starts(2)
    assert one == starts(1)
    assert one != two
    assert one[0] != one[1]


def test_indices_that_are_passed_in_stay():
    indices = np.arange(3)
    TokenWindows(np.arange(100), 10, shifted=True).gather(indices)
    assert indices.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.arange(10), 0), "length=0, wanted at least 1"),
        ((np.arange(10), 10), r"ids of shape \(10,\), wanted one axis and 11 tokens or more for windows of 10"),
        ((np.arange(19), 10, True), r"wanted one axis and 20 tokens"),
        ((np.zeros((20, 20)), 10), r"shape \(20, 20\), wanted one axis"),
    ],
)
def test_wrong_calls(args, message):
    with pytest.raises(ValueError, match=message):
        TokenWindows(*args)


def test_ids_that_are_no_whole_numbers():
    with pytest.raises(TypeError, match="TokenWindows: got ids of float64, wanted whole numbers"):
        TokenWindows(np.arange(20) / 2, 5)


def test_an_index_out_of_range():
    data = TokenWindows(np.arange(41), 10)
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 4 windows"):
            data[index]
