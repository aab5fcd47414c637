"""Layers that users define: their weights, gradients, penalties, parts, settings and files."""

import copy
import weakref

import numpy as np
import pytest

import tinydl
from tinydl import keras, nn
from tinydl.keras import Sequential, initializers, layers, models, ops

from ..support.compare import assert_close


class Affine(layers.Layer):
    """x W + b, with an argument of its own."""

    def __init__(self, units=3, **options):
        super().__init__(**options)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="ones", name="b")

    def call(self, inputs):
        return inputs @ self.w + self.b


class Block(layers.Layer):
    """Layers as attributes, in lists and in dictionaries; dropout by the mode of the call."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first = Affine(4)
        self.rest = [layers.Dense(5, activation="tanh"), {"last": Affine(2)}]
        self.drop = layers.Dropout(0.5)
        self.modes = []

    def call(self, inputs, training=None):
        self.modes.append(training)
        x = self.drop(self.first(inputs))
        return self.rest[1]["last"](self.rest[0](x))


class Count(layers.Layer):
    """The sum of all inputs so far: a weight that is not trained."""

    def __init__(self, size):
        super().__init__()
        self.total = self.add_weight(shape=(size,), initializer="zeros", trainable=False)
        self.calls = self.add_weight(initializer="zeros", trainable=False, dtype="int32", name="calls")

    def call(self, inputs):
        self.total.assign_add(ops.sum(inputs, axis=0))
        self.calls.assign_add(1)
        return self.total + 0.0 * inputs


class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(0.5 * ops.mean(ops.square(inputs)))
        return inputs


# -- Weights ----------------------------------------------------------------------------------------------------


def test_weights_are_made_in_build():
    layer = Affine(4)
    assert (layer.built, layer.weights) == (False, [])
    assert layer.compute_output_shape((None, 3)) == (None, 4)
    assert layer.built
    assert [w.shape for w in layer.weights] == [(3, 4), (4,)]
    assert layer.count_params() == 16
    assert np.array_equal(layer.get_weights()[1], np.ones(4))
    assert np.array_equal(layer.b.detach(), np.ones(4))
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    layer.set_weights([np.full((3, 4), 2.0), np.arange(4.0)])
    assert_close(layer(x), 2 * x.astype(np.float64).sum(1, keepdims=True) + np.arange(4.0), "gradient", length=3)
    with pytest.raises(ValueError, match="got weights of shapes"):
        layer.set_weights([np.zeros((3, 4))])


def test_super_build_and_direct_build():
    class Twice(Affine):
        def build(self, input_shape):
            super().build(input_shape)
            self.more = self.add_weight(shape=(self.units,), initializer="zeros", name="more")
            self.built = True

        def call(self, inputs):
            return super().call(inputs) + self.more

    layer = Twice(2)
    layer.build((None, 3))
    layer.build((None, 3))
    assert len(layer.weights) == 3
    assert layer(np.ones((1, 3))).shape == (1, 2)
    assert layer.output_shape == (2,)


def test_a_kept_weight():
    layer = Count(2)
    x = np.ones((3, 2), np.float32)
    assert np.array_equal(layer(x), np.full((3, 2), 3.0))
    assert np.array_equal(layer(x), np.full((3, 2), 6.0))
    assert layer.calls.item() == 2  # the trial call that finds the shape of the output left no trace
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == len(layer.weights) == 2
    layer.total.assign([7.0, 8.0])
    layer.total.assign_sub([1.0, 1.0])
    assert layer.get_weights()[0].tolist() == [6.0, 7.0]
    with pytest.raises(ValueError, match=r"assign: got values of shape \(3,\) for a weight of shape \(2,\)"):
        layer.total.assign(np.zeros(3))


def test_weights_have_names_and_defaults():
    layer = layers.Layer()
    weights = [layer.add_weight((2, 3)), layer.add_weight(2, initializers.Constant(3.0)), layer.add_weight(name="a.b")]
    assert [v.name for v in layer._variables] == ["variable", "variable_1", "a_b"]
    assert [w.shape for w in weights] == [(2, 3), (2,), ()]
    assert 0 < np.abs(weights[0]._data).max() <= np.sqrt(6 / 5)
    assert weights[1].tolist() == [3.0, 3.0]
    assert layer.inner.state_dict().keys() == {"variable", "variable_1", "a_b"}


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: layers.Layer().add_weight((2,), dtype="int32"), ValueError, "weights that are trained are float32"),
        (lambda: layers.Layer().add_weight((None, 2)), ValueError, "got shape (None, 2), wanted numbers"),
        (lambda: layers.Layer()(np.zeros((2, 2))), NotImplementedError, "Layer does not define `call`"),
        (lambda: Forgetful(3)(np.zeros((2, 2))), RuntimeError, "Forgetful: call super().__init__() first"),
        (lambda: Array()(np.zeros((2, 2))), TypeError, "call returned a ndarray, wanted a tensor"),
        (lambda: Inner()(np.zeros((2, 2))), ValueError, "an attribute must not have the name `inner`"),
    ],
)
def test_errors(make, kind, message):
    with pytest.raises(kind) as error:
        make()
    assert message in str(error.value)


class Forgetful(layers.Layer):
    def __init__(self, units):
        self.units = units

    def call(self, inputs):
        return inputs


class Array(layers.Layer):
    def call(self, inputs):
        return np.zeros((2, 3))


class Inner(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(2)

    def call(self, inputs):
        return inputs


# -- Layers within layers ---------------------------------------------------------------------------------------


def test_layers_within_are_found():
    block = Block()
    block.build((None, 3))
    paths = ["first.w", "first.b", "rest.0.weight", "rest.0.bias", "rest.1.last.w", "rest.1.last.b"]
    assert list(block.inner.state_dict()) == paths
    assert [w.shape for w in block.weights] == [(3, 4), (4,), (4, 5), (5,), (5, 2), (2,)]
    assert block.count_params() == 16 + 25 + 12
    block.trainable = False
    assert (block.first.trainable, block.trainable_weights, len(block.non_trainable_weights)) == (False, [], 6)
    block.trainable = True
    block.first.trainable = False
    assert [w.shape for w in block.trainable_weights] == [(4, 5), (5,), (5, 2), (2,)]


def test_layers_within_are_in_the_mode_of_the_call(rng):
    block = Block()
    x = rng.standard_normal((200, 3)).astype(np.float32)
    assert np.array_equal(block(x), block(x))
    assert not np.array_equal(block(x, training=True), block(x))
    assert block.modes[1:] == [False, False, True, False]  # the first was the trial call
    assert not block(x).requires_grad
    assert block(x, training=True).requires_grad


def test_an_explicit_mode_within():
    class Still(layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5)

        def call(self, inputs):
            return self.drop(inputs, training=False) + self.drop(inputs, training=True)

    found = Still()(np.ones((100, 1)))
    assert set(found.numpy().ravel()) == {1.0, 3.0}


def test_gradients_equal_those_of_the_plain_computation(rng):
    tinydl.manual_seed(0)
    block = Sequential([layers.Input((3,)), Block(), Affine(1)])
    block.layers[0].drop.rate = 0.0
    x, y = rng.standard_normal((8, 3)).astype(np.float32), rng.standard_normal((8, 1)).astype(np.float32)
    weights = [tinydl.tensor(w.astype(np.float64), requires_grad=True) for w in block.get_weights()]
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    out = (((tinydl.tensor(x).double() @ w1 + b1) @ w2 + b2).tanh() @ w3 + b3) @ w4 + b4
    loss = ((out - tinydl.tensor(y).double()) ** 2).mean()
    loss.backward()
    block.compile(keras.optimizers.SGD(0.25), "mse")
    history = block.fit(x, y, batch_size=8, verbose=0).history
    assert_close(np.float32(history["loss"][0]), loss.detach().numpy(), "loss", length=8)
    for got, weight in zip(block.get_weights(), weights, strict=True):
        assert_close(got, (weight - 0.25 * weight.grad).detach().numpy(), "gradient", length=40, scale=1.0)


def test_images_are_channels_last_in_call(rng):
    class Roll(layers.Layer):
        def call(self, inputs):
            assert inputs.shape[1:] == (4, 5, 3)
            return inputs[..., :2] * 2.0

    x = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
    assert np.array_equal(Roll()(x), x[..., :2] * 2)
    model = Sequential([layers.Input((4, 5, 3)), Roll(), layers.Flatten()])
    assert np.array_equal(model(x), (x[..., :2] * 2).reshape(2, -1))


def test_a_subclass_of_a_layer_of_keras(rng):
    class Doubled(layers.Dense):
        def call(self, inputs):
            return 2.0 * super().call(inputs)

    layer = Doubled(3, activation="softmax")
    x = rng.standard_normal((4, 5)).astype(np.float32)
    assert_close(layer(x).numpy().sum(1), np.full(4, 2.0), "gradient", length=3)


def test_several_arguments_and_structures(rng):
    class Attend(layers.Layer):
        def __init__(self):
            super().__init__()
            self.project = layers.Dense(3)

        def call(self, query, value, factor=1.0):
            return {"sum": self.project(query) + value * factor, "difference": [query - 1.0]}

    q, v = rng.standard_normal((2, 3)).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    layer = Attend()
    found = layer(q, tinydl.tensor(v), factor=2.0)
    assert_close(found["sum"], layer.project(q).numpy().astype(np.float64) + 2.0 * v, "gradient", length=3)
    a, b = keras.Input((3,)), keras.Input((3,))
    made = layer(a, b, factor=2.0)
    assert made["difference"][0].shape == (None, 3)
    model = keras.Model([a, b], made)
    again = model([q, v])
    assert np.array_equal(again["sum"], found["sum"])
    assert np.array_equal(again["difference"][0], q - 1)


# -- Penalties --------------------------------------------------------------------------------------------------


def test_penalties(rng):
    x = rng.standard_normal((6, 3)).astype(np.float32)
    wanted = 0.5 * (x.astype(np.float64) ** 2).mean()

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inside = Penalty()

        def call(self, inputs):
            return self.inside(self.inside(inputs))

    layer = Outer()
    for _ in range(2):  # those of the call before are forgotten
        layer(x)
        assert len(layer.losses) == 2
    assert_close(layer.losses[0], np.array(wanted), "loss", length=18)
    model = Sequential([layers.Input((3,)), layer, layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    assert model.evaluate(x, np.zeros((6, 1)), verbose=0) == pytest.approx(2 * wanted, rel=1e-5)


def test_a_regularizer_of_a_weight(rng):
    class Shrunk(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=input_shape[1:], initializer="ones", regularizer=keras.regularizers.L2(0.5))

        def call(self, inputs):
            return inputs * self.w

    model = Sequential([layers.Input((3,)), Shrunk()])
    model.compile(keras.optimizers.SGD(0.1))
    assert model.fit(np.ones((4, 3)), verbose=0).history["loss"] == [pytest.approx(1.5)]
    assert_close(model.get_weights()[0], np.full(3, 0.9), "gradient", length=1)


@pytest.mark.parametrize("copied", [False, True])
def test_a_constraint_of_a_weight(copied):
    class Positive(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=input_shape[1:], initializer="ones", constraint="non_neg")

        def call(self, inputs):
            return inputs * self.w

    model = Sequential([layers.Input((3,)), Positive()])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    model.evaluate(np.ones((2, 3)), np.zeros((2, 3)), verbose=0)
    model = copy.deepcopy(model) if copied else model
    model.fit(np.ones((4, 3)), np.full((4, 3), -1.0), verbose=0)
    assert model.get_weights()[0].tolist() == [0.0, 0.0, 0.0]


def test_a_model_without_weights_is_evaluated():
    model = Sequential([layers.Input((3,)), Penalty()])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="has no weights that are trained"):
        history = model.fit(np.ones((2, 3)), np.zeros((2, 3)), verbose=0).history
    assert history["loss"] == [pytest.approx(1.5)]


# -- Settings and files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
@pytest.mark.parametrize("first", [True, False])
def test_a_layer_that_cannot_be_added_leaves_the_model_as_it_was(error, first):
    class Broken(layers.Layer):
        def call(self, inputs):
            raise error("on purpose")

    model = Sequential([] if first else [layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(error, match="on purpose"):
        model.add(Broken(input_shape=(7,)))
    model.add(layers.Dense(1, input_shape=(3,)))
    assert len(model.layers) == (1 if first else 2)
    assert model(np.ones((2, 3))).shape == (2, 1)
    assert model.layers[-1].output is model.outputs[0]


def test_further_arguments_are_not_kept():
    class Sum(layers.Layer):
        def call(self, inputs, other):
            return inputs + other

    layer, other = Sum(), tinydl.ones(2, 3)
    layer(tinydl.ones(2, 3), other)
    held = weakref.ref(other)
    del other
    assert held() is None


def test_a_constraint_that_returns_another_shape_is_refused():
    model = Sequential([layers.Input((3,)), layers.Dense(2, kernel_constraint=lambda w: w[0])])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"the constraint of kernel returned shape \(2,\), wanted \(3, 2\)"):
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)


def test_settings():
    layer = Affine(4, name="mine", trainable=False)
    assert layer.get_config() == {"units": 4, "name": "mine", "trainable": False}
    twin = Affine.from_config(layer.get_config())
    assert (twin.units, twin.name, twin.trainable) == (4, "mine", False)
    assert Count(2).get_config() == {"size": 2}  # whose constructor takes no name


def test_files(tmp_path, rng):
    path = tmp_path / "m.safetensors"
    model = Sequential([layers.Input((3,)), Block(name="block"), Count(2)])
    x = rng.standard_normal((4, 3)).astype(np.float32)
    model(x)
    model.save(path)
    with pytest.raises(ValueError, match="the layer 'Block' is unknown: pass its class in custom_objects"):
        models.load_model(path)
    again = models.load_model(path, custom_objects={"Block": Block, "Count": Count})
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))
    assert np.array_equal(again(x), model(x))


def test_registered_classes(tmp_path, rng):
    @keras.saving.register_keras_serializable(package="tests")
    class Registered(Affine):
        pass

    assert keras.saving.get_registered_name(Registered) == "tests>Registered"
    assert keras.saving.get_registered_object("tests>Registered") is Registered
    model = Sequential([layers.Input((3,)), Registered(2)])
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert type(again.layers[0]) is Registered
    with keras.saving.custom_object_scope({"tests>Registered": Affine}):
        assert type(models.load_model(tmp_path / "m.safetensors").layers[0]) is Affine
    assert keras.utils.register_keras_serializable is keras.saving.register_keras_serializable
    with pytest.raises(ValueError, match="has no get_config"):
        keras.saving.register_keras_serializable()(nn.Linear)
