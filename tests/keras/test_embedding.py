"""Masks from embeddings and `Masking`, through layers to losses and metrics."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Model, Sequential, layers, losses, models

from ..support.compare import assert_close
from .test_recurrent import set_waves, waves

TOKENS = np.array([[3, 1, 0, 0], [2, 0, 4, 1], [0, 0, 0, 0]])


def mask_of(tensor):
    found = getattr(tensor, "_keras_mask", None)
    return None if found is None else found.numpy()


def test_padding():
    layer = layers.Embedding(5, 3, mask_zero=True)
    assert np.array_equal(mask_of(layer(TOKENS)), TOKENS != 0)
    assert np.array_equal(layer.compute_mask(TOKENS), TOKENS != 0)
    plain = layers.Embedding(5, 3)
    assert mask_of(plain(TOKENS)) is None
    assert plain.compute_mask(TOKENS) is None


def test_masking():
    x = waves((2, 4, 3)).copy()
    x[0, 1] = x[1, 2] = 7.0
    y = layers.Masking(7.0)(x)
    mask = (x != 7).any(-1)
    assert np.array_equal(mask_of(y), mask)
    assert np.array_equal(y, np.where(mask[..., None], x, 0))


def masked(shape=(3, 4, 2)):
    x = tinydl.tensor(waves(shape))
    x._keras_mask = tinydl.tensor(TOKENS != 0)
    return x


PASS = [
    lambda: layers.Dense(3),
    lambda: layers.Activation("relu"),
    lambda: layers.Dropout(0.5),
    lambda: layers.LayerNormalization(),
    lambda: layers.TimeDistributed(layers.Dense(2)),
    lambda: layers.LSTM(2, return_sequences=True),
    lambda: layers.Bidirectional(layers.GRU(2, return_sequences=True)),
    lambda: layers.Rescaling(2.0),
]


@pytest.mark.parametrize("make", PASS)
def test_layers_that_pass_masks_on(make):
    assert np.array_equal(mask_of(make()(masked())), TOKENS != 0)


@pytest.mark.parametrize("make", [lambda: layers.LSTM(2), lambda: layers.GlobalAveragePooling1D()])
def test_layers_without_steps_end_masks(make):
    assert mask_of(make()(masked())) is None


@pytest.mark.parametrize("make", [lambda: layers.Flatten(), lambda: layers.Conv1D(2, 2)])
def test_layers_that_lose_masks_say_so(make):
    with pytest.warns(UserWarning, match="this layer does not support masking and will therefore destroy the mask"):
        assert mask_of(make()(masked())) is None


def test_merged_masks():
    a, b = masked(), masked()
    b._keras_mask = tinydl.tensor(np.array([[False, False, True, False]] * 3))
    assert np.array_equal(mask_of(layers.Add()([a, b])), (TOKENS != 0) | b._keras_mask.numpy())
    assert mask_of(layers.Add()([a, tinydl.zeros(3, 4, 2)])) is None
    assert np.array_equal(mask_of(layers.Concatenate(1)([a, b])), np.concatenate([TOKENS != 0, b._keras_mask], 1))
    joined = layers.Concatenate(1)([a, tinydl.zeros(3, 4, 2)])
    assert np.array_equal(mask_of(joined), np.concatenate([TOKENS != 0, np.ones((3, 4), bool)], 1))


def test_the_mean_of_what_counts():
    x = masked()
    x._keras_mask = tinydl.tensor(np.array([[True, True, False, False], [True, False, True, True], [True] * 4]))
    m = x._keras_mask.numpy()[..., None]
    wanted = (x.numpy().astype(np.float64) * m).sum(1) / m.sum(1)
    assert_close(layers.GlobalAveragePooling1D()(x), wanted, "pool", length=4, scale=1.0)


def test_layers_of_ones_own():
    class Keep(layers.Layer):
        def compute_mask(self, inputs, mask=None):
            return mask

        def call(self, inputs, mask=None):
            self.seen = mask
            return inputs * 2.0

    class Make(layers.Layer):
        def compute_mask(self, inputs, mask=None):
            return inputs[..., 0] > 0

        def call(self, inputs):
            return inputs

    layer = Keep()
    assert np.array_equal(mask_of(layer(masked())), TOKENS != 0)
    assert np.array_equal(layer.seen.numpy(), TOKENS != 0)
    x = waves((3, 4, 2))
    for made in (Sequential([layers.Input((4, 2)), Make(), Keep()]), Sequential([Make(), Keep()])):
        assert np.array_equal(mask_of(made(x)), x[..., 0] > 0)


def text_model(loss="sparse_categorical_crossentropy", **options):
    model = Sequential(
        [
            layers.Input((4,)),
            layers.Embedding(5, 3, mask_zero=True),
            layers.LSTM(4, return_sequences=True),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("sgd", loss, **options)
    return model


def test_losses_and_metrics_count_what_is_not_masked(rng):
    model = text_model(metrics=["accuracy"], weighted_metrics=["accuracy"])
    y, weight = rng.integers(0, 5, (3, 4)), rng.uniform(0.5, 2, (3, 4)).astype(np.float32)
    p = model.predict(TOKENS, verbose=0).astype(np.float64)
    each, right, mask = -np.log(np.take_along_axis(p, y[..., None], -1))[..., 0], p.argmax(-1) == y, TOKENS != 0
    loss, accuracy, weighted = model.evaluate(TOKENS, y, verbose=0)
    assert_close(np.float32(loss), each[mask].mean(), "loss", length=12)
    assert accuracy == weighted == pytest.approx(right[mask].mean())
    loss, accuracy, weighted = model.evaluate(TOKENS, y, sample_weight=weight, verbose=0)
    assert_close(np.float32(loss), (each * weight)[mask].sum() / mask.sum(), "loss", length=12)
    assert accuracy == pytest.approx(right[mask].mean())
    assert weighted == pytest.approx(np.average(right[mask], weights=weight[mask]))
    assert model.evaluate(np.zeros((2, 4)), y[:2], verbose=0)[0] == 0.0


def test_numbers_of_keras():
    """Loss, metric and weighted metric of Keras 3.15 for waves, with weights and without."""
    x = waves((2, 4, 3)).copy()
    x[0, 2:] = x[1, 0] = 0
    model = Sequential([layers.Input((4, 3)), layers.Masking(), layers.LSTM(2, return_sequences=True), layers.Dense(1)])
    set_waves(model)
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    y, weight = np.ones((2, 4, 1)), np.repeat([[1.0], [2.0]], 4, 1)
    assert model.evaluate(x, y, sample_weight=weight, verbose=0) == pytest.approx([5.672412, 1.887064, 3.545258], 1e-5)
    assert model.evaluate(x, y, verbose=0) == pytest.approx([3.561495, 1.887064, 3.561495], 1e-5)


def test_masked_steps_get_no_gradient(rng):
    model = text_model()
    y = rng.integers(0, 5, (3, 4))
    other = np.where(TOKENS != 0, y, (y + 1) % 5)
    ends = []
    for target in (y, other):
        copied = models.Sequential.from_config(model.get_config())
        copied.set_weights(model.get_weights())
        copied.compile("sgd", "sparse_categorical_crossentropy")
        copied.fit(TOKENS, target, shuffle=False, verbose=0)
        ends.append(copied.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))
    assert not np.array_equal(ends[0][0], model.get_weights()[0])


def test_masks_in_nested_models_and_own_models(rng):
    inner = Sequential([layers.Input((4, 3)), layers.GRU(2, return_sequences=True), layers.Dense(2)])
    embedding = layers.Embedding(5, 3, mask_zero=True)
    entry = tinydl.keras.Input((4,))
    outer = Model(entry, inner(embedding(entry)))
    assert np.array_equal(mask_of(outer(TOKENS)), TOKENS != 0)

    class Own(Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.inner_model = embedding, inner

        def call(self, inputs):
            return self.inner_model(self.embedding(inputs))

    assert np.array_equal(Own()(TOKENS), outer(TOKENS))
    y = rng.standard_normal((3, 4, 2)).astype(np.float32)
    found = []
    for model in (outer, Own()):
        model.compile("sgd", "mse")
        found.append(model.evaluate(TOKENS, y, verbose=0))
    each = ((outer(TOKENS).numpy().astype(np.float64) - y) ** 2).mean(-1)
    assert found == [pytest.approx(each[TOKENS != 0].mean())] * 2


def test_a_loss_called_by_hand():
    x, y = masked(), waves((3, 4, 2), 0.3)
    each = ((x.numpy().astype(np.float64) - y) ** 2).mean(-1)
    mask = TOKENS != 0
    assert_close(losses.MeanSquaredError()(y, x), each[mask].mean(), "loss", length=12)
    assert_close(losses.MeanSquaredError(reduction="sum")(y, x), each[mask].sum(), "loss", length=12)
    assert_close(losses.MeanSquaredError(reduction="none")(y, x), each * mask, "loss")
