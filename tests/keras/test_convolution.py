"""Convolutions and pooling, values and gradients, against PyTorch; transposed ones against loops."""

import itertools

import numpy as np
import pytest

import tinydl
from tinydl.keras import layers

from .agreement import assert_agrees, channels_first, channels_last
from .test_layers import same_padding


def padded(torch, x, padding, kernel, strides, dilation):
    """(N, C, ...) with Keras's padding, on PyTorch's side."""
    sides = []
    for n, k, s in zip(x.shape[2:], kernel, strides, strict=True):
        span = dilation * (k - 1) + 1
        sides.insert(0, {"valid": (0, 0), "same": same_padding(n, span, s), "causal": (span - 1, 0)}[padding])
    return torch.nn.functional.pad(x, sum(sides, ()))


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("kernel", "strides", "dilation"), [(3, 1, 1), (4, 2, 1), (2, 1, 3), (1, 3, 1), (5, 2, 2)])
@pytest.mark.parametrize(("activation", "groups"), [("relu", 1), ("softplus", 2), (None, 4)])
def test_conv1d(torch, rng, padding, kernel, strides, dilation, activation, groups):
    f = torch.nn.functional
    layer = layers.Conv1D(8, kernel, strides, padding, dilation_rate=dilation, groups=groups, activation=activation)
    x = rng.standard_normal((2, 13, 4)).astype(np.float32)

    def function(x, w, b):
        signals = padded(torch, channels_first(x), padding, (kernel,), (strides,), dilation)
        out = f.conv1d(signals, w.permute(2, 1, 0), b, strides, 0, dilation, groups)
        return channels_last(getattr(f, activation)(out) if activation else out)

    assert_agrees(torch, rng, layer, x, function, "conv", length=16 * kernel)
    assert layer.kernel.shape == (kernel, 4 // groups, 8)


@pytest.mark.parametrize(("padding", "strides"), [("valid", 1), ("same", 2), ("same", (1, 2))])
@pytest.mark.parametrize("activation", ["sigmoid", "gelu"])
def test_conv2d_gradients(torch, rng, padding, strides, activation):
    f = torch.nn.functional
    layer = layers.Conv2D(4, (3, 2), strides, padding, activation=activation)
    x = rng.standard_normal((2, 7, 6, 3)).astype(np.float32)
    steps = (strides,) * 2 if isinstance(strides, int) else strides

    def function(x, w, b):
        images = padded(torch, channels_first(x), padding, (3, 2), steps, 1)
        out = f.conv2d(images, w.permute(3, 2, 0, 1), b, steps)
        return channels_last(getattr(f, activation)(out) if activation != "sigmoid" else out.sigmoid())

    assert_agrees(torch, rng, layer, x, function, "conv", length=18)


def depthwise(torch, x, w, strides, padding, dilation):
    """(N, C, H, W) by a kernel (h, w, C, M): channel c M + m is channel c by kernel [..., c, m]."""
    kernel = w.shape[:2]
    x = padded(torch, x, padding, kernel, strides, dilation)
    out = []
    for c, m in itertools.product(range(w.shape[2]), range(w.shape[3])):
        out.append(torch.nn.functional.conv2d(x[:, c : c + 1], w[None, None, :, :, c, m], None, strides, 0, dilation))
    return torch.cat(out, 1)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("strides", "dilation", "multiplier"), [(1, 1, 1), (2, 1, 2), (1, 2, 3)])
def test_depthwise_and_separable(torch, rng, padding, strides, dilation, multiplier):
    x = rng.standard_normal((2, 8, 7, 3)).astype(np.float32)
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation, "depth_multiplier": multiplier}
    layer = layers.DepthwiseConv2D((3, 2), **options, activation="tanh")

    def by_channel(x, w, b):
        out = depthwise(torch, channels_first(x), w, (strides,) * 2, padding, dilation)
        return (channels_last(out) + b).tanh()

    assert_agrees(torch, rng, layer, x, by_channel, "conv", length=6)
    assert [w.shape for w in layer.weights] == [(3, 2, 3, multiplier), (3 * multiplier,)]
    layer = layers.SeparableConv2D(5, (3, 2), **options)

    def both(x, w, across, b):
        return (
            channels_last(depthwise(torch, channels_first(x), w, (strides,) * 2, padding, dilation)) @ across[0, 0] + b
        )

    assert_agrees(torch, rng, layer, x, both, "conv", length=18 * multiplier)
    assert [w.shape for w in layer.weights] == [(3, 2, 3, multiplier), (1, 1, 3 * multiplier, 5), (5,)]


