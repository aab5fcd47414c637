"""Models made of symbolic tensors: their graph, values and gradients, names, printed form and files."""

import copy

import numpy as np
import pytest

import tinydl
from tinydl import keras
from tinydl.keras import Input, Model, Sequential, layers, models
from tinydl.train import checkpoint

from ..support.compare import assert_close


def relu(x):
    return np.maximum(x, 0)


def two_inputs():
    """A shared layer, two inputs and two outputs."""
    tinydl.manual_seed(0)
    a, b = Input((4,), name="a"), Input((3,), name="b")
    x, y = layers.Dense(5, activation="relu")(a), layers.Dense(5)(b)
    shared = layers.Dense(2, activation="tanh", name="shared")
    joined = layers.concatenate([shared(x), shared(y)])
    return Model([a, b], [layers.Dense(1, name="left")(joined), layers.Dense(3, activation="softmax")(joined)])


def residual():
    tinydl.manual_seed(0)
    start = Input((8, 6, 2), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(start)
    y = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.BatchNormalization()(layers.add([x, y]))
    x = layers.MaxPooling2D()(x) * 2.0
    return Model(start, layers.Dense(3, activation="softmax")(layers.Flatten()(x)), name="residual")


@pytest.fixture
def pair(rng):
    return rng.standard_normal((6, 4)).astype(np.float32), rng.standard_normal((6, 3)).astype(np.float32)


# -- Values -----------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_equations(pair):
    model = two_inputs()
    w1, b1, w2, b2, ws, bs, w3, b3, w4, b4 = (w.astype(np.float64) for w in model.get_weights())
    a, b = (x.astype(np.float64) for x in pair)
    joined = np.concatenate([np.tanh(relu(a @ w1 + b1) @ ws + bs), np.tanh((b @ w2 + b2) @ ws + bs)], 1)
    scores = np.exp(joined @ w4 + b4)
    wanted = [joined @ w3 + b3, scores / scores.sum(1, keepdims=True)]
    for found in (model(list(pair)), model.predict(list(pair), verbose=0), model.predict_on_batch(list(pair))):
        assert isinstance(found, list)
        for got, value in zip(found, wanted, strict=True):
            assert_close(np.asarray(got), value, "gradient", length=12, scale=1.0)


def test_gradients_of_a_shared_layer(pair):
    model = two_inputs()
    weights = [tinydl.tensor(w.astype(np.float64), requires_grad=True) for w in model.get_weights()]
    w1, b1, w2, b2, ws, bs, w3, b3, _, _ = weights
    a, b = (tinydl.tensor(x).double() for x in pair)
    one, two = (((a @ w1 + b1).relu() @ ws + bs).tanh(), ((b @ w2 + b2) @ ws + bs).tanh())
    loss = (tinydl.cat([one, two], 1) @ w3 + b3).square().mean()
    loss.backward()
    part = Model(model.inputs, model.outputs[0])
    part.compile(keras.optimizers.SGD(0.5), "mse")
    part.fit(list(pair), np.zeros((6, 1)), batch_size=6, verbose=0)
    assert len(part.get_weights()) == 8
    for got, weight in zip(part.get_weights(), weights, strict=False):
        assert_close(got, (weight - 0.5 * weight.grad).detach().numpy(), "gradient", length=60, scale=1.0)


def test_a_chain_is_a_sequential(rng):
    """Losses and weights are the same to the last bit, the loss on logits included."""
    x, y = rng.standard_normal((20, 9, 8, 1)).astype(np.float32), rng.integers(0, 4, 20)
    kinds = []
    for functional in (False, True):
        tinydl.manual_seed(1)
        row = [layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.3)]
        row.append(layers.Dense(4, activation="softmax"))
        if functional:
            out = start = Input((9, 8, 1))
            for layer in row:
                out = layer(out)
            model = Model(start, out)
        else:
            model = Sequential([Input((9, 8, 1)), *row])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x[..., 0], y, epochs=2, batch_size=8, verbose=0).history
        kinds.append((history, [w.tobytes() for w in model.get_weights()], list(model.state_dict())))
    assert kinds[0] == kinds[1]


