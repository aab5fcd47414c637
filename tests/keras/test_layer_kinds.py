"""Layers that reshape, make noise, scale, look up or call a function; and what all layers share."""

import copy
import inspect

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers

from ..support.compare import assert_close
from .agreement import assert_agrees

# -- Reshaping --------------------------------------------------------------------------------------------------

IMAGES, SIGNALS, ROWS = (2, 5, 4, 3), (2, 6, 3), (3, 12)

RESHAPING = [
    (layers.Reshape((2, -1)), ROWS, lambda t, x: x.reshape(3, 2, 6)),
    (layers.Reshape((2, 3, 2)), ROWS, lambda t, x: x.reshape(3, 2, 3, 2)),
    (layers.Reshape((10, 6)), IMAGES, lambda t, x: x.reshape(2, 10, 6)),
    (layers.Reshape((4, 3, 5)), IMAGES, lambda t, x: x.reshape(2, 4, 3, 5)),
    (layers.Permute((2, 1)), SIGNALS, lambda t, x: x.permute(0, 2, 1)),
    (layers.Permute((3, 1, 2)), IMAGES, lambda t, x: x.permute(0, 3, 1, 2)),
    (layers.RepeatVector(4), ROWS, lambda t, x: x[:, None].expand(-1, 4, -1)),
    (layers.Flatten(), IMAGES, lambda t, x: x.reshape(2, -1)),
    (layers.ZeroPadding1D(2), SIGNALS, lambda t, x: t.nn.functional.pad(x, (0, 0, 2, 2))),
    (layers.ZeroPadding1D((0, 3)), SIGNALS, lambda t, x: t.nn.functional.pad(x, (0, 0, 0, 3))),
    (layers.ZeroPadding2D(), IMAGES, lambda t, x: t.nn.functional.pad(x, (0, 0, 1, 1, 1, 1))),
    (layers.ZeroPadding2D((2, 1)), IMAGES, lambda t, x: t.nn.functional.pad(x, (0, 0, 1, 1, 2, 2))),
    (layers.ZeroPadding2D(((1, 2), (3, 0))), IMAGES, lambda t, x: t.nn.functional.pad(x, (0, 0, 3, 0, 1, 2))),
    (layers.Cropping1D((2, 1)), SIGNALS, lambda t, x: x[:, 2:-1]),
    (layers.Cropping1D(1), SIGNALS, lambda t, x: x[:, 1:-1]),
    (layers.Cropping2D(1), IMAGES, lambda t, x: x[:, 1:-1, 1:-1]),
    (layers.Cropping2D(((0, 2), (1, 0))), IMAGES, lambda t, x: x[:, :-2, 1:]),
    (layers.UpSampling1D(3), SIGNALS, lambda t, x: x.repeat_interleave(3, 1)),
    (layers.UpSampling2D((2, 3)), IMAGES, lambda t, x: x.repeat_interleave(2, 1).repeat_interleave(3, 2)),
    (layers.Lambda(lambda x, p: x**p, arguments={"p": 2}), IMAGES, lambda t, x: x**2),
    (layers.Lambda(lambda x: x.sum(-1)), IMAGES, lambda t, x: x.sum(-1)),
    (layers.Lambda(lambda x: x[:, 0] * 2), IMAGES, lambda t, x: x[:, 0] * 2),
    (layers.Identity(), IMAGES, lambda t, x: x),
    (layers.Rescaling(2.0, -1.0), IMAGES, lambda t, x: x * 2 - 1),
    (layers.Rescaling([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]), IMAGES, lambda t, x: x * t.arange(1, 4) + t.arange(3)),
    (layers.Softmax((1, 2)), IMAGES, lambda t, x: x.exp() / x.exp().sum((1, 2), keepdim=True)),
    (layers.Softmax(1), IMAGES, lambda t, x: x.softmax(1)),
    (layers.Softmax(), IMAGES, lambda t, x: x.softmax(-1)),
    (layers.LeakyReLU(), IMAGES, lambda t, x: t.nn.functional.leaky_relu(x, 0.3)),
    (layers.ELU(0.5), IMAGES, lambda t, x: t.nn.functional.elu(x, 0.5)),
    (layers.ReLU(0.5), IMAGES, lambda t, x: x.clamp(0, 0.5)),
    (layers.ReLU(1.5, 0.1, 0.5), IMAGES, lambda t, x: t.where(x < 0.5, 0.1 * (x - 0.5), x.clamp(max=1.5))),
    (layers.PReLU(), SIGNALS, lambda t, x, a: t.where(x > 0, x, a * x)),
    (layers.PReLU(), IMAGES, lambda t, x, a: t.where(x > 0, x, a * x)),
    (layers.PReLU(shared_axes=[1, 2]), IMAGES, lambda t, x, a: t.where(x > 0, x, a * x)),
]


