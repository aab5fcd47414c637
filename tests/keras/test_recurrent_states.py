"""States that go in and out of recurrent layers, cells one by one, sequences of different lengths."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, models, optimizers

from ..support.compare import assert_close
from .test_recurrent import IN, KINDS, UNITS, N, T

# -- States -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_stateful(rng, kind):
    x = rng.standard_normal((N, 6, IN)).astype(np.float32)
    layer = kind(UNITS, stateful=True, return_sequences=True)
    halves = [layer(x[:, :3]), layer(x[:, 3:])]
    whole = kind(UNITS, return_sequences=True)
    whole.build(x.shape)
    whole.set_weights(layer.get_weights())
    assert_close(np.concatenate(halves, 1), whole(x).numpy(), "recurrent", length=IN + UNITS, scale=1.0)
    layer.reset_state()
    assert np.array_equal(layer(x[:, :3]), halves[0])
    with pytest.raises(ValueError, match="its states are those of 3 sequences, got 2"):
        layer(x[:2, :3])
    assert len(layer.weights) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_states_go_in_and_out(rng, kind):
    x = rng.standard_normal((N, 6, IN)).astype(np.float32)
    layer = kind(UNITS, return_state=True)
    _, *states = layer(x[:, :2])
    got = layer(x[:, 2:], initial_state=states)
    for a, b in zip(got, layer(x), strict=True):
        assert_close(a, b.numpy(), "recurrent", length=IN + UNITS, scale=1.0)


def test_encoder_and_decoder(rng, tmp_path):
    """States as symbolic tensors, in a model that is trained, saved and loaded."""
    source, target = tinydl.keras.Input((6, 3)), tinydl.keras.Input((4, 2))
    _, h, c = layers.LSTM(8, return_state=True)(source)
    decoded = layers.LSTM(8, return_sequences=True)(target, initial_state=[h, c])
    model = tinydl.keras.Model([source, target], layers.TimeDistributed(layers.Dense(2, activation="softmax"))(decoded))
    assert model.output_shape == (None, 4, 2)
    model.compile(optimizers.Adam(0.02), "categorical_crossentropy")
    a, b = rng.standard_normal((40, 6, 3)).astype(np.float32), rng.standard_normal((40, 4, 2)).astype(np.float32)
    wanted = np.eye(2)[(a.sum((1, 2)) > 0).astype(int)][:, None].repeat(4, 1)
    history = model.fit([a, b], wanted, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(again([a, b]), model([a, b]))


# -- Cells ------------------------------------------------------------------------------------------------------


class Leaky(layers.Layer):
    """h_t = (1 - a) h_{t-1} + a x_t, with a learnt."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.a = self.add_weight(shape=(self.units,), initializer="ones", name="a")

    def call(self, inputs, states):
        h = states[0] + 0.5 * self.a * (inputs - states[0])
        return h, [h]


def test_a_cell_of_ones_own(rng, tmp_path):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = layers.RNN(Leaky(IN), return_sequences=True)
    h, wanted = np.zeros((N, IN)), []
    for t in range(T):
        h = 0.5 * h + 0.5 * x[:, t]
        wanted.append(h)
    assert_close(layer(x), np.stack(wanted, 1), "recurrent", scale=2.0)
    model = Sequential([layers.Input((T, IN)), layer])
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors", custom_objects={"Leaky": Leaky})
    assert np.array_equal(again(x), model(x))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((N, T, IN)), verbose=0)
    assert not np.array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_cells_equal_the_layers(rng, kind):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = kind(UNITS, return_sequences=True, return_state=True)
    wanted = layer(x)
    for backwards in (False, True):
        looped = layers.RNN(layer.cell, return_sequences=True, return_state=True, go_backwards=backwards)
        for a, b in zip(looped(x[:, ::-1] if backwards else x), wanted, strict=True):
            assert_close(a, b.numpy(), "recurrent", length=IN + UNITS, scale=1.0)


# -- Lengths ----------------------------------------------------------------------------------------------------


def test_lengths_may_differ(rng):
    layer = layers.LSTM(3)
    a, b = tinydl.keras.Input((4, 2)), tinydl.keras.Input((9, 2))
    model = tinydl.keras.Model([a, b], [layer(a), layer(b)])
    x, y = rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 9, 2))
    assert np.array_equal(model([x, y])[1], layer(y))
    assert layer(x[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match=r"expected shape=\(None, None, 2\), found shape=\(None, 4, 3\)"):
        layer(tinydl.keras.Input((4, 3)))


def test_models_of_sequences_take_any_length(rng):
    """As text that grows word by word needs it; where a layer's weights depend on the length, it is fixed."""
    text = [layers.Embedding(9, 4), layers.Dropout(0.5), layers.LSTM(3, return_sequences=True), layers.GRU(3)]
    model = Sequential([*text, layers.Dense(9, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(rng.integers(0, 9, (8, 6)), rng.integers(0, 9, 8), verbose=0)
    for length in (1, 6, 11):
        tokens = rng.integers(0, 9, (2, length))
        x = tokens
        for layer in model.layers:
            x = layer(x)
        assert np.array_equal(model.predict(tokens, verbose=0), x)
    with pytest.raises(ValueError, match=r"expected shape=\(None, 6\), found shape=\(2, 6, 1, 1\)"):
        model(np.zeros((2, 6, 1, 1)))
    for fixed in (
        [layers.LSTM(3, return_sequences=True), layers.Flatten(), layers.Dense(1)],
        [layers.LSTM(3, return_sequences=True), layers.PReLU()],
    ):
        model = Sequential([layers.Input((6, 2)), *fixed])
        with pytest.raises(ValueError, match=r"expected shape=\(None, 6, 2\), found shape=\(1, 7, 2\)"):
            model(np.zeros((1, 7, 2)))
    wide = Sequential([layers.Input((6,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"expected shape=\(None, 6\), found shape=\(1, 7\)"):
        wide(np.zeros((1, 7)))
    with pytest.raises(ValueError, match=r"found shape=\(1, 7, 3\)"):
        Sequential([layers.Input((6, 2)), layers.LSTM(3)])(np.zeros((1, 7, 3)))
