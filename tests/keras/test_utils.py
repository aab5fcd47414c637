"""Utilities: one-hot rows, padding, normalising, windows of series, seeds."""

import random

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, utils

from ..support.compare import assert_close


@pytest.mark.parametrize("shape", [(6,), (6, 1), (2, 3), (2, 3, 1), (1,), (0,), ()])
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32])
def test_to_categorical(rng, shape, kind):
    labels = rng.integers(0, 4, shape).astype(kind)
    got = utils.to_categorical(labels, 4)
    wanted_shape = (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), 4)
    assert (got.shape, got.dtype) == (wanted_shape, np.float64)
    assert np.array_equal(got.reshape(-1, 4), np.eye(4)[labels.reshape(-1).astype(int)])


def test_to_categorical_counts_the_classes():
    assert utils.to_categorical(tinydl.tensor([1, 4])).shape == (2, 5)
    for given, error, message in (
        (([0, 3], 3), IndexError, "index 3"),
        (([-1, 0],), IndexError, "index -1"),
        (([0.5],), ValueError, "must be whole numbers"),
        (([],), ValueError, "num_classes must be given"),
        ((["a"],), TypeError, "wanted class indices"),
    ):
        with pytest.raises(error, match=message):
            utils.to_categorical(*given)


SEQUENCES = [[1], [2, 3], [], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 0, 0, 0], [4, 5, 6, 7]]),
        ({"padding": "post", "value": -1}, [[1, -1, -1, -1], [2, 3, -1, -1], [-1] * 4, [4, 5, 6, 7]]),
        ({"maxlen": 3}, [[0, 0, 1], [0, 2, 3], [0, 0, 0], [5, 6, 7]]),
        ({"maxlen": 3, "truncating": "post", "padding": "post"}, [[1, 0, 0], [2, 3, 0], [0, 0, 0], [4, 5, 6]]),
        ({"maxlen": 1, "padding": "post"}, [[1], [3], [0], [7]]),
        ({"maxlen": 0}, [[], [], [], []]),
    ],
)
def test_pad_sequences(options, wanted):
    got = utils.pad_sequences(SEQUENCES, **options)
    assert got.dtype == np.int32
    assert got.tolist() == wanted


def test_pad_sequences_of_vectors_and_strings(rng):
    steps = [rng.standard_normal((n, 2)) for n in (3, 0, 1)]
    got = utils.pad_sequences(steps, dtype="float32", padding="post", value=9.0)
    assert got.shape == (3, 3, 2)
    assert np.array_equal(got[0], steps[0].astype(np.float32))
    assert got[2].tolist() == [steps[2][0].astype(np.float32).tolist(), [9, 9], [9, 9]]
    assert utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="-").tolist() == [["-", "a"], ["b", "c"]]
    assert utils.pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([[1]], {"padding": "left"}, "got padding='left', wanted 'pre' or 'post'"),
        ([[1]], {"truncating": None}, "got truncating=None"),
        ([1, 2], {}, "wanted a list of sequences"),
        ([[1]], {"value": "x"}, "value 'x' does not fit dtype int32"),
        ([[1]], {"maxlen": -1}, "got maxlen=-1"),
        ([[[1, 2]], [[1]]], {}, "sequence 1 has steps of shape"),
    ],
)
def test_pad_sequences_errors(given, options, message):
    with pytest.raises(ValueError, match=message):
        utils.pad_sequences(given, **options)


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_normalize(rng, axis, order):
    x = rng.standard_normal((4, 5))
    x[2] = 0
    got = utils.normalize(x, axis, order)
    sums = {1: np.abs(x).sum(axis), 2: np.sqrt((x**2).sum(axis)), np.inf: np.abs(x).max(axis)}[order]
    wanted = x / np.expand_dims(np.where(sums == 0, 1, sums), axis)
    assert_close(got, wanted, "reduce", length=5, dtype=np.float64)


@pytest.mark.parametrize(("length", "stride", "rate"), [(3, 1, 1), (4, 3, 1), (3, 2, 2), (20, 1, 1)])
@pytest.mark.parametrize("bounds", [(None, None), (3, 17)])
def test_windows_of_a_series(rng, length, stride, rate, bounds):
    data, targets = rng.standard_normal((20, 2)).astype(np.float32), np.arange(20)
    start, end = bounds[0] or 0, bounds[1] or 20
    begins = [i for i in range(start, end, stride) if i + (length - 1) * rate < end]
    make = lambda: utils.timeseries_dataset_from_array(  # noqa: E731
        data, targets, length, stride, rate, batch_size=4, start_index=bounds[0], end_index=bounds[1]
    )
    if not begins:
        with pytest.raises(ValueError, match=f"no window of {length} steps fits"):
            make()
        return
    found = [(x, y) for batch in make() for x, y in zip(*(part.numpy() for part in batch), strict=True)]
    assert len(found) == len(begins)
    for (x, y), begin in zip(found, begins, strict=True):
        assert np.array_equal(x, data[begin : begin + (length - 1) * rate + 1 : rate])
        assert y == begin


def test_windows_train_a_model():
    series = np.sin(np.arange(200, dtype=np.float32) / 5)
    windows = utils.timeseries_dataset_from_array(series[:-4], series[4:], 4, batch_size=16, shuffle=True, seed=0)
    tinydl.manual_seed(0)
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    losses = model.fit(windows, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "got sequence_length=0"),
        ({"sequence_stride": 0}, "got sequence_stride=0"),
        ({"sampling_rate": 0}, "got sampling_rate=0"),
        ({"end_index": 11}, "steps 0 to 11 do not lie in data of 10 steps"),
        ({"start_index": 4, "end_index": 4}, "steps 4 to 4"),
        ({"start_index": -1}, "steps -1 to 10"),
    ],
)
def test_windows_errors(options, message):
    with pytest.raises(ValueError, match=message):
        utils.timeseries_dataset_from_array(np.zeros(10), None, **{"sequence_length": 2, **options})


def test_seeds():
    draws = []
    for seed in (7, 7, 8):
        utils.set_random_seed(seed)
        draws.append((random.random(), np.random.rand(), tinydl.rand(1).item()))  # noqa: NPY002
    assert draws[0] == draws[1]
    assert not set(draws[0]) & set(draws[2])
    for wrong in (-1, 1 << 32, 0.5, None, True):
        with pytest.raises(ValueError, match="set_random_seed: got"):
            utils.set_random_seed(wrong)
