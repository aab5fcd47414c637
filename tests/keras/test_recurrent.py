"""Recurrent layers: their equations term by term, what Keras computes, dropout, masks, states, settings, refusals."""

import copy
import inspect

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, models

from ..support.compare import assert_close
from .agreement import assert_agrees

N, T, IN, UNITS = 3, 5, 4, 6
KINDS = [layers.SimpleRNN, layers.LSTM, layers.GRU]


# -- The equations ----------------------------------------------------------------------------------------------


def simple_rnn(t, x, states, w, u, b, activation):
    h = activation(x @ w + states[0] @ u + b)
    return h, [h]


def lstm(t, x, states, w, u, b, activation):
    i, f, g, o = (x @ w + states[0] @ u + b).chunk(4, -1)
    c = f.sigmoid() * states[1] + i.sigmoid() * activation(g)
    h = o.sigmoid() * activation(c)
    return h, [h, c]


def gru(t, x, states, w, u, b, activation):
    h = states[0]
    x_z, x_r, x_n = (x @ w + b[0]).chunk(3, -1)
    h_z, h_r, h_n = (h @ u + b[1]).chunk(3, -1)
    z, r = (x_z + h_z).sigmoid(), (x_r + h_r).sigmoid()
    h = z * h + (1 - z) * activation(x_n + r * h_n)
    return h, [h]


def gru_before(t, x, states, w, u, b, activation):
    h, n = states[0], UNITS
    x_z, x_r, x_n = (x @ w + b).chunk(3, -1)
    z, r = (x_z + h @ u[:, :n]).sigmoid(), (x_r + h @ u[:, n : 2 * n]).sigmoid()
    h = z * h + (1 - z) * activation(x_n + (r * h) @ u[:, 2 * n :])
    return h, [h]


def outputs_of(torch, step, x, weights, activation="tanh", states=1, backwards=False, mask=None):
    """All outputs (N, T, units), in the order in which the steps are taken."""
    held = [torch.zeros(len(x), UNITS, dtype=torch.float64) for _ in range(states)]
    w, u, *bias = weights
    b = bias[0] if bias else torch.zeros(2, 1, dtype=torch.float64) if step is gru else 0.0
    outputs = []
    for t in range(x.shape[1])[:: -1 if backwards else 1]:
        out, new = step(torch, x[:, t], held, w, u, b, getattr(torch, activation))
        if mask is not None:
            live = torch.tensor(mask[:, t, None])
            before = outputs[-1] if outputs else torch.zeros_like(out)
            out, new = torch.where(live, out, before), [torch.where(live, a, b) for a, b in zip(new, held, strict=True)]
        held = new
        outputs.append(out)
    return torch.stack(outputs, 1)


CASES = [
    (layers.SimpleRNN, simple_rnn, 1, {}),
    (layers.SimpleRNN, simple_rnn, 1, {"activation": "relu"}),
    (layers.SimpleRNN, simple_rnn, 1, {"activation": "sigmoid", "use_bias": False}),
    (layers.LSTM, lstm, 2, {}),
    (layers.LSTM, lstm, 2, {"use_bias": False, "go_backwards": True}),
    (layers.LSTM, lstm, 2, {"activation": "relu"}),
    (layers.GRU, gru, 1, {}),
    (layers.GRU, gru, 1, {"use_bias": False}),
    (layers.GRU, gru, 1, {"activation": "relu", "go_backwards": True}),
    (layers.GRU, gru_before, 1, {"reset_after": False}),
]


@pytest.mark.parametrize("all_steps", [False, True])
@pytest.mark.parametrize(("kind", "step", "states", "options"), CASES)
def test_equations(torch, rng, kind, step, states, options, all_steps):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    given = {k: v for k, v in options.items() if k != "activation"}
    layer = kind(UNITS, return_sequences=all_steps, **options)

    def wanted(x, *weights):
        name = options.get("activation", "tanh")
        h = outputs_of(torch, step, x, weights, name, states, given.get("go_backwards", False))
        return h if all_steps else h[:, -1]

    assert_agrees(torch, rng, layer, x, wanted, "recurrent", length=100)


