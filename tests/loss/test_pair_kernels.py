"""Kernels of losses of pairs against loops in float64, on every tier and layout."""

import math

import ml_dtypes
import numpy as np
import pytest

from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def sigmoid(x):
    return math.exp(-softplus(-x))


def clipped(e, p):
    return max(-p, min(p, e))


# name: (value, dx, dt) of one pair x, t with the parameter p, in double
REFERENCES = {
    "squared_error": (lambda x, t, p: (x - t) ** 2, lambda x, t, p: 2 * (x - t), lambda x, t, p: 2 * (t - x)),
    "absolute_error": (lambda x, t, p: abs(x - t), lambda x, t, p: np.sign(x - t), lambda x, t, p: np.sign(t - x)),
    "smooth_l1": (
        lambda x, t, p: (x - t) ** 2 / (2 * p) if abs(x - t) < p else abs(x - t) - p / 2,
        lambda x, t, p: clipped(x - t, p) / p,
        lambda x, t, p: clipped(t - x, p) / p,
    ),
    "huber": (
        lambda x, t, p: (x - t) ** 2 / 2 if abs(x - t) <= p else p * (abs(x - t) - p / 2),
        lambda x, t, p: clipped(x - t, p),
        lambda x, t, p: clipped(t - x, p),
    ),
    "binary_cross_entropy": (
        lambda x, t, p: -t * math.log(x) - (1 - t) * math.log1p(-x),
        lambda x, t, p: (x - t) / (x * (1 - x)),
        lambda x, t, p: math.log1p(-x) - math.log(x),
    ),
    "binary_cross_entropy_with_logits": (
        lambda x, t, p: p * t * softplus(-x) + (1 - t) * softplus(x),
        lambda x, t, p: (1 - t) * sigmoid(x) - p * t * sigmoid(-x),
        lambda x, t, p: p * softplus(-x) - softplus(x),
    ),
    "kl_div": (
        lambda x, t, p: t * (math.log(t) - x),
        lambda x, t, p: -t,
        lambda x, t, p: math.log(t) + 1 - x,
    ),
    "kl_div_of_logs": (
        lambda x, t, p: math.exp(t) * (t - x),
        lambda x, t, p: -math.exp(t),
        lambda x, t, p: math.exp(t) * (t - x + 1),
    ),
    "soft_margin": (
        lambda x, t, p: softplus(-t * x),
        lambda x, t, p: -t * sigmoid(-t * x),
        lambda x, t, p: -x * sigmoid(-t * x),
    ),
}
POSITIVE = {"binary_cross_entropy", "kl_div"}
SHAPES = [(), (0,), (1,), (3, 0), (17,), (3, 5, 7), (2, 3, 5, 4), (100, 103)]


def each(function, x, t, p):
    out = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        out[index] = function(float(x[index]), float(t[index]), float(p[index]))
    return out


def inputs(rng, name, shape, dtype):
    draw = (lambda: rng.uniform(0.01, 0.99, shape)) if name in POSITIVE else (lambda: 2 * rng.standard_normal(shape))
    return np.asarray(draw(), dtype), np.asarray(draw(), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REFERENCES)
def test_values_and_gradients(kernels, isa, name, shape, dtype, rng):
    value, dx, dt = REFERENCES[name]
    forward, backward = getattr(kernels, name), getattr(kernels, f"{name}_backward")
    x, t = inputs(rng, name, shape, dtype)
    weight, p, grad = (np.asarray(rng.uniform(0.1, 2, shape), dtype) for _ in range(3))
    losses = each(value, x, t, p) * weight
    size = (x.astype(np.float64) ** 2 + t.astype(np.float64) ** 2 + 3) * weight / np.minimum(p, 1)
    if name == "kl_div_of_logs":
        size = size * np.exp(t.astype(np.float64))
    grad_size = np.abs(grad) * size / (x * (1 - x.astype(np.float64)) if name in POSITIVE else 1)
    n = max(x.size, 1)
    for (_, a), (_, b) in zip(layouts(x), reversed(list(layouts(t))), strict=True):
        assert_close(forward(a, b, weight, p, None), losses, "loss", scale=size)
        total = forward(a, b, weight, p, 7.0)
        assert_close(total, np.asarray(losses.sum() / 7), "loss", length=n, scale=size.sum() / 7)
        for function, of_target in ((dx, False), (dt, True)):
            expected = each(function, x, t, p) * weight * grad
            got = backward(grad, a, b, weight, p, None, of_target)
            assert_close(got, expected, "loss", scale=np.maximum(grad_size, np.abs(expected)))
    one = np.asarray(1.5, dtype)
    plain = each(dx, x, t, np.full(shape, 0.5)) * 1.5 / 4
    got = backward(one, x, t, None, 0.5, 4.0, False)
    assert_close(got, plain, "loss", scale=np.maximum(np.abs(plain), 4 * size / np.where(weight > 0, weight, 1)))


