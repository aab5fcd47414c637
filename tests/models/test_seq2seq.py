"""The recurrent encoder and decoder with attention: its equations, and the same layers in PyTorch."""

import numpy as np

import tinydl
from tests.support.compare import assert_close
from tinydl.models import RecurrentSeq2Seq
from tinydl.ops.loss import cross_entropy

from .test_encoder_decoder import SIZES, drawn, recurrent


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(x, h, weights, end):
    """All states h_t over x (T, features), by the equations of Cho et al. with the reset after the product."""
    w, u, b, c = (weights[f"{name}_l0{end}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    states = []
    for x_t in x[::-1] if end else x:
        (s_a, z_a, n_a), (s_r, z_r, n_r) = np.split(w @ x_t + b, 3), np.split(u @ h + c, 3)
        z = sigmoid(z_a + z_r)
        h = (1 - z) * np.tanh(n_a + sigmoid(s_a + s_r) * n_r) + z * h
        states.append(h)
    return np.array(states[::-1] if end else states)


def by_the_equations(model, source, given):
    """Logits (L, V) of one source without padding, term by term."""
    arrays = {name: p.detach().numpy() for name, p in model.named_parameters()}
    of = {
        part: {n.split(".")[1]: a for n, a in arrays.items() if n.startswith(f"{part}.")}
        for part in ("encoder", "decoder")
    }
    x = arrays["source_embedding.weight"][source]
    zero = np.zeros(model.decoder.hidden_size)
    forward, backward = gru(x, zero, of["encoder"], ""), gru(x, zero, of["encoder"], "_reverse")
    h = np.concatenate([forward, backward], 1)  # h̄_s
    last = np.concatenate([forward[-1], backward[0]])
    first = np.tanh(arrays["bridge.weight"] @ last + arrays["bridge.bias"])
    d = gru(arrays["target_embedding.weight"][given], first, of["decoder"], "")
    logits = []
    for d_t in d:
        score = np.array([d_t @ arrays["score.weight"] @ h_s for h_s in h])
        a = np.exp(score) / np.exp(score).sum()
        c = sum(a_s * h_s for a_s, h_s in zip(a, h, strict=True))
        mixed = np.tanh(arrays["combine.weight"] @ np.concatenate([c, d_t]))
        logits.append(arrays["output.weight"] @ mixed + arrays["output.bias"])
    return np.array(logits)


def test_the_equations(rng):
    model = recurrent()
    source, given = drawn(rng)
    got = model(tinydl.tensor(source), tinydl.tensor(given))
    for row in range(len(source)):
        wanted = by_the_equations(model, source[row][source[row] != 0], given[row])
        assert_close(got[row], wanted, "gradient", scale=1.0)


def in_pytorch(torch, model, source, given):
    """Logits of the same layers from torch.nn, with the model's weights; and those layers."""
    size, hidden = model.source_embedding.embedding_dim, model.decoder.hidden_size
    layers = torch.nn.ModuleDict(
        {
            "source_embedding": torch.nn.Embedding(SIZES[0], size, padding_idx=0),
            "target_embedding": torch.nn.Embedding(SIZES[1], size, padding_idx=0),
            "encoder": torch.nn.GRU(size, hidden, bidirectional=True, batch_first=True),
            "bridge": torch.nn.Linear(2 * hidden, hidden),
            "decoder": torch.nn.GRU(size, hidden, batch_first=True),
            "score": torch.nn.Linear(2 * hidden, hidden, bias=False),
            "combine": torch.nn.Linear(3 * hidden, hidden, bias=False),
            "output": torch.nn.Linear(hidden, SIZES[1]),
        }
    ).double()
    layers.load_state_dict({name: torch.tensor(p.numpy()) for name, p in model.state_dict().items()})
    seen = torch.tensor(source != 0)
    embedded = layers["source_embedding"](torch.tensor(source))
    packed = torch.nn.utils.rnn.pack_padded_sequence(embedded, seen.sum(1), batch_first=True, enforce_sorted=False)
    outputs, last = layers["encoder"](packed)
    values, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    first = torch.tanh(layers["bridge"](torch.cat([last[0], last[1]], 1)))
    d, _ = layers["decoder"](layers["target_embedding"](torch.tensor(given)), first[None])
    scores = d @ layers["score"](values).transpose(1, 2)
    weights = torch.softmax(scores.masked_fill(~seen[:, None], -torch.inf), 2)
    mixed = torch.tanh(layers["combine"](torch.cat([weights @ values, d], 2)))
    return layers["output"](mixed), layers


def test_values_and_gradients_are_pytorchs(torch, rng):
    model = recurrent()
    source, given = drawn(rng)
    wanted = rng.integers(0, SIZES[1], given.shape)
    logits = model(tinydl.tensor(source), tinydl.tensor(given))
    theirs, layers = in_pytorch(torch, model, source, given)
    assert_close(logits, theirs.detach(), "gradient", scale=1.0)
    cross_entropy(logits.flatten(0, 1), tinydl.tensor(wanted).flatten(), ignore_index=0).backward()
    torch.nn.functional.cross_entropy(theirs.flatten(0, 1), torch.tensor(wanted).flatten(), ignore_index=0).backward()
    other = dict(layers.named_parameters())
    for name, p in model.named_parameters():
        assert_close(p.grad, other[name].grad, "gradient", length=24, scale=1.0)


def test_the_seed_fixes_a_model():
    def weights():
        tinydl.manual_seed(5)
        return [p.tolist() for p in RecurrentSeq2Seq(5, 5, 4, 3).parameters()]

    assert weights() == weights()
