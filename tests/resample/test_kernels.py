"""The resampling kernel against dense matrices in float64, on every tier and layout."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import SIZES, layouts_on, normal
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


def check(kernels, x, axis, band):
    matrix = dense(band, x.shape[axis])
    wide = x.astype(np.float64)
    expected, scale = apply(matrix, wide, axis), apply(np.abs(matrix), np.abs(wide), axis)
    for _, view in layouts_on(kernels, x, x.size):
        got = kernels.resample_axis(view, axis, *band)
        assert got.dtype == x.dtype
        assert_close(got, expected, "resample", length=band[2].shape[1], scale=scale)
        assert np.moveaxis(got, 1, -1).flags.c_contiguous


def check_plane(kernels, x, rows, columns):
    """Height by `rows`, width by `columns`; length: the products that one output adds up."""
    h, w = dense(rows, x.shape[-2]), dense(columns, x.shape[-1])
    wide = x.astype(np.float64)
    expected = apply(w, apply(h, wide, x.ndim - 2), x.ndim - 1)
    scale = apply(np.abs(w), apply(np.abs(h), np.abs(wide), x.ndim - 2), x.ndim - 1)
    for _, view in layouts_on(kernels, x, x.size):
        got = kernels.resample_plane(view, *rows, *columns)
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
def test_shapes(kernels, dtype, batch, channels, sizes, after, most, data):
    axis = data.draw(st.integers(2, len(sizes) + 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = normal(rng, (batch, channels, *sizes), dtype)
    check(kernels, x, axis, random_band(rng, x.shape[axis], after, most, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    batch=st.integers(0, 2),
    channels=st.sampled_from(SIZES),
    sizes=st.lists(st.integers(0, 7), min_size=2, max_size=3),
    after=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    most=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_planes(kernels, dtype, batch, channels, sizes, after, most, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, (batch, channels, *sizes), dtype)
    rows, columns = (random_band(rng, n, m, most, dtype) for n, m in zip(sizes[-2:], after, strict=True))
    check_plane(kernels, x, rows, columns)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [1, 3, 4, 8, 16, 19, 33])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7])
def test_tiers(kernels, isa, most, channels, dtype, rng):
    x = normal(rng, (2, channels, 7, 5), dtype)
    for axis in (2, 3):
        check(kernels, x, axis, random_band(rng, x.shape[axis], 11, most, dtype))
    rows, columns = (random_band(rng, n, 11, most, dtype) for n in (7, 5))
    check_plane(kernels, x, rows, columns)
    rows[2][:, :1] = 1  # rows that are taken as they are
    check_plane(kernels, x, rows, columns)


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


def test_infinities_and_nan(kernels, isa, rng):
    x = rng.choice([1, np.nan, np.inf, -np.inf], (2, 19, 6, 5)).astype(np.float32)
    for axis in (2, 3):
        start, count, _ = random_band(rng, x.shape[axis], 9, 3, np.float32)
        matrix = np.zeros((9, x.shape[axis]), bool)
        expected = []
        for i in range(9):
            matrix[i, start[i] : start[i] + count[i]] = True
            with np.errstate(invalid="ignore"):
                expected.append(np.take(x.astype(np.float64), np.flatnonzero(matrix[i]), axis).sum(axis))
        got = kernels.resample_axis(x, axis, start, count, np.ones((9, 3), np.float32))
        assert_close(got, np.stack(expected, axis), "resample", length=3)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_channel_does_not_depend_on_its_position(kernels, isa, axis, rng):
    x = normal(rng, (2, 37, 6, 5))
    band = random_band(rng, x.shape[axis], 8, 4, np.float32)
    whole = kernels.resample_axis(x, axis, *band)
    for c in range(37):
        assert np.array_equal(kernels.resample_axis(x[:, c : c + 1], axis, *band), whole[:, c : c + 1])


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


def test_wrong_rows_are_empty_where_they_cannot_be_checked(gpu_kernels):
    x = np.ones((1, 2, 4, 4), np.float32)
    wrong = [(-1, 1), (3, 2), (4, 1), (0, 3), (0, -1), (2**62, 2), (5, 0), (np.iinfo(np.int64).min, 2)]
    start, count = np.array([(0, 2), *wrong]).T.copy()
    band = start, count, np.ones((len(start), 2), np.float32)
    expected = np.array([2, *[0] * len(wrong)], np.float32)
    y = gpu_kernels.resample_axis(x, 2, *band)
    assert np.array_equal(y, np.broadcast_to(expected[:, None], y.shape))
    assert np.array_equal(gpu_kernels.resample_plane(x, *band, *band)[0, 1], np.outer(expected, expected))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("channels", [5, 16])
def test_halves_are_computed_as_float32_and_rounded_once(gpu_kernels, channels, dtype, rng):
    x = normal(rng, (2, channels, 6, 5)).astype(dtype)
    rows, columns = random_band(rng, 6, 7, 3, dtype), random_band(rng, 5, 9, 4, dtype)
    wide = [(*band[:2], band[2].astype(np.float32)) for band in (rows, columns)]
    got = gpu_kernels.resample_axis(x, 2, *rows), gpu_kernels.resample_plane(x, *rows, *columns)
    exact = x.astype(np.float32)
    expected = gpu_kernels.resample_axis(exact, 2, *wide[0]), gpu_kernels.resample_plane(exact, *wide[0], *wide[1])
    for narrow, full in zip(got, expected, strict=True):
        assert narrow.dtype == dtype
        assert narrow.tobytes() == full.astype(dtype).tobytes()


def test_wrong_calls(kernels):
    x = np.ones((1, 2, 4, 4), np.float32)
    start, count, weight = np.zeros(3, np.int64), np.full(3, 2), np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"resample_axis: got an input of shape \(2, 4\), wanted \(N, C, D1"):
        kernels.resample_axis(x[0, 0, :2], 2, start, count, weight)
    for axis in (-1, 1, 4):
        with pytest.raises(ValueError, match=rf"axis {axis} is no spatial axis of shape \(1, 2, 4, 4\)"):
            kernels.resample_axis(x, axis, start, count, weight)
    with pytest.raises(TypeError, match="got dtypes float32 and float64"):
        kernels.resample_axis(x, 2, start, count, weight.astype(np.float64))
    with pytest.raises(TypeError, match="got dtype int64, wanted float32"):
        kernels.resample_axis(x.astype(np.int64), 2, start, count, weight.astype(np.int64))
    with pytest.raises(TypeError, match="got dtype int32, wanted int64 for start and count"):
        kernels.resample_axis(x, 2, start.astype(np.int32), count, weight)
    with pytest.raises(ValueError, match=r"got start of shape \(2,\), wanted a gapless vector of 3"):
        kernels.resample_axis(x, 2, start[:2], count, weight)
    with pytest.raises(ValueError, match="got count of shape"):
        kernels.resample_axis(x, 2, start, np.full(6, 2)[::2], weight)
    with pytest.raises(ValueError, match="got weights of shape"):
        kernels.resample_axis(x, 2, start, count, np.ones((2, 3), np.float32).T)
    if kernels is not _cpu:
        return
    wrong = [(-1, 1), (3, 2), (4, 1), (0, 3), (0, -1), (2**62, 2), (5, 0), (np.iinfo(np.int64).min, 2)]
    for first, taps in wrong:
        with pytest.raises(ValueError, match=f"row 1 starts at {first} with {taps} weights, of at most 2, and"):
            kernels.resample_axis(x, 2, np.array([0, first, 0]), np.array([1, taps, 1]), weight)


def test_wrong_calls_of_planes(kernels):
    x = np.ones((1, 2, 4, 4), np.float32)
    band = np.zeros(3, np.int64), np.full(3, 2), np.ones((3, 2), np.float32)
    for rows, columns in (([0, 4, 0], [0, 0, 0]), ([0, 0, 0], [0, 4, 0])) if kernels is _cpu else ():
        with pytest.raises(ValueError, match="resample_plane: row 1 starts at 4 with 2 weights"):
            kernels.resample_plane(x, np.array(rows), *band[1:], np.array(columns), *band[1:])
    with pytest.raises(ValueError, match=r"got an input of shape \(2, 4, 4\), wanted \(N, C, ..., H, W\)"):
        kernels.resample_plane(x[0], *band, *band)
    for rows, columns in ((np.float32, np.float64), (np.float64, np.float32)):
        with pytest.raises(TypeError, match="got dtypes float32 and float64"):
            kernels.resample_plane(x, *band[:2], band[2].astype(rows), *band[:2], band[2].astype(columns))
