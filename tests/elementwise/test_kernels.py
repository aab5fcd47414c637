"""Elementwise kernels against NumPy in float64, on every tier, over drawn shapes and layouts."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import broadcast_pairs, layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

erf = np.vectorize(math.erf)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cdf(x):
    """The normal distribution's."""
    return (1 + erf(x / np.sqrt(2))) / 2


def gelu_inner(x):
    return np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)


def sinc(x):
    """With the sine of the distance to the next whole number, because pi x as rounded is not exact near one."""
    n = np.round(x)
    return np.where(x == 0, 1, (1 - 2 * (n % 2)) * np.sin(np.pi * (x - n)) / (np.pi * np.where(x == 0, 1, x)))


def sinc_slope(x):
    """In extended precision, and near 0 by the first terms of the power series: the difference cancels there."""
    x = x.astype(np.longdouble)
    pi = np.longdouble(np.pi) + np.longdouble(1.2246467991473532e-16)
    near = -(pi**2) * x / 3 + pi**4 * x**3 / 30 - pi**6 * x**5 / 840
    far = (np.cos(pi * x) - np.sin(pi * x) / (pi * x)) / x
    return np.where(np.abs(x) < 0.003, near, far).astype(np.float64)


def slope(function, x, step=1e-5):
    """A central difference, whose error of order step^2 is below float32's."""
    return (function(x + step) - function(x - step)) / (2 * step)


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
UNARY = {
    "copy": lambda x: x,
    "neg": np.negative,
    "exp": np.exp,
    "log": lambda x: np.log(x),
    "sqrt": np.sqrt,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": erf,
    "abs": np.abs,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "gelu": lambda x: x * cdf(x),
    "gelu_tanh": lambda x: x * (1 + np.tanh(gelu_inner(x))) / 2,
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "sinc": sinc,
}
CANCELLING = ("gelu", "gelu_tanh", "mish")  # 1 + f near f = -1
POSITIVE = ("log", "sqrt", "log1p")
FROM_INPUT = {
    "abs_backward": np.sign,
    "sinc_backward": sinc_slope,
    "gelu_backward": lambda x: cdf(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    "gelu_tanh_backward": lambda x: slope(UNARY["gelu_tanh"], x),
    "silu_backward": lambda x: slope(UNARY["silu"], x),
    "mish_backward": lambda x: slope(UNARY["mish"], x),
}
WITH_PARAMETERS = {
    "leaky_relu": ((0.3,), lambda x, s: np.where(x > 0, x, s * x), lambda x, s: np.where(x > 0, 1, s)),
    "elu": (
        (0.7, 1.3, 0.5),
        lambda x, a, s, k: s * np.where(x > 0, x, a * np.expm1(k * np.minimum(x, 0))),
        lambda x, a, s, k: s * np.where(x > 0, 1, a * k * np.exp(k * np.minimum(x, 0))),
    ),
    "softplus": (
        (2.0, 3.0),
        lambda x, b, t: np.where(b * x > t, x, np.logaddexp(0, b * x) / b),
        lambda x, b, t: np.where(b * x > t, 1, sigmoid(b * x)),
    ),
    "clamp": (
        (-0.5, 1.0),
        lambda x, low, high: np.minimum(np.maximum(x, low), high),
        lambda x, low, high: (x >= low) & (x <= high),
    ),
    "hardtanh": ((-0.5, 1.0), None, lambda x, low, high: (x > low) & (x < high)),
}
SPLIT = {
    "maximum_backward": lambda g, a, b: g * ((a > b) + 0.5 * (a == b)),
    "minimum_backward": lambda g, a, b: g * ((a < b) + 0.5 * (a == b)),
}
FROM_OUTPUT = {
    "relu_backward": lambda g, y: g * (y > 0),
    "sigmoid_backward": lambda g, y: g * y * (1 - y),
    "tanh_backward": lambda g, y: g * (1 - y * y),
}
FLOATS = [np.float32, np.float64]
HALVES = [np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
@given(pair=broadcast_pairs(), seed=st.integers(0, 2**32 - 1))
def test_binary_broadcasts(kernels, name, dtype, pair, seed):
    rng = np.random.default_rng(seed)
    a, b = normal(rng, pair[0], dtype), normal(rng, pair[1], dtype)
    expected = BINARY[name](a.astype(np.float64), b.astype(np.float64))
    for (_, la), (_, lb) in zip(layouts(a), layouts(b), strict=False):
        assert_close(getattr(kernels, name)(la, lb), expected, "elementwise")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_unary_on_every_tier_and_layout(kernels, isa, name, dtype, rng):
    x = normal(rng, (3, 5, 7, 17), dtype)
    if name in POSITIVE:
        x = np.abs(x)
    expected = UNARY[name](x.astype(np.float64))
    for layout, view in layouts(x):
        y = getattr(kernels, name)(view)
        assert_close(y, expected, "elementwise", scale=np.abs(x) if name in CANCELLING else None)
        assert layout == "strided" or layout == "reversed" or y.strides == view.strides


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_gradients_from_the_output(kernels, isa, name, dtype, rng):
    grad, y = normal(rng, (5, 33), dtype), rng.uniform(-1, 1, (5, 33)).astype(dtype)
    expected = FROM_OUTPUT[name](grad.astype(np.float64), y.astype(np.float64))
    scale = np.abs(grad)
    assert_close(getattr(kernels, name)(grad, y), expected, "elementwise", scale=scale)


def with_ties(rng, shape, dtype):
    """Normal numbers, of which some are whole and half numbers, infinities and NaN."""
    x = normal(rng, shape, dtype)
    special = rng.choice([-1, -0.5, 0, 1, 2, np.inf, -np.inf, np.nan], shape).astype(dtype)
    return np.where(rng.random(shape) < 0.4, special, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FROM_INPUT)
def test_gradients_from_the_input(kernels, isa, name, dtype, rng):
    grad, x = normal(rng, (3, 5, 33), dtype), normal(rng, (3, 5, 33), dtype)
    expected = grad * FROM_INPUT[name](x.astype(np.float64))
    precision = np.float32 if "tanh" in name or name in ("silu_backward", "mish_backward") else dtype
    for (_, lg), (_, lx) in zip(layouts(grad), layouts(x), strict=True):
        got = getattr(kernels, name)(lg, lx)
        assert got.dtype == dtype
        assert_close(got, expected, "elementwise", scale=2 * np.abs(grad) * (1 + np.abs(x)), dtype=precision)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_functions_with_parameters(kernels, isa, name, dtype, rng):
    parameters, value, derivative = WITH_PARAMETERS[name]
    grad, x = normal(rng, (3, 5, 33), dtype), normal(rng, (3, 5, 33), dtype)
    if name in ("clamp", "hardtanh"):  # elements at the bounds, and infinite ones
        x = np.where(rng.random(x.shape) < 0.4, rng.choice([*parameters, np.inf, -np.inf], x.shape), x).astype(dtype)
    wide, exact = x.astype(np.float64), [np.float64(dtype(p)) for p in parameters]
    for (_, lg), (_, lx) in zip(layouts(grad), layouts(x), strict=True):
        if value is not None:
            assert_close(
                getattr(kernels, name)(lx, *parameters),
                value(wide, *exact),
                "elementwise",
                scale=1 + np.abs(value(wide, *exact)),
            )
        got = getattr(kernels, f"{name}_backward")(lg, lx, *parameters)
        assert_close(got, grad * derivative(wide, *exact), "elementwise", scale=2 * np.abs(grad))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", [*UNARY, *BINARY, *FROM_INPUT, *FROM_OUTPUT, *SPLIT])
def test_halves_are_computed_as_float32_and_rounded_once(gpu_kernels, name, dtype, rng):
    function = getattr(gpu_kernels, name)
    operands = 1 if name in UNARY else 3 if name in SPLIT else 2
    for shape in [(3, 64), (5, 33)]:  # in packs of 8, and one by one
        x = [np.abs(normal(rng, shape)).astype(dtype) for _ in range(operands)]
        expected = function(*(a.astype(np.float32) for a in x)).astype(dtype)
        got = function(*x)
        assert got.dtype == dtype
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SPLIT)
@given(pair=broadcast_pairs(), seed=st.integers(0, 2**32 - 1))
def test_gradients_of_maximum_and_minimum(kernels, name, dtype, pair, seed):
    rng = np.random.default_rng(seed)
    a, b = (np.nan_to_num(with_ties(rng, shape, dtype)) for shape in pair)
    grad = normal(rng, np.broadcast_shapes(*pair), dtype)
    expected = SPLIT[name](grad.astype(np.float64), a, b)
    for (_, lg), (_, la), (_, lb) in zip(layouts(grad), layouts(a), layouts(b), strict=False):
        assert_close(getattr(kernels, name)(lg, la, lb), expected, "elementwise")


@pytest.mark.parametrize("dtype", FLOATS)
@given(pair=broadcast_pairs(), mask=shapes(max_dims=1), seed=st.integers(0, 2**32 - 1))
def test_where(kernels, dtype, pair, mask, seed):
    rng = np.random.default_rng(seed)
    shape = np.broadcast_shapes(*pair)
    a, b = with_ties(rng, pair[0], dtype), with_ties(rng, pair[1], dtype)
    condition = rng.random(shape[len(shape) - min(len(mask), len(shape)) :]) < 0.5
    expected = np.where(condition, a, b)
    for (_, lc), (_, la), (_, lb) in zip(layouts(condition), layouts(a), layouts(b), strict=False):
        assert np.array_equal(kernels.where(lc, la, lb), expected, equal_nan=True)


def test_where_on_every_tier(kernels, isa, rng):
    for dtype in FLOATS:
        a, b = with_ties(rng, (5, 33), dtype), with_ties(rng, (5, 33), dtype)
        condition = rng.random((5, 33)) < 0.5
        for c, x, y in itertools.product(
            (condition, condition[:1], condition.T.copy().T), (a, a[:, :1]), (b, b[:1, :1])
        ):
            assert np.array_equal(kernels.where(c, x, y), np.where(c, x, y), equal_nan=True)


def test_nan_is_chosen_from_either_side(kernels, isa):
    a = np.array([np.nan, 1, np.nan, 2] * 5, np.float32)
    b = np.array([1, np.nan, np.nan, 3] * 5, np.float32)
    assert_close(kernels.maximum(a, b), np.maximum(a, b), "elementwise")
    assert_close(kernels.minimum(a, b), np.minimum(a, b), "elementwise")


@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
def test_an_element_does_not_depend_on_its_position(kernels, shape, seed):
    x = normal(np.random.default_rng(seed), shape)
    whole = kernels.tanh(x)
    for index in np.ndindex(shape[:2]):
        assert np.array_equal(kernels.tanh(np.array(x[index])), whole[index])


def test_bits_do_not_depend_on_the_threads(isa, rng):
    a, b = normal(rng, (300, 1, 257)), normal(rng, (7, 257))
    results = []
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            y = _cpu.mul(a, b)
            outputs = (y, _cpu.gelu(y), _cpu.elu(y, 1, 1, 1), _cpu.where(y > 0, a, b), _cpu.maximum_backward(y, a, b))
            results.append(b"".join(out.tobytes() for out in outputs))
    assert len(set(results)) == 1


def test_infinities_and_nan(kernels, isa):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0] * 5, np.float32)
    assert_close(kernels.relu(x), np.array([np.nan, np.inf, 0, 0, 0] * 5), "elementwise")
    assert_close(kernels.add(x, -x), np.array([np.nan, np.nan, np.nan, 0, 0] * 5), "elementwise")


