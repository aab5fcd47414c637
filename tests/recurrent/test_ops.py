"""Recurrent layers and cells beside PyTorch's: the same weights, outputs and gradients."""

import numpy as np
import pytest

import tinydl
from tests.recurrent import reference
from tests.support.arrays import normal
from tests.support.layers import assert_near, compare, pair
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.nn.utils import rnn
from tinydl.ops.recurrent import recurrent

LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"bias": False}),
    ("LSTM", {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
    ("GRU", {"bidirectional": True}),
    ("GRU", {"num_layers": 3, "batch_first": True}),
]
IDS = [f"{name}-{'-'.join(map(str, extra))}" for name, extra in LAYERS]


def flat(value):
    """The tensors in nested tuples."""
    if isinstance(value, tuple | list):
        return [t for part in value for t in flat(part)]
    return [value]


def call(layer, x, *states):
    """The layer's outputs in one tuple; an LSTM takes its states as a pair."""
    return tuple(flat(layer(x, *([states] if len(states) == 2 else states))))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize(("name", "extra"), LAYERS, ids=IDS)
def test_layers_as_in_pytorch(name, extra, states, dtype, torch, rng):
    ours, theirs = pair(torch, name, 6, 10, dtype=dtype, **extra)
    shape = (4, 5, 6)
    batch = shape[0] if extra.get("batch_first") else shape[1]
    layers = extra.get("num_layers", 1) * (2 if extra.get("bidirectional") else 1)
    inputs = [normal(rng, shape, dtype)]
    if states:
        inputs.append(normal(rng, (layers, batch, extra.get("proj_size", 10)), dtype))
        if name == "LSTM":
            inputs.append(normal(rng, (layers, batch, 10), dtype))
    compare(torch, ours, theirs, call, inputs, rng)


@pytest.mark.parametrize(("name", "extra"), LAYERS, ids=IDS)
def test_one_sequence_without_a_batch(name, extra, torch, rng):
    ours, theirs = pair(torch, name, 6, 10, dtype=np.float64, **extra)
    compare(torch, ours, theirs, call, [normal(rng, (7, 6), np.float64)], rng)


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize(("name", "extra"), LAYERS, ids=IDS)
def test_packed_sequences(name, extra, enforce_sorted, torch, rng):
    ours, theirs = pair(torch, name, 6, 10, dtype=np.float64, **extra)
    lengths = [5, 4, 4, 1] if enforce_sorted else [2, 5, 1, 4]
    x = normal(rng, (5, 4, 6), np.float64)
    a, b = tinydl.tensor(x).requires_grad_(), torch.tensor(x).requires_grad_()
    sequence = rnn.pack_padded_sequence(a, lengths, enforce_sorted=enforce_sorted)
    other = torch.nn.utils.rnn.pack_padded_sequence(b, lengths, enforce_sorted=enforce_sorted)
    assert_near(sequence.data, other.data)
    y, states = ours(sequence)
    z, wanted = theirs(other)
    y, sizes = rnn.pad_packed_sequence(y, batch_first=True, padding_value=0.5, total_length=6)
    z, expected_sizes = torch.nn.utils.rnn.pad_packed_sequence(z, True, 0.5, 6)
    assert sizes.tolist() == expected_sizes.tolist()
    up = normal(rng, y.shape, np.float64)
    (y * tinydl.tensor(up)).sum().backward()
    (z * torch.tensor(up)).sum().backward()
    for got, want in [(y, z), *zip(flat(states), flat(wanted), strict=True), (a.grad, b.grad)]:
        assert_near(got, want)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_near(p.grad, q.grad)


@pytest.mark.parametrize("name", ["double", "float", "half", "long", "int", "short", "char", "byte", "cpu"])
def test_packed_sequences_of_other_types(name, torch):
    mine = rnn.PackedSequence(tinydl.tensor([[1.5], [2.0], [3.0]]), tinydl.tensor([2, 1]))
    theirs = torch.nn.utils.rnn.PackedSequence(torch.tensor([[1.5], [2.0], [3.0]]), torch.tensor([2, 1]))
    got, expected = getattr(mine, name)(), getattr(theirs, name)()
    assert str(got.data.dtype).split(".")[-1] == str(expected.data.dtype).split(".")[-1]
    assert got.data.tolist() == expected.data.tolist()
    assert (got is mine) == (expected is theirs)
    assert got.batch_sizes is mine.batch_sizes


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("extra", [{}, {"bias": False}])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_cells(name, extra, batch, torch, rng):
    ours, theirs = pair(torch, name, 6, 10, dtype=np.float64, **extra)
    x, h, c = (normal(rng, (*batch, size), np.float64) for size in (6, 10, 10))
    compare(torch, ours, theirs, call, [x, h, c] if name == "LSTMCell" else [x, h], rng)
    compare(torch, *pair(torch, name, 6, 10, dtype=np.float64, **extra), call, [x], rng)


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_equations_term_by_term(cell, reverse, rng):
    gates = {"lstm": 4, "gru": 3}.get(cell, 1)
    x, w, u = (normal(rng, s, np.float64) for s in ((4, 3, 5), (gates * 6, 5), (gates * 6, 6)))
    b, b_h, h0, c0 = (normal(rng, s, np.float64) for s in ((gates * 6,), (gates * 6,), (3, 6), (3, 6)))
    hs, cs = reference.run(cell, x, w, u, b, b_h, h0, c0, reverse=reverse)
    given = [tinydl.tensor(v) for v in (x, w, u, b, b_h, h0)]
    out = recurrent(cell, *given, tinydl.tensor(c0) if cell == "lstm" else None, reverse=reverse)
    last = 0 if reverse else -1
    for got, want in zip(out, (hs, hs[last], cs[last]), strict=False):
        assert np.abs(got.numpy() - want).max() < 1e-12


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
def test_gradients(cell, rng):
    gates = {"lstm": 4, "gru": 3}.get(cell, 1)
    shapes = ((3, 2, 4), (gates * 5, 4), (gates * 5, 5), (gates * 5,), (gates * 5,), (2, 5), (2, 5))
    inputs = [tinydl.tensor(normal(rng, s, np.float64)).requires_grad_() for s in shapes]
    inputs = inputs if cell == "lstm" else inputs[:-1]
    mask = tinydl.tensor(rng.random((2, 5)) * 2)
    valid = np.array([[True, True], [False, True], [True, False]])
    for more in ({}, {"mask": mask, "valid": valid, "reverse": True}):
        assert gradcheck(lambda *t, more=more: recurrent(cell, *t, **more), inputs)


@pytest.mark.parametrize("which", range(7))
def test_only_the_gradients_that_are_wanted(which, rng):
    shapes = ((3, 2, 4), (20, 4), (20, 5), (20,), (20,), (2, 5), (2, 5))
    inputs = [tinydl.tensor(normal(rng, s)) for s in shapes]
    inputs[which].requires_grad_()
    recurrent("lstm", *inputs)[2].sum().backward()
    assert all((t.grad is not None) == (i == which) for i, t in enumerate(inputs))


def test_dropout_between_layers():
    tinydl.manual_seed(0)
    layer = nn.LSTM(3, 40, num_layers=2, dropout=0.5)
    x = tinydl.randn(5, 2, 3)
    assert not np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    layer.eval()
    assert np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())


