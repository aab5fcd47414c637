"""Values, gradients, dtypes and refusals of the elementwise functions equal PyTorch's."""

import itertools
import operator

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close

from .functions import BINARY, OPERATORS, SPECIAL, UNARY, VALUES

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's
REFUSALS = (ValueError, TypeError, IndexError)

# Where 1 + f cancels, PyTorch's float32 is off by more than rounding of the result: errors are relative to the input.
# So it is near the zeros of sinc, because PyTorch rounds pi x.
CANCELLING = {"nn.functional.gelu", "nn.functional.mish", "nn.functional.tanhshrink", "exp2", "sinc"}
# PyTorch computes these constants in float32 also for float64.
NARROW = {"celu", "nn.functional.hardsigmoid"}
# PyTorch's scalar and vector code disagree: gradients at NaN, gelu of infinity.
NO_NAN = {"hardshrink", "selu", "celu"} | {
    f"nn.functional.{name}" for name in ("hardtanh", "relu6", "softshrink", "elu", "hardswish")
}
NO_INFINITY = {"nn.functional.gelu"}
# PyTorch's gradient cancels near 0.
NO_SMALL = {"sinc"}


def same_dtype(got, expected):
    return str(got.dtype) == str(expected.dtype).removeprefix("torch.")


def outcome(function, *args):
    """The result, or the error that it raised."""
    try:
        return function(*args)
    except Exception as error:
        return error


def check_same(got, expected, about, scale=None):
    """Equal dtypes and values, or two refusals, of which ours is of the right kind."""
    if isinstance(expected, Exception):
        assert isinstance(got, REFUSALS), (about, got, expected)
        return False
    assert not isinstance(got, Exception), (about, got)
    assert same_dtype(got, expected), (about, got.dtype, expected.dtype)
    values = expected.detach().numpy()
    floating = values.dtype.kind == "f"
    assert_close(
        got, values, "function" if floating else "elementwise", scale=scale, dtype=None if floating else np.float64
    )
    return True


def upstream_of(y, rng):
    return rng.standard_normal(tuple(y.shape)).astype(str(y.dtype).removeprefix("torch."))


def inputs_for(name, dtype, rng):
    x = np.concatenate([SPECIAL, rng.standard_normal(30), rng.uniform(0.01, 0.99, 20), 4 * rng.standard_normal(30)])
    if name in NO_NAN:
        x = x[~np.isnan(x)]
    if name in NO_INFINITY:
        x = x[~np.isinf(x)]
    if name in NO_SMALL:
        x = x[(x == 0) | ~(np.abs(x) < 0.01)]
    return x[x.size % 2 :].astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNARY)
def test_functions(name, dtype, torch, rng):
    x = inputs_for(name, dtype, rng)
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = outcome(UNARY[name](tinydl), ours), outcome(UNARY[name](torch), theirs)
    if isinstance(expected, Exception):
        assert isinstance(y, REFUSALS)
        return
    assert same_dtype(y, expected)
    values = expected.detach().numpy()
    about = np.float32 if name in NARROW or y.dtype == bool else None
    scale = np.abs(values) + np.where(np.isfinite(x), np.abs(x), 0) if name in CANCELLING else None
    assert_close(y, values, "function", scale=scale, dtype=about)
    assert y.requires_grad == expected.requires_grad
    if y.requires_grad:
        upstream = upstream_of(y, rng)
        y.backward(tinydl.tensor(upstream))
        expected.backward(torch.tensor(upstream))
        slopes = theirs.grad.numpy()
        assert_close(ours.grad, slopes, "gradient", scale=np.abs(slopes) + np.abs(upstream).max(), dtype=about)


@pytest.mark.parametrize("dtype", VALUES)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_every_dtype(name, dtype, torch):
    x = np.array(VALUES[dtype][0], dtype)
    got, expected = (outcome(UNARY[name](lib), lib.tensor(x)) for lib in (tinydl, torch))
    if name == "clamp, crossed" or (name.startswith("clamp") and dtype == "bool"):
        assert same_dtype(got, expected)
    else:
        check_same(got, expected, (name, dtype), scale=1 if name == "sinc" else None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two(name, dtype, torch, rng):
    grid = np.array([0.5, -0.5, 1, -1, 0, -0.0, 3, -3, np.nan, np.inf, -np.inf]) if name != "addcdiv" else np.ones(3)
    special = np.stack([m.ravel() for m in np.meshgrid(grid, grid)])
    a, b = np.concatenate([special, 2 * rng.standard_normal((2, 50)), rng.integers(-3, 4, (2, 50))], 1).astype(dtype)
    ours = [tinydl.tensor(v, requires_grad=True) for v in (a, b)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (a, b)]
    y, expected = outcome(BINARY[name](tinydl), *ours), outcome(BINARY[name](torch), *theirs)
    scale = np.nan_to_num(np.abs(a) + np.abs(b), posinf=0) if name.startswith("lerp") else None
    if not check_same(y, expected, name, scale) or not expected.requires_grad or name == "floor_divide":
        return
    upstream = upstream_of(y, rng)
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    for mine, other in zip(ours, theirs, strict=True):
        slopes = other.grad.numpy()
        assert_close(mine.grad, slopes, "gradient", scale=np.abs(slopes) + np.abs(upstream).max())


def cuts(values):
    """With axes and without."""
    return values, values[:1].reshape(())


@pytest.mark.parametrize("dtypes", list(itertools.product(VALUES, VALUES)), ids="-".join)
def test_functions_of_two_dtypes(dtypes, torch):
    count = min(len(VALUES[d][0]) for d in dtypes)
    first = np.array(VALUES[dtypes[0]][0][:count], dtypes[0])
    second = np.array(VALUES[dtypes[1]][1][:count], dtypes[1])
    for name, (a, b) in itertools.product(BINARY, itertools.product(cuts(first), cuts(second))):
        if name == "isclose" and a.dtype == bool:
            continue  # PyTorch compares bools without their tolerance
        got, expected = (outcome(BINARY[name](lib), lib.tensor(a), lib.tensor(b)) for lib in (tinydl, torch))
        check_same(got, expected, (name, a, b))


@pytest.mark.parametrize("number", [True, 3, -2, 2.5])
@pytest.mark.parametrize("dtype", VALUES)
def test_functions_of_tensor_and_number(dtype, number, torch):
    x = np.array(VALUES[dtype][0], dtype)
    x[x == 0] = 1
    functions = {
        name: BINARY[name] for name in BINARY if not name.startswith(("isclose", "lerp", "clamp", "addc", "where"))
    }
    functions |= {name: lambda lib, name=name: getattr(operator, name) for name in OPERATORS.split()}
    for name, function in functions.items():
        if dtype == "uint8" and number == -2 and name.strip("_") in ("eq", "ne", "lt", "le", "gt", "ge"):
            continue  # PyTorch takes -2 for 254
        for left in (False, True):
            args = (lambda lib: (number, lib.tensor(x))) if left else (lambda lib: (lib.tensor(x), number))
            got, expected = (outcome(function(lib), *args(lib)) for lib in (tinydl, torch))
            check_same(got, expected, (name, x, number, left))
