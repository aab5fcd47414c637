"""Weights of samples and classes: their formulas, PyTorch's numbers, every way to give them, what is refused."""

import math

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, losses, metrics, optimizers
from tinydl.utils.data import DataLoader, TensorDataset

from ..support.compare import assert_close

N, C = 22, 4
LOSSES = ["sparse_categorical_crossentropy", "categorical_crossentropy"]


@pytest.fixture
def data(rng):
    x = rng.standard_normal((N, 5)).astype(np.float32)
    return x, rng.integers(0, C, N), rng.uniform(0, 3, N).astype(np.float32)


def model(loss=LOSSES[0], softmax=True, **options):
    tinydl.manual_seed(1)
    made = Sequential([layers.Input((5,)), layers.Dense(C, activation="softmax" if softmax else None)])
    made.compile(optimizers.SGD(0.5), loss, **options)
    return made


def targets(loss, y):
    return y if loss == LOSSES[0] else np.eye(C, dtype=np.float32)[y]


def weights_after(made, *data, **options):
    made.fit(*data, verbose=0, shuffle=False, **options)
    return [w.tobytes() for w in made.get_weights()]


@pytest.mark.parametrize("loss", LOSSES)
def test_weighted_training_equals_pytorch(torch, data, loss):
    x, y, w = data
    made = model(loss, weighted_metrics=["accuracy"])
    kernel, bias = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in made.get_weights())
    optim = torch.optim.SGD([kernel, bias], lr=0.5)
    total = 0.0
    right = []
    for start in range(0, N, 8):
        part = slice(start, start + 8)
        logits = torch.tensor(x[part], dtype=torch.float64) @ kernel + bias
        each = torch.nn.functional.cross_entropy(logits, torch.tensor(y[part]), reduction="none")
        value = (each * torch.tensor(w[part])).sum() / len(each)  # by the batch's size, not by the weights' sum
        optim.zero_grad()
        value.backward()
        optim.step()
        total += value.item() * len(each)
        right += (logits.argmax(1) == torch.tensor(y[part])).tolist()
    history = made.fit(x, targets(loss, y), batch_size=8, sample_weight=w, shuffle=False, verbose=0).history
    assert_close(np.float32(history["loss"][0]), np.float64(total / N), "loss", length=N)
    assert history["accuracy"][0] == pytest.approx(np.average(right, weights=w))
    for got, wanted in zip(made.get_weights(), (kernel, bias), strict=True):
        assert_close(got, wanted.detach().numpy(), "gradient", length=N, scale=1.0)


@pytest.mark.parametrize("softmax", [True, False])
def test_evaluation_by_the_formula(data, softmax):
    x, y, w = data
    names = {"metrics": ["accuracy", "mse"], "weighted_metrics": ["accuracy", "mse", metrics.MeanSquaredError("own")]}
    made = model(losses.CategoricalCrossentropy(from_logits=not softmax), softmax, **names)
    onehot = np.eye(C)[y]
    out = made.predict(x, verbose=0).astype(np.float64)
    p = out if softmax else np.exp(out) / np.exp(out).sum(1, keepdims=True)
    got = made.evaluate(x, onehot, sample_weight=w, batch_size=5, verbose=0, return_dict=True)
    assert list(got) == ["loss", "accuracy", "mse", "weighted_accuracy", "weighted_mse", "own"]
    assert made.metrics_names == list(got)
    right, squares = p.argmax(1) == y, ((out - onehot) ** 2).mean(1)
    wanted = {
        "loss": (-np.log(p[np.arange(N), y]) * w).sum() / N,
        "accuracy": right.mean(),
        "mse": squares.mean(),
        "weighted_accuracy": np.average(right, weights=w),
        "weighted_mse": np.average(squares, weights=w),
        "own": np.average(squares, weights=w),
    }
    for name, value in wanted.items():
        assert_close(np.float32(got[name]), np.float64(value), "gradient", length=N)
    unweighted = made.evaluate(x, onehot, verbose=0, return_dict=True)
    assert unweighted["weighted_accuracy"] == unweighted["accuracy"]


def test_every_way_to_give_weights(data):
    x, y, w = data
    classes = {0: 2.0, 2: 0.25}  # the others have 1
    by_class = np.array([classes.get(label, 1.0) for label in y])
    loader = DataLoader(TensorDataset(x, y, w), batch_size=8)
    batches = [(x[i : i + 8].astype(np.float64), y[i : i + 8], w[i : i + 8]) for i in range(0, N, 8)]
    for loss in LOSSES:
        t = targets(loss, y)
        plain = weights_after(model(loss), x, t, batch_size=8)
        weighted = weights_after(model(loss), x, t, batch_size=8, sample_weight=w)
        assert weighted != plain
        assert weights_after(model(loss), x, t, batch_size=8, sample_weight=w[:, None].tolist()) == weighted
        classed = weights_after(model(loss), x, t, batch_size=8, sample_weight=by_class)
        assert weights_after(model(loss), x, t, batch_size=8, class_weight=classes) == classed
    weighted = weights_after(model(), x, y, batch_size=8, sample_weight=w)
    classed = weights_after(model(), x, y, batch_size=8, class_weight=classes)
    assert weights_after(model(), x, y[:, None].astype(np.float32), batch_size=8, class_weight=classes) == classed
    assert weights_after(model(), loader) == weighted
    assert weights_after(model(), TensorDataset(x, y, w), batch_size=8) == weighted
    assert weights_after(model(), iter(batches)) == weighted
    assert weights_after(model(), DataLoader(TensorDataset(x, y), batch_size=8), class_weight=classes) == classed
    made = model()
    for batch in batches:
        made.train_on_batch(*batch)
    assert [v.tobytes() for v in made.get_weights()] == weighted


