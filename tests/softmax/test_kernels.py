"""Softmax kernels against loops in float64, on every tier and layout."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import layouts_on, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]


def softmax(x, axis):
    """Softmax row by row in float64."""
    rows = np.moveaxis(x.astype(np.float64), axis, -1)
    out = np.empty_like(rows)
    for index in np.ndindex(rows.shape[:-1]):
        largest = rows[index].max(initial=-np.inf)
        e = [np.exp(v - largest) for v in rows[index]]
        out[index] = np.array(e) / sum(e) if e else e
    return np.moveaxis(out, -1, axis)


def log_softmax(x, axis):
    """Its logarithm row by row in float64, and what rounding errors are relative to."""
    rows = np.moveaxis(x.astype(np.float64), axis, -1)
    out, scale = np.empty_like(rows), np.empty_like(rows)
    for index in np.ndindex(rows.shape[:-1]):
        if rows.shape[-1]:
            shifted = rows[index] - rows[index].max()
            out[index] = shifted - np.log(sum(np.exp(shifted)))
            scale[index] = np.abs(shifted) + 1
    return np.moveaxis(out, -1, axis), np.moveaxis(scale, -1, axis)


def log_backward(grad, y, axis):
    """dy - e^y sum dy, and the sum of the magnitudes that were added."""
    g, p = grad.astype(np.float64), np.exp(y.astype(np.float64))
    total = g.sum(axis=axis, keepdims=True)
    return g - p * total, np.abs(g) + p * np.abs(g).sum(axis=axis, keepdims=True) * (1 + np.abs(y))


def backward(grad, y, axis):
    """The product with the Jacobian diag(y) - y y^T, and the sum of the magnitudes that were added."""
    g, out = (np.moveaxis(a.astype(np.float64), axis, -1) for a in (grad, y))
    dx, scale = np.empty_like(g), np.empty_like(g)
    for index in np.ndindex(g.shape[:-1]):
        jacobian = np.diag(out[index]) - np.outer(out[index], out[index])
        dx[index] = jacobian @ g[index]
        scale[index] = (np.diag(out[index]) + np.outer(out[index], out[index])) @ np.abs(g[index])
    return np.moveaxis(dx, -1, axis), np.moveaxis(scale, -1, axis)


@pytest.mark.parametrize("dtype", FLOATS)
@given(shape=shapes(max_elements=2000).filter(len), seed=st.integers(0, 2**32 - 1))
def test_every_axis_and_layout(kernels, dtype, shape, seed):
    rng = np.random.default_rng(seed)
    x, grad = 3 * normal(rng, shape, dtype), normal(rng, shape, dtype)
    for axis in range(len(shape)):
        n = max(shape[axis], 1)
        y = softmax(x, axis)
        dx, scale = backward(grad, y.astype(dtype), axis)
        for (_, view), (_, grad_view) in zip(
            layouts_on(kernels, x, seed), layouts_on(kernels, grad, seed), strict=True
        ):
            assert_close(kernels.softmax(view, axis), y, "softmax", length=n)
            got = kernels.softmax_backward(grad_view, y.astype(dtype), axis)
            assert_close(got, dx, "softmax", length=n, scale=scale)


@pytest.mark.parametrize("dtype", FLOATS)
@given(shape=shapes(max_elements=2000).filter(len), seed=st.integers(0, 2**32 - 1))
def test_logarithm_on_every_axis_and_layout(kernels, dtype, shape, seed):
    rng = np.random.default_rng(seed)
    x, grad = 3 * normal(rng, shape, dtype), normal(rng, shape, dtype)
    for axis in range(len(shape)):
        n = max(shape[axis], 1)
        y, scale = log_softmax(x, axis)
        narrow = y.astype(dtype)
        dx, grad_scale = log_backward(grad, narrow, axis)
        for (_, view), (_, grad_view) in zip(
            layouts_on(kernels, x, seed), layouts_on(kernels, grad, seed), strict=True
        ):
            assert_close(kernels.log_softmax(view, axis), y, "softmax", length=n, scale=scale)
            got = kernels.log_softmax_backward(grad_view, narrow, axis)
            assert_close(got, dx, "softmax", length=n, scale=grad_scale)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 7, 10, 16, 17, 33, 1201])
def test_tiers(kernels, isa, n, dtype, rng):
    x, grad = 3 * normal(rng, (3, n), dtype), normal(rng, (3, n), dtype)
    y = softmax(x, 1)
    assert_close(kernels.softmax(x, 1), y, "softmax", length=n)
    dx, scale = backward(grad, y.astype(dtype), 1)
    assert_close(kernels.softmax_backward(grad, y.astype(dtype), 1), dx, "softmax", length=n, scale=scale)
    y, scale = log_softmax(x, 1)
    assert_close(kernels.log_softmax(x, 1), y, "softmax", length=n, scale=scale)
    dx, scale = log_backward(grad, y.astype(dtype), 1)
    assert_close(kernels.log_softmax_backward(grad, y.astype(dtype), 1), dx, "softmax", length=n, scale=scale)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("n", [5, 24, 33, 64, 257, 1000, 1032, 3001, 8200])
def test_halves_are_rounded_once(gpu_kernels, n, dtype, rng):
    """Rows of a few lanes, a warp, a block, and too long to hold; in packs and not."""
    rows = 2 if n > 1024 else 5
    x, grad = (3 * normal(rng, (rows, n))).astype(dtype), normal(rng, (rows, n)).astype(dtype)
    eps = float(ml_dtypes.finfo(dtype).eps)

    def check(got, expected, scale):
        assert got.dtype == dtype
        allowed = 0.51 * eps * np.abs(expected) + 64 * np.finfo(np.float32).eps * scale + ml_dtypes.finfo(dtype).tiny
        assert (np.abs(got.astype(np.float64) - expected) <= allowed).all()

    y = softmax(x, 1)
    check(gpu_kernels.softmax(x, 1), y, y)
    narrow = y.astype(dtype)
    g, p = grad.astype(np.float64), narrow.astype(np.float64)
    dot = (g * p).sum(1, keepdims=True)
    check(gpu_kernels.softmax_backward(grad, narrow, 1), p * (g - dot), p * (np.abs(g) + np.abs(g * p).sum()))
    y, scale = log_softmax(x, 1)
    check(gpu_kernels.log_softmax(x, 1), y, scale)
    narrow = y.astype(dtype)
    dx, scale = log_backward(grad, narrow, 1)
    check(gpu_kernels.log_softmax_backward(grad, narrow, 1), dx, scale)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [2049, 2052, 8193, 8448])
def test_rows_too_long_to_hold(gpu_kernels, n, dtype, rng):
    """Nothing but -infinity for some threads, and a maximum that grows."""
    x, grad = np.sort(3 * normal(rng, (2, n), dtype)), normal(rng, (2, n), dtype)
    x[0, :1000] = -np.inf
    x[1] = -np.inf
    y = softmax(x[:1], 1)
    got = gpu_kernels.softmax(x, 1)
    assert_close(got[:1], y, "softmax", length=n)
    assert np.isnan(got[1]).all()
    finite = np.where(np.isinf(x), 0, x)
    y, scale = log_softmax(finite, 1)
    assert_close(gpu_kernels.log_softmax(finite, 1), y, "softmax", length=n, scale=scale)
    y = softmax(finite, 1).astype(dtype)
    g, p = grad.astype(np.float64), y.astype(np.float64)
    dot, dots = (g * p).sum(1, keepdims=True), np.abs(g * p).sum(1, keepdims=True)
    assert_close(
        gpu_kernels.softmax_backward(grad, y, 1), p * (g - dot), "softmax", length=n, scale=p * (np.abs(g) + dots)
    )


def test_a_row_does_not_depend_on_its_position(kernels, isa, rng):
    x, grad = normal(rng, (13, 37)), normal(rng, (13, 37))
    y = kernels.softmax(x, 1)
    dx = kernels.softmax_backward(grad, y, 1)
    for r in range(13):
        assert np.array_equal(kernels.softmax(x[r : r + 1], 1), y[r : r + 1])
        assert np.array_equal(kernels.softmax_backward(grad[r : r + 1], y[r : r + 1], 1), dx[r : r + 1])


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x, grad = normal(rng, (911, 101)), normal(rng, (911, 101))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            y = _cpu.softmax(x, 1)
            log_y = _cpu.log_softmax(x, 1)
            grads = _cpu.softmax_backward(grad, y, 1), _cpu.log_softmax_backward(grad, log_y, 1)
            results.add(b"".join(a.tobytes() for a in (y, log_y, *grads)))
    assert len(results) == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_logits_do_not_overflow(kernels, isa, dtype):
    x = np.array([[1e30, -1e30, 0], [1000, 1001, -1000], [-1e30, -1e30, -1e30], [0, -87, -100], [0, -708, -744]], dtype)
    assert_close(kernels.softmax(x, 1), softmax(x, 1), "softmax")
    assert_close(kernels.log_softmax(x, 1), log_softmax(x, 1)[0], "softmax", scale=log_softmax(x, 1)[1])


@pytest.mark.parametrize("n", [3, 16, 19])
def test_infinities_and_nan(kernels, isa, n):
    x = np.zeros((5, n), np.float32)
    x[0] = -np.inf
    x[1, 1] = np.inf
    x[2, 1] = np.nan
    x[3, 1:] = -np.inf
    y = kernels.softmax(x, 1)
    assert np.isnan(y[:3]).all()
    assert y[3].tolist() == [1] + [0] * (n - 1)
    assert_close(y[4], np.full(n, 1 / n), "softmax")
    y = kernels.log_softmax(x, 1)
    assert np.isnan(y[:3]).all()
    assert y[3].tolist() == [0] + [-np.inf] * (n - 1)
    dx = kernels.log_softmax_backward(np.ones((1, n), np.float32), y[3:4], 1)
    assert dx.tolist() == [[1 - n] + [1] * (n - 1)]


def test_the_axis_lies_innermost(kernels, rng):
    image = np.ascontiguousarray(normal(rng, (2, 5, 7, 3))).transpose(0, 3, 1, 2)
    assert kernels.softmax(image, 1).strides == image.strides
    assert kernels.softmax(np.ascontiguousarray(image), 1).strides == image.strides


def test_wrong_calls(kernels):
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"softmax: axis 2 is out of range for shape \(2, 3\)"):
        kernels.softmax(x, 2)
    with pytest.raises(ValueError, match="axis -1 is out of range"):
        kernels.softmax(x, -1)
    with pytest.raises(TypeError, match="softmax: got dtype int64, wanted float32"):
        kernels.softmax(np.ones((2, 3), np.int64), 1)
    with pytest.raises(ValueError, match=r"got a gradient of shape \(3, 2\) for an output of shape \(2, 3\)"):
        kernels.softmax_backward(x.T, x, 1)
    with pytest.raises(TypeError, match="got dtypes float32 and float64"):
        kernels.softmax_backward(x.astype(np.float64), x, 1)
