"""The kernels of extremes and variances against NumPy, and their gradients against the formulas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], np.float32)


def every_axes(shape):
    for count in range(len(shape) + 1):
        yield from itertools.combinations(range(len(shape)), count)


def count_over(shape, axes):
    return int(np.prod([shape[d] for d in axes], dtype=np.int64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=5000), special=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_extremes_over_every_set_of_axes(dtype, shape, special, seed):
    rng = np.random.default_rng(seed)
    x = rng.choice(SPECIAL, shape).astype(dtype) if special else normal(rng, shape, dtype)
    for axes in every_axes(shape):
        if count_over(shape, axes) == 0:
            continue
        for _, view in layouts(x):
            np.testing.assert_array_equal(_cpu.amax(view, axes, False), x.max(axes))
            np.testing.assert_array_equal(_cpu.amin(view, axes, True), x.min(axes, keepdims=True))


@pytest.mark.parametrize("place", [0, 1, 15, 16, 2047, 2048, 70_000, 99_999])
def test_nan_wins_wherever_it_is(isa, place, rng):
    x = normal(rng, (100_000,))
    assert _cpu.amax(x, (0,), False) == x.max()
    assert _cpu.amin(x, (0,), False) == x.min()
    x[place] = np.nan
    for kernel in (_cpu.amax, _cpu.amin):
        assert np.isnan(kernel(x, (0,), False))
        rows = kernel(x.reshape(1000, 100), (0,), False)
        assert np.isnan(rows).sum() == 1
        assert np.isnan(rows[place % 100])


def check_var(x, view, axes, correction, keepdims):
    wide = x.astype(np.longdouble)  # float64 inputs would round here as the kernel does
    count = count_over(x.shape, axes)
    mean = wide.mean(axes, keepdims=True)
    squares = ((wide - mean) ** 2).sum(axes, keepdims=keepdims)
    with np.errstate(all="ignore"):
        expected = squares / max(count - correction, 0)
        scale = np.abs(wide).mean(axes, keepdims=keepdims)
    got = _cpu.var(view, axes, correction, keepdims)
    assert_close(got[0], expected, "reduce", length=count)
    assert_close(got[1], mean.reshape(got[1].shape), "reduce", length=count, scale=np.nan_to_num(scale))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=3000), correction=st.sampled_from([0, 1, 0.5, 2]), seed=st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_var_over_every_set_of_axes(dtype, shape, correction, seed):
    rng = np.random.default_rng(seed)
    x = (normal(rng, shape) + 3).astype(dtype)
    for axes in every_axes(shape):
        if count_over(shape, axes) == 1:
            continue
        for number, (_, view) in enumerate(layouts(x)):
            check_var(x, view, axes, correction, bool(number % 2))


@pytest.mark.parametrize("shape", [(100_003, 3), (3, 100_003), (7, 301, 5, 64)], ids=str)
def test_var_far_from_zero(isa, shape, rng):
    """The spread is a few ulp of the values: squares subtracted from squares would leave nothing."""
    x = (normal(rng, shape) + 10_000).astype(np.float32)
    for axes in every_axes(shape):
        if axes:
            check_var(x, x, axes, 1, False)


def test_var_of_one_element_and_of_none():
    one = _cpu.var(np.ones((1, 3), np.float32), (0,), 1, False)
    assert np.isnan(one[0]).all()
    assert one[1].tolist() == [1, 1, 1]
    assert _cpu.var(np.ones((1, 3), np.float32), (0,), 0, False)[0].tolist() == [0, 0, 0]
    assert np.isnan(_cpu.var(np.ones((0, 3), np.float32), (0,), 0, False)).all()
    assert _cpu.var(np.ones((0, 3), np.float32), (1,), 0, False)[0].shape == (0,)


@pytest.mark.parametrize("kept", [(1, 1), (5, 1), (1, 37), (5, 37), ()], ids=str)
def test_gradient_kernels(isa, kept, rng):
    x = rng.integers(0, 3, (5, 37)).astype(np.float32)
    y, g = rng.integers(0, 3, kept).astype(np.float32), normal(rng, kept)
    for _, view in layouts(x):
        expected = np.where(x == y, g, 0)
        np.testing.assert_array_equal(_cpu.extreme_backward(view, y, g), expected)
        np.testing.assert_array_equal(_cpu.var_backward(view, y, g), (x - y) * g)


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x = normal(rng, (64, 31, 29, 32))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            for axes in ((0, 1, 2), (0, 1, 2, 3), (3,), (1,), (0, 2)):
                pair = _cpu.var(x, axes, 1, False)
                results.add((axes, pair[0].tobytes(), pair[1].tobytes(), _cpu.amax(x, axes, False).tobytes()))
    assert len(results) == 5


def test_wrong_calls():
    x = np.ones((2, 0, 3), np.float32)
    with pytest.raises(ValueError, match=r"amax: nothing to choose from in shape \(2, 0, 3\)"):
        _cpu.amax(x, (1,), False)
    assert _cpu.amin(x, (2,), False).shape == (2, 0)
    with pytest.raises(ValueError, match="axis 3 is out of range"):
        _cpu.var(x, (3,), 1, False)
    with pytest.raises(TypeError, match="int64"):
        _cpu.amax(np.arange(3), (0,), False)
    with pytest.raises(ValueError, match=r"var_backward: shape \(3,\) does not broadcast to \(2,\)"):
        _cpu.var_backward(np.ones(2), np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"extreme_backward: shape \(2, 2\) does not broadcast to \(2,\)"):
        _cpu.extreme_backward(np.ones(2), np.ones(2), np.ones((2, 2)))
    with pytest.raises(TypeError, match="got dtypes float64 and float32, wanted one"):
        _cpu.extreme_backward(np.ones(2), np.ones(2), np.ones(2, np.float32))
