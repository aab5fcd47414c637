"""Sums and means against NumPy in float64."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reduce.axes import axes_on
from tests.support.arrays import layouts_on, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend


def reference(x, axes):
    wide = x.astype(np.float64)
    length = int(np.prod([x.shape[d] for d in axes]))
    return wide.sum(axes), np.abs(wide).sum(axes), length


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
def test_every_set_of_axes(kernels, dtype, shape, seed):
    x = normal(np.random.default_rng(seed), shape, dtype)
    for axes in axes_on(kernels, shape, seed):
        expected, scale, length = reference(x, axes)
        for _, view in layouts_on(kernels, x, seed + sum(axes)):
            assert_close(kernels.sum(view, axes, False), expected, "reduce", length=length, scale=scale)


def test_tiers_and_long_sums(kernels, isa, rng):
    x = normal(rng, (3, 100_003 if kernels is _cpu else 20_011))
    for axes in ((0,), (1,), (0, 1)):
        expected, scale, length = reference(x, axes)
        assert_close(kernels.sum(x, axes, False), expected, "reduce", length=length, scale=scale)
        assert_close(kernels.mean(x, axes, False), expected / length, "reduce", length=length, scale=scale / length)


def test_the_error_does_not_grow_with_the_length(isa):
    x = np.full(20_000_000, 0.1, np.float32)
    assert_close(_cpu.mean(x, (0,), False), np.float64(np.float32(0.1)), "reduce", length=500)


@pytest.mark.parametrize("shape", [(5, 3), (3, 70, 16), (2, 700, 8), (700, 33), (3, 2000), (2, 33_000)], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_short_and_long_rows_and_columns(gpu_kernels, shape, dtype, rng):
    """Teams of lanes, warps and blocks, one and two stages; 16-bit numbers are rounded once, after the last step."""
    x = normal(rng, shape).astype(dtype)
    for axes in ((0,), (x.ndim - 1,), (0, x.ndim - 1), tuple(range(x.ndim))):
        exact, scale, length = reference(x, axes)
        for got, expected, size in (
            (gpu_kernels.sum(x, axes, False), exact, scale),
            (gpu_kernels.mean(x, axes, False), exact / length, scale / length),
        ):
            assert got.dtype == dtype
            rounding = float(ml_dtypes.finfo(dtype).eps) * np.abs(expected)
            narrow = np.finfo(np.float32).eps * (4 + 0.5 * np.sqrt(length)) * size
            assert (np.abs(got.astype(np.float64) - expected) <= rounding + narrow).all()


def test_sums_beyond_the_range_of_float16(gpu_kernels):
    x = np.full((40, 3, 2000), 30, np.float16)
    assert (gpu_kernels.mean(x, (0, 2), False) == 30).all()
    assert np.isinf(gpu_kernels.sum(x, (0, 2), False)).all()


def test_nothing_to_sum(kernels):
    assert kernels.sum(np.zeros((0, 3), np.float32), (0,), False).tolist() == [0, 0, 0]
    assert np.isnan(kernels.mean(np.zeros((2, 0), np.float32), (1,), False)).all()
    assert kernels.sum(np.zeros((0, 3), np.float32), (1,), True).shape == (0, 1)


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x = normal(rng, (64, 31, 29, 32))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            results.add(b"".join(_cpu.sum(x, axes, False).tobytes() for axes in ((0, 1, 2), (0, 1, 2, 3), (3,))))
    assert len(results) == 1


def test_wrong_calls(kernels):
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="axis 2 is out of range"):
        kernels.sum(x, (2,), False)
    with pytest.raises(ValueError, match="repeated"):
        kernels.sum(x, (1, 1), False)
    with pytest.raises(TypeError, match="int64"):
        kernels.sum(np.arange(3), (0,), False)


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
