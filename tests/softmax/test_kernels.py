"""Softmax kernels against loops in float64, on every tier and layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]


def softmax(x, axis):
    """Softmax row by row in float64."""
    rows = np.moveaxis(x.astype(np.float64), axis, -1)
    out = np.empty_like(rows)
    for index in np.ndindex(rows.shape[:-1]):
        e = [np.exp(v - max(rows[index])) for v in rows[index]]
        out[index] = np.array(e) / sum(e) if e else e
    return np.moveaxis(out, -1, axis)


def log_softmax(x, axis):
    """Its logarithm row by row in float64, and what rounding errors are relative to."""
    rows = np.moveaxis(x.astype(np.float64), axis, -1)
    out, scale = np.empty_like(rows), np.empty_like(rows)
    for index in np.ndindex(rows.shape[:-1]):
        if rows.shape[-1]:
            shifted = rows[index] - max(rows[index])
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
def test_every_axis_and_layout(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    x, grad = 3 * normal(rng, shape, dtype), normal(rng, shape, dtype)
    for axis in range(len(shape)):
        n = max(shape[axis], 1)
        y = softmax(x, axis)
        dx, scale = backward(grad, y.astype(dtype), axis)
        for (_, view), (_, grad_view) in zip(layouts(x), layouts(grad), strict=True):
            assert_close(_cpu.softmax(view, axis), y, "softmax", length=n)
            got = _cpu.softmax_backward(grad_view, y.astype(dtype), axis)
            assert_close(got, dx, "softmax", length=n, scale=scale)


@pytest.mark.parametrize("dtype", FLOATS)
@given(shape=shapes(max_elements=2000).filter(len), seed=st.integers(0, 2**32 - 1))
def test_logarithm_on_every_axis_and_layout(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    x, grad = 3 * normal(rng, shape, dtype), normal(rng, shape, dtype)
    for axis in range(len(shape)):
        n = max(shape[axis], 1)
        y, scale = log_softmax(x, axis)
        narrow = y.astype(dtype)
        dx, grad_scale = log_backward(grad, narrow, axis)
        for (_, view), (_, grad_view) in zip(layouts(x), layouts(grad), strict=True):
            assert_close(_cpu.log_softmax(view, axis), y, "softmax", length=n, scale=scale)
            got = _cpu.log_softmax_backward(grad_view, narrow, axis)
            assert_close(got, dx, "softmax", length=n, scale=grad_scale)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 7, 10, 16, 17, 33, 1201])
def test_tiers(isa, n, dtype, rng):
    x, grad = 3 * normal(rng, (3, n), dtype), normal(rng, (3, n), dtype)
    y = softmax(x, 1)
    assert_close(_cpu.softmax(x, 1), y, "softmax", length=n)
    dx, scale = backward(grad, y.astype(dtype), 1)
    assert_close(_cpu.softmax_backward(grad, y.astype(dtype), 1), dx, "softmax", length=n, scale=scale)
    y, scale = log_softmax(x, 1)
    assert_close(_cpu.log_softmax(x, 1), y, "softmax", length=n, scale=scale)
    dx, scale = log_backward(grad, y.astype(dtype), 1)
    assert_close(_cpu.log_softmax_backward(grad, y.astype(dtype), 1), dx, "softmax", length=n, scale=scale)


def test_a_row_does_not_depend_on_its_position(isa, rng):
    x, grad = normal(rng, (13, 37)), normal(rng, (13, 37))
    y = _cpu.softmax(x, 1)
    dx = _cpu.softmax_backward(grad, y, 1)
    for r in range(13):
        assert np.array_equal(_cpu.softmax(x[r : r + 1], 1), y[r : r + 1])
        assert np.array_equal(_cpu.softmax_backward(grad[r : r + 1], y[r : r + 1], 1), dx[r : r + 1])


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
def test_large_logits_do_not_overflow(isa, dtype):
    x = np.array([[1e30, -1e30, 0], [1000, 1001, -1000], [-1e30, -1e30, -1e30], [0, -87, -100], [0, -708, -744]], dtype)
    assert_close(_cpu.softmax(x, 1), softmax(x, 1), "softmax")
    assert_close(_cpu.log_softmax(x, 1), log_softmax(x, 1)[0], "softmax", scale=log_softmax(x, 1)[1])


@pytest.mark.parametrize("n", [3, 16, 19])
def test_infinities_and_nan(isa, n):
    x = np.zeros((5, n), np.float32)
    x[0] = -np.inf
    x[1, 1] = np.inf
    x[2, 1] = np.nan
    x[3, 1:] = -np.inf
    y = _cpu.softmax(x, 1)
    assert np.isnan(y[:3]).all()
    assert y[3].tolist() == [1] + [0] * (n - 1)
    assert_close(y[4], np.full(n, 1 / n), "softmax")
    y = _cpu.log_softmax(x, 1)
    assert np.isnan(y[:3]).all()
    assert y[3].tolist() == [0] + [-np.inf] * (n - 1)
    dx = _cpu.log_softmax_backward(np.ones((1, n), np.float32), y[3:4], 1)
    assert dx.tolist() == [[1 - n] + [1] * (n - 1)]


def test_the_axis_lies_innermost(rng):
    image = np.ascontiguousarray(normal(rng, (2, 5, 7, 3))).transpose(0, 3, 1, 2)
    assert _cpu.softmax(image, 1).strides == image.strides
    assert _cpu.softmax(np.ascontiguousarray(image), 1).strides == image.strides


def test_wrong_calls():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"softmax: axis 2 is out of range for shape \(2, 3\)"):
        _cpu.softmax(x, 2)
    with pytest.raises(ValueError, match="axis -1 is out of range"):
        _cpu.softmax(x, -1)
    with pytest.raises(TypeError, match="softmax: got dtype int64, wanted float32 or float64"):
        _cpu.softmax(np.ones((2, 3), np.int64), 1)
    with pytest.raises(ValueError, match=r"got a gradient of shape \(3, 2\) for an output of shape \(2, 3\)"):
        _cpu.softmax_backward(x.T, x, 1)
    with pytest.raises(TypeError, match="got dtypes float32 and float64"):
        _cpu.softmax_backward(x.astype(np.float64), x, 1)