def test_images_and_modes(rng):
    model = residual()
    x = rng.standard_normal((5, 8, 6, 2)).astype(np.float32)
    first, second, norm = (model.get_layer(name) for name in ("conv2d", "conv2d_1", "batch_normalization"))
    between = first(x)
    normal = norm(between + second(between))
    pooled = layers.MaxPooling2D()(normal) * 2.0
    wanted = model.get_layer("dense")(layers.Flatten()(pooled))
    assert_close(model(x), wanted.numpy().astype(np.float64), "gradient", length=50, scale=1.0)
    still = Model(model.input, model(model.input, training=False))
    before = norm.moving_mean.numpy().copy()
    still(x, training=True)
    assert np.array_equal(norm.moving_mean, before)
    model(x, training=True)
    assert not np.array_equal(norm.moving_mean, before)


def test_feature_extraction(rng):
    model = residual()
    x = rng.standard_normal((2, 8, 6, 2)).astype(np.float32)
    every = Model(model.input, [layer.output for layer in model.layers])
    found = every(x)
    assert [f.shape for f in found] == [(2, *layer.output_shape) for layer in model.layers]
    assert np.array_equal(found[0], x)
    assert np.array_equal(found[-1], model(x))
    row = Sequential([Input((4,)), layers.Dense(3, name="middle"), layers.Dense(2)])
    part = Model(row.inputs, row.get_layer("middle").output)
    assert np.array_equal(part(np.ones((2, 4))), row.layers[0](np.ones((2, 4))))
    rest = Model(part.output, row.output)
    assert np.array_equal(rest(part(np.ones((2, 4)))), row(np.ones((2, 4))))


def test_models_as_layers(rng):
    encoder = Model(start := Input((6,)), layers.Dense(3, activation="relu")(start), name="encoder")
    decoder = Sequential([Input((3,)), layers.Dense(6, activation="softmax")], name="decoder")
    whole = Model(x := Input((6,)), decoder(encoder(x)))
    data = rng.standard_normal((4, 6)).astype(np.float32)
    assert np.array_equal(whole(data), decoder(encoder(data)))
    assert [layer.name for layer in whole.layers] == ["input_layer", "encoder", "decoder"]
    assert list(whole.state_dict()) == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]
    whole.compile("sgd", "categorical_crossentropy")
    before = encoder.get_weights()[0]
    whole.fit(data, np.eye(6)[:4], verbose=0)
    assert not np.array_equal(encoder.get_weights()[0], before)
    encoder.trainable = False
    assert len(whole.trainable_weights) == 2
    row = Sequential([encoder, layers.Dense(2)])
    assert row(data).shape == (4, 2)
    several = [Model(s := Input((6,)), layers.Dense(1)(s)) for _ in range(3)]
    mean = Model(x := Input((6,)), layers.average([model(x) for model in several]))
    wanted = np.mean([model(data).numpy().astype(np.float64) for model in several], 0)
    assert_close(mean(data), wanted, "gradient", length=6, scale=1.0)
    assert [layer.name for layer in mean.layers[1:4]] == ["functional", "functional_1", "functional_2"]


def test_dictionaries(pair):
    a, b = Input((4,), name="a"), Input((3,), name="b")
    outputs = {"sum": layers.Dense(2)(a) + layers.Dense(2)(b), "copy": b}
    model = Model({"second": b, "first": a}, outputs)
    found = model.predict({"first": pair[0], "second": pair[1]}, verbose=0)
    assert sorted(found) == ["copy", "sum"]
    assert np.array_equal(found["copy"], pair[1])
    by_name = Model([a, b], outputs["sum"])
    assert np.array_equal(by_name({"b": pair[1], "a": pair[0]}), found["sum"])


def test_operators():
    x, y = Input((3,)), Input((3,))
    expressions = [x + y, x - 1.0, 1.0 - x, x * y, x / y, 2.0 / x, x**2, -x, x[:, 1:], 2.0**x]
    model = Model([x, y], expressions)
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 5.0, 7.0]])
    wanted = [a + b, a - 1, 1 - a, a * b, a / b, 2 / a, a**2, -a, a[:, 1:], 2**a]
    for got, value in zip(model([a, b]), wanted, strict=True):
        assert_close(got, value, "gradient", length=1, scale=8.0)


