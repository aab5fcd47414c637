"""The public softmax: gradients, errors, and the comparison with PyTorch."""

import numpy as np
import pytest

import tinydl
import tinydl.nn.functional as F
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck

FUNCTIONS = ["softmax", "log_softmax", "softmin"]


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 1), (0, 3), (3, 0), (2, 3, 5), (2, 3, 4, 1)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name, shape, rng):
    function = getattr(F, name)
    for dim in range(max(len(shape), 1)):
        for _, view in layouts(normal(rng, shape, np.float64)):
            assert gradcheck(lambda t, dim=dim: function(t, dim), tinydl.Tensor(view, requires_grad=True))


def test_gradcheck_of_a_broadcast_view(rng):
    view = np.broadcast_to(normal(rng, (3, 1), np.float64), (2, 3, 4)).copy()[:, ::2]
    assert gradcheck(lambda t: tinydl.softmax(t, -2), tinydl.Tensor(view, requires_grad=True))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_equals_pytorch(torch, isa, name, dim, rng):
    x, grad = 4 * normal(rng, (7, 19, 10)), normal(rng, (7, 19, 10))
    ours = tinydl.tensor(x, requires_grad=True)
    y = getattr(F, name)(ours, dim)
    y.backward(tinydl.tensor(grad))
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(theirs, dim)
    expected.backward(torch.tensor(grad))
    assert_close(
        y, expected.detach().numpy(), "softmax", length=x.shape[dim], scale=1 + np.abs(expected.detach().numpy())
    )
    scale = np.abs(grad).sum()
    assert_close(ours.grad, theirs.grad.numpy(), "softmax", length=x.shape[dim], scale=scale)


def test_specials_equal_pytorch(torch, isa):
    inf, nan = np.inf, np.nan
    x = np.array([[0, -inf, 1], [-inf] * 3, [inf, 0, 1], [inf, -inf, inf], [nan, 0, 1], [1, nan, -inf]], np.float32)
    for name in FUNCTIONS:
        expected = getattr(torch.nn.functional, name)(torch.tensor(x), 1).numpy()
        assert_close(getattr(F, name)(tinydl.tensor(x), 1), expected, "softmax")


def test_method():
    assert tinydl.tensor([0.0, 0.0]).softmax(dim=-1).tolist() == [0.5, 0.5]
    assert tinydl.tensor([0.0, -1000.0]).log_softmax(dim=-1).tolist() == [0, -1000]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes(torch, name):
    function, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    counts = np.array([1, 2, 4])
    for dtype in (np.float32, np.float64):
        got = function(tinydl.tensor(counts), 0, dtype=dtype)
        assert got.dtype == dtype
        assert_close(got, theirs(torch.tensor(counts.astype(dtype)), 0).numpy(), "softmax")
    half = function(tinydl.tensor(counts.astype(np.float16)), 0)
    assert half.dtype == np.float16
    with pytest.raises(TypeError, match=f"{name}: got dtype int64, wanted a floating-point dtype"):
        function(tinydl.tensor(counts), 0)


LAYERS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Softmin": "softmin"}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_and_the_implicit_axis(torch, layer, rng):
    assert repr(getattr(nn, layer)(dim=1)) == f"{layer}(dim=1)"
    for shape in ((5,), (2, 3), (2, 3, 4), (2, 3, 4, 5)):
        x = normal(rng, shape)
        with pytest.warns(UserWarning, match="the implicit choice of dim is deprecated"):
            got = getattr(nn, layer)()(tinydl.tensor(x))
        with pytest.warns(UserWarning, match="Implicit dimension"):
            expected = getattr(torch.nn, layer)()(torch.tensor(x))
        assert_close(got, expected.numpy(), "softmax", scale=1 + np.abs(expected.numpy()))
        given = getattr(nn, layer)(dim=-1)(tinydl.tensor(x))
        assert np.array_equal(given.numpy(), getattr(F, LAYERS[layer])(tinydl.tensor(x), -1).numpy())


def test_softmax2d(torch, rng):
    for shape in ((3, 4, 5), (2, 3, 4, 5)):
        x = normal(rng, shape)
        got, expected = nn.Softmax2d()(tinydl.tensor(x)), torch.nn.Softmax2d()(torch.tensor(x))
        assert_close(got, expected.numpy(), "softmax")
    with pytest.raises(ValueError, match=r"Softmax2d: got an input of shape \(2, 3\), wanted \(N, C, H, W\)"):
        nn.Softmax2d()(tinydl.zeros(2, 3))


def test_gumbel_softmax():
    """The largest element is drawn with the softmax's probability, and the gradient is that of the soft draw."""
    tinydl.manual_seed(0)
    p = np.array([0.1, 0.2, 0.7])
    logits = tinydl.tensor(np.tile(np.log(p), (20000, 1)), requires_grad=True)
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert sorted(np.unique(hard.detach().numpy().round(12))) == [0, 1]
    assert np.abs(hard.detach().numpy().mean(0) - p).max() < 4 * np.sqrt(0.25 / 20000)
    grad = np.random.default_rng(0).standard_normal(hard.shape)
    hard.backward(tinydl.tensor(grad))
    tinydl.manual_seed(0)
    again = tinydl.tensor(logits.detach().numpy(), requires_grad=True)
    soft = F.gumbel_softmax(again, tau=0.5)
    soft.backward(tinydl.tensor(grad))
    assert np.array_equal(logits.grad.numpy(), again.grad.numpy())
    assert np.abs(logits.grad.numpy()).max() > 0
    with pytest.raises(TypeError, match="got dtype int64"):
        F.gumbel_softmax(tinydl.arange(3))


def test_wrong_calls():
    x = tinydl.ones(2, 3)
    with pytest.raises(TypeError, match="dim"):
        tinydl.softmax(x)
    with pytest.raises(TypeError, match="softmax: got dim None, wanted one integer"):
        tinydl.softmax(x, None)
    with pytest.raises(IndexError, match="softmax: dim 2 is out of range for a tensor of 2 axes"):
        tinydl.softmax(x, 2)
    with pytest.raises(TypeError, match="softmax: got ndarray, wanted a tensor"):
        tinydl.softmax(np.ones(3), 0)
    with pytest.raises(TypeError, match="int64"):
        tinydl.softmax(tinydl.arange(3), 0)
