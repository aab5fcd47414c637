"""Several outputs: their losses, weights and metrics, the names in the logs, the forms of data, wrong calls."""

import numpy as np
import pytest

import tinydl
from tinydl import keras
from tinydl.keras import Input, Model, layers, metrics, models
from tinydl.utils.data import DataLoader, TensorDataset

from ..support.compare import assert_close

N = 20
LOSSES = ["mse", "sparse_categorical_crossentropy"]


def model(**options):
    tinydl.manual_seed(0)
    a, b = Input((4,), name="a"), Input((3,), name="b")
    joined = layers.concatenate([layers.Dense(5, activation="tanh")(a), b])
    left = layers.Dense(1, name="left")(joined)
    made = Model([a, b], [left, layers.Dense(3, activation="softmax", name="right")(joined)])
    made.compile(**{"optimizer": "sgd", "loss": LOSSES, **options})
    return made


@pytest.fixture
def data(rng):
    x = [rng.standard_normal((N, n)).astype(np.float32) for n in (4, 3)]
    return x, [rng.standard_normal((N, 1)).astype(np.float32), rng.integers(0, 3, N)]


def parts(made, x, y, weights=(1.0, 1.0)):
    """The losses of both outputs, from what the model returns."""
    left, right = (out.astype(np.float64) for out in made.predict(x, verbose=0))
    one = ((left - y[0]) ** 2)[:, 0] * weights[0]
    two = -np.log(right[np.arange(len(right)), y[1]]) * weights[1]
    return one.mean(), two.mean()


# -- Losses and metrics -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forms",
    [
        {"loss": LOSSES, "loss_weights": [0.5, 2.0], "metrics": [["mae"], ["accuracy"]]},
        {"loss": dict(zip(("left", "right"), LOSSES, strict=True)), "loss_weights": {"left": 0.5, "right": 2.0}}
        | {"metrics": {"right": ["accuracy"], "left": "mae"}},
        {"loss": LOSSES, "loss_weights": (0.5, 2.0), "metrics": ["mae", metrics.SparseCategoricalAccuracy("accuracy")]},
    ],
)
def test_names_and_values(data, forms):
    x, y = data
    made = model(**forms)
    one, two = parts(made, x, y)
    left, right = made.predict(x, verbose=0)
    found = made.evaluate(x, y, verbose=0)
    wanted = [0.5 * one + 2 * two, one, two, np.abs(left - y[0]).mean(), (right.argmax(1) == y[1]).mean()]
    names = ["loss", "left_loss", "right_loss", "left_mae", "right_accuracy"]
    assert made.metrics_names == names
    assert_close(np.float32(found), np.array(wanted), "loss", length=N)
    assert list(made.evaluate(x, y, verbose=0, return_dict=True)) == names
    history = made.fit(x, y, batch_size=7, validation_data=(x, y), verbose=0).history
    assert list(history) == [*sorted(names), *[f"val_{name}" for name in sorted(names)]]
    assert history["val_loss"][0] < wanted[0]


def test_the_step_is_that_of_the_weighted_sum(data):
    x, y = data
    made = model(loss_weights=[0.5, 2.0], optimizer=keras.optimizers.SGD(0.1))
    weights = [tinydl.tensor(w.astype(np.float64), requires_grad=True) for w in made.get_weights()]
    w1, b1, w2, b2, w3, b3 = weights
    joined = tinydl.cat([(tinydl.tensor(x[0]).double() @ w1 + b1).tanh(), tinydl.tensor(x[1]).double()], 1)
    scores = joined @ w3 + b3
    chosen = scores.logsumexp(1) - scores[tinydl.arange(N), tinydl.tensor(y[1])]
    loss = 0.5 * (joined @ w2 + b2 - tinydl.tensor(y[0]).double()).square().mean() + 2.0 * chosen.mean()
    loss.backward()
    logs = made.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for got, weight in zip(made.get_weights(), weights, strict=True):
        assert_close(got, (weight - 0.1 * weight.grad).detach().numpy(), "gradient", length=100, scale=1.0)


def test_one_loss_for_all_and_none_for_some(data):
    x, y = data
    targets = [y[0], np.eye(3)[y[1]]]
    made = model(loss="mse")
    left, right = made.predict(x, verbose=0)
    wanted = [((left - targets[0]) ** 2).mean(), ((right - targets[1]) ** 2).mean()]
    assert_close(np.float32(made.evaluate(x, targets, verbose=0)), np.array([sum(wanted), *wanted]), "loss", length=N)
    made = model(loss={"left": "mse", "right": None})
    assert made.evaluate(x, [y[0], None], verbose=0) == pytest.approx(wanted[0], rel=1e-5)
    assert made.metrics_names == ["loss"]


def test_sample_weights(data, rng):
    x, y = data
    made = model(weighted_metrics=[["mae"], None], metrics=[["mae"], None])
    both = [rng.random(N).astype(np.float32), rng.random(N).astype(np.float32)]
    one, two = parts(made, x, y, both)
    error = np.abs(made.predict(x, verbose=0)[0] - y[0])[:, 0]
    for given in (both, {"left": both[0], "right": both[1]}):
        logs = made.evaluate(x, y, sample_weight=given, verbose=0, return_dict=True)
        assert_close(np.float32([logs["loss"], logs["left_loss"]]), np.array([one + two, one]), "loss", length=N)
        assert logs["left_mae"] == pytest.approx(error.mean(), rel=1e-5)
        assert logs["weighted_left_mae"] == pytest.approx((error * both[0]).sum() / both[0].sum(), rel=1e-5)
    one, two = parts(made, x, y, (both[0], both[0]))
    assert made.evaluate(x, y, sample_weight=both[0], verbose=0)[0] == pytest.approx(one + two, rel=1e-5)
    one, two = parts(made, x, y, (1.0, both[1]))
    assert made.evaluate(x, y, sample_weight=[None, both[1]], verbose=0)[0] == pytest.approx(one + two, rel=1e-5)


