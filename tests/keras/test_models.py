"""Sequential: building, training, its numbers against PyTorch, its errors."""

import math

import numpy as np
import pytest

import tinydl
from tinydl import keras, nn
from tinydl.keras import Sequential, callbacks, layers, losses, metrics, optimizers
from tinydl.utils.data import DataLoader, TensorDataset

from ..support.compare import assert_close


def images(rng, count=40, size=12):
    return rng.standard_normal((count, size, size, 1)).astype(np.float32), rng.integers(0, 4, count)


def small_cnn(**first):
    return Sequential(
        [
            layers.Conv2D(6, 3, activation="relu", **first),
            layers.MaxPooling2D(2),
            layers.Conv2D(5, (2, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(7, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def torch_twin(torch, model):
    """The same function in PyTorch, from the weights in Keras's shapes."""
    weights = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]

    def logits(x):
        f = torch.nn.functional
        k1, b1, k2, b2, w3, b3, w4, b4 = weights
        x = torch.tensor(x).permute(0, 3, 1, 2)
        x = f.max_pool2d(f.conv2d(x, k1.permute(3, 2, 0, 1), b1).relu(), 2)
        x = f.conv2d(x, k2.permute(3, 2, 0, 1), b2).relu()
        x = x.permute(0, 2, 3, 1).reshape(len(x), -1)  # Keras flattens H, W, C
        return (x @ w3 + b3).relu() @ w4 + b4

    return weights, logits


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", optimizers.SGD(0.05, momentum=0.9, nesterov=True)])
def test_training_equals_pytorch(torch, rng, loss, optimizer):
    tinydl.manual_seed(3)
    model = small_cnn(input_shape=(12, 12, 1))
    weights, logits = torch_twin(torch, model)
    x, y = images(rng)
    labels = torch.tensor(y)
    optim = {
        "adam": lambda: torch.optim.Adam(weights, lr=0.001, eps=1e-7),
        "sgd": lambda: torch.optim.SGD(weights, lr=0.01),
    }.get(optimizer, lambda: torch.optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True))()
    wanted = torch.softmax(logits(x), 1)
    assert_close(model.predict(x, verbose=0), wanted.detach().numpy(), "gradient", length=60, scale=1.0)
    total, right = 0.0, 0
    for step, start in enumerate(range(0, 40, 16), 1):
        if optimizer == "adam":  # Keras adds epsilon to the root of v itself, PyTorch to that of the corrected v
            optim.param_groups[0]["eps"] = 1e-7 / math.sqrt(1 - 0.999**step)
        out = logits(x[start : start + 16])
        value = torch.nn.functional.cross_entropy(out, labels[start : start + 16])
        optim.zero_grad()
        value.backward()
        optim.step()
        total += value.item() * len(out)
        right += int((out.argmax(1) == labels[start : start + 16]).sum())
    model.compile(optimizer, loss, metrics=["accuracy"])
    targets = y if loss.startswith("sparse") else keras.utils.to_categorical(y, 4)
    history = model.fit(x, targets, batch_size=16, shuffle=False, verbose=0)
    assert_close(np.array(history.history["loss"], np.float32), np.array([total / 40]), "gradient", length=60)
    assert history.history["accuracy"] == [right / 40]
    for got, expected in zip(model.get_weights(), weights, strict=True):
        # Adam's first steps have the size of the learning rate whatever the gradient is: compare on that scale
        assert_close(got, expected.detach().numpy(), "gradient", length=60, scale=np.abs(got).max() + 0.1)
    test_loss, accuracy = model.evaluate(x, targets, verbose=0)
    out = logits(x)
    assert accuracy == int((out.argmax(1) == labels).sum()) / 40
    after = torch.nn.functional.cross_entropy(out, labels).item()
    assert_close(np.float32(test_loss), np.float64(after), "gradient", length=60)


def test_loss_on_logits_is_that_of_the_probabilities(rng):
    """Where probabilities are far from 0, training on logits changes no more than rounding."""
    x, y = images(rng)
    tinydl.manual_seed(0)
    model = small_cnn(input_shape=(12, 12, 1))
    model.compile("sgd", "sparse_categorical_crossentropy")
    p = model.predict(x, verbose=0).astype(np.float64)
    wanted = -np.log(p[np.arange(40), y]).mean()
    assert_close(np.float32(model.evaluate(x, y, verbose=0)), wanted, "gradient", length=40)


@pytest.mark.parametrize("from_logits", [False, True])
def test_losses_as_functions(rng, from_logits):
    z = rng.standard_normal((6, 4))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = rng.integers(0, 4, 6)
    wanted = np.array(-np.log(p[np.arange(6), y]).mean())
    given = (z if from_logits else p).astype(np.float32)
    sparse = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    assert_close(sparse(y, given), wanted, "loss", length=4)
    assert_close(sparse(y[:, None], given), wanted, "loss", length=4)
    dense = losses.CategoricalCrossentropy(from_logits=from_logits)
    assert_close(dense(np.eye(4)[y], given), wanted, "loss", length=4)


def test_a_model_that_returns_logits_is_trained_alike(rng):
    x, y = images(rng)
    results = []
    for softmax in (True, False):
        tinydl.manual_seed(0)
        last = layers.Dense(4, activation="softmax" if softmax else None)
        model = Sequential([layers.Flatten(input_shape=(12, 12, 1)), last])
        model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=not softmax), metrics=["accuracy"])
        results.append((model.fit(x, y, verbose=0).history, [w.tobytes() for w in model.get_weights()]))
    assert results[0] == results[1]


def test_mean_squared_error_with_or_without_the_last_axis(rng):
    x = rng.standard_normal((50, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 0.5], np.float32)
    found = []
    for targets in (y, y[:, None], y.tolist()):
        tinydl.manual_seed(0)
        model = Sequential([layers.Dense(1)])
        model.compile(optimizers.SGD(0.1), "mse")
        history = model.fit(x, targets, epochs=20, verbose=0)
        found.append(history.history["loss"])
    assert found[0] == found[1] == found[2]
    assert found[0][-1] < 1e-3 * found[0][0]
    wanted = np.mean((model.predict(x, verbose=0)[:, 0].astype(np.float64) - y) ** 2)
    assert_close(np.float32(model.evaluate(x, y, verbose=0)), wanted, "loss", length=50)


def test_a_loss_of_the_user(rng):
    x, y = images(rng)
    model = Sequential([layers.Flatten(), layers.Dense(4)])
    model.compile("sgd", lambda y_true, y_pred: ((y_pred - y_true) ** 2).mean())
    targets = np.eye(4, dtype=np.float32)[y]
    got = model.fit(x, targets, verbose=0, batch_size=40).history["loss"][0]
    assert 0.1 < got < 10


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "wanted"),
    [
        ("accuracy", [[0.2, 0.8], [0.9, 0.1]], [1, 1], 0.5),
        ("acc", [[0.2, 0.8], [0.9, 0.1]], [[0.0, 1.0], [1.0, 0.0]], 1.0),
        ("accuracy", [[0.2], [0.9]], [1, 1], 0.5),
        ("sparse_categorical_accuracy", [[0.2, 0.8], [0.9, 0.1]], [[1], [0]], 1.0),
        ("binary_accuracy", [[0.6], [0.4]], [[1], [0]], 1.0),
    ],
)
def test_metrics_by_name(name, outputs, targets, wanted):
    metric = metrics.get(name)
    metric.update(np.array(outputs), np.array(targets))
    assert (metric.name, metric.result()) == (name, wanted)


