"""A saved model's training goes on with the same bits; what `compile` was given comes back."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, losses, metrics, models, optimizers
from tinydl.train import checkpoint
from tinydl.train.metrics import Metric as TrainMetric

from ..train.models import bits

schedules = optimizers.schedules


def model(last="softmax", units=3):
    tinydl.manual_seed(0)
    return Sequential(
        [
            layers.Input((6, 5, 1)),
            layers.RandomTranslation(0.2, 0.2, seed=5),
            layers.Conv2D(4, 3, activation="relu", kernel_constraint="max_norm"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(units, activation=last),
        ]
    )


@pytest.fixture
def data(rng):
    return rng.standard_normal((20, 6, 5, 1)).astype(np.float32), rng.integers(0, 3, 20)


def absolute(y_true, y_pred):
    """A loss of one's own."""
    return (tinydl.nn.functional.one_hot(y_true.long().reshape(-1), 3) - y_pred).abs().mean()


class Scaled(losses.Loss):
    """A loss of one's own with a setting."""

    def __init__(self, factor=2.0):
        super().__init__("scaled")
        self.factor = factor

    def call(self, y_true, y_pred):
        """One number."""
        return absolute(y_true, y_pred) * self.factor


def share(y_true, y_pred):
    """A metric of one's own."""
    return y_pred.max(-1)


class Count(metrics.Metric):
    """A metric of one's own, as a class."""

    def __init__(self, step=1, name="samples"):
        super().__init__(name)
        self.step = step

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch."""
        self.total += self.step * len(y_true)
        self.count = 1


class Halved(optimizers.SGD):
    """An optimiser of one's own."""

    def __init__(self, learning_rate=0.1, **options):
        super().__init__(learning_rate / 2, **options)


CUSTOM = {c.__name__: c for c in (absolute, Scaled, share, Count)}
SPARSE = "sparse_categorical_crossentropy"
COMPILED = {
    "names": {"optimizer": "adam", "loss": SPARSE, "metrics": ["accuracy", "sparse_top_k_categorical_accuracy"]},
    "objects": {
        "optimizer": optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0),
        "loss": losses.SparseCategoricalCrossentropy(ignore_class=2),
        "metrics": [metrics.SparseTopKCategoricalAccuracy(k=2, name="two"), metrics.SparseCategoricalAccuracy("acc")],
        "weighted_metrics": [metrics.Accuracy()],
    },
    "schedule": {
        "optimizer": optimizers.RMSprop(
            schedules.CosineDecay(0.01, 20, warmup_target=0.02, warmup_steps=3), centered=1
        ),
        "loss": SPARSE,
    },
    "steps": {
        "optimizer": optimizers.Adagrad(schedules.PiecewiseConstantDecay([2, 4], [0.1, 0.05, 0.01])),
        "loss": SPARSE,
    },
    "classes": {
        "optimizer": optimizers.Nadam,
        "loss": losses.SparseCategoricalCrossentropy,
        "metrics": [metrics.Accuracy],
    },
    "functions": {"loss": losses.sparse_categorical_crossentropy, "metrics": [losses.sparse_categorical_crossentropy]},
    "own functions": {"optimizer": "adamw", "loss": absolute, "metrics": [share]},
    "own classes": {"optimizer": "adamax", "loss": Scaled(0.5), "metrics": [Count(3, "thrice"), Count]},
    "decay": {"optimizer": optimizers.Adadelta(weight_decay=0.1, global_clipnorm=0.5), "loss": SPARSE},
}


def learnt(made):
    """All that a model has learnt, and what its optimiser remembers."""
    state = made._trainer.optimizer.state_dict()
    moments = [v.numpy().tobytes() for s in state["state"].values() for v in s.values()]
    groups = [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]]
    return [w.tobytes() for w in made.get_weights()], moments, groups


@pytest.mark.parametrize("name", COMPILED)
def test_training_goes_on(tmp_path, data, name):
    given = COMPILED[name]
    made = model()
    made.compile(**given)
    made.fit(*data, batch_size=8, epochs=2, verbose=0)
    made.save(tmp_path / "m.safetensors")
    ends = []
    for each in (made, models.load_model(tmp_path / "m.safetensors", CUSTOM)):
        assert each.optimizer.iterations == 6
        tinydl.manual_seed(3)
        record = each.fit(*data, batch_size=8, epochs=4, initial_epoch=2, verbose=0)
        ends.append((learnt(each), record.history, each.evaluate(*data, return_dict=True, verbose=0)))
        assert len(record.history) == 1 + len(given.get("metrics", [])) + len(given.get("weighted_metrics", []))
    assert ends[0] == ends[1]
    assert ends[0][0][2][0]["iterations"] == 12


