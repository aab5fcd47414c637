"""Dropout of channels and alpha dropout: what is dropped together, by how much the rest grows, and the gradients."""

import math

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.nn import functional as F

CHANNELS = [
    ("dropout1d", (40, 30, 3)),
    ("dropout1d", (30, 3)),
    ("dropout2d", (20, 30, 3, 2)),
    ("dropout3d", (9, 30, 2, 3, 2)),
    ("dropout3d", (300, 2, 3, 2)),
]
ALPHA = [("alpha_dropout", (50, 40)), ("feature_alpha_dropout", (40, 30, 5)), ("feature_alpha_dropout", (9, 8))]
ALL = [*CHANNELS, *ALPHA]
SMALL = [("dropout1d", (4, 3)), ("dropout2d", (3, 4, 2, 2)), ("alpha_dropout", (5, 3))]


@pytest.fixture(autouse=True)
def _seed():
    tinydl.manual_seed(3)


@pytest.mark.parametrize(("name", "shape"), CHANNELS, ids=str)
def test_whole_channels_are_dropped(name, shape, rng):
    x = tinydl.tensor(normal(rng, shape), requires_grad=True)
    y = getattr(F, name)(x, 0.25)
    upstream = normal(rng, shape)
    y.backward(tinydl.tensor(upstream))
    axes = 2 if (name, len(shape)) not in (("dropout1d", 2), ("dropout3d", 4)) else 1
    scale = np.asarray(x.grad) / upstream
    flat = scale.reshape(*shape[:axes], -1)
    assert_close(flat, np.broadcast_to(flat[..., :1], flat.shape), "random")
    dropped = flat[..., 0] == 0
    assert_close(flat[..., 0][~dropped], np.full((~dropped).sum(), 4 / 3), "random")
    assert_close(y, np.asarray(x.detach()) * np.where(scale == 0, 0, 4 / 3), "random")
    assert abs(dropped.mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / dropped.size)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("name", "shape"), [("alpha_dropout", (600, 400)), ("feature_alpha_dropout", (600, 400, 2))])
def test_alpha_dropout_keeps_mean_and_variance(torch, rng, name, shape, p):
    x = normal(rng, shape)
    y = np.asarray(getattr(F, name)(tinydl.tensor(x), p, True))
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.02
    ones = np.ones(shape, np.float32)
    ours = np.asarray(getattr(F, name)(tinydl.tensor(ones), p, True))
    theirs = getattr(torch.nn.functional, name)(torch.tensor(ones), p, True).numpy()
    assert_close(np.unique(ours), np.unique(theirs), "random", scale=4.0)
    if ours.ndim == 3:
        assert np.array_equal(ours[..., 0], ours[..., 1])


@pytest.mark.parametrize(("name", "shape"), ALL, ids=str)
def test_ends_of_the_range_and_evaluation(name, shape, rng):
    x, function = tinydl.tensor(normal(rng, shape)), getattr(F, name)
    assert function(x, 0.0, True) is x
    assert function(x, 0.5, False) is x
    assert not np.asarray(function(x, 1.0, True)).any()
    before = x.tolist()
    assert function(x, 0.5, True, True) is x
    assert x.tolist() != before


@pytest.mark.parametrize(
    ("name", "shape"), [("dropout1d", (4, 3)), ("dropout2d", (3, 4, 2, 2)), ("alpha_dropout", (5, 3))]
)
def test_gradcheck(name, shape, rng):
    def func(x):
        tinydl.manual_seed(5)
        return getattr(F, name)(x * x, 0.4, True)

    assert gradcheck(func, tinydl.tensor(rng.standard_normal(shape), requires_grad=True))


@pytest.mark.parametrize("name", ["Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"])
def test_layers(torch, rng, name):
    ours, theirs = getattr(nn, name)(0.25, inplace=True), getattr(torch.nn, name)(0.25, inplace=True)
    assert repr(ours) == repr(theirs)
    shape = (2, 50, *{"1": (3,), "3": (2, 2, 2)}.get(name[7:8], (3, 2)))
    x = tinydl.tensor(normal(rng, shape))
    before = x.tolist()
    assert ours.eval()(x) is x
    assert x.tolist() == before
    assert ours.train()(x) is x
    assert x.tolist() != before
    with pytest.raises(ValueError, match=f"{name}: the probability must lie in"):
        getattr(nn, name)(1.5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.dropout1d(x), ValueError, r"dropout1d: got an input of shape \(2, 3, 4, 5\)"),
        (lambda x: F.dropout3d(x[0]), ValueError, r"dropout3d: got an input of shape \(3, 4, 5\)"),
        (lambda x: F.dropout2d(x, -0.1), ValueError, "dropout2d: got p = -0.1"),
        (lambda x: F.feature_alpha_dropout(x[0, 0, 0], training=True), ValueError, r"wanted \(N, C, ...\)"),
        (lambda x: F.alpha_dropout(x.long(), training=True), TypeError, "got dtype int64"),
        (lambda x: F.alpha_dropout([1.0]), TypeError, "got list"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(tinydl.ones(2, 3, 4, 5))


def test_images_without_a_batch_are_taken_as_sequences_with_a_warning(rng):
    x = tinydl.tensor(normal(rng, (3, 40, 5)))
    with pytest.warns(UserWarning, match="dropout2d"):
        y = np.asarray(F.dropout2d(x)) == 0
    assert (y.all(2) == y.any(2)).all()
    assert 0 < y.sum() < y.size
