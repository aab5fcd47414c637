"""Elementwise operations: gradients, promotion, comparison with PyTorch."""

import itertools
import math
import operator

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
FUNCTIONS = ["exp", "log", "sqrt", "relu", "sigmoid", "tanh", "neg", "erf", "abs", "expm1", "sin", "cos", "rsqrt"]
FUNCTIONS += ["sinc"]
FURTHER = """
    exp2 log1p log2 log10 erfc tan atan sinh cosh asinh square reciprocal deg2rad rad2deg frac floor sign nan_to_num
"""
PAIRS = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (2, 3)),
    ((0, 3), (3,)),
    ((2, 1, 5), (7, 1)),
    ((1,), ()),
]


def double(rng, shape):
    """Values away from 0, where relu, log and division are smooth."""
    return tinydl.tensor(rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape), requires_grad=True)


@pytest.mark.parametrize("op", ARITHMETIC, ids=lambda op: op.__name__)
@pytest.mark.parametrize("shapes", PAIRS, ids=str)
def test_arithmetic_gradcheck(op, shapes, rng):
    a, b = (double(rng, shape) for shape in shapes)
    gradcheck(op, [a, b])
    gradcheck(lambda x: op(op(3.0, x), 2), [b])
    gradcheck(lambda x: op(x, x), [a])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 17), (2, 3, 4, 5)], ids=str)
def test_function_gradcheck(name, shape, rng):
    function = getattr(tinydl, name)
    x = double(rng, shape)
    if name in ("log", "sqrt", "rsqrt"):
        x = tinydl.tensor(np.abs(x.detach().numpy()), requires_grad=True)
    gradcheck(function, [x])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_gradcheck_in_every_layout(name, rng):
    for _, array in layouts(rng.uniform(0.5, 2, (2, 3, 4, 5))):
        gradcheck(getattr(tinydl, name), [tinydl.from_numpy(array).requires_grad_()])
    gradcheck(
        lambda x: getattr(tinydl, name)(x.expand(4, 3)), [tinydl.tensor(rng.uniform(1, 2, (1, 3))).requires_grad_()]
    )


@pytest.mark.parametrize("name", FURTHER.split())
def test_gradcheck_of_further_functions(name, rng):
    for _, array in layouts(rng.uniform(0.1, 0.9, (2, 3, 4))):
        gradcheck(getattr(tinydl, name), [tinydl.from_numpy(array).requires_grad_()])


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("asin", -0.9, 0.9), ("acos", -0.9, 0.9), ("atanh", -0.9, 0.9), ("acosh", 1.1, 3), ("logit", 0.1, 0.9)],
)
def test_gradcheck_within_the_domain(name, low, high, rng):
    gradcheck(getattr(tinydl, name), [tinydl.tensor(rng.uniform(low, high, (3, 5)), requires_grad=True)])


TWO = "pow hypot atan2 xlogy logaddexp maximum minimum fmax fmin remainder fmod clamp_min lerp addcmul addcdiv where"
TWO_MADE = {
    "clamp_min": lambda a, b: tinydl.clamp(a, min=b),
    "lerp": lambda a, b: tinydl.lerp(a, b, tinydl.tensor([0.2, 0.5, 0.9, 1.5]).double()),
    "addcmul": lambda a, b: tinydl.addcmul(a, b, a, value=0.7),
    "addcdiv": lambda a, b: tinydl.addcdiv(a, b, a, value=0.7),
    "where": lambda a, b: tinydl.where(tinydl.tensor([True, False, True, False]), a, b),
}


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((0, 4), (4,))], ids=str)
@pytest.mark.parametrize("name", TWO.split())
def test_gradcheck_of_functions_of_two(name, shapes, rng):
    function = TWO_MADE.get(name) or getattr(tinydl, name)
    gradcheck(function, [tinydl.tensor(rng.uniform(0.5, 2.5, shape), requires_grad=True) for shape in shapes])


def test_gradcheck_between_tensors(rng):
    x, low, high = (tinydl.tensor(rng.uniform(-1, 1, (4, 5)), requires_grad=True) for _ in range(3))
    gradcheck(tinydl.clamp, [x, low, high])


def test_where_remembers_the_condition_that_it_saw():
    x = tinydl.tensor([1.0, 2.0], requires_grad=True)
    condition = tinydl.tensor([True, False])
    y = tinydl.where(condition, x, 0.0)
    condition.fill_(True)
    y.sum().backward()
    assert x.grad.tolist() == [1, 0]


def test_lerp_ends_exactly():
    a, b = tinydl.tensor([0.1, 1e8]), tinydl.tensor([0.7, -3.0])
    assert tinydl.lerp(a, b, 1.0).tolist() == b.tolist()
    assert tinydl.lerp(a, b, 0.0).tolist() == a.tolist()


