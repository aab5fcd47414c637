"""The kernels of extremes and variances against NumPy, and their gradients against the formulas."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reduce.axes import axes_on, every_axes
from tests.support.arrays import layouts, layouts_on, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], np.float32)


def count_over(shape, axes):
    return int(np.prod([shape[d] for d in axes], dtype=np.int64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=5000), special=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_extremes_over_every_set_of_axes(kernels, dtype, shape, special, seed):
    rng = np.random.default_rng(seed)
    x = rng.choice(SPECIAL, shape).astype(dtype) if special else normal(rng, shape, dtype)
    for axes in axes_on(kernels, shape, seed):
        if count_over(shape, axes) == 0:
            continue
        for _, view in layouts_on(kernels, x, seed + sum(axes)):
            np.testing.assert_array_equal(kernels.amax(view, axes, False), x.max(axes))
            np.testing.assert_array_equal(kernels.amin(view, axes, True), x.min(axes, keepdims=True))


@pytest.mark.parametrize("place", [0, 1, 15, 16, 2047, 2048, 70_000, 99_999])
def test_nan_wins_wherever_it_is(kernels, isa, place, rng):
    x = normal(rng, (100_000,))
    assert kernels.amax(x, (0,), False) == x.max()
    assert kernels.amin(x, (0,), False) == x.min()
    x[place] = np.nan
    for kernel in (kernels.amax, kernels.amin):
        assert np.isnan(kernel(x, (0,), False))
        rows = kernel(x.reshape(1000, 100), (0,), False)
        assert np.isnan(rows).sum() == 1
        assert np.isnan(rows[place % 100])


def check_var(kernels, x, view, axes, correction, keepdims):
    wide = x.astype(np.longdouble)  # float64 inputs would round here as the kernel does
    count = count_over(x.shape, axes)
    mean = wide.mean(axes, keepdims=True)
    squares = ((wide - mean) ** 2).sum(axes, keepdims=keepdims)
    with np.errstate(all="ignore"):
        expected = squares / max(count - correction, 0)
        scale = np.abs(wide).mean(axes, keepdims=keepdims)
    got = kernels.var(view, axes, correction, keepdims)
    with np.errstate(all="ignore"):  # a square has twice the relative error of its deviation
        assert_close(got[0], expected, "reduce", length=count, scale=np.nan_to_num(2 * expected, posinf=0))
    assert_close(got[1], mean.reshape(got[1].shape), "reduce", length=count, scale=np.nan_to_num(scale))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=3000), correction=st.sampled_from([0, 1, 0.5, 2]), seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_var_over_every_set_of_axes(kernels, dtype, shape, correction, seed):
    rng = np.random.default_rng(seed)
    x = (normal(rng, shape) + 3).astype(dtype)
    for axes in axes_on(kernels, shape, seed):
        if count_over(shape, axes) == 1:
            continue
        for number, (_, view) in enumerate(layouts_on(kernels, x, seed + sum(axes))):
            check_var(kernels, x, view, axes, correction, bool(number % 2))


@pytest.mark.parametrize("shape", [(100_003, 3), (3, 100_003), (7, 301, 5, 64)], ids=str)
def test_var_far_from_zero(kernels, isa, shape, rng):
    """The spread is a few ulp of the values: squares subtracted from squares would leave nothing."""
    if kernels is not _cpu:
        shape = tuple(min(n, 17_003) // (1 if n < 100 else 1 + len(shape) // 4 * 6) for n in shape)
    x = (normal(rng, shape) + 10_000).astype(np.float32)
    for axes in every_axes(shape):
        if axes:
            check_var(kernels, x, x, axes, 1, False)


def test_var_of_one_element_and_of_none(kernels):
    one = kernels.var(np.ones((1, 3), np.float32), (0,), 1, False)
    assert np.isnan(one[0]).all()
    assert one[1].tolist() == [1, 1, 1]
    assert kernels.var(np.ones((1, 3), np.float32), (0,), 0, False)[0].tolist() == [0, 0, 0]
    assert np.isnan(kernels.var(np.ones((0, 3), np.float32), (0,), 0, False)).all()
    assert kernels.var(np.ones((0, 3), np.float32), (1,), 0, False)[0].shape == (0,)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(5, 7), (70, 16), (3, 1100), (600, 8)], ids=str)
def test_halves_are_computed_as_float32_and_rounded_once(gpu_kernels, shape, dtype, rng):
    x = (3 + normal(rng, shape)).astype(dtype)
    wide = x.astype(np.float32)
    for axes in ((0,), (1,), (0, 1)):
        for name in ("amax", "amin"):
            got = getattr(gpu_kernels, name)(x, axes, False)
            assert got.tobytes() == getattr(gpu_kernels, name)(wide, axes, False).astype(dtype).tobytes()
        exact = x.astype(np.float64)
        eps = float(ml_dtypes.finfo(dtype).eps)
        references = exact.var(axes, ddof=1), exact.mean(axes)
        for got, expected in zip(gpu_kernels.var(x, axes, 1, False), references, strict=True):
            assert got.dtype == dtype
            assert (np.abs(got.astype(np.float64) - expected) <= 0.51 * eps * np.abs(expected)).all()
    y, g = x[:1], normal(rng, shape).astype(dtype)
    for name in ("var_backward", "extreme_backward"):
        expected = getattr(gpu_kernels, name)(wide, y.astype(np.float32), g.astype(np.float32)).astype(dtype)
        assert getattr(gpu_kernels, name)(x, y, g).tobytes() == expected.tobytes()


@pytest.mark.parametrize("kept", [(1, 1), (5, 1), (1, 37), (5, 37), ()], ids=str)
def test_gradient_kernels(kernels, isa, kept, rng):
    x = rng.integers(0, 3, (5, 37)).astype(np.float32)
    y, g = rng.integers(0, 3, kept).astype(np.float32), normal(rng, kept)
    for _, view in layouts(x):
        expected = np.where(x == y, g, 0)
        np.testing.assert_array_equal(kernels.extreme_backward(view, y, g), expected)
        np.testing.assert_array_equal(kernels.var_backward(view, y, g), (x - y) * g)


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x = normal(rng, (64, 31, 29, 32))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            for axes in ((0, 1, 2), (0, 1, 2, 3), (3,), (1,), (0, 2)):
                pair = _cpu.var(x, axes, 1, False)
                results.add((axes, pair[0].tobytes(), pair[1].tobytes(), _cpu.amax(x, axes, False).tobytes()))
    assert len(results) == 5


def test_wrong_calls(kernels):
    x = np.ones((2, 0, 3), np.float32)
    with pytest.raises(ValueError, match=r"amax: nothing to choose from in shape \(2, 0, 3\)"):
        kernels.amax(x, (1,), False)
    assert kernels.amin(x, (2,), False).shape == (2, 0)
    with pytest.raises(ValueError, match="axis 3 is out of range"):
        kernels.var(x, (3,), 1, False)
    with pytest.raises(TypeError, match="int64"):
        kernels.amax(np.arange(3), (0,), False)
    with pytest.raises(ValueError, match=r"var_backward: shape \(3,\) does not broadcast to \(2,\)"):
        kernels.var_backward(np.ones(2), np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"extreme_backward: shape \(2, 2\) does not broadcast to \(2,\)"):
        kernels.extreme_backward(np.ones(2), np.ones(2), np.ones((2, 2)))
    with pytest.raises(TypeError, match="got dtypes float64 and float32, wanted one"):
        kernels.extreme_backward(np.ones(2), np.ones(2), np.ones(2, np.float32))