# -- Inputs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float64", "list", "tensor", "uint8", "no channel axis", "strided"])
def test_kinds_of_inputs(rng, kind):
    x = rng.integers(0, 5, (40, 12, 12, 1)).astype(np.uint8)
    y = rng.integers(0, 4, 40)
    given = {
        "float64": (x.astype(np.float64), y.astype(np.int32)),
        "list": (x.tolist(), y.tolist()),
        "tensor": (tinydl.tensor(x.astype(np.float32)), tinydl.tensor(y)),
        "uint8": (x, y.astype(np.uint8)),
        "no channel axis": (x[..., 0], y[:, None]),
        "strided": (np.repeat(x, 2, axis=1)[:, ::2], y.astype(np.float32)),
    }[kind]
    results = []
    for data in ((x.astype(np.float32), y), given):
        tinydl.manual_seed(0)
        model = small_cnn(input_shape=(12, 12, 1))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(*data, epochs=2, verbose=0)
        results.append((history.history, model.evaluate(*data, verbose=0), model.predict(data[0], verbose=0).tobytes()))
    assert results[0] == results[1]


def test_loaders_and_data_sets(rng):
    x, y = images(rng)
    for data in (TensorDataset(x, y), DataLoader(TensorDataset(x, y), batch_size=32)):
        tinydl.manual_seed(0)
        model = small_cnn(input_shape=(12, 12, 1))
        model.compile("adam", "sparse_categorical_crossentropy")
        got = model.fit(data, shuffle=False, verbose=0).history
        tinydl.manual_seed(0)
        model = small_cnn(input_shape=(12, 12, 1))
        model.compile("adam", "sparse_categorical_crossentropy")
        assert model.fit(x, y, shuffle=False, verbose=0).history == got