def test_states_do_not_share_memory(rng):
    y, h = nn.GRU(3, 4)(tinydl.tensor(normal(rng, (2, 5, 3))))
    before = y.detach().numpy().copy()
    with tinydl.no_grad():
        h.zero_()
    assert np.array_equal(y.detach().numpy(), before)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("which", ["x", "w", "u", "h0", "c0", "y"])
def test_what_changes_in_place_before_backward(which, batch_first, rng):
    x = (2, 3, 4) if batch_first else (3, 2, 4)
    shapes = {"x": x, "w": (20, 4), "u": (20, 5), "h0": (2, 5), "c0": (2, 5)}
    given = {name: tinydl.tensor(normal(rng, s)) for name, s in shapes.items()}
    given["u"].requires_grad_()
    states = {"h0": given["h0"], "c0": given["c0"]}
    y = recurrent("lstm", given["x"], given["w"], given["u"], **states, batch_first=batch_first)[0]
    with tinydl.no_grad():
        (y if which == "y" else given[which]).mul_(0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_weights_replaced_by_tensors(rng):
    layer = nn.GRU(3, 4)
    weight = layer.weight_hh_l0.detach()
    x = tinydl.tensor(normal(rng, (2, 5, 3)))
    expected = layer(x)[0].detach().numpy()
    del layer.weight_hh_l0
    layer.weight_hh_l0 = weight
    assert np.array_equal(layer(x)[0].detach().numpy(), expected)
    layer.weight_hh_l0 = weight * 0
    assert not np.array_equal(layer(x)[0].detach().numpy(), expected)


def test_half_precision(torch, rng):
    ours, theirs = pair(torch, "LSTM", 6, 10, dtype=np.float32)
    x = normal(rng, (4, 5, 6))
    weights = [p.bfloat16() for p in ours.parameters()]
    got = recurrent("lstm", tinydl.tensor(x).bfloat16(), *weights)[0]
    assert got.dtype == tinydl.bfloat16
    assert np.abs(got.float().detach().numpy() - theirs(torch.tensor(x))[0].detach().numpy()).max() < 2**-6


def test_sequences_of_many_lengths(torch, rng):
    arrays = [normal(rng, (n, 3)) for n in (2, 4, 1)]
    ours, theirs = [tinydl.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    for name, extra in (("pad_sequence", {"padding_side": "left"}), ("pad_sequence", {"batch_first": True})):
        assert_near(getattr(rnn, name)(ours, **extra), getattr(torch.nn.utils.rnn, name)(theirs, **extra))
    packed = rnn.pack_sequence(ours, enforce_sorted=False)
    assert_near(packed.data, torch.nn.utils.rnn.pack_sequence(theirs, False).data)
    for a, b in zip(rnn.unpack_sequence(packed), arrays, strict=True):
        assert np.array_equal(a.numpy(), b)


def test_wrong_calls(rng):
    x = tinydl.zeros(5, 2, 3)
    for make, said in [
        (lambda: nn.LSTM(0, 4), "LSTM: got input_size=0, wanted an integer of at least 1"),
        (lambda: nn.GRU(3, 4, dropout=2), "GRU: got dropout=2"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "proj_size=4, wanted 0, or for LSTM less than hidden_size"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), "got nonlinearity 'gelu', wanted 'tanh' or 'relu'"),
        (lambda: nn.RNN(3, 4)(tinydl.zeros(5, 2, 4)), r"got an input of shape \(5, 2, 4\), wanted \(T, B, 3\)"),
        (lambda: nn.RNN(3, 4)(tinydl.zeros(0, 2, 3)), "at least one time step"),
        (lambda: nn.RNN(3, 4)(x, tinydl.zeros(1, 3, 4)), r"got h_0 of shape \(1, 3, 4\), wanted \(1, 2, 4\)"),
        (lambda: nn.LSTM(3, 4)(x, (tinydl.zeros(1, 2, 4), tinydl.zeros(1, 2, 5))), r"got c_0 of shape \(1, 2, 5\)"),
        (lambda: nn.LSTMCell(3, 4)(tinydl.zeros(2, 4)), r"got an input of shape \(2, 4\)"),
        (lambda: nn.GRUCell(3, 4)(tinydl.zeros(2, 3), tinydl.zeros(1, 4)), r"wanted \(2, 4\)"),
        (lambda: rnn.pack_padded_sequence(x, [1, 5]), "the longest first; pass enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(x, [6, 5]), "wanted them from 1 to 5"),
        (lambda: rnn.pack_padded_sequence(x, [5]), "wanted 2 integers"),
        (lambda: rnn.pad_sequence([]), "got no sequences"),
        (lambda: rnn.pack_padded_sequence(tinydl.zeros(3, 0, 1), []), "got no sequences"),
        (lambda: nn.GRU(3, 4, dropout="a"), "got dropout='a'"),
        (lambda: nn.GRUCell(3.5, 4), "input_size=3.5"),
        (lambda: nn.GRU(2, 4)(rnn.PackedSequence(tinydl.ones(5, 2), tinydl.tensor([1, 4]))), "that do not grow"),
        (
            lambda: nn.GRU(2, 4)(rnn.PackedSequence(tinydl.ones(5, 2), tinydl.tensor([3, 1]))),
            "wanted 4 after batch_sizes",
        ),
        (lambda: recurrent("gru", x, tinydl.ones(12, 3), tinydl.ones(12, 4), c0=tinydl.ones(2, 4)), "got c0 for gru"),
        (
            lambda: recurrent(
                "gru", x, tinydl.ones(12, 3), tinydl.ones(12, 4), mask=tinydl.ones(2, 4, requires_grad=True)
            ),
            "the mask gets no gradient",
        ),
    ]:
        with pytest.raises(ValueError, match=said):
            make()
    with pytest.raises(TypeError, match="wanted a pair"):
        nn.LSTM(3, 4)(x, tinydl.zeros(1, 2, 4))
    with pytest.raises(TypeError, match=r"wanted a pair \(h_0, c_0\) of tensors"):
        nn.LSTM(3, 4)(x, (None, tinydl.zeros(1, 2, 4)))
    with pytest.raises(TypeError, match="dtypes float32 and float64"):
        nn.GRU(3, 4)(x.double())


def test_empty_batch():
    y, (h, c) = nn.LSTM(3, 4)(tinydl.zeros(5, 0, 3))
    assert (y.shape, h.shape, c.shape) == ((5, 0, 4), (1, 0, 4), (1, 0, 4))
    y.sum().backward()
