"""Gradients of reductions, scans and norms against differences, and where several elements are equal."""

import numpy as np
import pytest

import tinydl as m
from tests.support.arrays import layouts
from tinydl.autograd import gradcheck

F = m.nn.functional
SMOOTH = [
    "m.amax(x, (0, 2))",
    "m.amin(x, 1, True)",
    "m.max(x)",
    "m.min(x, 1).values",
    "m.median(x)",
    "m.nanmedian(x, 0).values",
    "m.mode(x, 0).values",
    "m.quantile(x, m.tensor([0.1, 0.7]).double(), 1)",
    "m.prod(x, 1)",
    "m.nansum(x, 0)",
    "m.var(x, (0, 2))",
    "m.var(x)",
    "m.std(x, 1, keepdim=True)",
    "sum(m.var_mean(x, 1))",
    "m.var_mean(x, 1)[1]",
    "m.std_mean(x, (1, 2), False)[0]",
    "m.logsumexp(x, (0, 1))",
    "m.norm(x, 2, 1)",
    "m.norm(x, 3)",
    "m.norm(x, 0.5, 0)",
    "m.norm(x, float('inf'), 1)",
    "m.linalg.norm(x, 1, (0, 1))",
    "m.cumsum(x, 1)",
    "m.cumprod(x, 1)",
    "m.cummax(x, 1).values",
    "m.logcumsumexp(x, 2)",
    "m.diff(x, 2, 1, x[:, :1], x)",
    "F.normalize(x, dim=1)",
    "F.cosine_similarity(x, x[:1].exp(), -1)",
    "F.pairwise_distance(x, x[:1].exp(), 1.5)",
    "F.pdist(x[0])",
    "m.cdist(x, x[:, :2].exp())",
]


@pytest.mark.parametrize("case", SMOOTH)
def test_gradcheck(case, rng):
    array = (rng.permutation(60) - 30.5).reshape(3, 4, 5) / 16
    for _, view in layouts(array):
        gradcheck(lambda x: eval(case, globals(), {"x": x}), [m.from_numpy(view).requires_grad_()])


@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (0, 1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("case", ["m.prod(x)", "m.prod(x, 0)", "m.cumprod(x, 0)"])
def test_products_with_zeros(case, zeros, rng):
    array = rng.standard_normal(5)
    array[list(zeros)] = 0
    gradcheck(lambda x: eval(case, globals(), {"x": x}), [m.tensor(array, requires_grad=True)])


def gradient(function, array):
    x = m.tensor(array, requires_grad=True)
    function(x).backward()
    return x.grad.tolist()


def test_ties_share_the_gradient_of_all_and_the_first_gets_that_of_an_axis():
    array = np.array([1.0, 3.0, 3.0, 0.0])
    assert gradient(m.amax, array) == [0, 0.5, 0.5, 0]
    assert gradient(m.max, array) == [0, 0.5, 0.5, 0]
    assert gradient(lambda x: m.max(x, 0).values, array) == [0, 1, 0, 0]
    assert gradient(m.median, np.array([1.0, 1.0, 5.0])) == [0.5, 0.5, 0]
    assert gradient(lambda x: m.norm(x, float("inf")), -array) == [0, -0.5, -0.5, 0]
    assert gradient(lambda x: m.cummax(x, 0).values.sum(), array) == [1, 1, 2, 0]


def test_the_gradient_of_a_norm_or_deviation_of_zero_is_zero():
    for function in (m.norm, m.std, lambda x: m.norm(x, 3), lambda x: m.dist(x, x.detach())):
        assert gradient(function, np.zeros(3)) == [0, 0, 0]


def test_nan_gets_the_gradient_of_the_largest():
    assert gradient(m.max, np.array([1.0, np.nan, np.nan])) == [0, 0.5, 0.5]
    assert gradient(lambda x: m.max(x, 0).values, np.array([1.0, np.nan, np.nan])) == [0, 1, 0]


def test_an_unused_output_has_no_gradient(rng):
    x = m.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    m.var_mean(x, 1)[1].sum().backward()
    assert x.grad.tolist() == [[0.25] * 4] * 3


def test_results_have_names():
    values, indices = m.max(m.tensor([[1.0, 2.0]]), 1)
    assert (values.tolist(), indices.tolist()) == ([2], [1])
    pair = m.ones(2, 3).cummin(1)
    assert type(pair).__name__ == "cummin"
    assert pair.indices.dtype == np.int64
    assert m.ones(2).aminmax().max.item() == 1


def test_max_of_two_tensors(torch, rng):
    pytest.importorskip("tinydl.ops.bounds")
    a, b = rng.standard_normal((3, 4)), rng.standard_normal(4)
    for name in ("max", "min"):
        expected = getattr(torch, name)(torch.tensor(a), torch.tensor(b))
        assert getattr(m, name)(m.tensor(a), m.tensor(b)).tolist() == expected.tolist()
        assert getattr(m, name)(m.tensor(a), other=m.tensor(b)).tolist() == expected.tolist()


WRONG = [
    ("m.amax(x, 3)", IndexError, "amax: dim 3 is out of range for a tensor of 2 axes"),
    ("m.amin(m.zeros(0))", IndexError, r"amin: nothing to choose from in shape \(0,\)"),
    ("m.max(x, (0,))", TypeError, r"max: got dim \(0,\), wanted one integer"),
    ("m.sum(x, 'a')", TypeError, "sum: got dim 'a', wanted an integer or several"),
    ("m.argmin(x > 0)", TypeError, "argmin: got dtype bool"),
    ("m.var(x, 0, True, correction=1)", TypeError, "var: got unbiased=True and correction=1, wanted one of them"),
    ("m.std(m.ones(2).long())", TypeError, "std: got dtype int64"),
    ("m.quantile(x, 2)", ValueError, r"quantile: got q=2.0, wanted a number in \[0, 1\]"),
    ("m.quantile(x, 0.5, interpolation='cubic')", ValueError, "interpolation 'cubic' is unknown; known: linear"),
    ("m.norm(m.zeros(0), -1)", ValueError, r"norm: the norm of order -1 of no elements is undefined"),
    ("m.diff(x, -1)", ValueError, "diff: got n=-1"),
    ("m.diff(x, prepend=m.ones(3))", ValueError, r"diff: prepend of shape \(3,\) does not fit \(2, 3\) along dim -1"),
    ("m.logcumsumexp(x.long(), 0)", TypeError, "logcumsumexp: got dtype int64"),
    ("m.cdist(x, m.ones(2, 4))", ValueError, r"cdist: got shapes \(2, 3\) and \(2, 4\)"),
    ("F.cosine_similarity(x, m.ones(2, 4))", ValueError, r"cosine_similarity: shapes .* do not broadcast"),
]


@pytest.mark.parametrize(("case", "error", "message"), WRONG)
def test_wrong_calls(case, error, message):
    with pytest.raises(error, match=message):
        eval(case, globals(), {"x": m.ones(2, 3)})
