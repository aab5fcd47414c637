"""Philox, the uniform and normal numbers made of it, and dropout: bits, positions, distributions."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.random.philox import WORD, philox4x32_10, words
from tests.support.arrays import SIZES, layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]
HALVES = [np.float16, ml_dtypes.bfloat16]
UINT64 = st.integers(0, 2**64 - 1)


def fractions(count, seed, offset):
    """The 24-bit fractions u_i in [0, 1), exact in float32 and float64."""
    return np.array([word >> 8 for word in words(count, seed, offset)], np.float64) / 2**24


# -- The generator -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_oracle_gives_the_published_vectors(counter, key, expected):
    """Known answers of the authors' library Random123."""
    assert philox4x32_10(counter, key) == expected


@given(seed=UINT64, offset=UINT64, count=st.integers(0, 70))
def test_uniform_is_philox(kernels, seed, offset, count):
    got = kernels.uniform(count, 0.0, 1.0, seed, offset)
    assert got.dtype == np.float32
    assert np.array_equal(got.astype(np.float64), fractions(count, seed, offset))


@pytest.mark.parametrize("offset", [0, 2**32 - 3, 2**64 - 5])
def test_counters_carry_on_every_tier(kernels, isa, offset):
    seed = 0x0123456789ABCDEF
    got = kernels.uniform(3001, 0.0, 1.0, seed, offset)
    assert np.array_equal(got.astype(np.float64), fractions(3001, seed, offset))


# -- Positions, tiers, threads -------------------------------------------------------------------------------