def test_a_second_file_is_the_first(tmp_path, data):
    made = model()
    made.compile(**COMPILED["schedule"])
    made.fit(*data, verbose=0)
    paths = [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    made.save(paths[0])
    models.load_model(paths[0]).save(paths[1])
    assert bits(checkpoint.load(paths[0])) == bits(checkpoint.load(paths[1]))


def test_a_rate_that_was_set_stays(tmp_path, data):
    made = model()
    made.compile("sgd", SPARSE)
    made.optimizer.learning_rate = 0.25
    made.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert (again.optimizer.learning_rate, again.optimizer.iterations, again.compiled) == (0.25, 0, True)
    made.fit(*data, verbose=0)
    made.optimizer.learning_rate = 0.125
    made.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    assert (again.optimizer.learning_rate, again.optimizer.iterations) == (0.125, 1)


def test_without_compile(tmp_path, data):
    made = model()
    made.compile("adam", absolute)
    made.fit(*data, verbose=0)
    made.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors", compile=False)
    assert not again.compiled
    assert again.get_compile_config() == {}
    assert np.array_equal(again.predict(data[0], verbose=0), made.predict(data[0], verbose=0))
    with pytest.raises(ValueError, match=r"you must call `compile\(\)`"):
        again.fit(*data)
    model().save(tmp_path / "m.safetensors")
    assert not models.load_model(tmp_path / "m.safetensors").compiled


def test_files_without_a_training(tmp_path):
    """Of models that were saved before the training was."""
    model().save(tmp_path / "m.safetensors")
    state = checkpoint.load(tmp_path / "m.safetensors")
    del state["training"]
    checkpoint.save(tmp_path / "m.safetensors", state)
    assert not models.load_model(tmp_path / "m.safetensors").compiled


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"loss": absolute}, "absolute"),
        ({"loss": lambda y_true, y_pred: (y_pred - y_true).sum()}, "<lambda>"),
        ({"loss": Scaled()}, "Scaled"),
        ({"loss": "mse", "metrics": [share]}, "share"),
        ({"loss": "mse", "weighted_metrics": [Count()]}, "Count"),
        ({"loss": "mse", "optimizer": Halved()}, "Halved"),
    ],
)
def test_what_is_not_known(tmp_path, given, missing):
    made = model()
    made.compile(**given)
    made.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=f"'{missing}', which compile was given, is unknown: pass it in custom_object"):
        models.load_model(tmp_path / "m.safetensors")
    assert not models.load_model(tmp_path / "m.safetensors", compile=False).compiled


def test_a_function_with_a_known_name_is_not_taken_for_the_known(tmp_path):
    def mean_squared_error(y_true, y_pred):
        return (y_true - y_pred).sum()

    made = model()
    made.compile(loss=mean_squared_error)
    made.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="'mean_squared_error', which compile was given, is unknown"):
        models.load_model(tmp_path / "m.safetensors")
    custom = {"mean_squared_error": mean_squared_error}
    assert models.load_model(tmp_path / "m.safetensors", custom)._aims.losses[0].function is mean_squared_error


def test_what_cannot_be_saved(tmp_path):
    class Plain(TrainMetric):
        def __init__(self, hidden):
            super().__init__("plain")

    class Called:
        def __call__(self, y_true, y_pred):
            return (y_true - y_pred).sum()

    made = model()
    for given, message in (
        ({"loss": "mse", "metrics": ["mae", Plain(1)]}, r"metrics\.1 is a Plain without get_config\(\): it cannot be"),
        ({"loss": Called()}, r"loss is a Called without get_config\(\): it cannot be saved"),
    ):
        made.compile(**given)
        with pytest.raises(TypeError, match=message):
            made.save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_state_that_does_not_fit(tmp_path, data):
    made = model()
    made.compile("adam", SPARSE)
    made.fit(*data, verbose=0)
    made.layers[1].trainable = False  # which counts from the next compile on
    made.save(tmp_path / "m.safetensors")
    with pytest.warns(
        UserWarning, match="load_model: the optimizer starts afresh, its state does not fit: .*groups of"
    ):
        again = models.load_model(tmp_path / "m.safetensors")
    assert (again.compiled, again.optimizer.iterations) == (True, 0)
    again.fit(*data, verbose=0)


KINDS = [*optimizers.KNOWN.values(), *dict.fromkeys(losses.KNOWN.values())]
KINDS += [getattr(metrics, n) for n in metrics.__all__ if n not in ("get", "Metric", "MeanMetricWrapper", "Accuracy")]


@pytest.mark.parametrize("kind", [k for k in KINDS if hasattr(k, "get_config")], ids=lambda k: k.__name__)
def test_settings(kind):
    made = kind()
    config = made.get_config()
    assert kind.from_config(config).get_config() == config
    other = dict(config, name="other")
    assert kind.from_config(other).name == "other"
