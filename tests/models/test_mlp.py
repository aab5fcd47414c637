"""The multilayer perceptron: back-propagation by hand against autograd, against loops in NumPy, against PyTorch."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.models.mlp import (
    MLP,
    gradients_by_autograd,
    gradients_by_hand,
    mlp,
    squared_error,
    step,
)

SIZES = [(3, 2), (4, 5, 2), (7, 6, 5, 3), (2, 3, 1, 4, 2)]


def make(rng, sizes, dtype, samples=5):
    model = MLP(*sizes).to(dtype)
    for p in model.parameters():
        with tinydl.no_grad():
            p.copy_(rng.standard_normal(p.shape))
    return (
        model,
        tinydl.tensor(normal(rng, (samples, sizes[0]), dtype)),
        tinydl.tensor(rng.random((samples, sizes[-1])).astype(dtype)),
    )


def gradients_in_loops(model, x, t):
    """∂E/∂W and ∂E/∂b sample by sample and unit by unit, in float64, with column vectors as in the text."""
    weights = [
        (np.asarray(m.weight.detach(), np.float64), np.asarray(m.bias.detach(), np.float64)) for m in model.layers
    ]
    totals = [(np.zeros_like(w), np.zeros_like(b)) for w, b in weights]
    for sample, target in zip(np.asarray(x, np.float64), np.asarray(t, np.float64), strict=True):
        a = [sample]
        for w, b in weights:
            a.append(
                np.array(
                    [
                        1 / (1 + np.exp(-(sum(w[j, i] * a[-1][i] for i in range(len(a[-1]))) + b[j])))
                        for j in range(len(b))
                    ]
                )
            )
        delta = [(y - s) * y * (1 - y) for y, s in zip(a[-1], target, strict=True)]
        for layer in reversed(range(len(weights))):
            for j, d in enumerate(delta):
                totals[layer][1][j] += d
                for i, value in enumerate(a[layer]):
                    totals[layer][0][j, i] += d * value
            w = weights[layer][0]
            delta = [sum(w[j, i] * delta[j] for j in range(len(delta))) * v * (1 - v) for i, v in enumerate(a[layer])]
    return totals


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES)
def test_by_hand_equals_autograd(rng, sizes, dtype):
    model, x, t = make(rng, sizes, dtype)
    loops = gradients_in_loops(model, x, t)
    by_hand, by_tape = gradients_by_hand(model, x, t), gradients_by_autograd(model, x, t)
    assert len(by_hand) == len(by_tape) == len(sizes) - 1
    for hand, tape, loop in zip(by_hand, by_tape, loops, strict=True):
        for a, b, c in zip(hand, tape, loop, strict=True):
            assert a.dtype == b.dtype == np.dtype(dtype)
            assert_close(a, b, "gradient", length=35, scale=1.0)
            assert_close(a, c, "gradient", length=35, scale=1.0)


def test_gradcheck(rng):
    model, x, t = make(rng, (4, 5, 2), "float64")
    assert tinydl.autograd.gradcheck(lambda *_: squared_error(model(x), t), list(model.parameters()))


def test_training_steps_agree(rng):
    """Twenty steps by hand and by the tape, from one start, lead to one place."""
    a, x, t = make(rng, (4, 6, 3), "float64")
    b = MLP(4, 6, 3).double()
    b.load_state_dict(a.state_dict())
    for _ in range(20):
        step(a, gradients_by_hand(a, x, t), lr=0.1)
        step(b, gradients_by_autograd(b, x, t), lr=0.1)
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert_close(p, q, "gradient", length=400, scale=1.0)


def test_it_learns_xor():
    tinydl.manual_seed(1)
    model = MLP(2, 4, 1)
    x = tinydl.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    t = tinydl.tensor([[0.0], [1.0], [1.0], [0.0]])
    before = squared_error(model(x), t).item()
    for _ in range(4000):
        step(model, gradients_by_hand(model, x, t), lr=2.0)
    assert squared_error(model(x), t).item() < 0.05 < before
    assert [round(v) for (v,) in model(x).tolist()] == [0, 1, 1, 0]


def test_against_pytorch(torch, rng):
    model, x, t = make(rng, (4, 5, 2), "float64")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.Sigmoid(), torch.nn.Linear(5, 2), torch.nn.Sigmoid()
    ).double()
    theirs.load_state_dict(
        {
            f"{2 * i}.{name}": torch.tensor(p.detach().numpy())
            for i in (0, 1)
            for name, p in model.layers[i].state_dict().items()
        }
    )
    (0.5 * ((torch.tensor(t.numpy()) - theirs(torch.tensor(x.numpy()))) ** 2).sum()).backward()
    flat = [g for pair in gradients_by_hand(model, x, t) for g in pair]
    for got, p in zip(flat, theirs.parameters(), strict=True):
        assert_close(got, p.grad, "gradient", length=20, scale=1.0)


def test_shapes_and_wrong_calls():
    model = mlp(hidden=(8, 6))
    assert [m.out_features for m in model.layers] == [8, 6, 10]
    assert isinstance(model, nn.Module)
    out = model(tinydl.rand(3, 1, 28, 28)).detach().numpy()
    assert out.shape == (3, 10)
    assert ((out > 0) & (out < 1)).all()
    with pytest.raises(ValueError, match="two layers or more"):
        MLP(3)
    with pytest.raises(ValueError, match=r"got an input of shape \(3, 5\), wanted \(..., 784\)"):
        model(tinydl.ones(3, 5))