# -- Data -------------------------------------------------------------------------------------------------------


def test_all_forms_of_data_train_alike(data):
    x, y = data
    batches = [((x[0][i : i + 8], x[1][i : i + 8]), [y[0][i : i + 8], y[1][i : i + 8]]) for i in range(0, N, 8)]
    by_name = [({"b": b, "a": a}, {"right": right, "left": left}) for (a, b), (left, right) in batches]
    forms = [
        {"x": x, "y": y, "batch_size": 8, "shuffle": False},
        {"x": tuple(x), "y": tuple(map(tinydl.tensor, y)), "batch_size": 8, "shuffle": False},
        {"x": {"b": x[1], "a": x[0]}, "y": {"right": y[1], "left": y[0]}, "batch_size": 8, "shuffle": False},
        {"x": iter(batches)},
        {"x": iter(by_name)},
    ]
    ends = []
    for form in forms:
        made = model()
        history = made.fit(**form, verbose=0).history
        ends.append((history, [w.tobytes() for w in made.get_weights()]))
    assert all(end == ends[0] for end in ends)


def test_validation_split(data):
    x, y = data
    made, twin = model(), model()
    history = made.fit(x, y, validation_split=0.25, shuffle=False, verbose=0).history
    first, last = [each[:15] for each in x], [each[15:] for each in x]
    wanted = twin.fit(first, [t[:15] for t in y], shuffle=False, verbose=0)
    assert [w.tobytes() for w in made.get_weights()] == [w.tobytes() for w in twin.get_weights()]
    assert history["loss"] == wanted.history["loss"]
    assert history["val_loss"] == [twin.evaluate(last, [t[15:] for t in y], verbose=0)[0]]


def test_a_loader_of_one_input_is_as_before(rng):
    x, y = rng.standard_normal((N, 3)).astype(np.float32), rng.standard_normal((N, 1)).astype(np.float32)
    made = Model(start := Input((3,)), layers.Dense(1)(start))
    made.compile("sgd", {"dense": "mse"}, loss_weights=0.5, metrics={"dense": ["mae"]})
    loader = DataLoader(TensorDataset(tinydl.tensor(x), tinydl.tensor(y)), batch_size=8)
    logs = made.evaluate(loader, verbose=0, return_dict=True)
    error = made.predict([x], verbose=0).astype(np.float64) - y
    assert_close(
        np.float32([*logs.values()]), np.array([(error**2).mean() / 2, np.abs(error).mean()]), "loss", length=N
    )
    assert made.evaluate({"input_layer": x}, [y], verbose=0)[0] == pytest.approx(logs["loss"], rel=1e-6)


def test_training_goes_on_from_a_file(tmp_path, data):
    made = model(optimizer="adam", loss_weights={"left": 0.5}, metrics={"right": ["accuracy"]})
    made.fit(*data, verbose=0)
    made.save(tmp_path / "m.safetensors")
    ends = []
    for each in (made, models.load_model(tmp_path / "m.safetensors")):
        tinydl.manual_seed(4)
        history = each.fit(*data, epochs=2, verbose=0).history
        ends.append((history, [w.tobytes() for w in each.get_weights()]))
    assert ends[0] == ends[1]


# -- Wrong use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda x, y: model(loss=["mse"]), "compile: got 1 entries of loss for the 2 outputs ['left', 'right']"),
        (lambda x, y: model(loss={"left": "mse"}), "compile: loss has no ['right']: give None where"),
        (lambda x, y: model(loss={"up": "mse"}), "compile: loss has ['up'], which are no outputs"),
        (lambda x, y: model(loss_weights=[1.0]), "compile: got 1 entries of loss_weights for the 2 outputs"),
        (lambda x, y: model(loss_weights=2.0), "compile: got one loss_weights, wanted a list or a dictionary"),
        (lambda x, y: model(metrics=["mae"]), "compile: got 1 entries of metrics for the 2 outputs"),
        (lambda x, y: model(metrics={"up": "mae"}), "compile: metrics has ['up'], which are no outputs"),
        (lambda x, y: model(loss=["mse", "nonsense"]), "Unknown loss: 'nonsense'"),
        (lambda x, y: model().fit(x[:1], y), "got 1 inputs, wanted 2: ['a', 'b']"),
        (lambda x, y: model().fit({"a": x[0]}, y), "got inputs ['a']; missing: b"),
        (lambda x, y: model().fit(x, y[:1]), "fit: got 1 entries of y for the 2 outputs ['left', 'right']"),
        (lambda x, y: model().fit(x, {"up": y[0]}), "fit: y has ['up'], which are no outputs"),
        (lambda x, y: model().fit(x, {"left": y[0]}), "fit: y of right is missing, and the loss needs targets"),
        (lambda x, y: model().fit(x, [y[0], y[1][1:]]), "x has 20 samples, y of right has 19"),
        (lambda x, y: model().fit([x[0], x[1][1:]], y), "the inputs must be equally many, got [19, 20] samples"),
        (lambda x, y: model().fit(x[::-1], y), "expected shape=(None, 4), found shape=(20, 3)"),
        (lambda x, y: model().fit(x, y, class_weight={0: 1.0}), "class_weight is for models with one output"),
        (lambda x, y: model().fit(x), "fit: y of left is missing, and the loss needs targets"),
    ],
)
def test_errors(data, action, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        action(*data)
    assert message in str(error.value)
