"""Comparisons, tests of values, logic and conversions against PyTorch."""

import operator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl

VALUES = np.array([0.0, -0.0, 1.0, 1.0 + 1e-6, -2.5, 100.0, 100.001, np.inf, -np.inf, np.nan])
tolerance = st.sampled_from([0.0, 1e-8, 1e-6, 1e-3, 0.5])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rtol=tolerance, atol=tolerance, equal_nan=st.booleans(), dtype=st.sampled_from(["float32", "float64", "int64"]))
def test_isclose(torch, rtol, atol, equal_nan, dtype):
    values = (VALUES if dtype != "int64" else np.array([0, 1, -7, 1000, 1001])).astype(dtype)
    a, b = values[:, None].copy(), values[None].copy()
    options = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan}
    got = tinydl.isclose(tinydl.tensor(a), tinydl.tensor(b), **options)
    expected = torch.isclose(torch.tensor(a), torch.tensor(b), **options)
    assert np.array_equal(got, expected.numpy())
    for x, y in ((values, values), (values[:1], values[1:2]), (values[:0], values[:0])):
        close = tinydl.allclose(tinydl.tensor(x), tinydl.tensor(y), **options)
        assert close is torch.allclose(torch.tensor(x), torch.tensor(y), **options)


def test_equal(torch):
    lists = [[1.0, 2.0], [1, 2], [1.0, 2.5], [[1.0, 2.0]], [], [float("nan")], [True, False]]
    for a in lists:
        for b in lists:
            expected = torch.equal(torch.tensor(a), torch.tensor(b))
            assert tinydl.equal(tinydl.tensor(a), tinydl.tensor(b)) is expected, (a, b)


@pytest.mark.parametrize("op", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge])
def test_operators(op, torch):
    x = [[1.5, -2.0, float("nan")]]
    for other in (1.5, -2, True, [[1.5], [3.0]]):
        pair = [lib.tensor(other) if isinstance(other, list) else other for lib in (tinydl, torch)]
        got, expected = op(tinydl.tensor(x), pair[0]), op(torch.tensor(x), pair[1])
        assert got.dtype == np.bool_
        assert got.tolist() == expected.tolist()
        assert op(pair[0], tinydl.tensor(x)).tolist() == op(pair[1], torch.tensor(x)).tolist()


def test_python_decides_about_what_is_no_number():
    x = tinydl.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    assert (x == [1, 1]) is False
    with pytest.raises(TypeError, match="not supported between instances of 'Tensor' and 'str'"):
        assert x < "a"
    with pytest.raises(TypeError, match="eq: got an operand of type NoneType"):
        tinydl.eq(x, None)


def test_integers_beyond_the_dtype_compare_as_numbers():
    x = tinydl.tensor(np.array([3, 200], np.uint8))
    assert (x > -2).tolist() == [True, True]
    assert (x < 300).tolist() == [True, True]


def test_comparisons_in_the_promoted_dtype(torch):
    arrays = [np.array(v, dtype) for v, dtype in (([0.1], "float64"), ([0.1], "float32"), ([16777217], "int64"))]
    arrays += [np.array([16777216], "float32"), np.array([3], "int8"), np.array(0.1)]
    for a in arrays:
        for b in arrays:
            got, expected = tinydl.tensor(a) == tinydl.tensor(b), torch.tensor(a) == torch.tensor(b)
            assert got.tolist() == expected.tolist(), (a, b)


def test_conversions(torch):
    x = np.array([0.0, 1.75, -3.5], np.float32)
    for name in ["float", "double", "half", "bfloat16", "bool", "char", "short", "int", "long"]:
        got, expected = getattr(tinydl.tensor(x), name)(), getattr(torch.tensor(x), name)()
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
        assert got.tolist() == expected.tolist()
    assert tinydl.tensor(np.abs(x)).byte().dtype == np.uint8
    assert tinydl.tensor([1]).type_as(tinydl.tensor([1.0])).dtype == np.float32
    leaf = tinydl.tensor(x, requires_grad=True)
    leaf.bfloat16().sum().backward()
    assert leaf.grad.tolist() == [1, 1, 1]
    assert leaf.grad.dtype == np.float32


