"""Sums and means against NumPy in float64."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend


def reference(x, axes):
    wide = x.astype(np.float64)
    length = int(np.prod([x.shape[d] for d in axes]))
    return wide.sum(axes), np.abs(wide).sum(axes), length


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
def test_every_set_of_axes(dtype, shape, seed):
    x = normal(np.random.default_rng(seed), shape, dtype)
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            expected, scale, length = reference(x, axes)
            for _, view in layouts(x):
                assert_close(_cpu.sum(view, axes, False), expected, "reduce", length=length, scale=scale)


def test_tiers_and_long_sums(isa, rng):
    x = normal(rng, (3, 100_003))
    for axes in ((0,), (1,), (0, 1)):
        expected, scale, length = reference(x, axes)
        assert_close(_cpu.sum(x, axes, False), expected, "reduce", length=length, scale=scale)
        assert_close(_cpu.mean(x, axes, False), expected / length, "reduce", length=length, scale=scale / length)


def test_the_error_does_not_grow_with_the_length(isa):
    x = np.full(20_000_000, 0.1, np.float32)
    assert_close(_cpu.mean(x, (0,), False), np.float64(np.float32(0.1)), "reduce", length=500)


def test_nothing_to_sum():
    assert _cpu.sum(np.zeros((0, 3), np.float32), (0,), False).tolist() == [0, 0, 0]
    assert np.isnan(_cpu.mean(np.zeros((2, 0), np.float32), (1,), False)).all()
    assert _cpu.sum(np.zeros((0, 3), np.float32), (1,), True).shape == (0, 1)


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x = normal(rng, (64, 31, 29, 32))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            results.add(b"".join(_cpu.sum(x, axes, False).tobytes() for axes in ((0, 1, 2), (0, 1, 2, 3), (3,))))
    assert len(results) == 1


def test_wrong_calls():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="axis 2 is out of range"):
        _cpu.sum(x, (2,), False)
    with pytest.raises(ValueError, match="repeated"):
        _cpu.sum(x, (1, 1), False)
    with pytest.raises(TypeError, match="int64"):
        _cpu.sum(np.arange(3), (0,), False)


@pytest.mark.parametrize("shape", [(3000, 130), (2, 5000, 70), (1, 20000, 3)])
def test_sums_of_many_chunks(isa, shape, rng):
    x = normal(rng, shape)
    found = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            found.add(_cpu.sum(x, (x.ndim - 2,), False).tobytes())
    assert len(found) == 1
    exact = x.astype(np.float64).sum(-2)
    got = np.frombuffer(found.pop(), np.float32).reshape(exact.shape)
    assert_close(got, exact, "reduce", length=shape[-2], scale=np.abs(x).astype(np.float64).sum(-2))