def test_building_at_first_sight_of_data(rng):
    x, _ = images(rng)
    tinydl.manual_seed(0)
    given = small_cnn(input_shape=(12, 12, 1))
    for see in (
        lambda model: model(x),
        lambda model: model.build((None, 12, 12, 1)),
        lambda model: model.predict(x, verbose=0),
        lambda model: (model.compile("sgd", "mse"), model.evaluate(x, np.zeros((40, 4)), verbose=0)),
    ):
        tinydl.manual_seed(0)
        model = small_cnn()
        assert not model.built
        see(model)
        assert [w.tolist() for w in model.get_weights()] == [w.tolist() for w in given.get_weights()]
    tinydl.manual_seed(0)
    model = Sequential([keras.Input((12, 12, 1)), *small_cnn().layers])
    assert model.built
    assert model.input_shape == (None, 12, 12, 1)
    assert model.output_shape == (None, 4)


def test_the_state_dict_is_that_of_the_nn_layers():
    model = Sequential([layers.Conv2D(3, 2, input_shape=(6, 6, 2)), layers.Flatten(), layers.Dense(5)])
    twin = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(75, 5))
    assert {k: t.shape for k, t in model.state_dict().items()} == {k: t.shape for k, t in twin.state_dict().items()}


def test_modes_and_dropout(rng):
    x, y = images(rng)
    model = Sequential([layers.Flatten(input_shape=(12, 12, 1)), layers.Dropout(0.5), layers.Dense(4)])
    assert np.array_equal(model(x).numpy(), model(x).numpy())
    assert not model(x).requires_grad
    assert model(x, training=True).requires_grad
    assert not np.array_equal(model(x, training=True).detach().numpy(), model(x).numpy())
    model.compile("sgd", "mse")
    model.fit(x, np.eye(4)[y], verbose=0)
    assert np.array_equal(model(x).numpy(), model(x).numpy())


def test_frozen_layers_stay(rng):
    x, y = images(rng)
    model = small_cnn(input_shape=(12, 12, 1))
    model.layers[0].trainable = False
    before = model.get_weights()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == [True, True] + [False] * 6


# -- Weights ----------------------------------------------------------------------------------------------------