@pytest.mark.parametrize("dtype", FLOATS)
def test_sinc_at_special_numbers(kernels, isa, dtype):
    """0, tiny and whole numbers, halves, the largest odd number and even ones beyond it, infinity and NaN."""
    even, tiny = 2 / float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    at = {  # x: sinc(x) and its derivative, which is cos(pi x) / x at whole numbers
        0: (1, 0),
        tiny: (1, -(np.pi**2) / 3 * tiny),
        0.5: (2 / np.pi, -4 / np.pi),
        1.5: (-2 / (3 * np.pi), 4 / (9 * np.pi)),
        **{x: (0, -1 / x) for x in (1, 3, even / 2 - 1, even - 1)},
        **{x: (0, 1 / x) for x in (2, 4, even, even + 2, 1e30)},
        np.inf: (np.nan, np.nan),
        np.nan: (np.nan, np.nan),
    }
    x, (value, slopes) = np.array([*at] * 3, dtype), np.array([*at.values()] * 3).T
    for sign in (dtype(1), dtype(-1)):
        assert_close(kernels.sinc(sign * x), value, "elementwise")
        assert_close(kernels.sinc_backward(np.ones_like(x), sign * x), sign * slopes, "elementwise")


def test_wrong_calls(kernels):
    x = np.ones(4, np.float32)
    with pytest.raises(ValueError, match=r"add: shapes \(4,\) and \(3,\) do not broadcast"):
        kernels.add(x, x[:3])
    with pytest.raises(TypeError, match="add: got dtypes float32 and float64, wanted one"):
        kernels.add(x, x.astype(np.float64))
    with pytest.raises(TypeError, match="relu: got dtype int64, wanted float32"):
        kernels.relu(np.arange(3))
    with pytest.raises(TypeError, match="where: got dtype float32, wanted bool"):
        kernels.where(x, x, x)
    with pytest.raises(ValueError, match=r"where: shapes \(4,\) and \(3,\) do not broadcast"):
        kernels.where(x[:3] > 0, x, x)
    with pytest.raises(ValueError, match=r"maximum_backward: shapes \(4,\) and \(3,\) do not broadcast"):
        kernels.maximum_backward(x, x, x[:3])
    with pytest.raises(TypeError, match="clamp: got dtype int64"):
        kernels.clamp(np.arange(3), 0, 1)
    with pytest.raises(ValueError, match="17 axes, wanted at most 16"):
        kernels.relu(np.ones((1,) * 17, np.float32))
    packed = np.zeros(3, np.dtype([("a", "u1"), ("b", "<f4")]))["b"]
    with pytest.raises(ValueError, match="pass a copy"):
        kernels.relu(packed)


def test_foreign_bytes_are_refused():
    with pytest.raises(ValueError, match="foreign order"):
        _cpu.relu(np.ones(3, ">f4"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_written_past_the_caches(isa, dtype, rng, request):
    if dtype is np.float64 and request.config.getoption("--sanitized"):
        pytest.skip("the same code, slow there")
    count = (48 << 20) // np.dtype(dtype).itemsize + 13
    x = rng.standard_normal(count, dtype)
    other = x[::-1].copy()
    for threads in (1, 2):
        with backend.use_threads(threads):
            assert np.array_equal(_cpu.relu(x), np.maximum(x, 0))
            assert np.array_equal(_cpu.add(x, other), x + other)
            assert np.array_equal(_cpu.relu(x[1:]), np.maximum(x[1:], 0))