DRAWS = {
    "uniform": lambda count, offset: _cpu.uniform(count, -1.0, 2.0, 99, offset),
    "normal": lambda count, offset: _cpu.normal(count, 1.0, 3.0, 99, offset),
    "dropout": lambda count, offset: _cpu.dropout(np.arange(count, dtype=np.float32), 0.4, 99, offset)[0],
    "mask": lambda count, offset: _cpu.dropout(np.ones(count), 0.4, 99, offset)[1],
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_bits_do_not_depend_on_tier_or_threads(draw):
    results = set()
    for tier in backend.ISAS[: backend.ISAS.index(backend.detected_isa()) + 1]:
        for threads in (1, 2, 3, 5):
            with backend.use_isa(tier), backend.use_threads(threads):
                results.add(draw(100_003, 17).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("name", ["uniform", "normal", "mask"])
@given(first=st.integers(0, 3000).map(lambda n: 4 * n), count=st.integers(0, 40))
def test_an_element_depends_on_its_position_alone(name, first, count):
    draw = DRAWS[name]
    whole = draw(12_100, 5)
    assert np.array_equal(draw(count, 5 + first // 4), whole[first : first + count])
    assert np.array_equal(draw(first + count, 5), whole[: first + count])


@pytest.mark.parametrize("count", [0, 1, 3, 8, 9, 1025, 3001])
def test_a_gpu_draws_the_bits_of_the_cpu(gpu_kernels, count):
    same = lambda a, b: a.tobytes() == b.tobytes()  # noqa: E731
    assert same(gpu_kernels.uniform(count, -1.0, 2.0, 99, 17), _cpu.uniform(count, -1.0, 2.0, 99, 17))
    assert same(gpu_kernels.normal(count, 1.0, 3.0, 99, 17), _cpu.normal(count, 1.0, 3.0, 99, 17))
    x = np.arange(count, dtype=np.float32)
    for view in (x, x[1:]):  # in packs, and one by one
        for got, expected in zip(gpu_kernels.dropout(view, 0.4, 99, 17), _cpu.dropout(view, 0.4, 99, 17), strict=True):
            assert same(got, expected)


# -- Uniform -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.5, 2.25), (1e6, 1e6 + 1), (-1e30, 1e30), (0.1, 0.3)])
def test_uniform_range(kernels, isa, low, high):
    u = fractions(2000, 7, 3)
    low32, high32 = np.float64(np.float32(low)), np.float64(np.float32(high))
    got = kernels.uniform(2000, low, high, 7, 3)
    assert_close(got, low32 + u * (high32 - low32), "random", scale=max(abs(low32), abs(high32)))
    assert got.min() >= np.float32(low)
    assert got.max() < np.float32(high)


def test_uniform_never_rounds_up_to_high(isa):
    """Between 1 and its successor lies nothing: without the guard half the numbers would be the successor."""
    high = np.nextafter(np.float32(1), np.float32(2))
    assert np.all(_cpu.uniform(1000, 1.0, float(high), 0, 0) == 1)
    wide = _cpu.uniform(1 << 20, 2.0**24, 2.0**24 + 4, 0, 0)
    assert set(np.unique(wide)) == {2.0**24, 2.0**24 + 2}


def test_uniform_of_an_empty_range_is_its_bound(kernels):
    assert np.all(kernels.uniform(33, 0.7, 0.7, 0, 0) == np.float32(0.7))


def test_uniform_statistics():
    n = 1 << 20
    u = _cpu.uniform(n, 0.0, 1.0, 2024, 0).astype(np.float64)
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)
    assert abs(u.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / n)
    for lag in (1, 2, 3, 4, 8):
        correlation = np.mean((u[:-lag] - 0.5) * (u[lag:] - 0.5)) * 12
        assert abs(correlation) < 4 / np.sqrt(n)
    assert chi_square(np.bincount((u * 256).astype(int), minlength=256), n / 256)
    cells = (u[::2] * 16).astype(int) * 16 + (u[1::2] * 16).astype(int)
    assert chi_square(np.bincount(cells, minlength=256), n / 2 / 256)


def chi_square(counts, expected):
    """Whether Pearson's statistic lies within four standard deviations of its mean."""
    statistic = np.sum((counts - expected) ** 2 / expected)
    freedom = counts.size - 1
    return abs(statistic - freedom) < 4 * np.sqrt(2 * freedom)


def test_streams_of_different_seeds_are_unrelated():
    draws = [_cpu.uniform(1 << 16, -0.5, 0.5, seed, 0).astype(np.float64) for seed in (0, 1, 2, 2**32, 2**63)]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 4 / np.sqrt(1 << 16)


# -- Normal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [*SIZES, 2001])
def test_normal_is_box_muller(kernels, isa, count):
    pairs = np.array(words(count + count % 2, 11, 4), np.float64).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log((pairs[:, 0] + 1) / 2**32))
    angle = 2 * np.pi * pairs[:, 1] / 2**32
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:count]
    assert_close(kernels.normal(count, 0.5, 2.0, 11, 4), 0.5 + 2 * z, "random", scale=0.5 + 2 * np.abs(z))


def test_normal_statistics():
    n = 1 << 20
    z = _cpu.normal(n, 0.0, 1.0, 2024, 0).astype(np.float64)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 4 * np.sqrt(variance / n)
    assert abs(np.mean(z[::2] * z[1::2])) < 4 / np.sqrt(n / 2)
    inside = [0.38292492, 0.68268949, 0.95449974, 0.99730020]  # P(|z| < k) for k = 1/2, 1, 2, 3
    for k, p in zip((0.5, 1, 2, 3), inside, strict=True):
        assert abs(np.mean(np.abs(z) < k) - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_normal_without_spread_is_the_mean(kernels):
    assert np.all(kernels.normal(33, 0.7, 0.0, 0, 0) == np.float32(0.7))


# -- Dropout -------------------------------------------------------------------------------------------------


def in_memory(array):
    """The elements of a dense array in the order of their addresses."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return array.transpose(order).ravel()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_keeps_what_the_uniform_numbers_say(kernels, isa, dtype, p, rng):
    x = normal(rng, (3, 5, 7, 17), dtype)
    kept = kernels.uniform(x.size, 0.0, 1.0, 3, 8) >= p
    for name, view in layouts(x):
        y, mask = kernels.dropout(view, p, 3, 8)
        assert (y.dtype, mask.dtype, mask.shape) == (x.dtype, np.uint8, x.shape)
        if name in ("row-major", "channels-last"):
            assert y.strides == view.strides
        assert np.array_equal(in_memory(mask), kept)
        expected = np.where(mask, x.astype(np.float64) / (1 - min(p, 0.99)), 0)
        assert_close(y, expected, "random")


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_of_more_than_the_caches_hold(isa, dtype, rng):
    """The bits of a part are those of a call that is small enough to be stored through the caches."""
    x = np.tile(normal(rng, 1 << 16, dtype), (48 << 20 >> 16) // np.dtype(dtype).itemsize + 1)[: -(1 << 15) + 13]
    y, mask = _cpu.dropout(x, 0.3, 3, 8)
    assert y.nbytes > 48 << 20
    dx = _cpu.dropout_backward(x, mask, 0.3)
    assert np.array_equal(dx, y)
    for start in (0, x.size // 8 * 4, (x.size - 2000) // 4 * 4):
        part, kept = _cpu.dropout(x[start : start + 5000], 0.3, 3, 8 + start // 4)
        assert np.array_equal(part, y[start : start + 5000])
        assert np.array_equal(kept, mask[start : start + 5000])


@pytest.mark.parametrize("dtype", FLOATS)
@given(shape=shapes(), seed=UINT64, p=st.floats(0, 1))
def test_dropout_gradient(kernels, dtype, shape, seed, p):
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, shape, dtype), normal(rng, shape, dtype)
    _, mask = kernels.dropout(x, p, seed, 0)
    scale = 1 / (1 - p) if p < 1 else 0.0
    expected = grad.astype(np.float64) * mask * scale
    for (_, g), (_, m) in zip(layouts(grad), reversed(list(layouts(mask))), strict=True):
        assert_close(kernels.dropout_backward(g, m, p), expected, "random")


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("count", [64, 77])
def test_dropout_of_halves_is_that_of_float32_rounded_once(gpu_kernels, dtype, count, rng):
    x = normal(rng, (3, count)).astype(dtype)
    for view in (x, x.reshape(-1)[1:]):
        y, mask = gpu_kernels.dropout(view, 0.3, 3, 8)
        expected, expected_mask = gpu_kernels.dropout(view.astype(np.float32), 0.3, 3, 8)
        assert y.tobytes() == expected.astype(dtype).tobytes()
        assert np.array_equal(mask, expected_mask)
        expected = gpu_kernels.dropout_backward(view.astype(np.float32), mask, 0.3)
        assert gpu_kernels.dropout_backward(view, mask, 0.3).tobytes() == expected.astype(dtype).tobytes()


@pytest.mark.parametrize("p", [0.001, 0.2, 0.5, 0.77])
def test_dropout_rate(p):
    n = 1 << 20
    _, mask = _cpu.dropout(np.ones(n, np.float32), p, 5, 0)
    assert abs(mask.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / n)


def test_dropped_infinities_become_zero(kernels, isa):
    x = np.array([np.nan, np.inf, -np.inf] * 100, np.float32)
    y, mask = kernels.dropout(x, 0.5, 0, 0)
    assert np.array_equal(y, np.where(mask, x, np.float32(0)), equal_nan=True)
    assert 0 < mask.sum() < mask.size


def test_broadcast_and_empty_arrays(kernels):
    y, mask = kernels.dropout(np.broadcast_to(np.float32(1), (5, 7)), 0.5, 0, 0)
    assert np.array_equal(y, 2 * mask.astype(np.float32))
    assert kernels.dropout(np.zeros((0, 3), np.float32), 0.5, 0, 0)[1].shape == (0, 3)
    assert kernels.uniform(0, 0.0, 1.0, 0, 0).shape == (0,)


def test_wrong_calls(kernels):
    x, mask = np.ones((2, 3), np.float32), np.ones((2, 3), np.uint8)
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"dropout: got p = .*, wanted a probability from 0 to 1"):
            kernels.dropout(x, p, 0, 0)
        with pytest.raises(ValueError, match="dropout_backward: got p = "):
            kernels.dropout_backward(x, mask, p)
    with pytest.raises(TypeError, match="dropout: got dtype int64, wanted float32"):
        kernels.dropout(np.arange(3), 0.5, 0, 0)
    with pytest.raises(TypeError, match="dropout_backward: got dtype float32, wanted uint8 for the mask"):
        kernels.dropout_backward(x, x, 0.5)
    with pytest.raises(ValueError, match=r"dropout_backward: grad has shape \(2, 3\), mask \(2, 2\)"):
        kernels.dropout_backward(x, mask[:, :2], 0.5)
    with pytest.raises(ValueError, match="uniform: got a count of -1, wanted at least 0"):
        kernels.uniform(-1, 0.0, 1.0, 0, 0)
    for low, high in ((1.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (-3e38, 3e38)):
        with pytest.raises(ValueError, match="uniform: got the range"):
            kernels.uniform(1, low, high, 0, 0)
    for mean, std in ((0.0, -1.0), (np.inf, 1.0), (0.0, np.nan)):
        with pytest.raises(ValueError, match="normal: got mean"):
            kernels.normal(1, mean, std, 0, 0)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        kernels.uniform(1, 0.0, 1.0, 2**64, 0)
