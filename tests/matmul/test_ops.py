"""matmul and linear as differentiable operations."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck
from tinydl.ops.matmul import linear, matmul

SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (3, 4, 2)),
    ((0, 4), (4, 3)),
    ((3, 0), (0, 2)),
    ((1, 1), (1, 1)),
]


def double(rng, shape):
    return tinydl.tensor(rng.standard_normal(shape), requires_grad=True)


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_gradcheck(a, b, rng):
    x, y = double(rng, a), double(rng, b)
    assert matmul(x, y).shape == (np.ones(a) @ np.ones(b)).shape
    gradcheck(matmul, [x, y])


def test_gradcheck_of_views(rng):
    x, y = double(rng, (5, 6)), double(rng, (3, 5))
    gradcheck(lambda a, b: matmul(b, a[:, ::2]), [x, y])
    gradcheck(lambda a, b: matmul(a.t(), b.t()), [x, y])
    gradcheck(lambda a: matmul(a[:1].expand(4, 6), a.t()), [x])


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("shape", [(7, 5), (5,), (2, 3, 5), (0, 5)])
def test_linear_gradcheck(activation, shape, rng):
    x, w, b = double(rng, shape), double(rng, (4, 5)), double(rng, (4,))
    gradcheck(lambda *args: linear(*args, activation=activation), [x, w, b])
    gradcheck(lambda *args: linear(*args, activation=activation), [x, w])


@pytest.mark.parametrize("shape", [(2, 0, 5), (0, 3, 5), (2, 3, 0), (1, 1, 5), (2, 3, 4, 5)])
def test_linear_of_many_axes_is_that_of_their_rows(shape, rng):
    """The same bits as of the matrix of all rows, also from views that do not lie as rows."""
    x, w, b = double(rng, shape), double(rng, (4, shape[-1])), double(rng, (4,))
    up = tinydl.tensor(rng.standard_normal((*shape[:-1], 4)))
    for laid in (lambda t: t, lambda t: t.transpose(0, 1).contiguous().transpose(0, 1)):
        for activation in (None, "tanh"):
            y = linear(laid(x), w, b, activation)
            rows = linear(x.flatten(0, -2), w, b, activation)
            assert y.shape == (*shape[:-1], 4)
            assert y.flatten(0, -2).tolist() == rows.tolist()
            got = tinydl.autograd.grad((y * up).sum(), (x, w, b))
            wanted = tinydl.autograd.grad((rows * up.flatten(0, -2)).sum(), (x, w, b))
            assert [g.tolist() for g in got] == [g.tolist() for g in wanted]


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
def test_linear_notices_changes_in_place(shape, rng):
    w = double(rng, (4, 5))
    x = tinydl.tensor(rng.standard_normal(shape))
    y = linear(x, w)
    x.add_(1)
    with pytest.raises(RuntimeError, match="was changed in place"):
        y.sum().backward()
    y = linear(x, w, activation="tanh")
    y.mul_(2)
    with pytest.raises(RuntimeError, match="was changed in place"):
        y.sum().backward()


def test_unneeded_gradients_are_not_computed(rng):
    x, w = tinydl.tensor(rng.standard_normal((3, 4))), double(rng, (2, 4))
    y = linear(x, w)
    assert y.grad_fn.backward(np.ones((3, 2)))[0] is None


def test_equals_torch(torch, rng):
    arrays = [normal(rng, s) for s in [(2, 9, 33), (70, 33), (70,)]]
    ours = [tinydl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    upstream = normal(rng, (2, 9, 70))
    y = linear(*ours)
    y.backward(tinydl.tensor(upstream))
    expected = torch.nn.functional.linear(*theirs)
    expected.backward(torch.tensor(upstream))
    assert_close(y, expected.detach().numpy(), "gradient", length=33, scale=10)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a.grad, b.grad.numpy(), "gradient", length=70, scale=10)


def test_an_array_on_the_left(rng):
    w = double(rng, (3, 2))
    y = np.ones((4, 3)) @ w
    assert y.requires_grad
    assert y.shape == (4, 2)


def test_wrong_calls(rng):
    x = tinydl.ones(2, 3)
    with pytest.raises(ValueError, match=r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit"):
        x @ x
    with pytest.raises(ValueError, match=r"linear: input \(2, 3\) does not fit weight \(4, 5\)"):
        linear(x, tinydl.ones(4, 5))
    with pytest.raises(ValueError, match=r"linear: bias \(3,\) does not fit"):
        linear(x, tinydl.ones(4, 3), tinydl.ones(3))
    with pytest.raises(TypeError, match="float32 and float64"):
        matmul(x, x.double())
    with pytest.raises(TypeError, match="ndarray"):
        matmul(x, np.ones((3, 2)))
    with pytest.raises(ValueError, match="activation 'gelu'"):
        linear(x, tinydl.ones(4, 3), activation="gelu")
    with pytest.raises(ValueError, match="at least one axis"):
        matmul(tinydl.tensor(1.0), x)