def test_weights_can_be_saved_and_set(rng, tmp_path):
    x, _ = images(rng)
    one, two, three = (small_cnn(input_shape=(12, 12, 1)) for _ in range(3))
    path = tmp_path / "w.safetensors"
    one.save_weights(path)
    two.load_weights(path)
    three.set_weights(one.get_weights())
    assert np.array_equal(one.predict(x, verbose=0), two.predict(x, verbose=0))
    assert np.array_equal(one.predict(x, verbose=0), three.predict(x, verbose=0))
    with pytest.raises(FileExistsError):
        one.save_weights(path, overwrite=False)
    with pytest.raises(ValueError, match=r"must end with \.safetensors"):
        one.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match="set_weights: got 7 weights"):
        one.set_weights(one.get_weights()[1:])
    before = one.get_weights()
    wrong = [np.zeros_like(w) for w in before]
    wrong[-1] = np.zeros(9)
    with pytest.raises(ValueError, match=r"wanted \[\(3, 3, 1, 6\)"):
        one.set_weights(wrong)
    assert all(np.array_equal(a, b) for a, b in zip(before, one.get_weights(), strict=True))
    with pytest.raises(ValueError, match=r"Unexpected key\(s\)"):
        Sequential([layers.Dense(3, input_shape=(2,))]).load_weights(path)


def test_model_checkpoint_and_early_stopping(rng, tmp_path, capsys):
    x, y = images(rng)
    model = small_cnn(input_shape=(12, 12, 1))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    path = str(tmp_path / "{epoch:02d}.safetensors")
    saved = callbacks.ModelCheckpoint(path, verbose=1)
    stop = callbacks.EarlyStopping("loss", min_delta=100.0, patience=2, verbose=1)
    history = model.fit(x, y, epochs=9, validation_split=0.25, verbose=0, callbacks=[saved, stop])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01.safetensors", "02.safetensors", "03.safetensors"]
    assert len(history.epoch) == 3
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert "Epoch 3: early stopping" in capsys.readouterr().out
    other = small_cnn(input_shape=(12, 12, 1))
    other.load_weights(tmp_path / "03.safetensors")
    assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_learning_rate_scheduler(rng, capsys):
    x, y = images(rng)
    model = small_cnn(input_shape=(12, 12, 1))
    model.compile(optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate, verbose=1)
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[halve])
    assert history.history["learning_rate"] == [0.5, 0.25, 0.125]
    assert "\nEpoch 3: LearningRateScheduler setting learning rate to 0.125.\n" in capsys.readouterr().out
    with pytest.raises(TypeError, match="the schedule returned 'fast', wanted a number"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: "fast")])