@pytest.mark.parametrize(("kind", "step", "states", "options"), [case for case in CASES if case[0] is not layers.GRU])
def test_masks_by_the_loop(torch, rng, kind, step, states, options):
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    x[0, 1:3] = x[1, -2:] = x[2, 0] = 0
    mask = (x != 0).any(-1)
    layer = kind(UNITS, return_sequences=True, **options)
    model = Sequential([layers.Input((T, IN)), layers.Masking(), layer])
    backwards = options.get("go_backwards", False)
    weights = [torch.tensor(w, dtype=torch.float64) for w in layer.get_weights()]
    wanted = outputs_of(
        torch, step, torch.tensor(x).double(), weights, options.get("activation", "tanh"), states, backwards, mask
    )
    assert_close(model(x), wanted.numpy(), "recurrent", length=100, scale=1.0)
    if not backwards:
        assert np.array_equal(model(x)._keras_mask.numpy(), mask)


# -- Stored facts of Keras --------------------------------------------------------------------------------------


def waves(shape, pace=1.0):
    return np.sin(pace * np.arange(1, np.prod(shape) + 1)).reshape(shape).astype(np.float32)


def set_waves(layer):
    layer.set_weights([waves(w.shape, 0.5 + i) for i, w in enumerate(layer.get_weights())])


# Outputs of Keras 3.15 for x and initial states of waves and the mask False, True, False, True, rounded to 1e-6.
HARD = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}
OF_KERAS = [
    ("SimpleRNN", {}, [0.0, 0.0, -0.73412, -0.989916, -0.73412, -0.989916, -0.632494, -0.977081]),
    ("LSTM", {}, [0.0, 0.0, 0.053495, 0.178811, 0.053495, 0.178811, 0.120914, 0.227891]),
    ("GRU", {}, [0.0, 0.0, 0.56931, 0.436538, 0.56931, 0.436538, 0.458168, 0.330323]),
    ("GRU", {"reset_after": False}, [0.0, 0.0, 0.601461, 0.626943, 0.601461, 0.626943, 0.422815, 0.562271]),
    ("LSTM", {"go_backwards": True}, [0.065009, 0.195134, 0.065009, 0.195134, 0.086074, 0.180633, 0.086074, 0.180633]),
    ("LSTM", HARD, [0.0, 0.0, 0.085045, 0.331658, 0.085045, 0.331658, 0.207034, 0.347373]),
]


@pytest.mark.parametrize(("name", "options", "wanted"), OF_KERAS)
def test_outputs_of_keras(name, options, wanted):
    x, mask = waves((1, 4, 3)), np.array([[False, True, False, True]])
    layer = getattr(layers, name)(2, return_sequences=True, **options)
    layer.build(x.shape)
    set_waves(layer)
    states = [waves((1, 2))] * len(layer.state_size)
    got = layer(x, mask=mask, initial_state=states)
    assert got.numpy().ravel() == pytest.approx(wanted, abs=1e-6)
    zeroed = copy.deepcopy(layer)
    zeroed.zero_output_for_mask = True
    seen = (mask[:, ::-1] if layer.go_backwards else mask)[:, :, None]
    assert np.array_equal(zeroed(x, mask=mask, initial_state=states), np.where(seen, got.numpy(), 0))
    last = copy.deepcopy(layer)
    last.return_sequences = False
    assert np.array_equal(last(x, mask=mask, initial_state=states), got.numpy()[:, -1])


WEIGHTS = [
    (lambda: layers.SimpleRNN(5), [(3, 5), (5, 5), (5,)]),
    (lambda: layers.LSTM(5), [(3, 20), (5, 20), (20,)]),
    (lambda: layers.GRU(5), [(3, 15), (5, 15), (2, 15)]),
    (lambda: layers.GRU(5, reset_after=False), [(3, 15), (5, 15), (15,)]),
    (lambda: layers.GRU(5, use_bias=False), [(3, 15), (5, 15)]),
]


@pytest.mark.parametrize(("make", "shapes"), WEIGHTS)
def test_weights(make, shapes):
    layer = make()
    layer.build((None, 7, 3))
    assert [w.shape for w in layer.weights] == shapes
    assert [v.name for v in layer.cell._variables] == ["kernel", "recurrent_kernel", "bias"][: len(shapes)]
    assert layer.count_params() == sum(np.prod(shape) for shape in shapes)
    kernel, recurrent, *bias = layer.get_weights()
    assert np.abs(kernel).max() <= np.sqrt(6 / sum(kernel.shape))
    assert_close(recurrent @ recurrent.T, np.eye(5), "matmul", length=5, scale=1.0)
    if isinstance(layer, layers.LSTM):
        assert bias[0].tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10


def test_weights_begin_as_they_are_told():
    cell = layers.LSTMCell(2, bias_initializer="ones", unit_forget_bias=False, kernel_initializer="zeros")
    cell.build((None, 3))
    assert cell.bias.tolist() == [1.0] * 8
    assert not cell.kernel.detach().numpy().any()