def test_weights_of_validation_data(data):
    x, y, w = data
    made = model(weighted_metrics=["accuracy"])
    got = made.fit(x, y, validation_data=(x[:9], y[:9], w[:9]), verbose=0).history
    wanted = made.evaluate(x[:9], y[:9], sample_weight=w[:9], verbose=0)
    assert [got["val_loss"][0], got["val_accuracy"][0]] == wanted
    assert wanted != made.evaluate(x[:9], y[:9], verbose=0)
    made = model()
    got = made.fit(x, y, sample_weight=w, validation_split=0.5, verbose=0).history["val_loss"]
    assert got == [made.evaluate(x[11:], y[11:], sample_weight=w[11:], verbose=0)]
    got = made.fit(x, y, class_weight={0: 9.0}, validation_split=0.5, verbose=0).history["val_loss"]
    assert got == [made.evaluate(x[11:], y[11:], verbose=0)]  # classes are weighted in training only


def test_weights_of_steps_within_samples(rng):
    """Losses (N, T) with weights (N,) and (N, T), also where N = T."""
    outputs, wanted = rng.standard_normal((2, 3, 3, 2)).astype(np.float32)
    each = ((outputs.astype(np.float64) - wanted) ** 2).mean(-1)
    loss = losses.MeanSquaredError()
    for shape in ((3,), (3, 1), (3, 3)):
        w = rng.uniform(0, 2, shape).astype(np.float32)
        spread = w.reshape(3, -1) * np.ones((3, 3))
        assert_close(loss(wanted, outputs, w), np.array((each * spread).sum() / 9), "loss", length=9)
        mean = metrics.MeanSquaredError()
        mean.update_state(wanted, outputs, w)
        assert mean.result() == pytest.approx(np.average(each, weights=spread))


def test_weights_need_a_loss_for_each_sample(data):
    x, y, w = data
    made = model(lambda t, p: ((t.float() - p.argmax(1).float()) ** 2).mean() + p.sum())
    with pytest.raises(ValueError, match="the loss is one number for the batch"):
        made.fit(x, y, sample_weight=w, verbose=0)


def test_negative_weights_turn_the_gradient(data):
    """As policies are trained: with advantages as weights."""
    x, y, _ = data
    up, down = model(), model()
    start = np.concatenate([v.ravel() for v in up.get_weights()]).astype(np.float64)
    ends = []
    for made, sign in ((up, 1.0), (down, -1.0)):
        made.fit(x, y, batch_size=N, sample_weight=np.full(N, sign), verbose=0)
        ends.append(np.concatenate([v.ravel() for v in made.get_weights()]).astype(np.float64) - start)
    assert np.abs(ends[0]).max() > 0.01
    assert_close(ends[0].astype(np.float32), -ends[1], "gradient", length=N, scale=1.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample_weight": np.ones(N - 1)}, ValueError, "fit: sample_weight: got 21 weights for 22 samples"),
        ({"sample_weight": np.full(N, np.nan)}, ValueError, "the weights must be finite numbers, got nan"),
        ({"sample_weight": np.full(N, np.inf)}, ValueError, "the weights must be finite numbers, got inf"),
        ({"sample_weight": ["a"] * N}, TypeError, "fit: sample_weight: got data of dtype"),
        ({"sample_weight": 2.0}, ValueError, "fit: sample_weight: got a single number"),
        ({"sample_weight": np.ones((N, 3))}, ValueError, "sample_weight of shape (22, 3) does not fit losses"),
        ({"sample_weight": np.ones(N), "class_weight": {0: 1}}, ValueError, "class_weight and sample_weight exclude"),
        ({"class_weight": [1, 2]}, TypeError, "fit: class_weight: got a list, wanted a dict"),
        ({"class_weight": {"a": 1}}, ValueError, "got the class 'a', wanted indices from 0"),
        ({"class_weight": {-1: 1}}, ValueError, "got the class -1, wanted indices from 0"),
        ({"class_weight": {0: -1.0}}, ValueError, "got the weight -1.0 for class 0"),
        ({"class_weight": {0: math.nan}}, ValueError, "got the weight nan for class 0"),
        ({"class_weight": {0: "1"}}, ValueError, "got the weight '1' for class 0"),
    ],
)
def test_refused(data, options, error, message):
    x, y, _ = data
    made = model()
    before = [v.tobytes() for v in made.get_weights()]
    with pytest.raises(error) as found:
        made.fit(x, y, batch_size=N, verbose=0, **options)
    assert message in str(found.value)
    assert [v.tobytes() for v in made.get_weights()] == before


def test_refused_of_loaders(data):
    x, y, w = data
    loader = DataLoader(TensorDataset(x, y, w), batch_size=8)
    for options in ({"y": y}, {"sample_weight": w}):
        with pytest.raises(ValueError, match="x is a DataLoader, which has targets and weights of its own"):
            model().fit(loader, verbose=0, **options)
    with pytest.raises(ValueError, match="class_weight and sample_weight exclude each other"):
        model().fit(loader, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(TypeError, match="got a batch of 4 items, wanted"):
        model().fit(iter([(x, y, w, w)]), verbose=0)
    with pytest.raises(ValueError, match="the weights must be finite"):
        model().fit(iter([(x, y, w * np.nan)]), verbose=0)