@pytest.mark.parametrize(("layer", "shape", "function"), RESHAPING, ids=lambda v: getattr(v, "name", None))
def test_values_and_gradients(torch, rng, layer, shape, function):
    x = rng.standard_normal(shape).astype(np.float32)
    assert_agrees(torch, rng, layer, x, lambda x, *w: function(torch, x, *w), "softmax", length=60)


def resized(x, size, kernel, reach):
    """Each output at (i + 1/2) n/m - 1/2 of the input: the pixels around it, weighted, the weights summing to 1."""
    for axis in (1, 2):
        n, m = x.shape[axis], x.shape[axis] * size
        at = (np.arange(m) + 0.5) / size - 0.5
        weights = kernel(np.abs(at[:, None] - np.arange(n)))
        weights[np.abs(at[:, None] - np.arange(n)) > reach] = 0
        x = np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), x, (1, axis)), 0, axis)
    return x


def keys(d, a=-0.5):
    near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@pytest.mark.parametrize(
    ("name", "kernel", "reach"), [("bilinear", lambda d: np.maximum(1 - d, 0), 1), ("bicubic", keys, 2)]
)
def test_smooth_upsampling(rng, name, kernel, reach):
    x = rng.standard_normal(IMAGES).astype(np.float32)
    got = layers.UpSampling2D(3, interpolation=name)(x)
    assert_close(got, resized(x.astype(np.float64), 3, kernel, reach), "resample", scale=8.0)


# -- Noise ------------------------------------------------------------------------------------------------------

NOISE = [
    lambda seed: layers.Dropout(0.4, seed=seed),
    lambda seed: layers.Dropout(0.4, (None, 1, 1, None), seed),
    lambda seed: layers.SpatialDropout2D(0.4, seed=seed),
    lambda seed: layers.GaussianNoise(0.5, seed),
    lambda seed: layers.GaussianDropout(0.4, seed),
    lambda seed: layers.AlphaDropout(0.4, seed=seed),
    lambda seed: layers.RandomFlip(seed=seed),
]


