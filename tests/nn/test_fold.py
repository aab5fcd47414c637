"""Patches and shuffles: definitions, gradients, PyTorch, wrong calls."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck

F = nn.functional


@st.composite
def calls(draw):
    """The shape of images, and kernel, dilation, padding and stride."""
    kernel, dilation, stride = (draw(st.tuples(*[st.integers(1, 3)] * 2)) for _ in range(3))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 2))
    size = draw(st.tuples(*[st.integers(1, 7)] * 2))
    for n, k, d, p in zip(size, kernel, dilation, padding, strict=True):
        assume(n + 2 * p >= d * (k - 1) + 1)
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *size), (kernel, dilation, padding, stride)


@given(call=calls(), seed=st.integers(0, 2**32 - 1), batched=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_pytorch(torch, call, seed, batched):
    shape, options = call
    rng = np.random.default_rng(seed)
    x = normal(rng, shape if batched else shape[1:])
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    columns, expected = F.unfold(ours, *options), torch.nn.functional.unfold(theirs, *options)
    assert np.array_equal(columns.detach(), expected.detach())
    images, peers = F.fold(columns, shape[2:], *options), torch.nn.functional.fold(expected, shape[2:], *options)
    assert_close(images, peers.detach().numpy(), "reduce", length=9, scale=9 * np.abs(x).max())
    grad = normal(rng, images.shape)
    images.backward(tinydl.tensor(grad))
    peers.backward(torch.tensor(grad))
    assert_close(ours.grad, theirs.grad.numpy(), "reduce", length=81, scale=9 * np.abs(grad).max())


def test_gradcheck(rng):
    x = tinydl.tensor(rng.standard_normal((1, 2, 4, 5)), requires_grad=True)
    assert gradcheck(lambda x: F.unfold(x, (2, 3), 1, 1, 2), x)
    columns = tinydl.tensor(rng.standard_normal((1, 8, 6)), requires_grad=True)
    assert gradcheck(lambda x: F.fold(x, (3, 4), 2), columns)


@pytest.mark.parametrize(
    ("name", "shape", "argument"),
    [
        ("pixel_shuffle", (2, 12, 3, 5), 2),
        ("pixel_shuffle", (9, 1, 2), 3),
        ("pixel_shuffle", (2, 3, 4, 2, 2), 2),
        ("pixel_unshuffle", (2, 3, 6, 4), 2),
        ("pixel_unshuffle", (2, 3, 6), 3),
        ("channel_shuffle", (2, 6, 3, 4), 3),
        ("channel_shuffle", (2, 6, 5), 2),
    ],
)
def test_shuffles_equal_pytorch(torch, rng, name, shape, argument):
    x = rng.standard_normal(shape)
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got, expected = getattr(F, name)(ours, argument), getattr(torch.nn.functional, name)(theirs, argument)
    assert np.array_equal(got.detach(), expected.detach())
    grad = rng.standard_normal(got.shape)
    got.backward(tinydl.tensor(grad))
    expected.backward(torch.tensor(grad))
    assert np.array_equal(ours.grad, theirs.grad)


X = tinydl.zeros(1, 8, 4, 4)
WRONG = [
    (lambda: F.unfold(X, 6), ValueError, r"unfold: patches of \(6, 6\), dilation \(1, 1\), do not fit into \(4, 4\)"),
    (lambda: F.unfold(X, 0), ValueError, "unfold: got kernel_size=0"),
    (lambda: F.unfold(X[0, 0], 2), ValueError, r"unfold: got an input of shape \(4, 4\)"),
    (lambda: F.unfold(X.long(), 2), TypeError, "unfold: got dtype int64"),
    (lambda: F.fold(X[0], (4, 4), 2), ValueError, r"fold: got an input of shape \(8, 4, 4\), wanted \(N, C \* 4, 9\)"),
    (lambda: F.fold(X[0, 0, :3], (3, 3), 2), ValueError, r"fold: got an input of shape \(3, 4\)"),
    (lambda: F.fold(X, (3, 3), 2), ValueError, "fold: got an input of shape"),
    (lambda: F.pixel_shuffle(X, 3), ValueError, r"pixel_shuffle: .* wanted \(\*, C \* 9, H, W\)"),
    (lambda: F.pixel_shuffle(X, 0), ValueError, "upscale_factor=0, wanted at least 1"),
    (lambda: F.pixel_unshuffle(X, 3), ValueError, r"wanted \(\*, C, H \* 3, W \* 3\)"),
    (lambda: F.channel_shuffle(X, 3), ValueError, r"wanted \(N, C \* 3, \*\)"),
    (lambda: F.channel_shuffle(X[0, 0], 2), ValueError, "channel_shuffle: got an input of shape"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_results_never_share_the_input():
    x = tinydl.ones(1, 4, 2, 2)
    shuffled = F.pixel_shuffle(x, 1), F.channel_shuffle(x, 1), F.channel_shuffle(x, 4)
    for same in (*shuffled, F.pad(x[0], (0, 0), "reflect")):
        same.add_(1)
    assert bool((x == 1).all())