# -- What a model says of itself --------------------------------------------------------------------------------


def test_attributes():
    model = two_inputs()
    names = ["a", "b", "dense", "dense_1", "shared", "concatenate", "left", "dense_2"]
    assert [layer.name for layer in model.layers] == names
    assert model.output_names == ["left", "dense_2"]
    assert [t.name for t in model.inputs] == ["a", "b"]
    assert (model.input_shape, model.output_shape) == ([(None, 4), (None, 3)], [(None, 1), (None, 3)])
    assert model.get_layer("shared").units == 2
    assert model.get_layer(index=0).name == "a"
    assert repr(model.inputs[0]) == "<KerasTensor shape=(None, 4), dtype=float32, name=a>"
    with pytest.raises(AttributeError, match='Layer "shared" has several inputs and outputs'):
        model.get_layer("shared").output  # noqa: B018
    with pytest.raises(AttributeError, match='Layer "dense" has not been called with a symbolic tensor'):
        layers.Dense(2).output  # noqa: B018


SUMMARY = """\
Model: "functional"
┏━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)            ┃ Output Shape         ┃      Param # ┃ Connected to         ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━┩
│ a (InputLayer)          │ (None, 4)            │            0 │ -                    │
├─────────────────────────┼──────────────────────┼──────────────┼──────────────────────┤
│ b (InputLayer)          │ (None, 4)            │            0 │ -                    │
├─────────────────────────┼──────────────────────┼──────────────┼──────────────────────┤
│ shared (Dense)          │ (None, 5)            │           25 │ a[0][0], b[0][0]     │
├─────────────────────────┼──────────────────────┼──────────────┼──────────────────────┤
│ concatenate             │ (None, 10)           │            0 │ shared[0][0],        │
│ (Concatenate)           │                      │              │ shared[1][0]         │
└─────────────────────────┴──────────────────────┴──────────────┴──────────────────────┘
 Total params: 25 (100.00 B)
 Trainable params: 25 (100.00 B)
 Non-trainable params: 0 (0.00 B)"""


def test_summary(capsys):
    a, b, shared = Input((4,), name="a"), Input((4,), name="b"), layers.Dense(5, name="shared")
    Model([a, b], layers.concatenate([shared(a), shared(b)])).summary(line_length=88)
    assert capsys.readouterr().out.rstrip("\n") == SUMMARY
    Model(start := Input((4,)), layers.Dense(2)(start)).summary(line_length=60)
    assert "Connected to" not in capsys.readouterr().out


