"""The CTC loss: its definition over all paths, PyTorch's values and gradients, and what it refuses."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydl
from tests.support.arrays import normal
from tests.support.layers import assert_near
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.nn.functional import ctc_loss


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def over_all_paths(x, label, blank):
    """-ln of the sum of the probabilities of the paths that become the label, from x (T, C)."""
    steps, classes = x.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        merged = [k for k, _ in itertools.groupby(path)]
        if [k for k in merged if k != blank] == list(label):
            total += np.exp(sum(x[t, k] for t, k in enumerate(path)))
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_the_sum_over_all_paths(steps, blank, rng):
    x = log_softmax(normal(rng, (5, 1, 3), np.float64))
    others = [k for k in range(3) if k != blank]
    for length in range(4):
        for label in itertools.product(others, repeat=length):
            expected = over_all_paths(x[:steps, 0], label, blank)
            target = tinydl.tensor(np.array([label], np.int64).reshape(1, length))
            got = ctc_loss(tinydl.tensor(x), target, [steps], [length], blank, "sum").item()
            assert got == expected or abs(got - expected) < 1e-12


def losses(torch, x, target, steps, counts, rng, **options):
    """The loss and the gradient of x with both, for random upstream gradients."""
    outs = []
    up = None
    for module in (tinydl, torch):
        leaf = module.tensor(x).requires_grad_()
        out = module.nn.functional.ctc_loss(leaf, module.tensor(target), steps, counts, **options)
        up = rng.standard_normal(tuple(out.shape)) if up is None else up
        (out * module.tensor(np.asarray(up, x.dtype))).sum().backward()
        outs.append((out, leaf.grad))
    return outs


def agree(torch, *arguments, **options):
    (loss, grad), (wanted, wanted_grad) = losses(torch, *arguments, **options)
    assert_near(loss, wanted)
    assert_near(grad, wanted_grad)


def drawn(rng, dtype=np.float64, steps=9, batch=4, classes=5, longest=4):
    """Log-probabilities and labels that fit into the steps also with repetitions."""
    x = log_softmax(normal(rng, (steps, batch, classes))).astype(dtype)
    return x, rng.integers(1, classes, (batch, longest))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("kind", ["padded", "concatenated"])
def test_as_in_pytorch(kind, reduction, dtype, torch, rng):
    x, labels = drawn(rng, dtype)
    counts = (4, 2, 0, 1)
    labels[0] = [1, 1, 2, 2]
    if kind == "concatenated":
        labels = np.concatenate([row[:n] for row, n in zip(labels, counts, strict=True)])
    agree(torch, x, labels, (9, 7, 3, 1), counts, rng, reduction=reduction)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_labels_that_do_not_fit(zero_infinity, torch, rng):
    x, labels = drawn(rng)
    labels[0] = 1
    options = {"reduction": "none", "zero_infinity": zero_infinity}
    agree(torch, x, labels, (6, 9, 3, 0), (4, 4, 4, 0), rng, **options)
    for reduction in ("sum", "mean"):
        assert ctc_loss(
            tinydl.tensor(x), tinydl.tensor(labels), (6, 9, 3, 0), (4, 4, 4, 0), 0, reduction, zero_infinity
        ).isinf().item() is (not zero_infinity)


def test_another_blank_and_other_integers(torch, rng):
    x, labels = drawn(rng)
    agree(torch, x, labels - 1, (9,) * 4, (4,) * 4, rng, blank=4)
    wanted = ctc_loss(tinydl.tensor(x), tinydl.tensor(labels), (9,) * 4, (4, 3, 2, 1)).item()
    for dtype in (np.int32, np.uint8, np.int16):
        lengths = [tinydl.tensor(np.array(n, dtype)) for n in ((9,) * 4, (4, 3, 2, 1))]
        assert ctc_loss(tinydl.tensor(x), tinydl.tensor(labels.astype(dtype)), *lengths).item() == wanted


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_one_sequence_without_a_batch(reduction, torch, rng):
    x, labels = drawn(rng, batch=1)
    agree(torch, x[:, 0], labels[0], (9,), (4,), rng, reduction=reduction)
    one = ctc_loss(tinydl.tensor(x[:, 0]), tinydl.tensor(labels[0]), 9, 4, reduction=reduction)
    assert one.shape == ()
    assert one.item() == ctc_loss(tinydl.tensor(x), tinydl.tensor(labels), [9], [4], reduction=reduction).sum().item()


def test_what_lies_behind_the_ends_does_not_matter(rng):
    x, labels = drawn(rng)
    steps, counts = (9, 5, 6, 4), (4, 2, 3, 1)
    wanted = ctc_loss(tinydl.tensor(x), tinydl.tensor(labels), steps, counts, reduction="none")
    for n in range(4):
        x[steps[n] :, n] = np.nan
        labels[n, counts[n] :] = -7
    leaf = tinydl.tensor(x).requires_grad_()
    got = ctc_loss(leaf, tinydl.tensor(labels), steps, counts, reduction="none")
    assert np.array_equal(got.detach().numpy(), wanted.numpy())
    got.sum().backward()
    for n in range(4):
        assert not leaf.grad.numpy()[steps[n] :, n].any()
        assert np.isfinite(leaf.grad.numpy()[:, n]).all()


def test_a_probability_of_zero(rng):
    x, labels = drawn(rng, batch=1, longest=2)
    labels[0] = [1, 2]
    x[3, 0, 1] = -np.inf
    leaf = tinydl.tensor(x).requires_grad_()
    ctc_loss(leaf, tinydl.tensor(labels), [9], [2]).backward()
    nearly = x.copy()
    nearly[3, 0, 1] = -700
    limit = tinydl.tensor(nearly).requires_grad_()
    ctc_loss(limit, tinydl.tensor(labels), [9], [2]).backward()
    assert_near(leaf.grad, limit.grad)


def test_gradients(rng):
    x = tinydl.tensor(normal(rng, (6, 3, 4), np.float64)).requires_grad_()
    labels = tinydl.tensor(np.array([[1, 1, 2], [3, 1, 1], [2, 2, 2]]))
    for reduction in ("none", "sum", "mean"):
        assert gradcheck(
            lambda z, reduction=reduction: ctc_loss(
                z.log_softmax(2), labels, (6, 5, 3), (3, 2, 0), reduction=reduction
            ),
            [x],
        )


@given(st.data())
def test_drawn_lengths(data):
    torch = pytest.importorskip("torch")
    steps, batch, classes = (data.draw(st.integers(1, n)) for n in (12, 4, 6))
    blank = data.draw(st.integers(0, classes - 1))
    inputs = [data.draw(st.integers(0, steps)) for _ in range(batch)]
    counts = [data.draw(st.integers(0, 6 if classes > 1 else 0)) for _ in range(batch)]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = log_softmax(rng.standard_normal((steps, batch, classes)))
    labels = rng.integers(0, max(classes - 1, 1), (batch, 6))
    labels += labels >= blank
    agree(torch, x, labels, inputs, counts, rng, blank=blank, reduction="none", zero_infinity=True)


def test_long_sequences(torch, rng):
    x = log_softmax(5 * normal(rng, (400, 2, 30), np.float64))
    agree(torch, x, rng.integers(1, 30, (2, 120)), (400, 333), (120, 90), rng)


def test_half_precision(rng):
    x, labels = drawn(rng)
    leaf = tinydl.tensor(x).to(tinydl.bfloat16).requires_grad_()
    loss = ctc_loss(leaf, tinydl.tensor(labels), (9,) * 4, (4,) * 4)
    loss.backward()
    assert loss.dtype == leaf.grad.dtype == tinydl.bfloat16
    wanted = ctc_loss(tinydl.tensor(x), tinydl.tensor(labels), (9,) * 4, (4,) * 4)
    assert abs(loss.item() / wanted.item() - 1) < 2**-6


def test_the_layer(torch, rng):
    x, labels = drawn(rng)
    for options in ({}, {"blank": 4, "reduction": "sum"}, {"reduction": "none", "zero_infinity": True}):
        layers = nn.CTCLoss(**options), torch.nn.CTCLoss(**options)
        got, want = (
            layer(f(x), f(labels - (layer.blank > 0)), f([9, 7, 2, 9]), f([4, 2, 3, 1]))
            for layer, f in zip(layers, (tinydl.tensor, torch.tensor), strict=True)
        )
        assert_near(got, want)
        assert repr(layers[0]) == repr(layers[1])


def test_a_network_learns_the_labels(rng):
    """Frames of drawn lengths for each label: the loss alone finds where the labels stand."""
    tinydl.manual_seed(0)
    net, loss = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4), nn.LogSoftmax(-1)), nn.CTCLoss()
    optimizer = tinydl.optim.Adam(net.parameters(), 0.03)
    marks = np.eye(4, dtype=np.float32)
    values = []
    for _ in range(150):
        labels = np.array([rng.permutation([1, 2, 3]) for _ in range(8)])
        frames = np.stack([np.repeat(marks[row], rng.multinomial(5, [1 / 3] * 3) + 1, 0) for row in labels], 1)
        frames = frames + 0.1 * normal(rng, frames.shape)
        value = loss(net(tinydl.tensor(frames)), tinydl.tensor(labels), (8,) * 8, (3,) * 8)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[0] > 1
    assert np.mean(values[-5:]) < 0.1


X, Y = tinydl.zeros(6, 2, 4), tinydl.ones(2, 3).long()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: ctc_loss(X[0, 0], Y, (6, 6), (3, 3)), ValueError, r"of shape \(4,\), wanted \(T, N, C\) or \(T, C\)"),
        (lambda: ctc_loss(X.long(), Y, (6, 6), (3, 3)), TypeError, "got dtype int64, wanted a floating-point dtype"),
        (lambda: ctc_loss(X, Y.float(), (6, 6), (3, 3)), TypeError, "targets of dtype float32, wanted integers"),
        (lambda: ctc_loss(X, [[1]], (6, 6), (3, 3)), TypeError, "targets is of type list, wanted a tensor"),
        (lambda: ctc_loss(X, Y, (7, 6), (3, 3)), ValueError, r"input_lengths \[7, 6\], wanted them from 0 to 6"),
        (lambda: ctc_loss(X, Y, (6, -1), (3, 3)), ValueError, r"input_lengths \[6, -1\]"),
        (lambda: ctc_loss(X, Y, (6,), (3, 3)), ValueError, r"shape \(1,\), wanted one for each of 2 sequences"),
        (lambda: ctc_loss(X, Y, (6.0, 6.0), (3, 3)), TypeError, "input_lengths of dtype float64, wanted integers"),
        (lambda: ctc_loss(X, Y, (6, 6), (3, -1)), ValueError, r"target_lengths \[3, -1\], wanted none below 0"),
        (lambda: ctc_loss(X, Y, (6, 6), (4, 3)), ValueError, r"targets of shape \(2, 3\), wanted \(2, 4 or more\)"),
        (lambda: ctc_loss(X, Y[:1], (6, 6), (3, 3)), ValueError, r"targets of shape \(1, 3\), wanted \(2, 3 or more\)"),
        (lambda: ctc_loss(X, Y[0], (6, 6), (3, 3)), ValueError, "got 3 concatenated targets, wanted 6, the sum of"),
        (lambda: ctc_loss(X, 4 * Y, (6, 6), (3, 3)), IndexError, "target 0 of sequence 0 is 4, wanted a class from 0"),
        (lambda: ctc_loss(X, -Y, (6, 6), (3, 3)), IndexError, "target 0 of sequence 0 is -1"),
        (lambda: ctc_loss(X, Y, (6, 6), (3, 3), 4), ValueError, "blank=4, wanted a class from 0 to 3"),
        (lambda: ctc_loss(X, Y, (6, 6), (3, 3), reduction="max"), ValueError, "got reduction 'max'"),
        (lambda: ctc_loss(X[:0], Y, (0, 0), (0, 0)), ValueError, "wanted at least one step and one sequence"),
        (lambda: ctc_loss(X[:, :0], Y[:0], (), ()), ValueError, "wanted at least one step and one sequence"),
        (lambda: nn.CTCLoss(reduction="max"), ValueError, "reduction 'max' is unknown"),
    ],
)
def test_wrong_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()
