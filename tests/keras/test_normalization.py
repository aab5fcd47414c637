"""Normalisation, values and gradients, against formulas in PyTorch; the moving statistics against NumPy."""

import numpy as np
import pytest

from tinydl.keras import Sequential, layers

from ..support.compare import assert_close
from .agreement import assert_agrees

SHAPES = [(6, 5), (4, 7, 5), (3, 4, 6, 5)]


def normalized(x, over, eps):
    mean = x.mean(over, keepdim=True)
    return (x - mean) / (((x - mean) ** 2).mean(over, keepdim=True) + eps).sqrt()


def along(v, axis, ndim):
    """A vector that broadcasts along an axis."""
    return v.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def samples(rng, shape):
    return (rng.standard_normal(shape) * 2 + 3).astype(np.float32)


@pytest.mark.parametrize(("shape", "axis"), [*[(s, -1) for s in SHAPES], ((4, 7, 5), 1), ((3, 4, 6, 5), 2)])
def test_batch_normalization(torch, rng, shape, axis):
    x = samples(rng, shape)
    layer = layers.BatchNormalization(axis, momentum=0.75)
    over = tuple(i for i in range(len(shape)) if i != axis % len(shape))

    def function(x, gamma, beta, *_):
        return normalized(x, over, 1e-3) * along(gamma, axis, x.ndim) + along(beta, axis, x.ndim)

    layer.build((None, *shape[1:]))
    state = np.random.default_rng(5)
    before = [(state.random(w.shape) + 0.5).astype(np.float32) for w in layer.get_weights()]
    assert_agrees(torch, np.random.default_rng(5), layer, x, function, "norm")
    wide = x.astype(np.float64)
    for got, old, batch in zip(layer.get_weights()[2:], before[2:], (wide.mean(over), wide.var(over)), strict=True):
        assert_close(got, old * 0.75 + batch * 0.25, "norm", scale=np.abs(old) + np.abs(batch))
    fixed = [along(w.astype(np.float64), axis, len(shape)) for w in layer.get_weights()]
    gamma, beta, mean, var = fixed
    assert_close(layer(x), (x - mean) / np.sqrt(var + 1e-3) * gamma + beta, "norm", scale=30.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_normalization_at_rest(torch, rng, shape):
    """A frozen layer uses its moving statistics in training too, and leaves them as they are."""
    layer = layers.BatchNormalization(epsilon=0.1, trainable=False)
    x = samples(rng, shape)

    def function(x, gamma, beta, mean, var):
        return (x - mean) / (var + 0.1).sqrt() * gamma + beta

    assert_agrees(torch, rng, layer, x, function, "norm")
    before = layer.get_weights()
    layer(x, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_batch_normalization_by_hand():
    """The population's variance moves the statistics: 1 and 0.25 of it, not 1.333 as with n - 1."""
    layer = layers.BatchNormalization()
    layer(np.array([[1.0], [3.0], [1.0], [3.0]]), training=True)
    assert_close(layer.moving_mean, np.array([0.02]), "norm", dtype=np.float32)
    assert_close(layer.moving_variance, np.array([0.99 + 0.01]), "norm", dtype=np.float32)
    layer = layers.BatchNormalization(center=False, scale=False, moving_variance_initializer="zeros")
    layer(np.array([[1.0], [5.0]]), training=True)
    assert_close(layer.moving_variance, np.array([0.04]), "norm", dtype=np.float32)
    assert [w.shape for w in layer.weights] == [(1,), (1,)]
    assert layer.trainable_weights == []
    single = layers.BatchNormalization()(np.array([[7.0, 8.0]]), training=True)
    assert np.array_equal(single.detach().numpy(), [[0, 0]])  # one sample: no spread, and no error


def test_weights_of_batch_normalization():
    layer = layers.BatchNormalization()
    layer.build((None, 4, 4, 3))
    assert [np.unique(w).tolist() for w in layer.get_weights()] == [[1], [0], [0], [1]]
    assert len(layer.trainable_weights) == 2
    assert len(layer.non_trainable_weights) == 2
    assert layer.count_params() == 12
    layer.trainable = False
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == (0, 4)
    assert np.shares_memory(layer.gamma.detach().numpy(), layer.weights[0].numpy())


def test_summary_and_training_with_moving_statistics(capsys, rng):
    x = (rng.standard_normal((64, 6, 6, 2)) * 3 + 1).astype(np.float32)
    y = (x.mean((1, 2, 3)) > 1).astype(np.int64)
    model = Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.summary()
    out = capsys.readouterr().out
    assert " Trainable params: 90 (" in out
    assert " Non-trainable params: 8 (" in out
    before = model.get_layer("batch_normalization").moving_mean.numpy().copy()
    history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert not np.array_equal(before, model.get_layer("batch_normalization").moving_mean.numpy())
    twin = Sequential([layers.Input((6, 6, 2)), *[type(m).from_config(m.get_config()) for m in model.layers]])
    twin.set_weights(model.get_weights())
    assert np.array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("shape", "axis"), [*[(s, -1) for s in SHAPES], ((4, 7, 5), (1, 2)), ((3, 4, 6, 5), (1, 2, 3)), ((3, 4, 6, 5), 1)]
)
def test_layer_normalization(torch, rng, shape, axis):
    axes = (axis,) if isinstance(axis, int) else axis
    over = tuple(a % len(shape) for a in axes)
    wide = [n if i in over else 1 for i, n in enumerate(shape)]

    def function(x, gamma, beta):
        return normalized(x, over, 1e-3) * gamma.reshape(wide) + beta.reshape(wide)

    layer = layers.LayerNormalization(axis)
    assert_agrees(torch, rng, layer, samples(rng, shape), function, "norm", length=100)
    assert layer.gamma.shape == tuple(shape[a] for a in over)


@pytest.mark.parametrize("groups", [1, 2, 6, -1])
@pytest.mark.parametrize("shape", [(4, 6), (3, 5, 6), (2, 4, 3, 6)])
def test_group_normalization(torch, rng, groups, shape):

    def function(x, gamma, beta):
        y = torch.nn.functional.group_norm(x.movedim(-1, 1), 6 if groups == -1 else groups, gamma, beta, 1e-3)
        return y.movedim(1, -1)

    assert_agrees(torch, rng, layers.GroupNormalization(groups), samples(rng, shape), function, "norm", length=100)


def test_group_normalization_of_another_axis(torch, rng):
    def function(x, gamma, beta):
        return torch.nn.functional.group_norm(x, 2, gamma, beta, 1e-3)

    assert_agrees(torch, rng, layers.GroupNormalization(2, axis=1), samples(rng, (2, 4, 3, 5)), function, "norm", 100)


@pytest.mark.parametrize("shape", SHAPES)
def test_unit_and_rms_normalization(torch, rng, shape):
    x = samples(rng, shape)
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)  # noqa: E731
    assert_agrees(torch, rng, layers.UnitNormalization(), x, unit, "norm", length=10)
    all_axes = tuple(range(1, len(shape)))
    whole = lambda x: x / (x * x).sum(all_axes, keepdim=True).sqrt()  # noqa: E731
    assert_agrees(torch, rng, layers.UnitNormalization(all_axes), x, whole, "norm", length=100)
    rms = lambda x, gamma: gamma * x / ((x * x).mean(-1, keepdim=True) + 1e-6).sqrt()  # noqa: E731
    assert_agrees(torch, rng, layers.RMSNormalization(), x, rms, "norm", length=10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNormalization(0)(np.zeros((2, 3))), "got axis=0 for inputs of 2 axes, wanted one but"),
        (lambda: layers.LayerNormalization(2)(np.zeros((2, 3))), "got axis=2 for inputs of 2 axes"),
        (lambda: layers.GroupNormalization(4)(np.zeros((2, 6))), "got groups=4 for 6 channels, wanted a divisor"),
        (lambda: layers.BatchNormalization(renorm=True), "BatchNormalization: not available: renorm=True"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)