@pytest.mark.parametrize("exponent", [2, 3, 0, 1, -1, 0.5, 2.5])
def test_pow_gradcheck(exponent, rng):
    gradcheck(lambda x: x**exponent, [tinydl.tensor(rng.uniform(0.5, 2, (3, 4)), requires_grad=True)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_equal_torch(name, torch, rng):
    array, upstream = np.abs(normal(rng, (5, 37))) + 0.1, normal(rng, (5, 37))
    ours, theirs = tinydl.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    y, expected = getattr(tinydl, name)(ours), getattr(torch, name)(theirs)
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    scale = 1 + np.abs(array) if name == "sinc" else None  # PyTorch rounds pi x
    assert_close(y, expected.detach().numpy(), "elementwise", scale=scale)
    assert_close(ours.grad, theirs.grad.numpy(), "gradient", scale=np.abs(upstream))


VALUES = {
    "bool": [True, False],
    "uint8": [1, 200],
    "int8": [-3, 5],
    "int16": [-3, 5],
    "int32": [-3, 5],
    "int64": [-3, 5],
    "float16": [0.5, -2],
    "float32": [0.5, -2],
    "float64": [0.5, -2],
}


@pytest.mark.parametrize(("a", "b"), list(itertools.product(VALUES, VALUES)))
def test_promotion_equals_torch(a, b, torch):
    """Dtypes of every pair, with and without axes, and with Python numbers."""
    for op in (operator.add, operator.mul, operator.truediv):
        for cut_a, cut_b in ((slice(None), slice(None)), (0, slice(None)), (slice(None), 0), (0, 0)):
            x, y = np.array(VALUES[a], a)[cut_a], np.array(VALUES[b], b)[cut_b]
            got = op(tinydl.tensor(x), tinydl.tensor(y))
            expected = op(torch.tensor(x), torch.tensor(y))
            assert str(got.dtype) == str(expected.dtype).removeprefix("torch."), (op, x, y)
            assert got.shape == tuple(expected.shape)


@pytest.mark.parametrize("number", [True, 3, 2.5])
@pytest.mark.parametrize("dtype", VALUES)
def test_promotion_with_numbers_equals_torch(dtype, number, torch):
    x = np.array(VALUES[dtype], dtype)
    for op in (operator.add, operator.truediv):
        for got, expected in (
            (op(tinydl.tensor(x), number), op(torch.tensor(x), number)),
            (op(number, tinydl.tensor(x)), op(number, torch.tensor(x))),
        ):
            assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")


def test_gradients_go_through_promotion():
    x = tinydl.tensor([1.0, 2.0], requires_grad=True)
    y = tinydl.tensor([3.0], dtype="float64", requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3, 3]
    assert y.grad.dtype == np.float64
    assert y.grad.tolist() == [3]


def test_numpy_scalars_are_what_they_are():
    assert (tinydl.tensor([1, 2]) + np.int64(3)).dtype == np.int64
    assert (tinydl.tensor([True]) * np.bool_(True)).dtype == np.bool_
    assert (tinydl.tensor([1.0]) * np.float64(2)).dtype == np.float32


@pytest.mark.parametrize(
    "function",
    [lambda x: -x, lambda x: x * x - x / 2, lambda x: x.sum(), lambda x: x.mean(), lambda x: x @ x, tinydl.relu],
)
def test_half_precision_stays_on_the_tape(function):
    x = tinydl.tensor(np.array([0.5, 0.75], np.float16), requires_grad=True)
    y = function(x)
    assert y.dtype == np.float16
    y.sum().backward()
    assert x.grad.dtype == np.float16
    wide = tinydl.tensor([0.5, 0.75], requires_grad=True)
    function(wide).sum().backward()
    assert x.grad.tolist() == wide.grad.tolist()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of products beyond float16
@pytest.mark.parametrize("device", ["cpu", "cuda-emulated"])
@pytest.mark.parametrize("dtype", [tinydl.float16, tinydl.bfloat16])
@pytest.mark.parametrize("number", [0.1, 1e-8, 65536.0, 70001, -1e6, math.inf, 3])
def test_16_bits_times_a_number(torch, rng, device, dtype, number):
    """The number is not rounded to 16 bits before the product and the quotient, which are PyTorch's."""
    if device != "cpu":
        pytest.importorskip("tinydl._cuda_emulated")
    values = rng.standard_normal(500).astype(np.float32)
    x = tinydl.tensor(values, device=device).to(dtype)
    t = torch.tensor(values).to(getattr(torch, str(dtype)))
    for function in (lambda x: x * number, lambda x: number * x, lambda x: x / number):
        got, expected = function(x), function(t)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got.cpu().float().numpy(), expected.float().numpy())
    inverse = number / x
    assert inverse.dtype == dtype
    with np.errstate(all="ignore"):
        exact = (np.float32(number) / x.cpu().float().numpy()).astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(inverse.cpu().float().numpy(), exact)
    assert (x + number).dtype == dtype


def test_gradients_through_a_number_of_16_bits():
    x = tinydl.tensor([2.0**-20, 2.0**-10], dtype=tinydl.float16, requires_grad=True)
    (x * 2.0**17 / 2.0**18).float().sum().backward()
    assert x.grad.dtype == tinydl.float16
    assert x.grad.tolist() == [0.5, 0.5]
    loss = (x * 65536.0).float() * 2.0**-16
    x.grad = None
    loss.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_wrong_operands():
    x = tinydl.ones(3)
    with pytest.raises(ValueError, match=r"add: shapes \(3,\) and \(2,\) do not broadcast"):
        x + tinydl.ones(2)
    with pytest.raises(TypeError, match="got an operand of type str"):
        x + "1"
    with pytest.raises(TypeError, match="got an operand of type str"):
        x ** "2"
    with pytest.raises(ValueError, match="negative integer powers"):
        tinydl.tensor([1, 2]) ** -1
    with pytest.raises(TypeError, match="relu: got ndarray"):
        tinydl.relu(np.ones(3))
