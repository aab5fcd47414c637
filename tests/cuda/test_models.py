"""The models of `tinydl.models` on a GPU: the CPU's logits, gradients, steps and generated tokens."""

import numpy as np
import pytest

import tinydl
from tinydl import models, text


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda:0"}[gpu_kernels.device]


def on(where, make):
    tinydl.manual_seed(2)
    return make().to(where)


def ids(where, rows, length=5, start=3):
    return tinydl.tensor(np.random.default_rng(3).integers(start, 9, (rows, length)), device=where)


def close(pair):
    got, expected = pair
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)


LANGUAGE = {
    "gpt": lambda: models.GPT(9, context=6, layers=1, heads=2, features=8),
    "gpt, learned positions": lambda: models.GPT(9, context=12, layers=1, heads=2, features=8, position="learned"),
    "lstm": lambda: models.LSTMText(9, embedding=4, units=6),
    "lstm without dropout": lambda: models.LSTMText(9, embedding=4, units=6, dropout=0.0, recurrent_dropout=0.0),
}
PAIRS = {
    "seq2seq": lambda: models.RecurrentSeq2Seq(9, 9, features=4, hidden=6),
    "transformer": lambda: models.TransformerSeq2Seq(9, 9, features=8, heads=2, layers=1, feedforward=8),
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_language_models(name, device):
    found = []
    for where in (device, "cpu"):
        model = on(where, LANGUAGE[name])
        model.train()
        logits = model(ids(where, 2))
        assert logits.device == where
        (logits * logits).sum().backward()
        model.eval()
        grads = [p.grad.cpu().numpy().ravel() for p in model.parameters()]
        found.append(np.concatenate([logits.detach().cpu().numpy().ravel(), *grads]))
    close(found)


@pytest.mark.parametrize("name", LANGUAGE)
def test_generation(name, device):
    found = []
    for where in (device, "cpu"):
        model = on(where, LANGUAGE[name]).eval()
        with tinydl.no_grad():
            logits, state = model.step(ids(where, 1))
            rows = [logits]
            for token in range(4):
                logits, state = model.step(tinydl.tensor([[token]], device=where), state)
                rows.append(logits)
        assert all(row.device == where for row in rows)
        found.append(np.concatenate([row.cpu().numpy() for row in rows]))
    close(found)


@pytest.mark.parametrize("name", PAIRS)
def test_sequences_to_sequences(name, device):
    found = []
    for where in (device, "cpu"):
        model = on(where, PAIRS[name])
        logits = model(ids(where, 2), ids(where, 2, 4))
        assert logits.device == where
        (logits * logits).sum().backward()
        written = model.eval().greedy(ids(where, 2), 3)
        assert written.device == where
        grads = [p.grad.cpu().numpy().ravel() for p in model.parameters()]
        found.append(np.concatenate([logits.detach().cpu().numpy().ravel(), *grads, written.cpu().numpy().ravel()]))
    close(found)


def test_text_is_generated(device):
    found = []
    for where in (device, "cpu"):
        model = on(where, LANGUAGE["gpt"]).eval()
        tinydl.manual_seed(0)
        found.append(list(text.generate(model, [3, 4, 5], 6)))
    assert found[0] == found[1]