@pytest.mark.parametrize("name", ["exp", "sin", "relu", "abs", "floor", "sign", "square"])
def test_bfloat16(name, torch):
    x = np.array([0.5, -1.25, 3.0], np.float32)
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = getattr(ours.bfloat16(), name)(), getattr(theirs.bfloat16(), name)()
    assert str(y.dtype) == "bfloat16"
    assert y.float().tolist() == expected.float().tolist()
    y.sum().backward()
    expected.sum().backward()
    assert ours.grad.tolist() == theirs.grad.tolist()


@pytest.mark.parametrize(
    ("error", "message", "wrong"),
    [
        (ValueError, r"lt: shapes \(3,\) and \(2,\) do not broadcast", lambda x: x < tinydl.ones(2)),
        (TypeError, "isclose: got dtypes float32 and int64, wanted one", lambda x: x.isclose(x.long())),
        (TypeError, "isclose: got float, wanted a tensor", lambda x: x.isclose(1.0)),
        (ValueError, "isclose: got rtol=-1 and atol=1e-08", lambda x: x.isclose(x, rtol=-1)),
        (TypeError, "equal: got int, wanted a tensor", lambda x: x.equal(1)),
        (TypeError, "logical_and: got int, wanted a tensor", lambda x: x.logical_and(1)),
        (TypeError, "bitwise_and: got dtype float32, wanted integers or bools", lambda x: x & x),
        (TypeError, "bitwise_left_shift: got dtype float32, wanted integers$", lambda x: x << 1),
        (TypeError, "bitwise_not: got dtype float32, wanted integers or bools", lambda x: ~x),
        (TypeError, "where: got a condition of type float32, wanted a bool tensor", lambda x: tinydl.where(x, x, x)),
        (ValueError, "where: shapes", lambda x: tinydl.where(tinydl.ones(2) > 0, x, x)),
        (ValueError, "where: shapes", lambda x: tinydl.where(tinydl.ones(2) > 0, x.long(), 1)),
        (TypeError, "sub: got a bool", lambda x: x - True),
        (TypeError, "neg: got a bool tensor, wanted numbers", lambda x: -(x > 0)),
        (TypeError, "add: got alpha=0.5 for integers", lambda x: x.long().add(1, alpha=0.5)),
        (ValueError, "floor_divide: division of integers by zero", lambda x: x.long() // 0),
        (ValueError, "remainder: division of integers by zero", lambda x: x.long() % 0),
        (ValueError, "div: got rounding_mode='up'", lambda x: x.div(2, rounding_mode="up")),
        (ValueError, "clamp: got neither min nor max", lambda x: x.clamp()),
        (TypeError, "clamp: got a tensor and a number as bounds", lambda x: x.clamp(0, x)),
        (TypeError, "clamp: got a bound of type str", lambda x: x.clamp("0")),
        (TypeError, "maximum: got int, wanted a tensor", lambda x: x.maximum(1)),
        (TypeError, "lerp: got dtypes", lambda x: x.lerp(x.double(), 0.5)),
        (TypeError, "addcdiv: got a quotient of dtype int64", lambda x: x.addcdiv(x.long(), x.long())),
        (TypeError, "round: got dtype int64 with decimals=1", lambda x: x.long().round(decimals=1)),
        (TypeError, "frac: got dtype int64", lambda x: x.long().frac()),
        (TypeError, "hypot: got dtype int64", lambda x: x.long().hypot(x.long())),
    ],
)
def test_wrong_calls(error, message, wrong):
    with pytest.raises(error, match=message):
        wrong(tinydl.ones(3))
