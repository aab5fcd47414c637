"""The Transformer that reads a sequence and writes another: its equations, and PyTorch's layers."""

import warnings

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.models import TransformerSeq2Seq
from tinydl.ops.loss import cross_entropy

from .test_encoder_decoder import SIZES, drawn, transformer


def norm(x, weights, name):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attention(x, memory, weights, name, heads, causal):
    """Concat(head_1 ... head_h) W^O + b, head_i = softmax(Q_i K_iᵀ / √d) V_i, over x (L, E) and memory (S, E)."""
    w, b = (np.split(weights[f"{name}.in_proj_{kind}"], 3) for kind in ("weight", "bias"))
    q, k, v = (rows @ w[n].T + b[n] for n, rows in enumerate((x, memory, memory)))
    size = x.shape[1] // heads
    found = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = q[:, part] @ k[:, part].T / np.sqrt(size)
        if causal:
            scores[np.triu_indices(len(x), 1)] = -np.inf
        a = np.exp(scores)
        found.append(a / a.sum(1, keepdims=True) @ v[:, part])
    return np.concatenate(found, 1) @ weights[f"{name}.out_proj.weight"].T + weights[f"{name}.out_proj.bias"]


def feedforward(x, weights, name):
    inner = np.maximum(x @ weights[f"{name}.linear1.weight"].T + weights[f"{name}.linear1.bias"], 0)
    return inner @ weights[f"{name}.linear2.weight"].T + weights[f"{name}.linear2.bias"]


def embedded(table, ids):
    size = table.shape[1]
    positions = np.zeros((len(ids), size))
    for t in range(len(ids)):
        for i in range(0, size, 2):
            positions[t, i : i + 2] = np.sin(t / 10000 ** (i / size)), np.cos(t / 10000 ** (i / size))
    return np.sqrt(size) * table[ids] + positions.astype(np.float32)


def by_the_equations(model, source, given):
    """Logits (L, V) of one source without padding."""
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    x = embedded(w["source_embedding.weight"], source)
    for number in range(2):
        layer = f"transformer.encoder.layers.{number}"
        y = norm(x, w, f"{layer}.norm1")
        x = x + attention(y, y, w, f"{layer}.self_attn", 2, False)
        x = x + feedforward(norm(x, w, f"{layer}.norm2"), w, layer)
    memory = norm(x, w, "transformer.encoder.norm")
    x = embedded(w["target_embedding.weight"], given)
    for number in range(2):
        layer = f"transformer.decoder.layers.{number}"
        y = norm(x, w, f"{layer}.norm1")
        x = x + attention(y, y, w, f"{layer}.self_attn", 2, True)
        x = x + attention(norm(x, w, f"{layer}.norm2"), memory, w, f"{layer}.multihead_attn", 2, False)
        x = x + feedforward(norm(x, w, f"{layer}.norm3"), w, layer)
    return norm(x, w, "transformer.decoder.norm") @ w["output.weight"].T + w["output.bias"]


def test_the_equations(rng):
    model = transformer()
    for p in model.parameters():  # biases and norms too must be in their places
        p.data.add_(tinydl.tensor(0.1 * rng.standard_normal(p.shape)))
    source, given = drawn(rng)
    got = model(tinydl.tensor(source), tinydl.tensor(given))
    for row in range(len(source)):
        wanted = by_the_equations(model, source[row][source[row] != 0], given[row])
        assert_close(got[row], wanted, "gradient", scale=10.0)


def test_values_and_gradients_are_pytorchs(torch, rng):
    model = transformer()
    source, given = drawn(rng)
    wanted = rng.integers(0, SIZES[1], given.shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor is True")
        theirs = torch.nn.Transformer(8, 2, 2, 2, 9, 0.0, batch_first=True, norm_first=True).double()
    theirs.load_state_dict(
        {name: torch.tensor(value.numpy()) for name, value in model.transformer.state_dict().items()}
    )
    inputs = [model._embedded(model.source_embedding, tinydl.tensor(source))]
    inputs.append(model._embedded(model.target_embedding, tinydl.tensor(given)))
    x, y = (torch.tensor(t.detach().numpy(), requires_grad=True) for t in inputs)
    hidden = torch.tensor(source == 0)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(given.shape[1], dtype=torch.float64)
    seen = torch.zeros(hidden.shape, dtype=torch.float64).masked_fill(hidden, -torch.inf)
    out = theirs(x, y, tgt_mask=mask, src_key_padding_mask=hidden, memory_key_padding_mask=seen)
    weight, bias = (torch.tensor(p.detach().numpy()) for p in model.output.parameters())
    logits = model(tinydl.tensor(source), tinydl.tensor(given))
    other = torch.nn.functional.linear(out, weight, bias)
    assert_close(logits, other.detach(), "gradient", scale=1.0)
    cross_entropy(logits.flatten(0, 1), tinydl.tensor(wanted).flatten()).backward()
    torch.nn.functional.cross_entropy(other.flatten(0, 1), torch.tensor(wanted).flatten()).backward()
    for name, p in theirs.named_parameters():
        ours = dict(model.transformer.named_parameters())[name]
        assert_close(ours.grad, p.grad, "gradient", length=24, scale=1.0)
    table = np.zeros((SIZES[0], 8))
    np.add.at(table, source, x.grad.numpy() * np.sqrt(8))
    table[0] = 0  # of the padding
    assert_close(model.source_embedding.weight.grad, table, "gradient", length=24, scale=1.0)


def test_odd_features():
    with pytest.raises(ValueError, match="got 9 features, wanted an even number"):
        TransformerSeq2Seq(5, 5, features=9, heads=3)(tinydl.tensor([[3]]), tinydl.tensor([[1]]))
