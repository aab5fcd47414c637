"""The resampling kernel against dense matrices in float64, on every tier and layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import SIZES, layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]


def random_band(rng, before, after, most, dtype):
    """(start, count, weight) of a random matrix, with NaN where no weight counts."""
    count = rng.integers(0, min(before, most) + 1, after)
    start = rng.integers(0, before - count + 1)
    weight = normal(rng, (after, most), dtype)
    weight[np.arange(most) >= count[:, None]] = np.nan
    return start, count, weight


def dense(band, before):
    """The matrix with its zeros, in float64."""
    start, count, weight = band
    out = np.zeros((len(start), before))
    for i, (first, n) in enumerate(zip(start, count, strict=True)):
        out[i, first : first + n] = weight[i, :n]
    return out


def apply(matrix, x, axis):
    return np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)


def check(x, axis, band):
    matrix = dense(band, x.shape[axis])
    wide = x.astype(np.float64)
    expected, scale = apply(matrix, wide, axis), apply(np.abs(matrix), np.abs(wide), axis)
    for _, view in layouts(x):
        got = _cpu.resample_axis(view, axis, *band)
        assert got.dtype == x.dtype
        assert_close(got, expected, "resample", length=band[2].shape[1], scale=scale)
        assert np.moveaxis(got, 1, -1).flags.c_contiguous


def check_plane(x, rows, columns):
    """Height by `rows`, width by `columns`; length: the products that one output adds up."""
    h, w = dense(rows, x.shape[-2]), dense(columns, x.shape[-1])
    wide = x.astype(np.float64)
    expected = apply(w, apply(h, wide, x.ndim - 2), x.ndim - 1)
    scale = apply(np.abs(w), apply(np.abs(h), np.abs(wide), x.ndim - 2), x.ndim - 1)
    for _, view in layouts(x):
        got = _cpu.resample_plane(view, *rows, *columns)
        assert got.dtype == x.dtype
        assert_close(got, expected, "resample", length=rows[2].shape[1] * columns[2].shape[1], scale=scale)
        assert np.moveaxis(got, 1, -1).flags.c_contiguous


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    batch=st.integers(0, 3),
    channels=st.sampled_from(SIZES),
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    after=st.integers(0, 9),
    most=st.integers(0, 6),
    data=st.data(),
)
def test_shapes(dtype, batch, channels, sizes, after, most, data):
    axis = data.draw(st.integers(2, len(sizes) + 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = normal(rng, (batch, channels, *sizes), dtype)
    check(x, axis, random_band(rng, x.shape[axis], after, most, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    batch=st.integers(0, 2),
    channels=st.sampled_from(SIZES),
    sizes=st.lists(st.integers(0, 7), min_size=2, max_size=3),
    after=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    most=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_planes(dtype, batch, channels, sizes, after, most, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, (batch, channels, *sizes), dtype)
    rows, columns = (random_band(rng, n, m, most, dtype) for n, m in zip(sizes[-2:], after, strict=True))
    check_plane(x, rows, columns)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [1, 3, 4, 8, 16, 19, 33])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7])
def test_tiers(isa, most, channels, dtype, rng):
    x = normal(rng, (2, channels, 7, 5), dtype)
    for axis in (2, 3):
        check(x, axis, random_band(rng, x.shape[axis], 11, most, dtype))
    rows, columns = (random_band(rng, n, 11, most, dtype) for n in (7, 5))
    check_plane(x, rows, columns)
    rows[2][:, :1] = 1  # rows that are taken as they are
    check_plane(x, rows, columns)


@pytest.mark.parametrize("channels", [64, 65])
def test_results_too_large_for_the_caches(isa, channels, rng):
    """The bits of a part are those of a call that is small enough to be stored through the caches."""
    x = normal(rng, (2, channels, 3, 5))
    long, rows, columns = (random_band(rng, n, m, 2, np.float32) for n, m in ((3, 21000), (3, 320), (5, 320)))
    calls = [
        (long, lambda band: _cpu.resample_axis(x, 2, *band)),
        (rows, lambda band: _cpu.resample_plane(x, *band, *columns)),
    ]
    for band, call in calls:
        whole = call(band)
        assert whole.nbytes > 48 << 20
        for part in (slice(0, 3), slice(200, 202), slice(len(band[0]) - 2, None)):
            assert np.array_equal(call([a[part].copy() for a in band]), whole[:, :, part])


def test_infinities_and_nan(isa, rng):
    x = rng.choice([1, np.nan, np.inf, -np.inf], (2, 19, 6, 5)).astype(np.float32)
    for axis in (2, 3):
        start, count, _ = random_band(rng, x.shape[axis], 9, 3, np.float32)
        matrix = np.zeros((9, x.shape[axis]), bool)
        expected = []
        for i in range(9):
            matrix[i, start[i] : start[i] + count[i]] = True
            with np.errstate(invalid="ignore"):
                expected.append(np.take(x.astype(np.float64), np.flatnonzero(matrix[i]), axis).sum(axis))
        got = _cpu.resample_axis(x, axis, start, count, np.ones((9, 3), np.float32))
        assert_close(got, np.stack(expected, axis), "resample", length=3)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_channel_does_not_depend_on_its_position(isa, axis, rng):
    x = normal(rng, (2, 37, 6, 5))
    band = random_band(rng, x.shape[axis], 8, 4, np.float32)
    whole = _cpu.resample_axis(x, axis, *band)
    for c in range(37):
        assert np.array_equal(_cpu.resample_axis(x[:, c : c + 1], axis, *band), whole[:, c : c + 1])


@pytest.mark.parametrize("axis", [2, 3])
def test_bits_do_not_depend_on_the_threads(isa, axis, rng):
    x = normal(rng, (3, 40, 37, 41))
    band = random_band(rng, x.shape[axis], 53, 4, np.float32)
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            results.add(_cpu.resample_axis(x, axis, *band).tobytes())
    assert len(results) == 1


def test_bits_of_planes_do_not_depend_on_the_threads(isa, rng):
    x = normal(rng, (3, 40, 37, 41))
    rows, columns = random_band(rng, 37, 53, 4, np.float32), random_band(rng, 41, 29, 4, np.float32)
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            results.add(_cpu.resample_plane(x, *rows, *columns).tobytes())
    assert len(results) == 1


def test_wrong_calls():
    x = np.ones((1, 2, 4, 4), np.float32)
    start, count, weight = np.zeros(3, np.int64), np.full(3, 2), np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"resample_axis: got an input of shape \(2, 4\), wanted \(N, C, D1"):
        _cpu.resample_axis(x[0, 0, :2], 2, start, count, weight)
    for axis in (-1, 1, 4):
        with pytest.raises(ValueError, match=rf"axis {axis} is no spatial axis of shape \(1, 2, 4, 4\)"):
            _cpu.resample_axis(x, axis, start, count, weight)
    with pytest.raises(TypeError, match="got dtypes float32 and float64"):
        _cpu.resample_axis(x, 2, start, count, weight.astype(np.float64))
    with pytest.raises(TypeError, match="got dtype int64, wanted float32 or float64"):
        _cpu.resample_axis(x.astype(np.int64), 2, start, count, weight.astype(np.int64))
    with pytest.raises(TypeError, match="got dtype int32, wanted int64 for start and count"):
        _cpu.resample_axis(x, 2, start.astype(np.int32), count, weight)
    with pytest.raises(ValueError, match=r"got start of shape \(2,\), wanted a gapless vector of 3"):
        _cpu.resample_axis(x, 2, start[:2], count, weight)
    with pytest.raises(ValueError, match="got count of shape"):
        _cpu.resample_axis(x, 2, start, np.full(6, 2)[::2], weight)
    with pytest.raises(ValueError, match="got weights of shape"):
        _cpu.resample_axis(x, 2, start, count, np.ones((2, 3), np.float32).T)
    wrong = [(-1, 1), (3, 2), (4, 1), (0, 3), (0, -1), (2**62, 2), (5, 0), (np.iinfo(np.int64).min, 2)]
    for first, taps in wrong:
        with pytest.raises(ValueError, match=f"row 1 starts at {first} with {taps} weights, of at most 2, and"):
            _cpu.resample_axis(x, 2, np.array([0, first, 0]), np.array([1, taps, 1]), weight)


def test_wrong_calls_of_planes():
    x = np.ones((1, 2, 4, 4), np.float32)
    band = np.zeros(3, np.int64), np.full(3, 2), np.ones((3, 2), np.float32)
    for rows, columns in (([0, 4, 0], [0, 0, 0]), ([0, 0, 0], [0, 4, 0])):
        with pytest.raises(ValueError, match="resample_plane: row 1 starts at 4 with 2 weights"):
            _cpu.resample_plane(x, np.array(rows), *band[1:], np.array(columns), *band[1:])
    with pytest.raises(ValueError, match=r"got an input of shape \(2, 4, 4\), wanted \(N, C, ..., H, W\)"):
        _cpu.resample_plane(x[0], *band, *band)
    for rows, columns in ((np.float32, np.float64), (np.float64, np.float32)):
        with pytest.raises(TypeError, match="got dtypes float32 and float64"):
            _cpu.resample_plane(x, *band[:2], band[2].astype(rows), *band[:2], band[2].astype(columns))