@pytest.mark.parametrize("make", NOISE)
def test_noise(rng, make):
    x = rng.standard_normal((8, 6, 5, 40)).astype(np.float32)
    assert np.array_equal(make(3)(x).numpy(), x)
    first, again, other = (make(seed)(x, training=True).detach().numpy() for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    layer = make(3)
    assert not np.array_equal(layer(x, training=True).detach().numpy(), layer(x, training=True).detach().numpy())
    tinydl.manual_seed(0)
    unseeded = make(None)(x, training=True).detach().numpy()
    tinydl.manual_seed(0)
    assert np.array_equal(make(None)(x, training=True).detach().numpy(), unseeded)


def test_dropped_slices():
    ones = np.ones((30, 7, 20), np.float32)
    y = layers.SpatialDropout1D(0.25, seed=0)(ones, training=True).detach().numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.2 < np.mean(y == 0) < 0.3
    y = layers.Dropout(0.5, (None, 7, 1), seed=0)(ones, training=True).detach().numpy()
    assert np.array_equal(y, np.broadcast_to(y[..., :1], y.shape))
    assert len(np.unique(y[0, :, 0])) == 2
    assert not np.any(layers.SpatialDropout1D(1.0)(ones, training=True).detach().numpy())


def test_moments_of_noise(rng):
    x = rng.standard_normal((200, 500)).astype(np.float32)
    y = layers.GaussianNoise(0.5, seed=1)(x, training=True).detach().numpy() - x
    assert (abs(y.mean()) < 0.01, abs(y.std() - 0.5) < 0.01) == (True, True)
    y = layers.GaussianDropout(0.2, seed=1)(np.ones_like(x), training=True).detach().numpy()
    assert (abs(y.mean() - 1) < 0.01, abs(y.std() - 0.5) < 0.01) == (True, True)
    y = layers.AlphaDropout(0.2, seed=1)(x, training=True).detach().numpy()
    assert (abs(y.mean()) < 0.02, abs(y.std() - 1) < 0.02) == (True, True)
    a = (0.8 * (1 + 0.2 * 1.7580993408473766**2)) ** -0.5
    fallen = np.abs(y - a * (1 - 0.2) * -1.7580993408473766) < 1e-5
    assert abs(fallen.mean() - 0.2) < 0.01


def test_noise_passes_gradients(rng):
    x = tinydl.tensor(np.ones((3, 4, 5, 6), np.float32), requires_grad=True)
    y = layers.SpatialDropout2D(0.5, seed=0)(x, training=True)
    upstream = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(tinydl.tensor(upstream))
    assert_close(x.grad, upstream * y.detach().numpy(), "elementwise")


@pytest.mark.parametrize(
    ("mode", "flips"), [("horizontal", [2]), ("vertical", [1]), ("horizontal_and_vertical", [1, 2])]
)
def test_random_flip(rng, mode, flips):
    x = rng.standard_normal((100, 3, 4, 2)).astype(np.float32)
    y = layers.RandomFlip(mode, seed=0)(x, training=True).detach().numpy()
    kinds = [x]
    for axis in flips:
        kinds += [np.flip(kind, axis) for kind in kinds]
    counts = [sum(np.array_equal(a, b) for a, b in zip(y, kind, strict=True)) for kind in kinds]
    assert sum(counts) == 100
    assert min(counts) > 60 / len(kinds)


# -- Looking up and standardising -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_embedding(rng, shape):
    x = rng.integers(0, 7, shape)
    layer = layers.Embedding(7, 5)
    for indices in (x, x.astype(np.float32), x.astype(np.int32)):
        got = layer(indices)
        assert np.array_equal(got.numpy(), layer.get_weights()[0][x])
    assert layer.output_shape == (*shape[1:], 5)
    assert np.abs(layer.get_weights()[0]).max() <= 0.05
    out = layer(x, training=True)
    upstream = rng.standard_normal(out.shape).astype(np.float32)
    out.backward(tinydl.tensor(upstream))
    wanted = np.zeros((7, 5))
    np.add.at(wanted, x, upstream)
    assert_close(layer.embeddings.grad, wanted, "embedding", length=24, scale=8.0)
    with pytest.raises(IndexError):
        layer(x + 7)


def test_a_model_of_words():
    tinydl.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 50, (256, 12))
    y = (x < 25).sum(1) > 6
    model = Sequential(
        [
            layers.InputLayer((12,), dtype="int32"),
            layers.Embedding(50, 8),
            layers.Conv1D(16, 3, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y.astype(np.float32)[:, None], epochs=30, verbose=0).history
    assert model.output_shape == (None, 1)
    assert history["loss"][-1] < 0.6 * history["loss"][0]


@pytest.mark.parametrize(("axis", "over"), [(-1, (0, 1, 2)), (None, (0, 1, 2, 3)), ((1, -1), (0, 2)), (1, (0, 2, 3))])
def test_normalization_adapts(rng, axis, over):
    x = rng.standard_normal((6, 5, 4, 3)) * 3 + 2
    layer = layers.Normalization(axis)
    layer.adapt(x)
    wanted = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True))
    assert_close(layer(x), wanted, "norm", scale=8.0)
    assert layer.trainable_weights == []
    assert layer.weights[0].shape == x.mean(over).shape
    assert layer.weights[2].item() == 6
    inverse = layers.Normalization(axis, mean=x.mean(over), variance=x.var(over), invert=True)
    assert_close(inverse(wanted), x, "norm", scale=16.0)
    assert inverse.weights == []


def test_normalization_with_given_moments():
    layer = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    assert_close(layer([[3.0, 5.0]]), np.array([[1.0, 1.0]]), "norm", dtype=np.float32)
    with pytest.raises(ValueError, match="wanted both or neither"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ValueError, match="cannot adapt"):
        layer.adapt([[1.0, 2.0]])


# -- What all layers share --------------------------------------------------------------------------------------