@pytest.mark.parametrize("name", REFERENCES)
def test_bits_do_not_depend_on_the_threads(isa, name, rng):
    x, t = inputs(rng, name, (301, 307), np.float32)
    grad = np.float32(1.5)[...]
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            bits = getattr(_cpu, name)(x, t, None, None, 3).tobytes()
            for of_target in (False, True):
                bits += getattr(_cpu, f"{name}_backward")(grad, x, t, None, None, 3, of_target).tobytes()
            results.add(bits)
    assert len(results) == 1


@pytest.mark.parametrize("name", REFERENCES)
def test_an_element_does_not_depend_on_its_position(kernels, isa, name, rng):
    x, t = inputs(rng, name, (37,), np.float32)
    losses = getattr(kernels, name)(x, t, None, 0.5, None)
    for start in range(37):
        assert np.array_equal(getattr(kernels, name)(x[start:], t[start:], None, 0.5, None), losses[start:])


@pytest.mark.parametrize("dtype", FLOATS)
def test_tiny_binary_cross_entropies_keep_their_digits(kernels, isa, dtype):
    x = np.array([20, 30, 80, 1e4], dtype)
    expected = np.array([softplus(-float(v)) for v in x])
    one, zero = np.ones(4, dtype), np.zeros(4, dtype)
    assert_close(kernels.binary_cross_entropy_with_logits(x, one, None, None, None), expected, "loss")
    assert_close(kernels.binary_cross_entropy_with_logits(-x, zero, None, None, None), expected, "loss")
    assert_close(kernels.soft_margin(x, one, None, None, None), expected, "loss")
    small = np.array([1e-30, 1e-20, 1e-7, 1e-3], dtype)
    expected = np.array([-math.log1p(-float(v)) for v in small])
    assert_close(kernels.binary_cross_entropy(small, zero, None, None, None), expected, "loss")


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", REFERENCES)
def test_halves_are_computed_as_float32_and_rounded_once(gpu_kernels, name, dtype, rng):
    forward, backward = getattr(gpu_kernels, name), getattr(gpu_kernels, f"{name}_backward")
    wide = lambda a: a.astype(np.float32)  # noqa: E731
    for shape in [(3, 64), (5, 33)]:
        x, t = (a.astype(dtype) for a in inputs(rng, name, shape, np.float32))
        weight, grad, one = (normal(rng, s).astype(dtype) for s in (shape, shape, ()))
        for divisor, upstream in ((None, grad), (7.0, one)):
            got = forward(x, t, weight, 0.5, divisor)
            expected = forward(wide(x), wide(t), wide(weight), 0.5, divisor).astype(dtype)
            assert_close(got, wide(expected), "loss") if divisor else None
            assert divisor or got.tobytes() == expected.tobytes()
            for of_target in (False, True):
                got = backward(upstream, x, t, weight, 0.5, divisor, of_target)
                expected = backward(wide(upstream), wide(x), wide(t), wide(weight), 0.5, divisor, of_target)
                assert got.tobytes() == expected.astype(dtype).tobytes()
        assert gpu_kernels.are_probabilities(np.abs(np.clip(x, -1, 1)))
        assert not gpu_kernels.are_probabilities(x - dtype(2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_are_probabilities(kernels, isa, dtype, rng):
    for shape in SHAPES:
        x = rng.random(shape).astype(dtype)
        for _, view in layouts(x):
            assert kernels.are_probabilities(view) is True
        for wrong in (-1e-6, 1 + 1e-6, np.nan, np.inf, -np.inf):
            for at in {0, x.size // 2, x.size - 1} if x.size else ():
                bad = x.copy()
                bad.flat[at] = wrong
                assert kernels.are_probabilities(bad) is False


def test_wrong_calls(kernels):
    x = normal(np.random.default_rng(0), (3, 10))
    with pytest.raises(ValueError, match=r"squared_error: got an input of shape \(3, 10\) and a target"):
        kernels.squared_error(x, x[0], None, None, 1.0)
    with pytest.raises(TypeError, match="huber: got dtypes float32 and float64, wanted one"):
        kernels.huber(x, x.astype(np.float64), None, 1.0, None)
    with pytest.raises(TypeError, match="got dtype int64, wanted float32"):
        kernels.huber(x.astype(np.int64), x.astype(np.int64), None, 1.0, None)
    with pytest.raises(ValueError, match=r"smooth_l1: got a weight of shape \(3,\) for an input of shape \(3, 10\)"):
        kernels.smooth_l1(x, x, x[:, 0], None, None)
    with pytest.raises(ValueError, match=r"smooth_l1: got a parameter of shape \(10,\)"):
        kernels.smooth_l1(x, x, None, x[0], None)
    with pytest.raises(ValueError, match=r"kl_div_backward: got a gradient of shape \(10,\), wanted \(3, 10\)"):
        kernels.kl_div_backward(x[0], x, x, None, None, None, False)
    with pytest.raises(ValueError, match=r"kl_div_backward: got a gradient of shape \(3, 10\), wanted \(\)"):
        kernels.kl_div_backward(x, x, x, None, None, 2.0, False)
