"""The public softmax: gradients, errors, and the comparison with PyTorch."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 1), (0, 3), (3, 0), (2, 3, 5), (2, 3, 4, 1)])
def test_gradcheck(shape, rng):
    for dim in range(max(len(shape), 1)):
        for _, view in layouts(normal(rng, shape, np.float64)):
            assert gradcheck(lambda t, dim=dim: tinydl.softmax(t, dim), tinydl.Tensor(view, requires_grad=True))


def test_gradcheck_of_a_broadcast_view(rng):
    view = np.broadcast_to(normal(rng, (3, 1), np.float64), (2, 3, 4)).copy()[:, ::2]
    assert gradcheck(lambda t: tinydl.softmax(t, -2), tinydl.Tensor(view, requires_grad=True))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_equals_pytorch(torch, isa, dim, rng):
    x, grad = 4 * normal(rng, (7, 19, 10)), normal(rng, (7, 19, 10))
    ours = tinydl.tensor(x, requires_grad=True)
    y = tinydl.softmax(ours, dim)
    y.backward(tinydl.tensor(grad))
    theirs = torch.tensor(x, requires_grad=True)
    expected = torch.softmax(theirs, dim)
    expected.backward(torch.tensor(grad))
    assert_close(y, expected.detach().numpy(), "softmax", length=x.shape[dim])
    scale = expected.detach().numpy() * (np.abs(grad) + np.abs(grad).max())
    assert_close(ours.grad, theirs.grad.numpy(), "softmax", length=x.shape[dim], scale=scale)


def test_specials_equal_pytorch(torch, isa):
    inf, nan = np.inf, np.nan
    x = np.array([[0, -inf, 1], [-inf] * 3, [inf, 0, 1], [inf, -inf, inf], [nan, 0, 1], [1, nan, -inf]], np.float32)
    assert_close(tinydl.softmax(tinydl.tensor(x), 1), torch.softmax(torch.tensor(x), 1).numpy(), "softmax")


def test_method():
    assert tinydl.tensor([0.0, 0.0]).softmax(dim=-1).tolist() == [0.5, 0.5]


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
