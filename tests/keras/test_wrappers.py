"""Bidirectional and TimeDistributed: values and gradients, what Keras computes, settings, files, refusals."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, models

from ..support.compare import assert_close
from .agreement import assert_agrees
from .test_recurrent import IN, UNITS, N, T, gru, lstm, outputs_of, set_waves, waves

MERGES = {
    "concat": lambda t, a, b: t.cat([a, b], -1),
    "sum": lambda t, a, b: a + b,
    "ave": lambda t, a, b: (a + b) / 2,
    "mul": lambda t, a, b: a * b,
}


@pytest.mark.parametrize("all_steps", [False, True])
@pytest.mark.parametrize("mode", MERGES)
@pytest.mark.parametrize(("kind", "step", "states"), [(layers.LSTM, lstm, 2), (layers.GRU, gru, 1)])
def test_both_directions(torch, rng, kind, step, states, mode, all_steps):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = layers.Bidirectional(kind(UNITS, return_sequences=all_steps), mode)

    def wanted(x, *weights):
        a = outputs_of(torch, step, x, weights[:3], states=states)
        b = outputs_of(torch, step, x, weights[3:], states=states, backwards=True)
        return MERGES[mode](torch, a, b.flip(1)) if all_steps else MERGES[mode](torch, a[:, -1], b[:, -1])

    assert_agrees(torch, rng, layer, x, wanted, "recurrent", length=100)


def test_outputs_of_keras():
    """Those of Keras 3.15, where masked steps are zeros in both directions."""
    x, mask = waves((1, 4, 3)), np.array([[False, True, False, True]])
    layer = layers.Bidirectional(layers.GRU(2, return_sequences=True))
    layer.build(x.shape)
    set_waves(layer)
    wanted = np.zeros((4, 4))
    wanted[1], wanted[3] = [0.205398, 0.190879, 0.179138, 0.786675], [0.27003, 0.2349, 0.115273, 0.657933]
    assert layer(x, mask=mask).numpy()[0] == pytest.approx(wanted, abs=1e-6)


def test_two_outputs_and_states(rng):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = layers.Bidirectional(layers.LSTM(UNITS, return_state=True), merge_mode=None)
    a, b, *states = layer(x)
    forward, backward = layer.forward_layer(x), layer.backward_layer(x)
    for got, wanted in zip([a, b, *states], [forward[0], backward[0], *forward[1:], *backward[1:]], strict=True):
        assert np.array_equal(got, wanted)
    again = layer(x, initial_state=states)
    assert np.array_equal(again[0], layer.forward_layer(x, initial_state=states[:2])[0])
    assert np.array_equal(again[1], layer.backward_layer(x, initial_state=states[2:])[0])
    assert layer.compute_output_shape((None, T, IN)) == [(None, UNITS)] * 6
    assert [w.shape for w in layer.weights] == [(IN, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)] * 2
    assert (layer.forward_layer.name, layer.backward_layer.name) == ("forward_lstm", "backward_lstm")


def test_stateful(rng):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = layers.Bidirectional(layers.GRU(UNITS, stateful=True))
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    layer.reset_state()
    assert np.array_equal(layer(x), first)


def test_another_layer_backwards(rng):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(2, go_backwards=True))
    assert layer(x).shape == (N, 5)
    given = [np.ones(w.shape, np.float32) for w in layer.weights]
    told = layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(2, go_backwards=True), weights=given)
    told.build(x.shape)
    assert all(np.all(w == 1) for w in told.get_weights())


# -- Each step --------------------------------------------------------------------------------------------------


def test_at_each_step(torch, rng):
    x = rng.standard_normal((2, 5, 4)).astype(np.float32)
    layer = layers.TimeDistributed(layers.Dense(3, "tanh"))
    assert_agrees(torch, rng, layer, x, lambda x, w, b: (x @ w + b).tanh(), length=4)


@pytest.mark.parametrize("shape", [(2, 3, 6, 5, 2), (2, 3, 4, 5)])
def test_images_at_each_step(rng, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    inner = layers.Conv2D(4, 3) if len(shape) == 5 else layers.Conv1D(4, 3)
    layer = layers.TimeDistributed(inner)
    got = layer(x)
    for t in range(shape[1]):
        assert_close(got[:, t], inner(x[:, t]).numpy(), "conv", length=60, scale=8.0)
    assert got.shape[1:] == layer.output_shape
    model = Sequential([layers.Input(shape[1:]), layers.TimeDistributed(inner), layers.Flatten()])
    assert np.array_equal(model(x), got.numpy().reshape(2, -1))


def test_dropout_at_each_step():
    layer = layers.TimeDistributed(layers.Dropout(0.5, seed=1))
    y = layer(np.ones((4, 5, 6)), training=True).detach().numpy()
    assert not np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert np.array_equal(layer(np.ones((4, 5, 6))), np.ones((4, 5, 6)))


def test_a_softmax_at_each_step_is_left_to_the_loss(rng):
    model = Sequential([layers.Input((4, 3)), layers.TimeDistributed(layers.Dense(5, "softmax"))])
    assert model.ends_in_softmax
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = rng.standard_normal((6, 4, 3)).astype(np.float32), rng.integers(0, 5, (6, 4))
    p = model.predict(x, verbose=0).astype(np.float64)
    assert_close(p.sum(-1), np.ones((6, 4)), "softmax", dtype=np.float32)
    wanted = -np.log(np.take_along_axis(p, y[..., None], -1)).mean()
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert_close(np.float32(loss), np.float64(wanted), "loss", length=24)
    assert accuracy == pytest.approx((p.argmax(-1) == y).mean())


# -- Settings, files, refusals ----------------------------------------------------------------------------------

EVERY = [
    lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True), "mul", name="both"),
    lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(3, go_backwards=True)),
    lambda: layers.Bidirectional(layers.RNN(layers.GRUCell(3), return_sequences=True)),
    lambda: layers.TimeDistributed(layers.Dense(3, kernel_regularizer="l2")),
    lambda: layers.TimeDistributed(layers.Bidirectional(layers.SimpleRNN(2))),
]


@pytest.mark.parametrize("make", EVERY)
def test_settings_and_files(rng, tmp_path, make):
    shape = (4, 5, 3) if isinstance(getattr(make(), "layer", None), layers.Bidirectional) else (4, 3)
    x = rng.standard_normal((2, *shape)).astype(np.float32)
    model = Sequential([layers.Input(shape), make()])
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(again(x), model(x))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert again.count_params() == model.count_params() > 0
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(x, np.ones((2, *model.output_shape[1:])), verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: layers.Bidirectional(layers.Dense(3)),
            ValueError,
            "got a layer of type Dense, wanted a recurrent one",
        ),
        (lambda: layers.Bidirectional(3), ValueError, "Bidirectional: got a int, wanted a layer"),
        (lambda: layers.Bidirectional(layers.LSTM(3), "max"), ValueError, "got merge_mode='max', wanted one of"),
        (
            lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
            ValueError,
            "got layers that both have go_backwards=False",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, return_sequences=True)
            ),
            ValueError,
            "got return_sequences=False of the layer, and True of backward_layer",
        ),
        (lambda: layers.Bidirectional(layers.LSTM(3)).reset_state(), AttributeError, "Layer must be stateful"),
        (lambda: layers.TimeDistributed(layers.Dense(3))(np.ones((2, 3))), ValueError, "expected ndim=3 at least"),
        (lambda: layers.TimeDistributed("dense"), ValueError, "TimeDistributed: got a str, wanted a layer"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error) as found:
        make()
    assert message in str(found.value)


def test_a_copy_is_a_model_of_its_own(rng):
    tinydl.manual_seed(0)
    given = layers.LSTM(3)
    layer = layers.Bidirectional(given)
    layer.build((None, 4, 2))
    assert not given.built
    assert layer.forward_layer is not given
