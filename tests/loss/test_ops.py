"""The public losses: gradients, errors, and the comparison with PyTorch."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck
from tinydl.ops.loss import categorical_crossentropy_probabilities, cross_entropy, mse_loss

REDUCTIONS = ["none", "sum", "mean"]


def leaf(array):
    return tinydl.Tensor(array, requires_grad=True)


def labels_for(rng, shape):
    axis = min(1, len(shape) - 1)
    return rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5,), (1, 1), (0, 3), (4, 7), (3, 5, 2), (2, 3, 1, 5)])
def test_cross_entropy_gradcheck(shape, reduction, rng):
    labels = tinydl.Tensor(labels_for(rng, shape))
    soft = normal(rng, shape, np.float64)
    for _, view in layouts(normal(rng, shape, np.float64)):
        assert gradcheck(lambda x: cross_entropy(x, labels, reduction), leaf(view))
        assert gradcheck(lambda x, t: cross_entropy(x, t, reduction), [leaf(view), leaf(soft)])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(7,), (0, 3), (13, 10), (5, 3, 4), (2, 21, 3, 5)])
def test_cross_entropy_equals_pytorch(torch, isa, shape, reduction, rng):
    x, labels, soft = 5 * normal(rng, shape), labels_for(rng, shape), np.abs(normal(rng, shape))
    for target in (labels, soft):
        ours, theirs = leaf(x.copy()), torch.tensor(x, requires_grad=True)
        loss = cross_entropy(ours, tinydl.tensor(target), reduction=reduction)
        expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(target), reduction=reduction)
        grad = normal(rng, loss.shape)
        loss.backward(tinydl.tensor(grad))
        expected.backward(torch.tensor(grad))
        bound = 20 * np.abs(soft).sum() if target is soft else 20
        assert_close(loss, expected.detach().numpy(), "loss", length=x.size + 1, scale=bound)
        scale = np.abs(grad).max(initial=0) * (np.abs(soft).sum() + 1)
        assert_close(ours.grad, theirs.grad.numpy(), "loss", scale=scale)


def test_cross_entropy_specials_equal_pytorch(torch, isa):
    inf, nan = np.inf, np.nan
    x = np.array([[0, -inf, 1], [0, -inf, 1], [-inf] * 3, [inf, 0, 1], [nan, 0, 1], [300, 0, -300]], np.float32)
    for target in (
        np.array([0, 1, 0, 0, 1, 2]),
        np.full((6, 3), 1 / 3, np.float32),
        np.eye(3, dtype="f")[[0] * 6],
    ):
        expected = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(target), reduction="none")
        got = cross_entropy(tinydl.tensor(x), tinydl.tensor(target), reduction="none")
        assert_close(got, expected.numpy(), "loss")


def test_an_empty_batch():
    x, labels = leaf(np.zeros((0, 3), np.float32)), tinydl.zeros(0, dtype="int64")
    loss = cross_entropy(x, labels)
    assert np.isnan(loss.item())
    loss.backward()
    assert x.grad.shape == (0, 3)
    assert cross_entropy(x, labels, reduction="sum").item() == 0
    assert cross_entropy(x, labels, reduction="none").shape == (0,)
    assert np.isnan(mse_loss(x, tinydl.zeros(0, 3)).item())


def test_channels_last_logits_are_not_copied(rng):
    x = leaf(np.ascontiguousarray(normal(rng, (2, 3, 4, 5))).transpose(0, 3, 1, 2))
    cross_entropy(x, tinydl.zeros(2, 3, 4, dtype="int64")).backward()
    assert x.grad.stride() == x.stride()


def test_target_of_another_float_dtype(rng):
    x, t = normal(rng, (3, 4)), rng.dirichlet(np.ones(4), 3)
    got = cross_entropy(tinydl.tensor(x), tinydl.tensor(t))
    assert got.dtype == np.float32
    assert_close(got, cross_entropy(tinydl.tensor(x), tinydl.tensor(t.astype("f"))).numpy(), "loss")


def test_cross_entropy_wrong_calls():
    x = tinydl.zeros(3, 10)
    with pytest.raises(IndexError, match="cross_entropy: label 10 at row 1 is out of range for 10 classes"):
        cross_entropy(x, tinydl.tensor([0, 10, 0]))
    with pytest.raises(ValueError, match=r"need class indices of shape \(3,\)"):
        cross_entropy(x, tinydl.tensor([0, 1]))
    with pytest.raises(TypeError, match="got probabilities of dtype int64"):
        cross_entropy(x, tinydl.zeros(3, 10, dtype="int64"))
    with pytest.raises(TypeError, match="got dtype float32, wanted integer class indices"):
        cross_entropy(x, tinydl.zeros(3))
    with pytest.raises(TypeError, match="got dtype int64, wanted float32 or float64"):
        cross_entropy(tinydl.zeros(3, 10, dtype="int64"), tinydl.tensor([0, 1, 2]))
    with pytest.raises(TypeError, match="target is of type list, wanted a tensor"):
        cross_entropy(x, [0, 1, 2])
    with pytest.raises(ValueError, match="got reduction 'avg'"):
        cross_entropy(x, tinydl.tensor([0, 1, 2]), reduction="avg")


# -- Of probabilities ---------------------------------------------------------------------------------------------


def keras_reference(p, weights, epsilon=1e-7):
    """Keras 3's categorical_crossentropy(from_logits=False), row by row in float64."""
    out = []
    for row, weight in zip(p, weights, strict=True):
        total = sum(row)
        out.append(
            -sum(t * np.log(min(max(v / total, epsilon), 1 - epsilon)) for t, v in zip(weight, row, strict=True))
        )
    return np.array(out)


