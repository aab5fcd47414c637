"""Transposed convolution: against its definition, by differences, against PyTorch; layers; wrong calls."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.ops.conv_transpose import conv_transpose1d, conv_transpose2d


def definition(x, w, b, stride, padding, output_padding, groups, dilation):
    """Every pixel adds its weighted kernel to a frame, which is then cut."""
    (n, channels, *size), (_, per_group, *kernel) = x.shape, w.shape
    frame = [(m - 1) * s + d * (k - 1) + 1 for m, s, d, k in zip(size, stride, dilation, kernel, strict=True)]
    more = [q + max(0, q - p) for p, q in zip(padding, output_padding, strict=True)]
    y = np.zeros((n, per_group * groups, *[f + m for f, m in zip(frame, more, strict=True)]))
    for c in range(channels):
        first = c // (channels // groups) * per_group
        for i, j, r, s in np.ndindex(*size, *kernel):
            at = i * stride[0] + r * dilation[0], j * stride[1] + s * dilation[1]
            y[:, first : first + per_group, at[0], at[1]] += x[:, c, i, j, None] * w[c, :, r, s]
    cut = [slice(p, p + f - 2 * p + q) for f, p, q in zip(frame, padding, output_padding, strict=True)]
    return y[:, :, cut[0], cut[1]] + b[:, None, None]


@st.composite
def calls(draw, axes=2):
    """Shapes of x and the weight, and the options in order."""
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    numbers, size, kernel = [], [], []
    for _ in range(axes):
        k, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
        more = draw(st.integers(0, max(stride, dilation) - 1))
        padding = draw(st.integers(0, 3))
        least = 1
        while (least - 1) * stride - 2 * padding + dilation * (k - 1) + more + 1 < 1:
            least += 1
        size.append(draw(st.integers(least, least + 5)))
        kernel.append(k)
        numbers.append((stride, padding, more, dilation))
    stride, padding, more, dilation = zip(*numbers, strict=True)
    channels, filters = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 5]))
    x, w = (draw(st.integers(0, 2)), channels * groups, *size), (channels * groups, filters, *kernel)
    return x, w, (stride, padding, more, groups, dilation)


@given(call=calls(), seed=st.integers(0, 2**32 - 1))
def test_against_the_definition(call, seed):
    x_shape, w_shape, options = call
    rng = np.random.default_rng(seed)
    x, w, b = normal(rng, x_shape), normal(rng, w_shape), normal(rng, (w_shape[1] * options[3],))
    expected = definition(*(a.astype(np.float64) for a in (x, w, b)), *options)
    scale = definition(*(np.abs(a).astype(np.float64) for a in (x, w, b)), *options)
    for (_, lx), (_, lw) in zip(layouts(x), layouts(w), strict=True):
        got = conv_transpose2d(tinydl.from_numpy(lx), tinydl.from_numpy(lw), tinydl.tensor(b), *options)
        assert_close(got, expected, "conv", length=w[:, 0].size, scale=scale)


@pytest.mark.parametrize("axes", [1, 2])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_torch(torch, axes, data, seed):
    x_shape, w_shape, options = data.draw(calls(axes))
    rng = np.random.default_rng(seed)
    arrays = [normal(rng, s, np.float64) for s in (x_shape, w_shape, (w_shape[1] * options[3],))]
    ours = [tinydl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = (conv_transpose1d, conv_transpose2d)[axes - 1](*ours, *options)
    expected = getattr(torch.nn.functional, f"conv_transpose{axes}d")(*theirs, *options)
    upstream = normal(rng, y.shape, np.float64)
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    assert_close(y, expected.detach().numpy(), "gradient", length=24, scale=10)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a.grad, b.grad.numpy(), "gradient", length=100, scale=20)


OPTIONS = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"dilation": 3, "output_padding": 2, "padding": 1},
    {"dilation": 2, "output_padding": 1, "groups": 2},
    {"groups": 4, "stride": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradcheck(options, rng):
    groups = options.get("groups", 1)
    shapes = [(2, 4, 3, 4), (4, 2, 2, 3), (2 * groups,)]
    x, w, b = (tinydl.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes)
    assert gradcheck(lambda *args: conv_transpose2d(*args, **options), [x, w, b])
    assert gradcheck(lambda a, b: conv_transpose2d(a[0], b, **options), [x, w])
    assert gradcheck(lambda a, b: conv_transpose1d(a[:, :, 0], b[:, :, 0], **options), [x, w])


def test_is_the_transpose_of_a_convolution(isa, rng):
    """<conv(a), b> = <a, conv_transpose(b)>."""
    a, b, w = normal(rng, (1, 3, 8, 7)), normal(rng, (1, 5, 4, 4)), normal(rng, (5, 3, 3, 3))
    F = nn.functional
    left = F.conv2d(tinydl.tensor(a), tinydl.tensor(w), stride=2, padding=1).numpy() * b
    back = F.conv_transpose2d(tinydl.tensor(b), tinydl.tensor(w), stride=2, padding=1, output_padding=(1, 0))
    right = back.numpy() * a
    assert_close(left.sum(dtype=np.float64), right.sum(dtype=np.float64), "conv", length=2000, scale=100, dtype="f")


def test_output_size(torch, rng):
    theirs = torch.nn.ConvTranspose2d(3, 4, 3, stride=3, padding=1)
    ours = nn.ConvTranspose2d(3, 4, 3, stride=3, padding=1)
    ours.load_state_dict(theirs.state_dict())
    x = normal(rng, (2, 3, 4, 5))
    for size in [(10, 13), (12, 15), (11, 13), (2, 4, 10, 15)]:
        expected = theirs(torch.tensor(x), output_size=size).detach().numpy()
        assert_close(ours(tinydl.tensor(x), output_size=size), expected, "conv", length=27, scale=4)
    signal, peer = nn.ConvTranspose1d(3, 4, 3, stride=3), torch.nn.ConvTranspose1d(3, 4, 3, stride=3)
    peer.load_state_dict({name: torch.tensor(np.asarray(v)) for name, v in signal.state_dict().items()})
    expected = peer(torch.tensor(x[0, :, 0]), output_size=[17]).detach().numpy()
    assert_close(signal(tinydl.tensor(x[0, :, 0]), output_size=[17]), expected, "conv", length=9, scale=4)


def test_initial_values():
    tinydl.manual_seed(0)
    layer = nn.ConvTranspose2d(64, 32, (3, 5), groups=2)
    bound = 1 / np.sqrt(16 * 15)
    assert layer.weight.shape == (64, 16, 3, 5)
    assert layer.weight._data.transpose(2, 3, 1, 0).flags.c_contiguous
    for parameter in (layer.weight, layer.bias):
        assert 0.9 * bound < np.abs(parameter.detach().numpy()).max() <= bound


WRONG = [
    ({"x": (8, 8)}, r"input of shape \(8, 8\), wanted \(N, C, H, W\) or \(C, H, W\)"),
    ({"w": (3, 4, 3)}, r"weight of shape \(3, 4, 3\), wanted \(C, O / groups, 2 kernel sizes\)"),
    ({"w": (5, 4, 3, 3)}, r"weight \(5, 4, 3, 3\) is for 5 channels, input \(2, 3, 8, 8\)"),
    ({"groups": 2}, "groups=2 does not divide the 3 input channels"),
    ({"groups": 0}, "groups=0"),
    ({"b": (5,)}, r"bias of shape \(5,\), wanted \(4,\)"),
    ({"stride": (1, 0)}, "stride 0"),
    ({"dilation": -1}, "dilation -1"),
    ({"padding": -1}, "padding -1"),
    ({"output_padding": -1}, "output_padding -1"),
    ({"output_padding": 1}, "output_padding 1 must be smaller than stride 1 or dilation 1"),
    ({"padding": 5}, r"an input of shape \(2, 3, 8, 8\) would give an output of size 0"),
    ({"stride": (1, 2, 3)}, r"stride=\(1, 2, 3\)"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_calls(change, message):
    call = {"x": (2, 3, 8, 8), "w": (3, 4, 3, 3), "b": (4,)} | change
    arrays = [tinydl.ones(*call.pop(name)) for name in ("x", "w", "b")]
    with pytest.raises(ValueError, match=f"conv_transpose2d: .*{message}"):
        conv_transpose2d(*arrays, **call)


def test_wrong_dtypes():
    x, w = tinydl.ones(2, 3, 8), tinydl.ones(3, 5, 3)
    with pytest.raises(TypeError, match="float32 and float64"):
        conv_transpose1d(x, w.double())
    with pytest.raises(TypeError, match="conv_transpose1d: got dtype int64"):
        conv_transpose1d(x.long(), w.long())
    with pytest.raises(TypeError, match="got stride='2'"):
        conv_transpose1d(x, w, stride="2")
