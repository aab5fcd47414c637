"""Metrics against counts in NumPy."""

import math

import numpy as np
import pytest

import tinydl
from tinydl.train import Accuracy, MeanLoss
from tinydl.train.metrics import Scores, spread

SIZES = (32, 32, 7)  # an uneven last batch


def stream(metric, outputs, targets):
    start = 0
    for size in SIZES:
        metric.update(outputs[start : start + size], targets[start : start + size])
        start += size
    return metric.result()


@pytest.mark.parametrize("column", [False, True])
def test_accuracy_of_class_indices(rng, column):
    outputs = rng.standard_normal((sum(SIZES), 5)).astype(np.float32)
    targets = rng.integers(0, 5, sum(SIZES))
    right = sum(int(max(range(5), key=lambda c: row[c]) == t) for row, t in zip(outputs, targets, strict=True))
    assert stream(Accuracy(), outputs, targets[:, None] if column else targets) == right / sum(SIZES)


def test_accuracy_of_one_hot_targets(rng):
    outputs = rng.standard_normal((sum(SIZES), 5)).astype(np.float32)
    labels = rng.integers(0, 5, sum(SIZES))
    targets = np.eye(5, dtype=np.float32)[labels]
    right = int(np.sum(np.argsort(outputs, axis=1)[:, -1] == labels))
    assert stream(Accuracy(), outputs, targets) == right / sum(SIZES)


@pytest.mark.parametrize("shape", [(sum(SIZES),), (sum(SIZES), 1)])
@pytest.mark.parametrize("threshold", [0.5, 0.0])
def test_accuracy_of_two_classes(rng, shape, threshold):
    outputs = rng.standard_normal(shape).astype(np.float32)
    targets = rng.integers(0, 2, sum(SIZES))
    right = sum(int((o > threshold) == bool(t)) for o, t in zip(outputs.ravel(), targets, strict=True))
    assert stream(Accuracy(threshold=threshold), outputs, targets) == right / sum(SIZES)


def test_accuracy_with_classes_on_another_axis(rng):
    outputs = rng.standard_normal((4, 5, 3, 2))
    targets = rng.integers(0, 5, (4, 3, 2))
    metric = Accuracy(axis=1)
    metric.update(outputs, targets)
    right = sum(int(outputs[n, :, i, j].argmax() == targets[n, i, j]) for n, i, j in np.ndindex(4, 3, 2))
    assert metric.result() == right / 24


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"accuracy: outputs of shape \(4, 5\) do not fit targets of shape \(3,\)"):
        Accuracy().update(np.zeros((4, 5)), np.zeros(3, np.int64))


def test_mean_loss_weighs_batches_by_their_size():
    metric = MeanLoss()
    for loss, size in ((1.0, 32), (4.0, 7)):
        metric.add(loss, size)
    assert metric.result() == (1.0 * 32 + 4.0 * 7) / 39


def test_no_samples_have_no_mean():
    assert math.isnan(Accuracy().result())


def test_reset_and_state():
    metric, other = Accuracy(), Accuracy()
    metric.update(np.eye(3), np.array([0, 1, 0]))
    other.load_state_dict(metric.state_dict())
    assert other.result() == metric.result() == 2 / 3
    metric.reset()
    metric.update(np.eye(3), np.array([0, 1, 2]))
    assert metric.result() == 1.0


@pytest.mark.parametrize("shape", [(7,), (7, 1)])
def test_weighted_accuracy(rng, shape):
    outputs, targets = rng.standard_normal((7, 4)), rng.integers(0, 4, 7)
    weights = rng.uniform(0, 3, shape)
    metric = Accuracy()
    metric.update(outputs, targets, weights)
    right = outputs.argmax(1) == targets
    assert metric.result() == pytest.approx((weights.ravel() * right).sum() / weights.sum())
    binary = Accuracy(threshold=0.0)
    binary.update(outputs[:, :1], right[:, None], weights)
    assert binary.result() == pytest.approx(np.average((outputs[:, 0] > 0) == right, weights=weights.ravel()))


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 3), (2, 3, 1, 1)])
def test_weights_are_spread_over_the_last_axes(rng, shape):
    weight = rng.standard_normal(shape)
    got = spread(weight, (2, 3, 4))
    flat = weight.reshape(2, -1)
    assert got.shape == (2, 3, 4)
    assert all(got[n, t, d] == flat[n, t % flat.shape[1]] for n in range(2) for t in range(3) for d in range(4))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 4, 5), (1, 2)])
def test_weights_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="weights of shape"):
        spread(np.ones(shape), (2, 3))


def test_scores_name_what_would_share_a_name():
    scores = Scores([Accuracy()], [Accuracy(), Accuracy("own")])
    outputs, targets, weights = (tinydl.tensor(v) for v in ([[1.0, 0.0], [1.0, 0.0]], [0, 1], [3.0, 1.0]))
    scores.add(0.5, outputs, (targets, weights))
    assert scores.logs() == {"loss": 0.5, "accuracy": 0.5, "weighted_accuracy": 0.75, "own": 0.75}
    scores.reset()
    assert all(metric.count == 0 for metric in scores)