def test_probabilities(rng):
    p = rng.dirichlet(np.ones(5), 11) * rng.uniform(0.5, 2, (11, 1))
    p[0], p[1] = [0, 1, 0, 0, 0], [1e-9, 0.5, 0.5, 0, 0]
    labels = rng.integers(0, 5, 11)
    labels[:2] = [0, 0]
    soft = rng.dirichlet(np.ones(5), 11)
    for target, weights in ((labels, np.eye(5)[labels]), (soft, soft)):
        got = categorical_crossentropy_probabilities(tinydl.tensor(p), tinydl.tensor(target))
        assert_close(got, keras_reference(p, weights), "loss")
        narrow = categorical_crossentropy_probabilities(tinydl.tensor(p.astype("f")), tinydl.tensor(target))
        assert narrow.dtype == np.float32
        assert_close(narrow, keras_reference(p, weights), "loss", scale=20)


@pytest.mark.parametrize("outer", [(), (0,), (4,), (2, 3)])
def test_probabilities_gradcheck(outer, rng):
    p = leaf(rng.uniform(0.1, 1, (*outer, 5)))
    labels = tinydl.Tensor(rng.integers(0, 5, outer))
    soft = leaf(rng.uniform(0.1, 1, (*outer, 5)))
    assert gradcheck(lambda p: categorical_crossentropy_probabilities(p, labels), p)
    assert gradcheck(categorical_crossentropy_probabilities, [p, soft])


def test_clipped_probabilities_get_no_gradient():
    p = leaf(np.array([[1.0, 0.0], [0.5, 0.5]]))
    categorical_crossentropy_probabilities(p, tinydl.tensor([1, 1])).sum().backward()
    assert p.grad.tolist() == [[0, 0], [1, -1]]


def test_probabilities_wrong_calls():
    p = tinydl.ones(2, 3)
    with pytest.raises(IndexError, match="label 3 at row 1 is out of range for 3 classes"):
        categorical_crossentropy_probabilities(p, tinydl.tensor([0, 3]))
    with pytest.raises(TypeError, match="got labels of dtype float32, wanted integers"):
        categorical_crossentropy_probabilities(p, tinydl.zeros(2))
    with pytest.raises(ValueError, match=r"need class indices of shape \(2,\) or probabilities of their own shape"):
        categorical_crossentropy_probabilities(p, tinydl.zeros(3))
    with pytest.raises(TypeError, match="got dtype int64"):
        categorical_crossentropy_probabilities(tinydl.arange(3), tinydl.tensor(0))


# -- Squared error ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 3, 4, 5)])
def test_mse_gradcheck(shape, reduction, rng):
    target = normal(rng, shape, np.float64)
    for _, view in layouts(normal(rng, shape, np.float64)):
        assert gradcheck(lambda x, t: mse_loss(x, t, reduction), [leaf(view), leaf(target)])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse_equals_pytorch(torch, isa, reduction, rng):
    x, t = normal(rng, (33, 7)), normal(rng, (33, 7))
    ours, theirs = leaf(x.copy()), torch.tensor(x, requires_grad=True)
    loss = mse_loss(ours, tinydl.tensor(t), reduction=reduction)
    expected = torch.nn.functional.mse_loss(theirs, torch.tensor(t), reduction=reduction)
    grad = normal(rng, loss.shape)
    loss.backward(tinydl.tensor(grad))
    expected.backward(torch.tensor(grad))
    assert_close(loss, expected.detach().numpy(), "loss", length=x.size)
    assert_close(ours.grad, theirs.grad.numpy(), "loss")


def test_mse_promotes_dtypes():
    x = leaf(np.ones(3, np.float32))
    loss = mse_loss(x, tinydl.zeros(3, dtype="float64"))
    assert loss.dtype == np.float64
    loss.backward()
    assert x.grad.dtype == np.float32


def test_mse_wrong_calls():
    with pytest.raises(ValueError, match=r"shape \(3, 1\) and a target of shape \(3,\), wanted equal shapes"):
        mse_loss(tinydl.zeros(3, 1), tinydl.zeros(3))
    with pytest.raises(ValueError, match="got reduction 'average'"):
        mse_loss(tinydl.zeros(3), tinydl.zeros(3), reduction="average")
    with pytest.raises(TypeError, match="int64"):
        mse_loss(tinydl.arange(3), tinydl.arange(3))
    with pytest.raises(TypeError, match="input is of type float"):
        mse_loss(1.0, tinydl.zeros(3))
