"""The document's recurrent network: its equations and its data."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl.models import RNNPredictor
from tinydl.train.recipes import recipe, sequence


def test_the_equations(rng):
    model = RNNPredictor(3, 5).double()
    w, u, b, b_h, v, c = (p.detach().numpy() for p in model.parameters())
    x = normal(rng, (4, 7, 3), np.float64)
    h = np.zeros((4, 5))
    for t in range(7):
        h = np.tanh(x[:, t] @ w.T + b + h @ u.T + b_h)
    assert_close(model(tinydl.tensor(x)), h @ v.T + c, "recurrent", length=7, scale=1.0)


def test_pytorchs_values_and_gradients(torch, rng):
    ours = RNNPredictor()
    theirs = torch.nn.ModuleDict(
        {"recurrent": torch.nn.RNN(10, 32, batch_first=True), "output": torch.nn.Linear(32, 10)}
    )
    ours.load_state_dict(theirs.state_dict())
    x, y = normal(rng, (8, 10, 10)), normal(rng, (8, 10))
    tinydl.nn.MSELoss()(ours(tinydl.tensor(x)), tinydl.tensor(y)).backward()
    _, last = theirs["recurrent"](torch.tensor(x))
    torch.nn.MSELoss()(theirs["output"](last[0]), torch.tensor(y)).backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, "gradient", length=80, scale=1.0)


def test_waves_go_on():
    """x_{t+1} = 2 cos(2π f) x_t - x_{t-1} holds for a wave about its mean, with one f for all t."""
    x, y = sequence.waves(50, tinydl.random.Generator(3))
    assert x.shape == (50, 10, 10)
    assert x.dtype == y.dtype == np.float32
    assert (x.min(), x.max()) == pytest.approx((0, 1), abs=1e-3)
    wave = 2 * np.concatenate([x, y[:, None]], 1).astype(np.float64) - 1
    factors = (wave[:, 2:] + wave[:, :-2]) * wave[:, 1:-1]
    squares = wave[:, 1:-1] ** 2
    factor = factors.sum(1) / squares.sum(1)
    assert np.abs(wave[:, 2:] + wave[:, :-2] - factor[:, None] * wave[:, 1:-1]).max() < 1e-5
    assert ((factor > -1e-3) & (factor < 2 + 1e-3)).all()


def test_noise_is_the_documents():
    x, y = sequence.noise(500, tinydl.random.Generator(3))
    assert x.shape == (500, 10, 10)
    assert y.shape == (500, 10)
    for values in (x, y):
        assert values.mean() == pytest.approx(0.5, abs=0.02)
        assert values.var() == pytest.approx(1 / 12, abs=0.01)
    assert abs(np.corrcoef(x[:, -1].ravel(), y.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("source", ["waves", "noise"])
def test_the_recipe(source):
    tinydl.manual_seed(0)
    found = recipe("sequence-rnn")
    train, test = found.data(source)
    assert len(train) == len(test) == 1000
    assert train.tensors[0].tolist() != test.tensors[0].tolist()
    trainer = found.trainer(found.build(train))
    losses = trainer.fit(train, found.epochs_for(source), batch_size=found.batch_size).history["loss"]
    loss = trainer.evaluate(test)["loss"]
    variance = test.tensors[1].numpy().var()
    if source == "waves":
        assert loss < 0.1 * variance
    else:
        assert 1 / 12 < loss < 1.15 / 12  # nothing can be learned but the mean
        assert losses[-1] < losses[0]
