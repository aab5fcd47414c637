"""Steps, validation and kinds of data of fit, evaluate and predict; single batches; the losses of layers."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Model, Sequential, callbacks, layers, metrics, optimizers
from tinydl.utils.data import DataLoader, TensorDataset

from ..support.compare import assert_close

N, BATCH = 32, 8


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, 5)).astype(np.float32), rng.integers(0, 3, N)


def model(built=True, loss="sparse_categorical_crossentropy", **options):
    tinydl.manual_seed(1)
    made = Sequential([*([layers.Input((5,))] if built else []), layers.Dense(3, activation="softmax")])
    made.compile(optimizers.SGD(0.1), loss, **{"metrics": ["accuracy"], **options})
    return made


def bits(made):
    return [w.tobytes() for w in made.get_weights()]


def batches(x, y, size=BATCH):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def forever(x, y):
    while True:
        yield from batches(x, y)


class Seen(callbacks.Callback):
    """Counts the batches of each epoch."""

    def __init__(self):
        self.batches = []

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.append(0)

    def on_train_batch_begin(self, batch, logs=None):
        assert batch == self.batches[-1]
        self.batches[-1] += 1


# -- Steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["arrays", "data set", "loader", "list of batches", "generator"])
def test_steps_go_on_through_the_data(data, kind):
    """Six epochs of two steps are three epochs of four."""
    x, y = data
    given = {
        "arrays": (x, y),
        "data set": (TensorDataset(x, y),),
        "loader": (DataLoader(TensorDataset(x, y), batch_size=BATCH),),
        "list of batches": (Rows(batches(x, y)),),
        "generator": (forever(x, y),),
    }[kind]
    whole, steps, seen = model(), model(), Seen()
    whole.fit(x, y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0)
    steps.fit(*given, batch_size=BATCH, epochs=6, steps_per_epoch=2, shuffle=False, verbose=0, callbacks=[seen])
    assert seen.batches == [2] * 6
    assert bits(steps) == bits(whole)


class Rows:
    """An iterable that has no length."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def test_steps_shuffle_like_whole_epochs(data):
    found = []
    for options in ({"epochs": 3}, {"epochs": 6, "steps_per_epoch": 2}):
        made = model()  # which seeds the generator
        made.fit(*data, batch_size=BATCH, verbose=0, **options)
        found.append(bits(made))
    assert found[0] == found[1]


def test_data_that_runs_out_ends_the_epoch(data):
    seen = Seen()
    with pytest.warns(UserWarning, match="the data ran out after 1 of the epoch's 3 steps"):
        model().fit(*data, batch_size=BATCH, epochs=3, steps_per_epoch=3, verbose=0, callbacks=[seen])
    assert seen.batches == [3, 1, 3]
    with (
        pytest.raises(ValueError, match="fit: the data is empty: the loader gave no batch"),
        pytest.warns(UserWarning, match="ran out"),
    ):
        model().fit(iter(batches(*data)), epochs=3, steps_per_epoch=4, verbose=0)


def test_steps_of_evaluate_and_predict(data):
    x, y = data
    made = model()
    wanted = made.evaluate(x[:16], y[:16], batch_size=BATCH, verbose=0)
    for given in ((x, y), (forever(x, y),), (DataLoader(TensorDataset(x, y), batch_size=BATCH),)):
        assert made.evaluate(*given, batch_size=BATCH, steps=2, verbose=0) == wanted
    outputs = made.predict(x, batch_size=BATCH, verbose=0)
    for given in (x, forever(x, y), DataLoader(TensorDataset(x, y), batch_size=BATCH), (b for b, _ in forever(x, y))):
        assert np.array_equal(made.predict(given, batch_size=BATCH, steps=2, verbose=0), outputs[:16])
    assert np.array_equal(made.predict_on_batch(x), outputs)
    with pytest.warns(UserWarning, match="the data ran out after 4 of the epoch's 9 steps"):
        assert len(made.predict(x, batch_size=BATCH, steps=9, verbose=0)) == N