def test_it_trains_and_is_saved(tmp_path, rng):
    x, y = rng.standard_normal((24, 8, 6, 2)).astype(np.float32), rng.integers(0, 3, 24)
    model = residual()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    losses = model.fit(x, y, epochs=30, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert (type(again), again.name) == (Model, "residual")
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    model.save_weights(tmp_path / "w.safetensors")
    fresh = residual()
    fresh.load_weights(tmp_path / "w.safetensors")
    assert np.array_equal(fresh.predict(x, verbose=0), model.predict(x, verbose=0))


def test_files_of_graphs(tmp_path, pair):
    """Several inputs and outputs, shared layers, models within, structures, options: all come back."""
    path = tmp_path / "m.safetensors"
    inner = two_inputs()
    a, b = Input((4,), name="x"), Input((3,), name="y")
    left, right = inner([a, b], training=False)
    model = Model({"x": a, "y": b}, {"left": left - 1.0, "rows": [right, Sequential([layers.Dense(2)])(b)]})
    model.save(path)
    again = models.load_model(path)
    given = {"x": pair[0], "y": pair[1]}
    wanted, found = model.predict(given, verbose=0), again.predict(given, verbose=0)
    assert np.array_equal(wanted["left"], found["left"])
    assert all(np.array_equal(w, f) for w, f in zip(wanted["rows"], found["rows"], strict=True))
    assert Model.from_config(model.get_config()).count_params() == model.count_params()


def test_files_of_slices(tmp_path, rng):
    x = rng.standard_normal((4, 6)).astype(np.float32)
    model = Model(start := Input((6,)), layers.Dense(2)(start[:, 1:5:2] * np.float32([1, 2])) + start[..., :2])
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_damaged_files_of_graphs(tmp_path):
    path = tmp_path / "m.safetensors"
    Model(start := Input((3,)), layers.Dense(2)(start)).save(path)
    state = checkpoint.load(path)
    state["config"]["config"]["calls"][0]["layer"] = 7
    checkpoint.save(path, state)
    with pytest.raises(ValueError, match="its model cannot be made"):
        models.load_model(path)


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_copy_is_another_model(rng, kind):
    x, y = rng.standard_normal((12, 8, 6, 2)).astype(np.float32), rng.integers(0, 3, 12)
    row = [layers.Flatten(), layers.Dense(3, kernel_regularizer="l2", activation="softmax")]
    model = residual() if kind == "functional" else Sequential([Input((8, 6, 2)), *row])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, verbose=0)
    twin = copy.deepcopy(model)
    ends = []
    for each in (model, twin):
        history = each.fit(x, y, epochs=2, shuffle=False, verbose=0).history
        ends.append((history, [w.tobytes() for w in each.get_weights()]))
    assert ends[0] == ends[1]
    twin.set_weights([np.zeros_like(w) for w in twin.get_weights()])
    assert_close(twin(x), np.full((12, 3), 1 / 3), "gradient", length=3)
    assert [w.tobytes() for w in model.get_weights()] == ends[0][1]


# -- Wrong use --------------------------------------------------------------------------------------------------


def _disconnected():
    return Model(Input((3,), name="other"), layers.Dense(2)(Input((3,), name="needed")))


@pytest.mark.parametrize(
    ("action", "kind", "message"),
    [
        (_disconnected, ValueError, "the outputs need the input \"needed\", which is not among the inputs ['other']"),
        (lambda: Model(Input((3,)), np.zeros(3)), ValueError, "got a ndarray among the outputs, wanted symbolic"),
        (lambda: Model([], Input((3,))), ValueError, "got no inputs"),
        (lambda: Model([x := Input((3,)), x], layers.Dense(2)(x)), ValueError, "an input is there twice"),
        (lambda: Model(Input((3,))), ValueError, "got inputs or outputs alone, wanted both or neither"),
        (
            lambda: Model([x := Input((3,)), Input((2,), name="idle")], layers.Dense(2)(x)),
            ValueError,
            'no output depends on the input "idle"',
        ),
        (lambda: two_inputs()(np.zeros((2, 4))), ValueError, "got 1 inputs, wanted 2: ['a', 'b']"),
        (lambda: two_inputs()({"a": np.zeros((2, 4))}), ValueError, "got inputs ['a']; missing: b"),
        (
            lambda: two_inputs()([np.zeros((2, 4)), np.zeros((2, 5))]),
            ValueError,
            'Input 1 of layer "functional" is incompatible with the layer: expected shape=(None, 3), found shape=(2,',
        ),
        (lambda: layers.Conv2D(3, 3)(Input((4,))), ValueError, "expected ndim=4 (N, H, W, C), found ndim=2"),
        (lambda: np.sum(Input((4,))), TypeError, "has no values yet: layers and operators take it"),
        (lambda: bool(Input((4,))), TypeError, "has no values yet"),
        (lambda: layers.Add()([Input((2,)), np.zeros((1, 2))]), ValueError, "got symbolic tensors and a ndarray"),
        (
            lambda: [d := layers.Flatten(), d(Input((2, 3))), d(Input((4, 3)))],
            ValueError,
            "it was built for inputs of shape (None, 2, 3), and cannot be shared by others of shape (None, 4, 3)",
        ),
        (
            lambda: Model(x := Input((3,)), layers.Dense(2, name="d")(layers.Dense(2, name="d")(x))),
            ValueError,
            "layer names must be unique; 'd' is taken",
        ),
    ],
)
def test_errors(action, kind, message):
    with pytest.raises(kind) as error:
        action()
    assert message in str(error.value)