ARGUMENTS = {
    layers.SimpleRNN: "units activation use_bias kernel_initializer recurrent_initializer bias_initializer "
    "kernel_regularizer recurrent_regularizer bias_regularizer activity_regularizer kernel_constraint "
    "recurrent_constraint bias_constraint dropout recurrent_dropout return_sequences return_state go_backwards "
    "stateful unroll seed options",
    layers.LSTM: "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer "
    "bias_initializer unit_forget_bias kernel_regularizer recurrent_regularizer bias_regularizer activity_regularizer "
    "kernel_constraint recurrent_constraint bias_constraint dropout recurrent_dropout seed return_sequences "
    "return_state go_backwards stateful unroll use_cudnn options",
    layers.GRU: "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer "
    "bias_initializer kernel_regularizer recurrent_regularizer bias_regularizer activity_regularizer "
    "kernel_constraint recurrent_constraint bias_constraint dropout recurrent_dropout seed return_sequences "
    "return_state go_backwards stateful unroll reset_after use_cudnn options",
    layers.RNN: "cell return_sequences return_state go_backwards stateful unroll zero_output_for_mask options",
}


@pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda v: v.__name__)
def test_arguments_are_those_of_keras(kind):
    parameters = inspect.signature(kind).parameters
    assert " ".join(parameters) == ARGUMENTS[kind]
    usual = {"activation": "tanh", "recurrent_activation": "sigmoid", "recurrent_initializer": "orthogonal"}
    assert all(parameters[name].default == value for name, value in usual.items() if name in parameters)


# -- Dropout ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_the_same_at_all_steps(kind):
    """With W = identity, U = 0 and no bias, an output is 0 where its input was dropped: at every step or at none."""
    layer = layers.SimpleRNN(40, "relu", dropout=0.3, seed=1, return_sequences=True, recurrent_initializer="zeros")
    layer.build((None, T, 40))
    layer.set_weights([np.eye(40), np.zeros((40, 40)), np.zeros(40)])
    y = layer(np.ones((50, T, 40)), training=True).detach().numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.03
    x = np.ones((8, T, 3), np.float32)
    first, again, other = (
        kind(5, dropout=0.4, recurrent_dropout=0.4, seed=s, kernel_initializer="ones", recurrent_initializer="ones")(
            x, training=True
        ).detach()
        for s in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_recurrent_dropout_is_the_same_at_all_steps():
    """h_t = x_t + m h_{t-1} with x = 1: after T steps 1 + m + ... + m^(T-1), with m 0 or 1/(1 - rate)."""
    layer = layers.SimpleRNN(40, "relu", recurrent_dropout=0.5, seed=1, return_sequences=True)
    layer.build((None, T, 40))
    layer.set_weights([np.eye(40), np.eye(40), np.zeros(40)])
    x = np.ones((50, T, 40), np.float32)
    y = layer(x, training=True).detach().numpy()
    for t in range(T):
        assert set(np.unique(y[:, t])) == {np.float32(1), np.float32(2 ** (t + 1) - 1)}
    assert abs((y[:, -1] == 1).mean() - 0.5) < 0.03
    assert layer(x).numpy().max() == T


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_dropout_by_the_masks(torch, rng, kind, activation):
    """Training equals the equations with the cell's masks applied to x_t and h_{t-1}."""
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    layer = kind(UNITS, activation, dropout=0.4, recurrent_dropout=0.3, seed=5)
    got = layer(x, training=True)
    cell = kind(UNITS, activation, dropout=0.4, recurrent_dropout=0.3, seed=5).cell
    m = cell.get_dropout_mask(tinydl.zeros(N, IN)).numpy().astype(np.float64)
    r = torch.tensor(cell.get_recurrent_dropout_mask(tinydl.zeros(N, UNITS)).numpy().astype(np.float64))
    step, count = {layers.SimpleRNN: (simple_rnn, 1), layers.LSTM: (lstm, 2), layers.GRU: (gru, 1)}[kind]
    function = {"tanh": torch.tanh, "softsign": torch.nn.functional.softsign}[activation]
    weights = [torch.tensor(w, dtype=torch.float64) for w in layer.get_weights()]
    held = [torch.zeros(N, UNITS, dtype=torch.float64) for _ in range(count)]
    for t in range(T):
        h = held[0]
        out, held = step(torch, torch.tensor(x[:, t] * m), [h * r, *held[1:]], *weights, function)
        if kind is layers.GRU:  # z h_{t-1} is spared
            z = (torch.tensor(x[:, t] * m) @ weights[0][:, :UNITS] + (h * r) @ weights[1][:, :UNITS]).sigmoid()
            held = [out + z * (h - h * r)]
    assert_close(got, held[0].numpy(), "recurrent", length=100, scale=1.0)
    assert np.array_equal(layer(x), layer(x))


# -- What all layers have ---------------------------------------------------------------------------------------

EVERY = [
    lambda: layers.SimpleRNN(3, "relu", dropout=0.5, return_sequences=True),
    lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid", kernel_regularizer="l2", name="mine", trainable=False),
    lambda: layers.GRU(3, reset_after=False, use_bias=False, go_backwards=True, unroll=True),
    lambda: layers.RNN(layers.GRUCell(3, bias_initializer="ones"), return_state=True),
    lambda: layers.RNN(layers.LSTMCell(3, unit_forget_bias=False), zero_output_for_mask=True),
]


@pytest.mark.parametrize("make", EVERY)
def test_settings_and_files(rng, make, tmp_path):
    layer = make()
    config = layer.get_config()
    twin = type(layer).from_config(config)
    assert str(twin.get_config()) == str(config)
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    model = Sequential([layers.Input((T, IN)), layer])
    assert layer.trainable == bool(layer.trainable_weights)
    path = tmp_path / "m.safetensors"
    if not layer.return_state:
        model.save(path)
        assert np.array_equal(models.load_model(path)(x), model(x))
    assert np.array_equal(copy.deepcopy(layer).get_weights()[0], layer.get_weights()[0])


def test_penalties_and_constraints(rng):
    layer = layers.LSTM(3, kernel_regularizer="l2", recurrent_regularizer="l1", activity_regularizer="l2")
    x = rng.standard_normal((N, T, IN)).astype(np.float32)
    out = layer(x, training=True)
    activity, kernel, recurrent = layer.losses
    w, u, _ = (v.astype(np.float64) for v in layer.get_weights())
    assert_close(activity, 0.01 * (out.detach().numpy().astype(np.float64) ** 2).sum() / N, "loss", length=9)
    assert_close(kernel, 0.01 * (w**2).sum(), "loss", length=48)
    assert_close(recurrent, 0.01 * np.abs(u).sum(), "loss", length=36)
    model = Sequential([layers.Input((T, IN)), layers.GRU(3, recurrent_constraint="non_neg")])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((N, 3)), verbose=0)
    assert model.get_weights()[1].min() == 0


