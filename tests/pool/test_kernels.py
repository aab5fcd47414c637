"""Pooling kernels against the definition in float64, on every tier and layout."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pool.support import avg_pool, max_pool, output_shape
from tests.support.arrays import layouts_on, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]
ONE = (1, 1)
GEOMETRIES = [  # kernel, stride, padding, dilation, ceil_mode
    ((2, 2), (2, 2), (0, 0), ONE, False),
    ((3, 3), (2, 2), (1, 1), ONE, False),
    ((3, 3), (1, 1), (0, 1), ONE, False),
    ((2, 3), (3, 1), (1, 0), (2, 1), True),
    ((1, 5), (2, 2), (0, 2), ONE, True),
]


@st.composite
def geometries(draw):
    """(x's height and width, geometry) with at least one window."""
    axes = []
    ceil_mode = draw(st.booleans())
    for _ in range(2):
        kernel, stride, dilation = (draw(st.integers(1, most)) for most in (4, 3, 3))
        extent = (kernel - 1) * dilation + 1
        padding = draw(st.integers(0, kernel // 2))
        size = draw(st.integers(max(1, extent - 2 * padding), 10))
        axes.append((size, kernel, stride, padding, dilation))
    size, kernel, stride, padding, dilation = zip(*axes, strict=True)
    return size, (kernel, stride, padding, dilation, ceil_mode)


def images(rng, shape, dtype):
    """Random numbers of which some are equal."""
    return (rng.integers(-20, 20, shape) / 4).astype(dtype)


def check_max(kernels, x, geometry, rng):
    grad = normal(rng, output_shape(x.shape, *geometry), x.dtype)
    expected, _, dx = max_pool(x.astype(np.float64), grad.astype(np.float64), geometry)
    overlap = geometry[0][0] * geometry[0][1]
    for (_, view), (_, grad_view) in zip(
        layouts_on(kernels, x, x.size), layouts_on(kernels, grad, x.size), strict=True
    ):
        y, taps = kernels.max_pool2d(view, *geometry, True)
        assert_close(y, expected, "pool")
        plain, nothing = kernels.max_pool2d(view, *geometry, False)
        assert nothing is None
        assert np.array_equal(plain, y, equal_nan=True)
        got = kernels.max_pool2d_backward(grad_view, taps, x.shape[2:], *geometry)
        assert_close(got, dx, "pool", scale=overlap * np.abs(grad).max(initial=0))


def check_average(kernels, x, geometry, include_pad, divisor, rng):
    kernel, stride, padding, _, ceil_mode = geometry
    short = kernel, stride, padding, ceil_mode
    grad = normal(rng, output_shape(x.shape, kernel, stride, padding, ONE, ceil_mode), x.dtype)
    expected, dx, scale, dx_scale = avg_pool(x.astype(np.float64), grad.astype(np.float64), short, include_pad, divisor)
    length = kernel[0] * kernel[1]
    for (_, view), (_, grad_view) in zip(
        layouts_on(kernels, x, x.size), layouts_on(kernels, grad, x.size), strict=True
    ):
        got = kernels.avg_pool2d(view, *short, include_pad, divisor)
        assert_close(got, expected, "pool", length=length, scale=scale)
        got = kernels.avg_pool2d_backward(grad_view, x.shape[2:], *short, include_pad, divisor)
        assert_close(got, dx, "pool", length=length, scale=dx_scale)


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    drawn=geometries(),
    outer=st.sampled_from([(1, 1), (2, 3), (1, 17), (0, 4), (3, 0)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_max(kernels, dtype, drawn, outer, seed):
    rng = np.random.default_rng(seed)
    check_max(kernels, images(rng, (*outer, *drawn[0]), dtype), drawn[1], rng)


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    drawn=geometries(),
    outer=st.sampled_from([(1, 1), (2, 3), (1, 17), (0, 4), (3, 0)]),
    include_pad=st.booleans(),
    divisor=st.sampled_from([0, 0, 7, -2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_average(kernels, dtype, drawn, outer, include_pad, divisor, seed):
    rng = np.random.default_rng(seed)
    (kernel, stride, padding, _, ceil_mode) = drawn[1]
    check_average(
        kernels,
        images(rng, (*outer, *drawn[0]), dtype),
        (kernel, stride, padding, ONE, ceil_mode),
        include_pad,
        divisor,
        rng,
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [1, 3, 4, 8, 16, 19, 33])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_tiers(kernels, isa, geometry, channels, dtype, rng):
    x = images(rng, (2, channels, 7, 6), dtype)
    check_max(kernels, x, geometry, rng)
    kernel, stride, padding, _, ceil_mode = geometry
    check_average(kernels, x, (kernel, stride, padding, ONE, ceil_mode), False, 0, rng)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("kernel", "width"), [((16, 16), np.uint8), ((17, 16), np.int32)])
def test_kernels_with_many_taps(kernels, isa, kernel, width, dtype, rng):
    x = images(rng, (1, 17, 20, 20), dtype)
    geometry = kernel, (3, 4), (8, 8), ONE, False
    assert kernels.max_pool2d(x, *geometry, True)[1].dtype == width
    check_max(kernels, x, geometry, rng)
    check_average(kernels, x, geometry, True, 0, rng)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("channels", [5, 16])
@pytest.mark.parametrize("geometry", [*GEOMETRIES, ((17, 16), (3, 4), (8, 8), ONE, False)])
def test_halves_are_computed_as_float32_and_rounded_once(gpu_kernels, geometry, channels, dtype, rng):
    kernel, stride, padding, _, ceil_mode = geometry
    average = kernel, stride, padding, ceil_mode, False, 0
    x = normal(rng, (2, channels, 7, 9)).astype(dtype)
    y, taps = gpu_kernels.max_pool2d(x, *geometry, True)
    wide, wide_taps = gpu_kernels.max_pool2d(x.astype(np.float32), *geometry, True)
    assert np.array_equal(taps, wide_taps)
    mean = gpu_kernels.avg_pool2d(x, *average)
    max_grad, avg_grad = (normal(rng, a.shape).astype(dtype) for a in (y, mean))
    pairs = [
        (y, wide),
        (mean, gpu_kernels.avg_pool2d(x.astype(np.float32), *average)),
        tuple(gpu_kernels.max_pool2d_backward(g, taps, (7, 9), *geometry) for g in (max_grad, max_grad.astype("f4"))),
        tuple(gpu_kernels.avg_pool2d_backward(g, (7, 9), *average) for g in (avg_grad, avg_grad.astype("f4"))),
    ]
    for narrow, full in pairs:
        assert narrow.dtype == dtype
        assert narrow.tobytes() == full.astype(dtype).tobytes()


def test_large_averages(kernels, isa, rng):
    check_average(kernels, np.abs(normal(rng, (1, 17, 131, 127))), ((131, 127), ONE, (0, 0), ONE, False), True, 0, rng)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("channels", [3, 16, 20])
def test_infinities_and_nan(kernels, isa, geometry, channels, rng):
    x = rng.choice([0, 1, np.nan, np.inf, -np.inf], (2, channels, 6, 7), p=[0.2, 0.1, 0.1, 0.1, 0.5]).astype(np.float32)
    check_max(kernels, x, geometry, rng)
    check_max(kernels, np.full_like(x, -np.inf), geometry, rng)


def test_a_window_without_taps_inside(kernels, isa, rng):
    geometry = (2, 2), (1, 1), (1, 1), (3, 3), False
    x = np.ones((1, 5, 2, 2), np.float32)
    y, _ = kernels.max_pool2d(x, *geometry, True)
    assert y.shape == (1, 5, 1, 1)
    assert np.isneginf(y).all()
    check_max(kernels, x, geometry, rng)


def test_a_channel_does_not_depend_on_its_position(kernels, isa, rng):
    x = normal(rng, (2, 37, 7, 7))
    for geometry in GEOMETRIES:
        kernel, stride, padding, _, ceil_mode = geometry
        short = kernel, stride, padding, ceil_mode, True, 0
        whole = kernels.avg_pool2d(x, *short)
        grad = normal(rng, whole.shape)
        dx = kernels.avg_pool2d_backward(grad, (7, 7), *short)
        for c in range(37):
            one = slice(c, c + 1)
            assert np.array_equal(kernels.avg_pool2d(x[:, one], *short), whole[:, one])
            assert np.array_equal(kernels.avg_pool2d_backward(grad[:, one], (7, 7), *short), dx[:, one])


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_bits_do_not_depend_on_the_threads(isa, geometry, rng):
    kernel, stride, padding, _, ceil_mode = geometry
    average = kernel, stride, padding, ceil_mode, True, 0
    x = normal(rng, (3, 40, 37, 41))
    max_grad = normal(rng, output_shape(x.shape, *geometry))
    avg_grad = normal(rng, output_shape(x.shape, kernel, stride, padding, ONE, ceil_mode))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            y, taps = _cpu.max_pool2d(x, *geometry, True)
            bits = y.tobytes() + taps.tobytes() + _cpu.avg_pool2d(x, *average).tobytes()
            bits += _cpu.max_pool2d_backward(max_grad, taps, (37, 41), *geometry).tobytes()
            bits += _cpu.avg_pool2d_backward(avg_grad, (37, 41), *average).tobytes()
            results.add(bits)
    assert len(results) == 1


@pytest.mark.parametrize("channels", [64, 65])
@pytest.mark.parametrize("geometry", [((2, 2), (2, 2), (0, 0)), ((3, 3), (1, 1), (1, 1))])
def test_results_too_large_for_the_caches(isa, geometry, channels, rng):
    """The bits of an image are those of a call that is small enough to be stored through the caches."""
    size, pair = (56, 59), images(rng, (2, 56, 59, channels), np.float32).transpose(0, 3, 1, 2)
    x = pair[np.arange(64) % 2]
    y, taps = _cpu.max_pool2d(x, *geometry, ONE, False, True)
    calls = {
        "max": lambda n: _cpu.max_pool2d(x[:n], *geometry, ONE, False, False)[0],
        "recorded": lambda n: _cpu.max_pool2d(x[:n], *geometry, ONE, False, True)[0],
        "max backward": lambda n: _cpu.max_pool2d_backward(y[:n], taps[:n], size, *geometry, ONE, False),
        "average": lambda n: _cpu.avg_pool2d(x[:n], *geometry, False, True, 0),
        "average backward": lambda n: _cpu.avg_pool2d_backward(y[:n], size, *geometry, False, True, 0),
    }
    for name, call in calls.items():
        whole, some = call(64), call(2)
        assert "backward" not in name or whole.nbytes > 48 << 20 > some.nbytes
        assert np.array_equal(whole, some[np.arange(64) % 2]), name


def test_results_are_channels_last(kernels, rng):
    x = normal(rng, (2, 3, 4, 4))
    for view in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        y, taps = kernels.max_pool2d(view, (2, 2), (2, 2), (0, 0), ONE, False, True)
        dx = kernels.max_pool2d_backward(y, taps, (4, 4), (2, 2), (2, 2), (0, 0), ONE, False)
        for array in (y, taps, dx):
            assert array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_wrong_calls(kernels):
    x = np.ones((1, 2, 4, 4), np.float32)
    good = (2, 2), (2, 2), (0, 0), ONE, False
    y, taps = kernels.max_pool2d(x, *good, True)
    with pytest.raises(ValueError, match=r"max_pool2d: got an input of shape \(2, 4, 4\), wanted \(N, C, H, W\)"):
        kernels.max_pool2d(x[0], *good, False)
    with pytest.raises(TypeError, match="max_pool2d: got dtype int64"):
        kernels.max_pool2d(x.astype(np.int64), *good, False)
    with pytest.raises(ValueError, match=r"max_pool2d_backward: got a gradient of shape \(1, 2, 2, 1\), wanted"):
        kernels.max_pool2d_backward(y[..., :1], taps, (4, 4), *good)
    with pytest.raises(ValueError, match=r"got taps of shape \(1, 2, 2, 1\), wanted channels-last taps of shape"):
        kernels.max_pool2d_backward(y, taps[..., :1], (4, 4), *good)
    with pytest.raises(ValueError, match="wanted channels-last taps"):
        kernels.max_pool2d_backward(y, np.ascontiguousarray(taps), (4, 4), *good)
    with pytest.raises(TypeError, match="wanted taps of dtype uint8 or int32"):
        kernels.max_pool2d_backward(y, taps.astype(np.int64), (4, 4), *good)
    with pytest.raises(ValueError, match="avg_pool2d_backward: got a gradient of shape"):
        kernels.avg_pool2d_backward(y, (9, 9), (2, 2), (2, 2), (0, 0), False, True, 0)
    for big in ((2**31, 1), (2**62, 2**62)):
        with pytest.raises(ValueError, match="got kernel_size"):
            kernels.max_pool2d(x, big, (2, 2), (0, 0), ONE, True, False)
    with pytest.raises(ValueError, match="is too large"):
        kernels.max_pool2d(x, (2**20, 2**20), (2**30, 2**30), (0, 0), ONE, True, False)
