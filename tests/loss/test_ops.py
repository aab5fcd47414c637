"""The public losses: gradients, errors, and the comparison with PyTorch."""

import itertools

import numpy as np
import pytest

import tinydl
import tinydl.nn.functional as F
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck
from tinydl.nn.functional import cross_entropy, mse_loss

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
        assert gradcheck(lambda x: cross_entropy(x, labels, reduction=reduction), leaf(view))
        assert gradcheck(lambda x, t: cross_entropy(x, t, reduction=reduction), [leaf(view), leaf(soft)])


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
    x, t = leaf(normal(rng, (3, 4))), rng.dirichlet(np.ones(4), 3)
    got = cross_entropy(x, tinydl.tensor(t))
    assert got.dtype == np.float64
    got.backward()
    assert x.grad.dtype == np.float32


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


# -- Squared error ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 3, 4, 5)])
def test_mse_gradcheck(shape, reduction, rng):
    target = normal(rng, shape, np.float64)
    for _, view in layouts(normal(rng, shape, np.float64)):
        assert gradcheck(lambda x, t: mse_loss(x, t, reduction=reduction), [leaf(view), leaf(target)])


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
    with pytest.raises(ValueError, match=r"input of shape \(3, 2\) and a target of shape \(3,\) do not broadcast"):
        mse_loss(tinydl.zeros(3, 2), tinydl.zeros(3))
    with pytest.raises(ValueError, match="got reduction 'average'"):
        mse_loss(tinydl.zeros(3), tinydl.zeros(3), reduction="average")
    with pytest.raises(TypeError, match="int64"):
        mse_loss(tinydl.arange(3), tinydl.arange(3))
    with pytest.raises(TypeError, match="input is of type float"):
        mse_loss(1.0, tinydl.zeros(3))


# -- Refusals of the others -----------------------------------------------------------------------------------------

ONE, TWO = tinydl.ones(2, 3), tinydl.tensor([0, 1])
WRONG = [
    ("cross_entropy", (ONE, TWO), {"label_smoothing": 1.5}, ValueError, "got label_smoothing=1.5"),
    ("cross_entropy", (ONE, TWO), {"weight": tinydl.ones(2)}, ValueError, "one for each of 3 classes"),
    ("cross_entropy", (ONE, TWO), {"weight": [1, 2, 3]}, TypeError, "a weight is of type list"),
    ("cross_entropy", (ONE, TWO), {"weight": leaf(np.ones(3, "f"))}, ValueError, "weights get no gradient"),
    ("cross_entropy", (ONE, ONE), {"ignore_index": 1}, ValueError, "ignore_index=1 needs class indices"),
    ("nll_loss", (ONE, tinydl.tensor([0, 3])), {}, IndexError, "nll_loss: label 3 at row 1 is out of range for 3"),
    ("nll_loss", (ONE, ONE), {}, ValueError, "wanted class indices"),
    ("nll_loss", (ONE, tinydl.zeros(2)), {}, TypeError, "wanted integer class indices"),
    ("l1_loss", (tinydl.arange(3), tinydl.arange(3)), {}, TypeError, "l1_loss: got dtype int64"),
    ("l1_loss", (ONE, ONE), {"weight": tinydl.ones(3)}, ValueError, r"a weight of shape \(3,\)"),
    ("smooth_l1_loss", (ONE, ONE), {"beta": -1.0}, ValueError, "got beta=-1.0"),
    ("huber_loss", (ONE, ONE), {"delta": 0.0}, ValueError, "got delta=0.0"),
    ("kl_div", (ONE, TWO), {"reduction": "sum"}, ValueError, "do not broadcast"),
    ("kl_div", (ONE, ONE), {"reduction": "batch"}, ValueError, "got reduction 'batch'"),
    ("binary_cross_entropy", (ONE, ONE[0]), {}, ValueError, "wanted equal shapes"),
    ("binary_cross_entropy", (ONE * 2, ONE), {}, ValueError, "elements of the input must lie between 0 and 1"),
    ("binary_cross_entropy", (ONE, -ONE), {}, ValueError, "elements of the target must lie between 0 and 1"),
    ("binary_cross_entropy", (ONE, ONE.double()), {}, TypeError, "dtype float32 and a target of dtype float64"),
    ("binary_cross_entropy", (ONE, ONE), {"weight": TWO.float()}, ValueError, "does not broadcast"),
    ("binary_cross_entropy_with_logits", (ONE, ONE[0]), {}, ValueError, "wanted equal shapes"),
    ("binary_cross_entropy_with_logits", (ONE, ONE.long()), {}, TypeError, "got dtype int64"),
    ("binary_cross_entropy_with_logits", (ONE, ONE), {"pos_weight": TWO.float()}, ValueError, "a pos_weight"),
    ("soft_margin_loss", (ONE, ONE[0]), {}, ValueError, "wanted equal shapes"),
    ("gaussian_nll_loss", (ONE, ONE, -ONE), {}, ValueError, "got a negative variance"),
    ("gaussian_nll_loss", (ONE, ONE, tinydl.ones(4)), {}, ValueError, r"variances of shape \(4,\) do not fit"),
    ("margin_ranking_loss", (ONE, ONE, ONE[0]), {}, ValueError, "wanted as many axes in each"),
    ("cosine_embedding_loss", (ONE, ONE, ONE), {}, ValueError, "wanted \\(N, D\\)"),
    ("triplet_margin_loss", (ONE, ONE, ONE), {"margin": 0.0}, ValueError, "got margin=0.0"),
    ("triplet_margin_loss", (ONE, ONE[0], ONE), {}, ValueError, "wanted as many axes"),
    ("multi_margin_loss", (ONE, TWO), {"p": 3}, ValueError, "got p=3"),
    ("multi_margin_loss", (ONE, tinydl.tensor([0, -1])), {}, IndexError, "label -1 at"),
    ("multilabel_margin_loss", (ONE, ONE.long() * 3), {}, IndexError, "label 3 at"),
    ("multilabel_margin_loss", (ONE, ONE), {}, TypeError, "wanted integer class indices"),
]


@pytest.mark.parametrize(("name", "args", "options", "error", "message"), WRONG)
def test_wrong_calls(name, args, options, error, message):
    with pytest.raises(error, match=message):
        getattr(F, name)(*args, **options)


LOSSES = [name for name in F.__all__ if name.endswith(("_loss", "_div", "_entropy", "_logits"))]


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_no_tensor_is_refused(name):
    three = ("margin_ranking_loss", "cosine_embedding_loss", "gaussian_nll_loss")
    count = 4 if name == "ctc_loss" else 3 if name in three or "triplet" in name else 2
    with pytest.raises(TypeError, match="wanted a tensor"):
        getattr(F, name)(*[[1.0]] * count)


ODD = [
    tinydl.zeros(0, 3),
    tinydl.zeros(3, 0),
    tinydl.zeros(()),
    ONE,
    ONE.double(),
    ONE.to("float16"),
    ONE * np.nan,
    TWO,
    tinydl.tensor(1),
    tinydl.tensor([True, False]),
    tinydl.zeros(1, 1, 1, 1, 1, 1),
    None,
    3.0,
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*LOSSES, "softmax", "log_softmax", "softmin", "gumbel_softmax", "pairwise_distance"])
def test_odd_arguments_are_right_or_refused(name):
    for count in (1, 2, 3):
        for args in itertools.product(ODD, repeat=count):
            try:
                result = getattr(F, name)(*args)
            except (ValueError, TypeError, IndexError):
                continue
            assert isinstance(result, tinydl.Tensor)