def test_penalties(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    layer = layers.Dense(
        2, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer=tinydl.keras.regularizers.L1(0.5)
    )
    layer.build((None, 3))
    layer.set_weights([rng.standard_normal((3, 2)), rng.standard_normal(2)])
    out = layer(x, training=True)
    w, b = layer.get_weights()
    activity, kernel, bias = layer.losses
    assert_close(activity, np.asarray(0.5 * np.abs(out.detach().numpy()).sum() / 4), "reduce", length=8)
    assert_close(kernel, np.asarray(0.01 * (w.astype(np.float64) ** 2).sum()), "reduce", length=6)
    assert_close(bias, np.asarray(0.01 * np.abs(b).sum()), "reduce", length=2)
    (kernel + bias).backward()
    assert_close(layer.inner.weight.grad, 0.02 * w.T, "gradient")
    assert_close(layer.inner.bias.grad, 0.01 * np.sign(b), "gradient")
    layer.inner.bias.grad = None
    activity.backward()
    assert_close(layer.inner.bias.grad, 0.5 / 4 * np.sign(out.detach().numpy()).sum(0), "gradient", scale=1.0)
    layer.trainable = False
    assert len(layer.losses) == 1


@pytest.mark.parametrize(
    ("layer", "shape", "names"),
    [
        (layers.Conv1D(2, 3, kernel_regularizer="l2", bias_regularizer="l2"), SIGNALS, ("kernel", "bias")),
        (layers.Conv2D(2, 3, kernel_regularizer="l2"), IMAGES, ("kernel",)),
        (layers.Conv2DTranspose(2, 3, kernel_regularizer="l2"), IMAGES, ("kernel",)),
        (layers.DepthwiseConv2D(3, depthwise_regularizer="l2"), IMAGES, ("kernel",)),
        (
            layers.SeparableConv2D(2, 3, depthwise_regularizer="l2", pointwise_regularizer="l2"),
            IMAGES,
            ("depthwise_kernel", "pointwise_kernel"),
        ),
        (layers.Embedding(9, 2, embeddings_regularizer="l2"), (2, 3), ("embeddings",)),
        (layers.BatchNormalization(beta_regularizer="l2", gamma_regularizer="l2"), ROWS, ("gamma", "beta")),
        (layers.LayerNormalization(gamma_regularizer="l2"), ROWS, ("gamma",)),
        (layers.GroupNormalization(2, beta_regularizer="l2"), ROWS, ("beta",)),
        (layers.PReLU(alpha_regularizer="l2"), ROWS, ("alpha",)),
    ],
)
def test_penalties_on_each_weight(rng, layer, shape, names):
    layer.build((None, *shape[1:]))
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    wanted = [0.01 * np.square(getattr(layer, name).detach().numpy().astype(np.float64)).sum() for name in names]
    for got, value in zip(layer.losses, wanted, strict=True):
        assert got.requires_grad
        assert_close(got, np.asarray(value), "reduce", length=100, dtype=np.float32)


def test_a_softmax_with_a_penalty_is_not_left_to_the_loss(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    for layer in (layers.Dense(5, "softmax", activity_regularizer="l1"), layers.Softmax(activity_regularizer="l1")):
        assert not layer.ends_in_softmax
        assert_close(layer(x).sum(-1), np.ones(4), "reduce", length=5)
        assert_close(layer.losses[0], np.asarray(0.01), "reduce", length=20)


EVERY = [
    (layers.Dense(3, "gelu", kernel_initializer="he_normal", kernel_regularizer="l1"), ROWS),
    (layers.Conv1D(3, 2), SIGNALS),
    (layers.Conv2D(4, (3, 2), padding="same", activation=tinydl.keras.activations.mish), IMAGES),
    (layers.Conv1DTranspose(3, 2), SIGNALS),
    (layers.Conv2DTranspose(3, 2, 2, "same"), IMAGES),
    (layers.SeparableConv2D(3, 2, use_bias=False), IMAGES),
    (layers.DepthwiseConv2D(2), IMAGES),
    (layers.Embedding(4, 3), (2, 3)),
    (layers.BatchNormalization(momentum=0.5, name="norm"), ROWS),
    (layers.GroupNormalization(3, trainable=False), IMAGES),
    (layers.PReLU(shared_axes=[1]), SIGNALS),
    (layers.Dropout(0.5, seed=3), ROWS),
    (layers.Reshape((4, 3)), ROWS),
    (layers.ZeroPadding2D(((1, 0), (0, 2))), IMAGES),
    (layers.MaxPooling2D(2, padding="same"), IMAGES),
    (layers.InputLayer((3,)), None),
]


@pytest.mark.parametrize(("layer", "shape"), EVERY, ids=lambda v: getattr(v, "name", None))
def test_configurations_go_both_ways(rng, layer, shape):
    config = layer.get_config()
    twin = type(layer).from_config(config)
    assert str(twin.get_config()) == str(config)
    assert twin.name == layer.name
    if shape is not None:
        x = rng.integers(0, 3, shape).astype(np.float32)
        wanted = layer(x)
        twin.build(shape)
        twin.set_weights(layer.get_weights())
        assert np.array_equal(twin(x).numpy(), wanted.numpy())
        assert twin.trainable == layer.trainable


ARGUMENTS = {
    layers.Dense: "units activation=None use_bias=True kernel_initializer='glorot_uniform' bias_initializer='zeros'",
    layers.Conv1D: "filters kernel_size strides=1 padding='valid' data_format=None dilation_rate=1 groups=1",
    layers.Conv2DTranspose: "filters kernel_size strides=1 padding='valid' output_padding=None data_format=None",
    layers.DepthwiseConv2D: "kernel_size strides=(1, 1) padding='valid' depth_multiplier=1 data_format=None",
    layers.SeparableConv2D: "filters kernel_size strides=(1, 1) padding='valid' data_format=None "
    "dilation_rate=(1, 1) depth_multiplier=1 activation=None use_bias=True",
    layers.BatchNormalization: "axis=-1 momentum=0.99 epsilon=0.001 center=True scale=True beta_initializer='zeros' "
    "gamma_initializer='ones' moving_mean_initializer='zeros' moving_variance_initializer='ones'",
    layers.LayerNormalization: "axis=-1 epsilon=0.001 center=True scale=True",
    layers.GroupNormalization: "groups=32 axis=-1 epsilon=0.001 center=True scale=True",
    layers.Embedding: "input_dim output_dim embeddings_initializer='uniform' embeddings_regularizer=None",
    layers.ReLU: "max_value=None negative_slope=0.0 threshold=0.0",
    layers.LeakyReLU: "negative_slope=0.3",
    layers.UpSampling2D: "size=(2, 2) data_format=None interpolation='nearest'",
    layers.ZeroPadding2D: "padding=(1, 1) data_format=None",
    layers.Normalization: "axis=-1 mean=None variance=None invert=False",
    layers.Lambda: "function output_shape=None mask=None arguments=None",
    layers.Dropout: "rate noise_shape=None seed=None",
    layers.MaxPooling1D: "pool_size=2 strides=None padding='valid' data_format=None",
    layers.GlobalMaxPooling2D: "data_format=None keepdims=False",
}


@pytest.mark.parametrize("layer", ARGUMENTS, ids=lambda v: v.__name__)
def test_arguments_are_those_of_keras(layer):
    found = [
        p.name if p.default is p.empty else f"{p.name}={p.default!r}"
        for p in inspect.signature(layer).parameters.values()
    ]
    assert " ".join(found).startswith(ARGUMENTS[layer])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Reshape((5, -1))(np.zeros((2, 12))), "cannot reshape samples of shape (12,) to (5, -1)"),
        (lambda: layers.Reshape((-1, -1)), "wanted positive sizes and at most one -1"),
        (lambda: layers.Permute((1, 3)), "Permute: got dims=(1, 3), wanted every axis once, counted from 1"),
        (lambda: layers.Permute((2, 1))(np.zeros((2, 12))), "expected ndim=3, found shape=(None, 12)"),
        (lambda: layers.RepeatVector(2)(np.zeros((2, 3, 4))), "expected ndim=2, found ndim=3"),
        (
            lambda: layers.ZeroPadding2D(((1, 2, 3), 1, 2)),
            "ZeroPadding2D: got padding=((1, 2, 3), 1, 2), wanted an int",
        ),
        (lambda: layers.ZeroPadding2D(-1), "ZeroPadding2D: got padding=-1, wanted an integer"),
        (lambda: layers.Cropping1D(3)(np.zeros((2, 6, 1))), "expected more elements than are cropped"),
        (lambda: layers.UpSampling2D(2, interpolation="area"), "got interpolation='area', wanted 'nearest'"),
        (lambda: layers.Dropout(0.5, (None, 1))(np.zeros((2, 3, 4)), training=True), "got noise_shape=(None, 1)"),
        (lambda: layers.GaussianDropout(1), "GaussianDropout: got rate=1, wanted less"),
        (lambda: layers.GaussianNoise(-1), "GaussianNoise: got stddev=-1, wanted at least 0"),
        (lambda: layers.ReLU(negative_slope=-1), "ReLU: got negative_slope=-1, wanted a number of at least 0"),
        (lambda: layers.Embedding(4, 2, lora_rank=2), "Embedding: not available: lora_rank=2"),
        (lambda: layers.PReLU(shared_axes=0)(np.zeros((2, 3))), "got axis=0 for inputs of 2 axes, wanted one but the"),
        (lambda: layers.RandomFlip("diagonal"), "RandomFlip: got mode='diagonal', wanted 'horizontal'"),
        (
            lambda: layers.Dense(2, kernel_initializer=lambda s, dtype: np.zeros(3))(np.zeros((2, 3))),
            "returned shape (3,)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)


def test_copies_are_independent(rng):
    layer = layers.BatchNormalization(name="norm")
    layer(rng.standard_normal((4, 3)), training=True)
    twin = copy.deepcopy(layer)
    assert twin.get_config() == layer.get_config()
    before = layer.get_weights()
    twin.set_weights([w + 1 for w in before])
    twin(rng.standard_normal((4, 3)), training=True)
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), before, strict=True))
    assert np.array_equal(twin.gamma.detach().numpy(), before[0] + 1)
