"""Models of one's own: `call`, `train_step`, several inputs; what compile, fit, saving and printing make of them."""

import numpy as np
import pytest

import tinydl
from tinydl import keras
from tinydl.keras import Input, Model, Sequential, layers, metrics, models

from ..support.compare import assert_close


class Net(Model):
    def __init__(self, units=4, name=None):
        super().__init__(name=name)
        self.first = layers.Dense(units, activation="relu")
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.5)
        self.heads = [layers.Dense(3, activation="softmax")]

    def call(self, inputs, training=None):
        x = self.norm(self.first(inputs))
        if training:
            x = self.drop(x, training=training)
        return self.heads[0](x)


@pytest.fixture
def data(rng):
    x = rng.standard_normal((64, 5)).astype(np.float32)
    return x, (x[:, :3]).argmax(1)


# -- call -------------------------------------------------------------------------------------------------------


def test_it_trains(data):
    tinydl.manual_seed(0)
    model = Net(16)
    assert not model.built
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*data, epochs=30, verbose=0, validation_split=0.25).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.evaluate(*data, verbose=0)[1] > 0.6
    assert_close(model.predict(data[0], verbose=0).sum(1), np.ones(64), "gradient", length=3)
    assert not np.array_equal(model.norm.moving_mean, np.zeros(16))


def test_a_step_is_that_of_a_sequential(data):
    """The loss is computed on probabilities rather than on logits; otherwise nothing differs."""
    ends = []
    for kind in (0, 1):
        tinydl.manual_seed(5)
        row = [layers.Dense(4, activation="tanh"), layers.Dense(2)]
        model = Sequential(row) if kind else Rows(row)
        model.compile("sgd", "mse")
        model.fit(data[0], data[0][:, :2], epochs=2, verbose=0)
        ends.append([w.tobytes() for w in model.get_weights()])
    assert ends[0] == ends[1]


class Rows(Model):
    def __init__(self, row):
        super().__init__()
        self.row = row

    def call(self, inputs):
        for layer in self.row:
            inputs = layer(inputs)
        return inputs


def test_names_and_printed_form(capsys, data):
    model = Net()
    assert (model.name, model.layers) == ("net", [model.first, model.norm, model.drop, *model.heads])
    model.summary(line_length=80)
    assert "0 (unbuilt)" in capsys.readouterr().out
    model.build((None, 5))
    names = ["first.weight", "first.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]
    assert list(model.state_dict()) == [*names, "heads.0.weight", "heads.0.bias"]
    assert [w.shape for w in model.trainable_weights] == [(5, 4), (4,), (4,), (4,), (4, 3), (3,)]
    model.summary(line_length=80)
    out = capsys.readouterr().out
    assert "(None, 4)" in out
    assert " Total params: 55 (" in out
    assert " Non-trainable params: 8 (" in out
    with pytest.raises(AttributeError, match='Model "net" has no outputs: it is not made of symbolic tensors'):
        model.outputs  # noqa: B018


def test_files(tmp_path, data):
    model = Net(7)
    with pytest.raises(ValueError, match='save_weights: model "net" has no weights yet'):
        model.save_weights(tmp_path / "w.safetensors")
    wanted = model.predict(data[0], verbose=0)
    model.save_weights(tmp_path / "w.safetensors")
    other = Net(7)
    other.build((None, 5))
    other.load_weights(tmp_path / "w.safetensors")
    assert np.array_equal(other.predict(data[0], verbose=0), wanted)
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors", custom_objects={"Net": Net})
    assert type(again) is Net
    assert np.array_equal(again.predict(data[0], verbose=0), wanted)
    with pytest.raises(ValueError, match="the layer 'Net' is unknown"):
        models.load_model(tmp_path / "m.safetensors")


def test_it_is_a_layer(data):
    net = Net()
    model = Model(start := Input((5,)), layers.Dense(1)(net(start)))
    assert len(model.trainable_weights) == 8
    assert model(data[0]).shape == (64, 1)
    assert Sequential([layers.Dense(5), Net()])(data[0]).shape == (64, 3)


def test_several_inputs_and_outputs(data):
    class Pair(Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(2), layers.Dense(1)

        def call(self, inputs):
            return {"b": self.one(inputs["x"]), "a": self.two(inputs["y"])}

    x = {"x": data[0], "y": data[0][:, :2]}
    model = Pair()
    found = model.predict(x, verbose=0)
    assert (found["a"].shape, found["b"].shape) == ((64, 1), (64, 2))
    model.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"b": ["mse"]})
    history = model.fit(x, {"a": np.zeros((64, 1)), "b": np.zeros((64, 2))}, verbose=0, validation_split=0.5).history
    assert [name for name in history if not name.startswith("val_")] == ["a_loss", "b_loss", "b_mse", "loss"]
    logs = model.evaluate(x, {"a": np.zeros((64, 1)), "b": np.zeros((64, 2))}, verbose=0, return_dict=True)
    after = model.predict(x, verbose=0)
    assert logs["a_loss"] == pytest.approx((after["a"] ** 2).mean(), rel=1e-5)
    assert logs["b_loss"] == pytest.approx(np.abs(after["b"]).mean(), rel=1e-5)


# -- train_step -------------------------------------------------------------------------------------------------


