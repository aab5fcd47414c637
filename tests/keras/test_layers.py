"""The layers against PyTorch and NumPy, in Keras's shapes."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers

from ..support.compare import assert_close


def same_padding(size, span, stride):
    """TensorFlow's rule: outputs of ceil(size / stride), the larger half of the padding behind."""
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, (2, 3)])
@pytest.mark.parametrize(("kernel", "dilation"), [((3, 3), 1), ((2, 5), 1), ((4, 4), 1), ((3, 2), 2)])
def test_conv2d(torch, rng, padding, strides, kernel, dilation):
    x = rng.standard_normal((2, 9, 11, 3)).astype(np.float32)
    layer = layers.Conv2D(5, kernel, strides, padding, dilation_rate=dilation, activation="tanh")
    got = layer(x)
    layer.set_weights([w + 0.1 for w in layer.get_weights()])  # a bias that is not 0
    got = layer(x)
    w, b = (torch.tensor(a) for a in layer.get_weights())
    images = torch.tensor(x).permute(0, 3, 1, 2)
    if padding == "same":
        high, wide = (
            same_padding(n, dilation * (k - 1) + 1, s)
            for n, k, s in zip(x.shape[1:3], kernel, np.broadcast_to(strides, 2).tolist(), strict=True)
        )
        images = torch.nn.functional.pad(images, (*wide, *high))
    wanted = torch.nn.functional.conv2d(images, w.permute(3, 2, 0, 1), b, strides, dilation=dilation)
    assert got.shape == (2, *layer.output_shape)
    assert layer.weights[0].shape == (*kernel, 3, 5)
    assert_close(got, wanted.tanh().permute(0, 2, 3, 1).numpy(), "conv", length=3 * kernel[0] * kernel[1], scale=4.0)


def windows(x, pool, strides, padding, reduce):
    """Each window's pixels, those in the image only."""
    axes = list(zip(x.shape[1:3], pool, strides, strict=True))
    size = [-(-n // s) if padding == "same" else (n - k) // s + 1 for n, k, s in axes]
    front = [same_padding(n, k, s)[0] if padding == "same" else 0 for n, k, s in axes]
    out = np.zeros((len(x), *size, x.shape[3]))
    for i, j in np.ndindex(*size):
        top, left = i * strides[0] - front[0], j * strides[1] - front[1]
        part = x[:, max(top, 0) : top + pool[0], max(left, 0) : left + pool[1]]
        out[:, i, j] = reduce(part.astype(np.float64), axis=(1, 2))
    return out


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("pool", "strides"),
    [((2, 2), None), ((3, 3), 2), ((2, 2), 1), ((3, 2), 1), ((4, 3), 1), ((4, 4), 3), ((2, 3), (1, 2))],
)
@pytest.mark.parametrize(("kind", "reduce"), [(layers.MaxPooling2D, np.max), (layers.AveragePooling2D, np.mean)])
def test_pooling(rng, padding, pool, strides, kind, reduce):
    for height, width in ((8, 7), (7, 10)):
        x = rng.standard_normal((2, height, width, 3)).astype(np.float32)
        layer = kind(pool, strides, padding)
        got = layer(x)
        steps = pool if strides is None else np.broadcast_to(strides, 2).tolist()
        assert got.shape == (2, *layer.output_shape)
        assert_close(got, windows(x, pool, steps, padding, reduce), "pool", length=pool[0] * pool[1], scale=4.0)


def test_flatten_is_in_the_order_of_height_width_channels_without_a_copy(rng):
    x = tinydl.tensor(rng.standard_normal((2, 3, 4, 5)).astype(np.float32))
    got = layers.Flatten()(x)
    assert np.array_equal(got.numpy(), x.numpy().reshape(2, 60))
    assert np.shares_memory(got.numpy(), x.numpy())
    images = layers.Conv2D(4, 2)(x)
    assert np.shares_memory(layers.Flatten()(images).numpy(), images.numpy())


@pytest.mark.parametrize("shape", [(2, 6), (2, 3, 6), (2, 3, 4, 6)])
def test_dense_acts_on_the_last_axis(rng, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    layer = layers.Dense(4, activation="softmax")
    got = layer(x)
    w, b = layer.get_weights()
    z = x.astype(np.float64) @ w + b
    wanted = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    assert w.shape == (6, 4)
    assert_close(got, wanted, "softmax", length=6, scale=1.0)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda z: np.maximum(z, 0)),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("tanh", np.tanh),
        ("softmax", lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)),
        ("linear", lambda z: z),
        (None, lambda z: z),
    ],
)
def test_activations(rng, name, function):
    x = rng.standard_normal((3, 4, 5, 2)).astype(np.float32)
    if name is not None:
        assert_close(layers.Activation(name)(x), function(x.astype(np.float64)), "softmax", scale=1.0)
    dense = layers.Dense(3, activation=name)
    got = dense(x)
    z = x.astype(np.float64) @ dense.get_weights()[0]
    assert_close(got, function(z), "matmul", length=8, scale=4.0)


