"""Linear regression: the hand-written gradients, autograd's, and NumPy's run of the same updates."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.models.linear_regression import fit_by_autograd, fit_by_hand, linear_regression, make_data


def fit_in_numpy(x, y, lr, steps):
    """The document's loop."""
    w, b, losses = np.zeros((1, 1)), 0.0, []
    for _ in range(steps):
        y_pred = np.dot(x, w) + b
        losses.append(np.mean((y - y_pred) ** 2))
        w = w - lr * np.dot(x.T, y_pred - y)
        b = b - lr * np.sum(y_pred - y)
    return w, b, losses


@pytest.fixture
def data():
    return make_data(generator=tinydl.Generator(4))


@pytest.mark.parametrize("fit", [fit_by_hand, fit_by_autograd])
@pytest.mark.parametrize(("lr", "steps"), [(0.01, 1000), (0.003, 17), (0.01, 0)])
def test_it_follows_the_document(data, fit, lr, steps):
    w, b, losses = fit(*data, lr=lr, steps=steps)
    expected = fit_in_numpy(np.asarray(data[0]), np.asarray(data[1]), lr, steps)
    assert_close(w, expected[0], "gradient", length=100, scale=10.0)
    assert_close(b, np.reshape(expected[1], 1), "gradient", length=100, scale=10.0)
    assert_close(np.array(losses), np.array(expected[2]), "gradient", length=100, scale=10.0)


def test_hand_written_and_autograd_give_the_same_numbers(data):
    hand, tape = fit_by_hand(*data), fit_by_autograd(*data)
    assert hand.w.tolist() == tape.w.tolist()
    assert hand.b.tolist() == tape.b.tolist()
    assert hand.losses == tape.losses


def test_it_finds_the_line(data):
    w, b, losses = fit_by_hand(*data)
    x, y = (np.asarray(t)[:, 0] for t in data)
    slope, intercept = np.polyfit(x, y, 1)
    assert w.item() == pytest.approx(slope, rel=1e-6)
    assert b.item() == pytest.approx(intercept, rel=1e-6)
    assert abs(slope - 2) < 0.3
    assert abs(intercept - 1.5) < 0.2
    assert losses[0] > 4
    assert losses[-1] < 0.1


def test_the_data(data):
    x, y = (np.asarray(t) for t in data)
    assert x.shape == y.shape == (100, 1)
    assert x.dtype == y.dtype == np.float64
    noise = y - 2 * x - 1
    for values in (x, noise):
        assert 0 <= values.min() < 0.1
        assert 0.9 < values.max() < 1
    assert abs(np.corrcoef(x[:, 0], noise[:, 0])[0, 1]) < 0.3


def test_as_a_layer(data):
    model = linear_regression()
    assert sum(p.numel() for p in model.parameters()) == 2
    x = data[0].float()
    assert_close(model(x), np.asarray(x) * model.weight.item() + model.bias.item(), "matmul", length=2, scale=4.0)