class Stepping(Model):
    """The usual step, written out."""

    def train_step(self, data):
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred)
        self.optimizer.minimize(loss)
        return {"loss": loss.item(), **self.compute_metrics(x, y, y_pred)}


def test_a_step_written_out_is_the_usual_one(data):
    x, y = data[0], data[0][:, :1]
    records = []
    for kind in (Model, Stepping):
        tinydl.manual_seed(2)
        out = layers.Dense(1)(layers.Dense(4, activation="tanh", kernel_regularizer="l2")(start := Input((5,))))
        model = kind(start, out)
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(x, y, epochs=2, batch_size=64, verbose=0, validation_data=(x, y)).history
        records.append((history, [w.tobytes() for w in model.get_weights()]))
    assert isinstance(model, Stepping)
    assert records[0] == records[1]


class Stepped(Model):
    """A step around the one that models have."""

    def train_step(self, data):
        return super().train_step(data)


@pytest.mark.parametrize("form", ["list", "dict", "one in a list", "one in a dict"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_of_several_outputs(data, rng, form, weighted):
    x, names = data[0], ["a", "b"][: 1 if form.startswith("one") else 2]
    y = {name: x[:, : n + 1] for n, name in enumerate(names)}
    weights = {name: rng.random(64).astype(np.float32) for name in names} if weighted else None
    records = []
    for kind in (Model, Stepped):
        tinydl.manual_seed(2)
        start = Input((5,))
        outputs = {name: layers.Dense(n + 1, name=name)(start) for n, name in enumerate(names)}
        model = kind(start, outputs if form.endswith("dict") else list(outputs.values()))
        model.compile("sgd", dict.fromkeys(names, "mse"), weighted_metrics={n: ["mae"] for n in names})
        given = weights and (weights["a"] if len(names) == 1 else weights)
        model.fit(x, y, sample_weight=given, epochs=2, batch_size=64, verbose=0)
        logs = model.evaluate(x, y, sample_weight=given, batch_size=64, verbose=0, return_dict=True)
        steps = {name: value for name, value in logs.items() if name not in ("a_loss", "b_loss")}
        records.append((steps, [w.tobytes() for w in model.get_weights()]))
    assert len(records[0][0]) == 1 + len(names)
    assert records[0] == records[1]


class InAList(Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1, kernel_initializer="ones")

    def call(self, inputs):
        return [self.dense(inputs)]


def test_one_output_in_a_list_is_trained(data):
    made = layers.Dense(1, kernel_initializer="ones")(start := Input((5,)))
    ends = []
    for model in (Model(start, [made]), InAList()):
        model.compile("sgd", "mse", metrics=["mae"])
        history = model.fit(data[0], data[0][:, :1], batch_size=64, verbose=0).history
        ends.append((history, model.get_weights()[0].tobytes()))
    assert ends[0] == ends[1]
    assert Model(start, [made]).predict(data[0], verbose=0).shape == (64, 1)


class Tracked(Model):
    """A step with its own loss and metric, as in a model that has no `call`."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.tracker = metrics.Mean(name="total")

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, data):
        x, _ = data
        loss = (self.decoder(self.encoder(x)) - x).square().mean()
        self.optimizer.minimize(loss)
        self.tracker.update_state(loss.item())
        return {"total": self.tracker.result()}


def test_a_model_without_call(data):
    tinydl.manual_seed(0)
    encoder = Sequential([Input((5,)), layers.Dense(5)])
    model = Tracked(encoder, layers.Dense(5))
    model.decoder.build((None, 5))
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(data[0], epochs=20, batch_size=16, verbose=0).history
    assert history["total"][-1] < 0.5 * history["total"][0]
    reached = float(((model.decoder(encoder(data[0])).numpy() - data[0]) ** 2).mean())
    assert 0.5 * reached < history["total"][-1] < 2 * reached  # of the last epoch alone


# -- Wrong use --------------------------------------------------------------------------------------------------


class Unready(Model):
    def __init__(self):
        self.dense = layers.Dense(2)


class Returns(Stepping):
    def train_step(self, data):
        return 1.0


@pytest.mark.parametrize(
    ("action", "kind", "message"),
    [
        (lambda: Unready()(np.zeros((2, 3))), RuntimeError, "Unready: call super().__init__() first"),
        (
            lambda: Rows.__base__.__init__(Rows([]), x := Input((2,)), x),
            ValueError,
            "Rows: got inputs and outputs, but",
        ),
        (lambda: Net().build(), ValueError, 'Model "net" does not know the shape of its input: pass input_shape'),
        (lambda: Net().count_params(), ValueError, 'count_params: model "net" has no weights yet'),
        (lambda: Net().get_layer("none"), ValueError, "No such layer: none. Existing layers are: ['dense', 'batch_n"),
        (lambda: _fit(Returns), TypeError, "train_step: returned a float, wanted a dictionary of numbers"),
        (lambda: keras.optimizers.SGD().minimize(tinydl.zeros(1)), ValueError, "SGD.minimize: no model has been"),
    ],
)
def test_errors(action, kind, message):
    with pytest.raises(kind) as error:
        action()
    assert message in str(error.value)


def _fit(kind):
    model = kind(start := Input((3,)), layers.Dense(1)(start))
    model.compile("sgd", "mse")
    model.fit(np.zeros((2, 3)), np.zeros((2, 1)), verbose=0)