def test_validation_steps_evaluate_the_same_batches(data):
    x, y = data
    made = model()
    history = made.fit(
        x, y, epochs=2, validation_data=(x, y), validation_batch_size=4, validation_steps=3, verbose=0
    ).history
    assert history["val_loss"][1] == made.evaluate(x[:12], y[:12], batch_size=4, verbose=0)[0]


@pytest.mark.parametrize(("freq", "epochs"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), ([1, 4], [0, 3]), (9, [])])
def test_validation_freq(data, freq, epochs):
    seen = []
    watch = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("val_loss" in logs))
    others = [
        callbacks.EarlyStopping(patience=0, baseline=100.0, min_delta=0.0),
        callbacks.ReduceLROnPlateau(),
        watch,
    ]
    history = (
        model().fit(*data, epochs=5, validation_data=data, validation_freq=freq, verbose=0, callbacks=others).history
    )
    assert [epoch for epoch, found in enumerate(seen) if found] == epochs
    assert len(history["loss"]) == 5
    assert len(history.get("val_loss", [])) == len(epochs)


def test_generators_build_the_model_and_lose_no_batch(data):
    x, y = data
    wanted = model()
    wanted.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    for given in (
        iter(batches(x.astype(np.float64), y.astype(np.int32))),
        Rows(batches(x, y)),
        TensorDataset(x, y),
        DataLoader(TensorDataset(x, y), batch_size=BATCH),
    ):
        made = model(built=False)
        made.fit(given, batch_size=BATCH, shuffle=False, verbose=0)
        assert bits(made) == bits(wanted)
    made = model(built=False)
    assert np.array_equal(made.predict(iter(batches(x, y)), verbose=0), model().predict(x, verbose=0))


# -- One batch --------------------------------------------------------------------------------------------------


def test_single_batches(data):
    x, y = data
    whole, single = model(), model()
    history = whole.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0).history
    found = [single.train_on_batch(*batch) for batch in batches(x, y)]
    assert bits(single) == bits(whole)
    assert np.mean(found, axis=0).tolist() == [history["loss"][0], history["accuracy"][0]]
    assert [m.result() for m in single.metrics] == found[-1]
    found = single.test_on_batch(x, y, return_dict=True)
    assert found == single.evaluate(x, y, batch_size=N, verbose=0, return_dict=True)
    assert bits(single) == bits(whole)
    single.reset_metrics()
    assert np.isnan(single.metrics[0].result())
    assert isinstance(model(metrics=None).train_on_batch(x, y), float)


def test_metrics_and_their_names():
    made = model(metrics=["accuracy", metrics.SparseTopKCategoricalAccuracy(2)], weighted_metrics=["accuracy"])
    assert made.metrics_names == ["loss", "accuracy", "sparse_top_k_categorical_accuracy", "weighted_accuracy"]
    assert [m.name for m in made.metrics] == ["loss", "accuracy", "sparse_top_k_categorical_accuracy", "accuracy"]
    assert isinstance(made, Model)
    bare = Sequential([layers.Dense(1)])
    assert (bare.metrics, bare.metrics_names) == ([], [])


# -- Layers' losses ---------------------------------------------------------------------------------------------


class Decayed(layers.Dense):
    """A dense layer with a loss of its weights."""

    @property
    def losses(self):
        return [(self.inner.weight**2).sum() * 0.01] if self.built else []