def transposed(torch, x, w, b, strides, padding, extra, dilation):
    """Every element adds the kernel (k, ..., out, in) to the output, whose length and cut are TensorFlow's."""
    axes = x.ndim - 2
    spans = [dilation * (k - 1) + 1 for k in w.shape[:axes]]
    whole = [(n - 1) * s + span for n, s, span in zip(x.shape[1:-1], strides, spans, strict=True)]
    lengths, starts = [], []
    for n, s, span, full in zip(x.shape[1:-1], strides, spans, whole, strict=True):
        if padding == "valid":
            length = full + (max(s - span, 0) if extra is None else extra)
        else:
            length = n * s if extra is None else (n - 1) * s + span % 2 + extra
        lengths.append(length)
        starts.append(max(full - length, 0) // 2)
    room = [max(f, length + start) for f, length, start in zip(whole, lengths, starts, strict=True)]
    out = torch.zeros(len(x), *room, w.shape[-2], dtype=x.dtype)
    for at in itertools.product(*(range(k) for k in w.shape[:axes])):
        ends = [(n - 1) * s + 1 for n, s in zip(x.shape[1:-1], strides, strict=True)]
        index = [slice(dilation * a, dilation * a + n, s) for a, n, s in zip(at, ends, strides, strict=True)]
        out[(slice(None), *index)] += x @ w[at].T
    return out[(slice(None), *[slice(a, a + length) for a, length in zip(starts, lengths, strict=True)])] + b


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("kernel", "strides", "extra", "dilation"),
    [(3, 2, None, 1), (4, 2, None, 1), (2, 3, None, 1), (3, 1, None, 2), (3, 2, 1, 1), (4, 3, 0, 1), (5, 3, 2, 1)],
)
def test_transposed(torch, rng, padding, kernel, strides, extra, dilation):
    options = {"strides": strides, "padding": padding, "output_padding": extra, "dilation_rate": dilation}
    x = rng.standard_normal((2, 5, 4, 3)).astype(np.float32)
    layer = layers.Conv2DTranspose(6, (kernel, 3), **options, activation="softplus")

    def images(x, w, b):
        out = transposed(torch, x, w, b, (strides,) * 2, padding, extra, dilation)
        return torch.nn.functional.softplus(out)

    assert_agrees(torch, rng, layer, x, images, "conv", length=9 * kernel)
    assert layer.kernel.shape == (kernel, 3, 6, 3)
    layer = layers.Conv1DTranspose(6, kernel, **options, activation="tanh")
    signals = rng.standard_normal((2, 5, 3)).astype(np.float32)
    assert_agrees(
        torch,
        rng,
        layer,
        signals,
        lambda x, w, b: transposed(torch, x, w, b, (strides,), padding, extra, dilation).tanh(),
        "conv",
        length=3 * kernel,
    )
    if extra is None and padding == "same":
        assert layer.output_shape == (5 * strides, 6)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "strides"), [(2, None), (3, 2), (2, 1), (4, 3), (3, 1)])
def test_pooling_of_sequences(torch, rng, padding, size, strides):
    x = rng.standard_normal((2, 9, 3)).astype(np.float32)
    step = strides or size
    count = -(-9 // step) if padding == "same" else (9 - size) // step + 1
    front = same_padding(9, size, step)[0] if padding == "same" else 0
    parts = [slice(max(i * step - front, 0), i * step - front + size) for i in range(count)]
    maxima = lambda x: torch.stack([x[:, p].amax(1) for p in parts], 1)  # noqa: E731
    means = lambda x: torch.stack([x[:, p].mean(1) for p in parts], 1)  # noqa: E731
    assert_agrees(torch, rng, layers.MaxPooling1D(size, strides, padding), x, maxima, "pool", length=size)
    assert_agrees(torch, rng, layers.AveragePooling1D(size, strides, padding), x, means, "pool", length=size)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("mean", "largest", "shape"),
    [
        (layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D, (2, 5, 3)),
        (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, (2, 5, 4, 3)),
    ],
)
def test_global_pooling(torch, rng, keepdims, mean, largest, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    over = tuple(range(1, len(shape) - 1))
    got = assert_agrees(torch, rng, mean(keepdims=keepdims), x, lambda x: x.mean(over, keepdim=keepdims), "pool", 20)
    assert got.ndim == (x.ndim if keepdims else 2)
    assert_agrees(torch, rng, largest(keepdims=keepdims), x, lambda x: x.amax(over, keepdim=keepdims), "pool")


def test_sequences_and_images_flow_without_copies(rng):
    x = tinydl.tensor(rng.standard_normal((2, 8, 4)).astype(np.float32))
    out = layers.Conv1D(6, 3)(x)
    assert out._data.flags.c_contiguous
    assert layers.MaxPooling1D()(out)._data.flags.c_contiguous
    images = layers.Conv2DTranspose(4, 2, 2)(np.zeros((1, 3, 3, 2), np.float32))
    assert images._data.flags.c_contiguous


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Conv2DTranspose(2, 3, 2, output_padding=2),
            "Conv2DTranspose: got output_padding=2, wanted less",
        ),
        (lambda: layers.Conv2D(2, 3, padding="causal"), "Conv2D: got padding='causal', wanted 'valid' or 'same'"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "got depth_multiplier=0, wanted a positive integer"),
        (lambda: layers.Conv1D(2, 5)(np.zeros((1, 4, 3))), "expected length >= 5, found shape=(None, 4, 3)"),
        (lambda: layers.Conv1D(2, 5)(np.zeros((1, 4))), "expected ndim=3 (N, L, C), found ndim=2. Full shape"),
        (lambda: layers.MaxPooling1D(0), "MaxPooling1D: got pool_size=0, wanted one integer or 1, at least 1"),
        (lambda: layers.GlobalMaxPooling2D()(np.zeros((1, 4, 3))), "expected ndim=4 (N, H, W, C), found ndim=3"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)
