"""Elementwise kernels against NumPy in float64, on every tier, over drawn shapes and layouts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import broadcast_pairs, layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
UNARY = {
    "copy": lambda x: x,
    "neg": np.negative,
    "exp": np.exp,
    "log": lambda x: np.log(x),
    "sqrt": np.sqrt,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
}
FROM_OUTPUT = {
    "relu_backward": lambda g, y: g * (y > 0),
    "sigmoid_backward": lambda g, y: g * y * (1 - y),
    "tanh_backward": lambda g, y: g * (1 - y * y),
}
FLOATS = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
@given(pair=broadcast_pairs(), seed=st.integers(0, 2**32 - 1))
def test_binary_broadcasts(name, dtype, pair, seed):
    rng = np.random.default_rng(seed)
    a, b = normal(rng, pair[0], dtype), normal(rng, pair[1], dtype)
    expected = BINARY[name](a.astype(np.float64), b.astype(np.float64))
    for (_, la), (_, lb) in zip(layouts(a), layouts(b), strict=False):
        assert_close(getattr(_cpu, name)(la, lb), expected, "elementwise")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_unary_on_every_tier_and_layout(isa, name, dtype, rng):
    x = normal(rng, (3, 5, 7, 17), dtype)
    if name in ("log", "sqrt"):
        x = np.abs(x)
    expected = UNARY[name](x.astype(np.float64))
    for layout, view in layouts(x):
        y = getattr(_cpu, name)(view)
        assert_close(y, expected, "elementwise")
        assert layout == "strided" or layout == "reversed" or y.strides == view.strides


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_gradients_from_the_output(isa, name, dtype, rng):
    grad, y = normal(rng, (5, 33), dtype), rng.uniform(-1, 1, (5, 33)).astype(dtype)
    expected = FROM_OUTPUT[name](grad.astype(np.float64), y.astype(np.float64))
    scale = np.abs(grad)
    assert_close(getattr(_cpu, name)(grad, y), expected, "elementwise", scale=scale)


@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
def test_an_element_does_not_depend_on_its_position(shape, seed):
    x = normal(np.random.default_rng(seed), shape)
    whole = _cpu.tanh(x)
    for index in np.ndindex(shape[:2]):
        assert np.array_equal(_cpu.tanh(np.array(x[index])), whole[index])


def test_bits_do_not_depend_on_the_threads(isa, rng):
    a, b = normal(rng, (300, 1, 257)), normal(rng, (7, 257))
    results = []
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            results.append(_cpu.mul(a, b).tobytes())
    assert len(set(results)) == 1


def test_infinities_and_nan(isa):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0] * 5, np.float32)
    assert_close(_cpu.relu(x), np.array([np.nan, np.inf, 0, 0, 0] * 5), "elementwise")
    assert_close(_cpu.add(x, -x), np.array([np.nan, np.nan, np.nan, 0, 0] * 5), "elementwise")


def test_wrong_calls():
    x = np.ones(4, np.float32)
    with pytest.raises(ValueError, match=r"add: shapes \(4,\) and \(3,\) do not broadcast"):
        _cpu.add(x, x[:3])
    with pytest.raises(TypeError, match="add: got dtypes float32 and float64, wanted one"):
        _cpu.add(x, x.astype(np.float64))
    with pytest.raises(TypeError, match="relu: got dtype int64, wanted float32 or float64"):
        _cpu.relu(np.arange(3))
    with pytest.raises(ValueError, match="17 axes, wanted at most 16"):
        _cpu.relu(np.ones((1,) * 17, np.float32))
    with pytest.raises(ValueError, match="foreign order"):
        _cpu.relu(np.ones(3, ">f4"))
    packed = np.zeros(3, np.dtype([("a", "u1"), ("b", "<f4")]))["b"]
    with pytest.raises(ValueError, match="pass a copy"):
        _cpu.relu(packed)