def test_the_optimizer_goes_on_where_it_was(rng):
    x, y = images(rng)
    results = []
    for calls in ([(2, 0)], [(1, 0), (2, 1)]):
        tinydl.manual_seed(0)
        model = small_cnn(input_shape=(12, 12, 1))
        model.compile(optimizers.Adam(learning_rate=0.01), "sparse_categorical_crossentropy")
        for epochs, first in calls:
            model.fit(x, y, epochs=epochs, initial_epoch=first, shuffle=False, verbose=0)
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]
    assert model.optimizer.learning_rate == 0.01
    model.optimizer.learning_rate = 0.0
    model.fit(x, y, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == results[0]


# -- Printed forms ----------------------------------------------------------------------------------------------


def test_one_hot():
    assert tinydl.one_hot(np.array([[2], [0]]), depth=3).tolist() == [[[0, 0, 1]], [[1, 0, 0]]]
    assert tinydl.one_hot(tinydl.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
    assert tinydl.one_hot([1], depth=2).dtype == np.float32
    assert tinydl.one_hot([1], 2).dtype == np.int64
    assert keras.ops.one_hot([1], depth=2).tolist() == [[0, 1]]
    with pytest.raises(IndexError, match="index 3 is out of range for 3 classes"):
        tinydl.one_hot([3], 3)
    with pytest.raises(IndexError, match="index -1"):
        tinydl.one_hot([-1], 3)
    with pytest.raises(TypeError, match="got dtype float64, wanted integers"):
        tinydl.one_hot([0.5], 3)


def test_random_seed():
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        kernel = small_cnn(input_shape=(12, 12, 1)).get_weights()[0]
        draws.append((tinydl.rand(3).tolist(), np.random.rand(), kernel.tolist()))  # noqa: NPY002
    assert draws[0] == draws[1]


# -- Errors -----------------------------------------------------------------------------------------------------


def compiled(loss="sparse_categorical_crossentropy"):
    model = small_cnn(input_shape=(12, 12, 1))
    model.compile("adam", loss, metrics=["accuracy"])
    return model


X, Y = np.zeros((5, 12, 12, 1), np.float32), np.zeros(5, np.int64)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: small_cnn().fit(X, Y), "fit: you must call `compile()` before"),
        (lambda: small_cnn().evaluate(X, Y), "evaluate: you must call `compile()` before"),
        (
            lambda: small_cnn().compile("adamm", "mse"),
            "Unknown optimizer: 'adamm'. Known: adadelta, adagrad, adam, adamax, adamw, nadam, rmsprop, sgd",
        ),
        (lambda: small_cnn().compile("adam", "hinges"), "Unknown loss: 'hinges'. Known: BCE, BinaryCrossentropy"),
        (lambda: small_cnn().compile("adam", "mse", metrics=["f1"]), "Unknown metric: 'f1'. Known: acc, accuracy"),
        (lambda: compiled(None).fit(X, Y), "fit: no loss to compute"),
        (lambda: compiled().fit(X, Y[:4]), "x has 5 samples, y has 4; wanted equally many"),
        (lambda: compiled().fit(X[:0], Y[:0]), "fit: the data is empty: x has the shape (0, 12, 12, 1)"),
        (lambda: compiled().fit(), "fit: x is missing"),
        (
            lambda: compiled().fit(X[:, :11], Y, verbose=0),
            'layer "conv2d" is incompatible with the layer: expected shape=(None, 12, 12, 1), found shape=(5, 11,',
        ),
        (lambda: compiled()(X[:, :11]), "expected shape=(None, 12, 12, 1), found shape=(5, 11, 12, 1)"),
        (
            lambda: compiled().fit(X, np.eye(5)[:, :4], verbose=0),
            "targets of shape (5, 4) do not fit outputs of shape (5, 4); wanted class indices of shape (5,)",
        ),
        (
            lambda: compiled("categorical_crossentropy").fit(X, Y, verbose=0),
            "targets of shape (5,) do not fit outputs of shape (5, 4); wanted one-hot targets",
        ),
        (lambda: compiled().fit(X, Y + 0.5), "the targets must be class indices, got fractions"),
        (lambda: compiled().fit(X, Y, verbose=3), "got verbose=3"),
        (
            lambda: compiled().fit(X, Y, validation_data=(X,)),
            "validation_data has 1 items, wanted (x, y) or",
        ),
        (lambda: compiled().fit(X, Y, validation_split=0.99), "leaves a part empty"),
        (lambda: small_cnn().count_params(), 'count_params: model "sequential" has no weights yet'),
        (lambda: Sequential().build((None, 3)), 'Model "sequential" has no layers'),
        (lambda: small_cnn().build(), "does not know the shape of its input"),
        (lambda: compiled().get_layer("x"), "No such layer: x. Existing layers are: ['conv2d', 'max_pooling2d'"),
        (lambda: optimizers.Adam(learning_rate=-1), "Adam: got learning_rate=-1"),
        (lambda: optimizers.Adam(use_ema=True), "Adam: not available: use_ema=True"),
        (lambda: callbacks.ModelCheckpoint("a.keras"), "must end with .safetensors"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        action()
    assert message in str(error.value)


def test_labels_out_of_range():
    with pytest.raises(IndexError, match="label 4"):
        compiled().fit(X, Y + 4, verbose=0)
    with pytest.raises(TypeError, match="only layers can be added, got int"):
        Sequential([3])
    with pytest.raises(TypeError, match=r"fit: x: got data of dtype <U\d, wanted numbers"):
        compiled().fit(["a", "b"], [0, 1])