def test_dropout_drops_in_training_only():
    tinydl.manual_seed(0)
    x = np.ones((50, 40), np.float32)
    layer = layers.Dropout(0.25)
    assert np.array_equal(layer(x).numpy(), x)
    thinned = layer(x, training=True).detach().numpy()
    assert set(np.unique(thinned)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.2 < np.mean(thinned == 0) < 0.3


def test_initial_values():
    tinydl.manual_seed(0)
    conv = layers.Conv2D(32, 3)
    conv.build((None, 28, 28, 16))
    kernel, bias = conv.get_weights()
    limit = np.sqrt(6 / (9 * 16 + 9 * 32))
    assert np.all(np.abs(kernel) <= limit)
    assert np.abs(kernel).max() > 0.99 * limit
    assert abs(kernel.std() / (limit / np.sqrt(3)) - 1) < 0.03
    assert np.all(bias == 0)
    dense = layers.Dense(50, kernel_initializer="ones", bias_initializer="zeros", use_bias=False)
    dense.build((None, 7))
    assert [w.shape for w in dense.get_weights()] == [(7, 50)]
    assert np.all(dense.get_weights()[0] == 1)


def test_lazy_building():
    layer = layers.Dense(3)
    assert not layer.built
    assert layer.weights == []
    layer(np.zeros((2, 4)))
    assert layer.built
    assert layer.count_params() == 15


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), "Dense: got units=0, wanted a positive integer"),
        (lambda: layers.Dense(3, activation="swash"), "Unknown activation: 'swash'. Known: celu, elu, "),
        (
            lambda: layers.Dense(3, kernel_initializer="magic"),
            "Unknown initializer: 'magic'. Known: constant, glorot_normal, ",
        ),
        (lambda: layers.Dense(3, kernel_regularizer="l3"), "Unknown regularizer: 'l3'. Known: l1, l1_l2, l2, "),
        (lambda: layers.Dense(3, lora_rank=2), "Dense: not available: lora_rank=2"),
        (lambda: layers.Conv2D(3, (3, 3, 3)), "Conv2D: got kernel_size=(3, 3, 3), wanted one integer or 2, at least 1"),
        (lambda: layers.Conv2D(3, 3, padding="full"), "Conv2D: got padding='full', wanted 'valid' or 'same'"),
        (lambda: layers.Conv2D(3, 3, data_format="channels_first"), "data_format='channels_first' is not available"),
        (lambda: layers.Dropout(1.5), "Dropout: got rate=1.5, wanted 0 to 1"),
        (lambda: layers.Input(), "Input: shape is missing"),
        (
            lambda: layers.Conv2D(3, 5)(np.zeros((1, 4, 9, 2))),
            'Input 0 of layer "conv2d" is incompatible with the layer: expected images of at least 5 x 5 pixels, '
            "found shape=(None, 4, 9, 2)",
        ),
        (
            lambda: layers.Conv2D(3, 3)(np.zeros((1, 4, 4))),
            'Input 0 of layer "conv2d" is incompatible with the layer: expected ndim=4 (N, H, W, C), found ndim=3. '
            "Full shape received: (None, 4, 4)",
        ),
        (lambda: layers.Conv2D(4, 3, groups=2)(np.zeros((1, 4, 4, 3))), "3 input channels and 4 filters must be"),
        (lambda: Sequential([layers.Dense(3, name="a"), layers.Dense(3, name="a")]), "unique; 'a' is taken"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)