def test_losses_of_layers_are_added(torch, data):
    x, y = data
    tinydl.manual_seed(1)
    made = Sequential([layers.Input((5,)), Decayed(3, activation="softmax")])
    made.compile(optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    kernel, bias = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in made.get_weights())
    ours = made.evaluate(x, y, verbose=0)
    value = torch.nn.functional.cross_entropy(torch.tensor(x).double() @ kernel + bias, torch.tensor(y))
    value = value + 0.01 * (kernel**2).sum()
    value.backward()
    assert_close(np.float32(ours), value.detach().numpy(), "loss", length=N)
    assert len(made.losses) == 1
    made.fit(x, y, batch_size=N, verbose=0)
    wanted = (kernel - 0.5 * kernel.grad).detach().numpy()
    assert_close(made.get_weights()[0], wanted, "gradient", length=N, scale=1.0)


def test_losses_of_layers_alone(data):
    made = Sequential([layers.Input((5,)), Decayed(3)])
    made.compile(optimizers.SGD(1.0))
    before = made.get_weights()[0]
    history = made.fit(data[0], batch_size=N, verbose=0).history
    assert history["loss"] == [pytest.approx(0.01 * (before**2).sum(), rel=1e-5)]
    assert_close(made.get_weights()[0], before.astype(np.float64) * 0.98, "gradient", length=N, scale=1.0)


def test_regularizers_and_activity_penalties_alone(data):
    for penalty in ({"kernel_regularizer": "l2"}, {"activity_regularizer": "l2"}):
        made = Sequential([layers.Input((5,)), layers.Dense(3, **penalty)])
        made.compile(optimizers.SGD(0.5))
        values = made.fit(data[0], epochs=10, verbose=0).history["loss"]
        assert 0 < values[-1] < values[0]


# -- Errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda x, y: model().fit(x, y, steps_per_epoch=0), "fit: steps_per_epoch: got 0 steps, wanted a positive"),
        (lambda x, y: model().evaluate(x, y, steps=1.5), "evaluate: steps: got 1.5 steps"),
        (lambda x, y: model().predict(x, steps=-1), "predict: steps: got -1 steps"),
        (lambda x, y: model().fit(x, y, validation_data=(x, y), validation_steps=0), "fit: validation_steps: got 0"),
        (lambda x, y: model().fit(x, y, validation_freq=0), "got validation_freq=0, wanted a positive number"),
        (lambda x, y: model().fit(x, y, validation_freq=[0, 1]), "got validation_freq=[0, 1]"),
        (lambda x, y: model().fit(x), "fit: y is missing, and the loss needs targets"),
        (lambda x, y: model().train_on_batch(x), "train_on_batch: y is missing"),
        (lambda x, y: model().train_on_batch(x, y[1:]), "x has 32 samples, y has 31"),
        (lambda x, y: model().fit(forever(x, y), validation_split=0.5), "validation_split needs arrays, got a gener"),
        (lambda x, y: model(built=False).fit(iter([])), "the data is empty: it gave no batch"),
        (lambda x, y: model().fit(iter([]), verbose=0), "fit: the data is empty: the loader gave no batch"),
        (lambda x, y: model(loss=["mse"] * 2), "compile: got a list of 2 loss; a model with one output has one"),
        (lambda x, y: model(loss={"a": "mse"}), "compile: loss has ['a'], which are no outputs; the outputs are ['"),
        (lambda x, y: model(metrics="accuracy"), "compile: got metrics='accuracy', wanted a list"),
        (lambda x, y: model(weighted_metrics={"a": "mse"}), "weighted_metrics has ['a'], which are no outputs"),
        (lambda x, y: model(loss=None).train_on_batch(x, y), "train_on_batch: no loss to compute"),
        (lambda x, y: Sequential([layers.Dense(1)]).test_on_batch(x, y), "test_on_batch: you must call `compile()`"),
    ],
)
def test_errors(data, action, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        action(*data)
    assert message in str(error.value)


def test_an_error_in_a_batch_leaves_the_modes(data):
    made = model()
    with pytest.raises(IndexError, match="label 7"):
        made.train_on_batch(data[0], np.full(N, 7))
    assert not made.training
    with pytest.raises(TypeError, match="fit: got data of type int, wanted"):
        made.fit(3)