def test_shapes_and_summary(capsys):
    assert layers.LSTM(5).compute_output_shape((None, 7, 3)) == (None, 5)
    layer = layers.LSTM(5, return_sequences=True, return_state=True)
    assert layer.compute_output_shape((None, 7, 3)) == [(None, 7, 5), (None, 5), (None, 5)]
    model = Sequential([layers.Input((7, 3)), layers.GRU(5, return_sequences=True), layers.SimpleRNN(2)])
    assert model.output_shape == (None, 2)
    assert model.count_params() == 15 * (3 + 5 + 2) + 2 * (5 + 2 + 1)
    model.summary()
    assert "gru (GRU)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.LSTM(0), ValueError, "LSTMCell: got units=0, wanted a positive integer"),
        (lambda: layers.GRU(2, dropout=1.5), ValueError, "GRUCell: got dropout=1.5, wanted 0 to 1"),
        (lambda: layers.LSTM(2)(np.zeros((2, 3))), ValueError, "expected ndim=3 (N, L, C), found ndim=2"),
        (lambda: layers.LSTM(2)(np.zeros((2, 0, 3))), ValueError, "wanted a positive size for every axis"),
        (
            lambda: layers.LSTM(2)(np.zeros((2, 3, 1)), initial_state=[np.zeros((2, 2))]),
            ValueError,
            "got initial states of shapes [(2, 2)], wanted [(2, 2), (2, 2)]",
        ),
        (
            lambda: layers.GRU(2)(np.zeros((2, 3, 1)), mask=np.ones((2, 4), bool)),
            ValueError,
            "got a mask of shape (2, 4), wanted (2, 3)",
        ),
        (lambda: layers.RNN(3), ValueError, "RNN: got a cell of type int, wanted a layer"),
        (lambda: layers.RNN(layers.Dense(3)), ValueError, "RNN: the cell Dense has no `state_size`"),
        (
            lambda: layers.GRUCell(2)(np.zeros((2, 3, 1)), [np.zeros((2, 2))]),
            ValueError,
            "expected ndim=2, found ndim=3",
        ),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error) as found:
        make()
    assert message in str(found.value)
