"""Limits of weights against formulas, and after the steps of training."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, constraints, layers

from ..support.compare import assert_close


def norms(w, axis):
    return np.sqrt((w * w).sum(axis, keepdims=True))


def scaled(w, axis, wanted):
    n = norms(w, axis)
    return w * wanted(n) / (n + 1e-7)


FORMULAS = [
    (constraints.MaxNorm(), lambda w: scaled(w, 0, lambda n: np.minimum(n, 2))),
    (constraints.MaxNorm(1.5, axis=-1), lambda w: scaled(w, -1, lambda n: np.minimum(n, 1.5))),
    (constraints.MaxNorm(1.5, [0, 1]), lambda w: scaled(w, (0, 1), lambda n: np.minimum(n, 1.5))),
    (constraints.UnitNorm(), lambda w: scaled(w, 0, lambda n: 1)),
    (constraints.UnitNorm((0, 2)), lambda w: scaled(w, (0, 2), lambda n: 1)),
    (constraints.NonNeg(), lambda w: np.where(w > 0, w, 0)),
    (constraints.MinMaxNorm(), lambda w: scaled(w, 0, lambda n: np.clip(n, 0, 1))),
    (
        constraints.MinMaxNorm(2.0, 2.5, rate=0.25, axis=1),
        lambda w: scaled(w, 1, lambda n: 0.25 * np.clip(n, 2.0, 2.5) + 0.75 * n),
    ),
]


@pytest.mark.parametrize(("limit", "formula"), FORMULAS, ids=lambda v: type(v).__name__)
def test_values(rng, limit, formula):
    w = rng.standard_normal((5, 3, 7))
    w[:, 0, 0] = 0  # a norm of 0 stays
    wanted = formula(w)
    assert not np.array_equal(wanted, w)
    assert_close(limit(tinydl.tensor(w)), wanted, "reduce", length=35)
    assert_close(limit(w.astype(np.float32)), formula(w.astype(np.float32).astype(np.float64)), "reduce", length=35)


@pytest.mark.parametrize("name", constraints.KNOWN)
def test_names_and_settings(name):
    found = constraints.get(name)
    assert getattr(constraints, name) is type(found)
    assert type(constraints.get(type(found).__name__)) is type(found)
    assert type(constraints.get(type(found))) is type(found)
    assert constraints.get(found) is found
    settings = constraints.serialize(found)
    assert constraints.deserialize(settings).get_config() == found.get_config() == settings["config"]
    assert type(found).from_config(found.get_config()).get_config() == found.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constraints.get("norm"), "Unknown constraint: 'norm'. Known: max_norm, min_max_norm, non_neg, unit"),
        (lambda: constraints.MaxNorm("big"), "MaxNorm: got max_value='big', wanted a number of at least 0"),
        (lambda: constraints.MinMaxNorm(-1), "MinMaxNorm: got min_value=-1, wanted a number of at least 0"),
        (lambda: layers.Dense(3, kernel_constraint="max"), "Unknown constraint: 'max'"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)


def small(w):
    """A constraint of one's own."""
    return w.clamp(-1e-5, 1e-5)


UNIT = constraints.UnitNorm
LAYERS = [
    (lambda **o: layers.Dense(4, **o), (6,), {"kernel": UNIT(), "bias": small}),
    (lambda **o: layers.Conv1D(4, 3, **o), (6, 2), {"kernel": UNIT([0, 1]), "bias": small}),
    (lambda **o: layers.Conv2D(4, 3, **o), (6, 5, 2), {"kernel": UNIT([0, 1, 2]), "bias": small}),
    (lambda **o: layers.Conv1DTranspose(4, 3, **o), (6, 2), {"kernel": UNIT([0, 2]), "bias": small}),
    (lambda **o: layers.Conv2DTranspose(4, 3, **o), (6, 5, 2), {"kernel": UNIT([0, 1, 3]), "bias": small}),
    (
        lambda **o: layers.DepthwiseConv2D(3, depth_multiplier=2, **o),
        (6, 5, 2),
        {"depthwise": UNIT([0, 1]), "bias": small},
    ),
    (
        lambda **o: layers.SeparableConv2D(4, 3, **o),
        (6, 5, 2),
        {"depthwise": UNIT([0, 1]), "pointwise": UNIT(2), "bias": small},
    ),
    (lambda **o: layers.Embedding(5, 3, **o), (4,), {"embeddings": UNIT(1)}),
    (lambda **o: layers.PReLU(**o), (6,), {"alpha": small}),
    (lambda **o: layers.BatchNormalization(**o), (6,), {"gamma": UNIT(), "beta": small}),
    (lambda **o: layers.LayerNormalization(**o), (6,), {"gamma": UNIT(), "beta": small}),
    (lambda **o: layers.GroupNormalization(2, **o), (6,), {"gamma": UNIT(), "beta": small}),
]


def weight(layer, name):
    """The weight that an argument's name means: `depthwise` is a kernel."""
    views = {v.name: v.view().detach() for v in layer._variables}
    return next(views[found] for found in (name, f"{name}_kernel", "kernel") if found in views)


@pytest.mark.parametrize(("make", "shape", "limits"), LAYERS, ids=lambda v: "")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_layers_keep_them(rng, make, shape, limits, optimizer):
    """A step of training leaves the constraint's value of what the same step leaves without one."""
    x = rng.integers(0, 5, (8, *shape)).astype(np.float32)
    if "embeddings" not in limits:
        x -= 2.0
    ends = []
    for given in (limits, dict.fromkeys(limits)):
        tinydl.manual_seed(0)
        layer = make(**{f"{name}_constraint": limit for name, limit in given.items()})
        model = Sequential([layers.Input(shape), layer, layers.Flatten(), layers.Dense(1)])
        model.compile(optimizer, "mse")
        assert len(layer.constrained) == sum(limit is not None for limit in given.values())
        assert model.train_on_batch(x, np.ones((8, 1))) > 0
        ends.append({name: weight(layer, name) for name in limits})
    for name, limit in limits.items():
        assert np.array_equal(ends[0][name].numpy(), limit(ends[1][name]).numpy())
        assert not np.array_equal(ends[0][name].numpy(), ends[1][name].numpy())


def test_every_step_of_fit_and_frozen_layers(rng):
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 1))
    model = Sequential([layers.Input((3,)), layers.Dense(4, kernel_constraint="unit_norm"), layers.Dense(1)])
    before = model.get_weights()[0]
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    assert np.array_equal(model.get_weights()[0], before)
    model.layers[0].trainable = True
    model.compile("adam", "mse")
    model.fit(x, y, epochs=3, verbose=0)
    kernel = model.get_weights()[0]
    assert_close(norms(kernel, 0), np.ones((1, 4)), "reduce", length=3)
    assert not np.array_equal(kernel, before)


def test_no_limits_cost_nothing():
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))
    assert not model.optimizer.bound._hooks["step_post"]


def test_settings_of_layers():
    layer = layers.Dense(3, kernel_constraint=constraints.MaxNorm(3.0), bias_constraint="non_neg")
    config = layer.get_config()
    assert config["kernel_constraint"] == {"class_name": "MaxNorm", "config": {"max_value": 3.0, "axis": 0}}
    assert layers.Dense.from_config(config).get_config() == config
