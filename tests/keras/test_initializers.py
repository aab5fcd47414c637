"""Initial values: their distributions against the formulas, seeds, names, settings."""

import math

import numpy as np
import pytest

import tinydl
from tinydl.keras import initializers, layers

from ..support.compare import assert_close

SHAPE = (3, 3, 40, 90)  # fan_in 360, fan_out 810


def truncated_std(std):
    """The values' deviation is the one that was asked for: the cut is made up for."""
    return std, 2 * std / 0.87962566103423978


def uniform(limit):
    return limit / math.sqrt(3), limit


# initialiser: standard deviation and bound of its values
SPREADS = [
    (initializers.GlorotUniform(seed=1), *uniform(math.sqrt(6 / 1170))),
    (initializers.GlorotNormal(seed=1), *truncated_std(math.sqrt(2 / 1170))),
    (initializers.HeUniform(seed=1), *uniform(math.sqrt(6 / 360))),
    (initializers.HeNormal(seed=1), *truncated_std(math.sqrt(2 / 360))),
    (initializers.LecunUniform(seed=1), *uniform(math.sqrt(3 / 360))),
    (initializers.LecunNormal(seed=1), *truncated_std(math.sqrt(1 / 360))),
    (initializers.VarianceScaling(0.5, "fan_out", "untruncated_normal", seed=1), math.sqrt(0.5 / 810), 1.0),
    (initializers.VarianceScaling(0.5, "fan_avg", "uniform", seed=1), *uniform(math.sqrt(1.5 / 585))),
    (initializers.VarianceScaling(seed=1), *truncated_std(math.sqrt(1 / 360))),
    (initializers.VarianceScaling(distribution="normal", seed=1), *truncated_std(math.sqrt(1 / 360))),
    (initializers.RandomNormal(seed=1), 0.05, 1.0),
    (initializers.RandomUniform(seed=1), *uniform(0.05)),
    (initializers.TruncatedNormal(seed=1), 0.05 * 0.87962566103423978, 0.1),
]


@pytest.mark.parametrize(("initializer", "std", "bound"), SPREADS, ids=lambda v: type(v).__name__)
def test_spread(initializer, std, bound):
    values = initializer(SHAPE).numpy()
    assert values.shape == SHAPE
    assert values.dtype == np.float32
    assert abs(values.std() / std - 1) < 0.01
    assert abs(values.mean()) < 0.01 * std * 3
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    if bound < 1:
        assert np.abs(values).max() > 0.99 * bound
    limited = initializer((7, 5), dtype="float64")
    assert limited.dtype == np.float64


def test_normal_and_truncated_are_told_apart():
    """Beyond two standard deviations lie 4.6 % of a normal variable's values, and none of a truncated one's."""
    for kind, share in (("untruncated_normal", 0.0455), ("truncated_normal", 0.0)):
        values = initializers.VarianceScaling(1.0, "fan_in", kind, seed=2)((100, 1000)).numpy() * 10
        beyond = np.abs(values) > (2 if share else 2 / 0.87962566103423978 + 1e-5)
        assert abs(beyond.mean() - share) < 0.003


def test_fans():
    assert initializers.compute_fans(()) == (1, 1)
    assert initializers.compute_fans((7,)) == (7, 7)
    assert initializers.compute_fans((3, 5)) == (3, 5)
    assert initializers.compute_fans((4, 3, 5)) == (12, 20)
    assert initializers.compute_fans((2, 4, 3, 5)) == (24, 40)


def test_fixed_values():
    assert np.all(initializers.Constant(3)((2, 3)).numpy() == 3)
    assert np.array_equal(initializers.Identity(2.0)((2, 3)).numpy(), [[2, 0, 0], [0, 2, 0]])
    assert np.all(initializers.get("zeros")((4,)).numpy() == 0)
    assert np.all(initializers.get("Ones")((4,)).numpy() == 1)
    assert initializers.RandomNormal(mean=2.0, stddev=0.0)((3,)).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 2, 3, 5)])
def test_orthogonal(shape):
    q = initializers.Orthogonal(2.0, seed=5)(shape).numpy().reshape(-1, shape[-1]).astype(np.float64)
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    assert_close(product, 4 * np.eye(len(product)), "matmul", length=12, scale=4.0, dtype=np.float32)


def test_seeds():
    make = initializers.GlorotNormal
    assert np.array_equal(make(seed=3)((5, 4)).numpy(), make(seed=3)((5, 4)).numpy())
    assert not np.array_equal(make(seed=3)((5, 4)).numpy(), make(seed=4)((5, 4)).numpy())
    assert not np.array_equal(make()((5, 4)).numpy(), make()((5, 4)).numpy())
    one = make()
    assert np.array_equal(one((5, 4)).numpy(), one((5, 4)).numpy())
    tinydl.manual_seed(7)
    first = make()((5, 4)).numpy()
    tinydl.manual_seed(7)
    assert np.array_equal(make()((5, 4)).numpy(), first)
    seeded = layers.Dense(4, kernel_initializer=make(seed=3))
    seeded.build((None, 5))
    assert np.array_equal(seeded.get_weights()[0], make(seed=3)((5, 4)).numpy())


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in", "fan_out"),
    [
        (layers.Conv2D(64, 3, groups=2), (None, 8, 8, 32), 9 * 16, 9 * 64),
        (layers.Conv1D(64, 5), (None, 8, 32), 5 * 32, 5 * 64),
        (layers.Conv2DTranspose(64, 3), (None, 8, 8, 32), 9 * 64, 9 * 32),
        (layers.DepthwiseConv2D(9, depth_multiplier=4), (None, 32, 32, 16), 81 * 16, 81 * 4),
        (layers.Dense(70), (None, 90), 90, 70),
    ],
)
def test_layers_count_fans_in_keras_shapes(layer, shape, fan_in, fan_out):
    layer.build(shape)
    kernel, bias = layer.get_weights()
    limit = math.sqrt(6 / (fan_in + fan_out))
    assert 0.98 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)
    assert np.all(bias == 0)


@pytest.mark.parametrize("name", initializers.KNOWN)
def test_names_and_settings(name):
    found = initializers.get(name)
    assert type(initializers.get(type(found).__name__)) is type(found)
    assert type(initializers.get(type(found))) is type(found)
    twin = initializers.get({"class_name": type(found).__name__, "config": {**found.get_config()}})
    assert twin.get_config() == found.get_config()


def test_functions_of_ones_own():
    layer = layers.Dense(2, kernel_initializer=lambda shape, dtype=None: np.arange(6.0).reshape(shape))
    layer.build((None, 3))
    assert np.array_equal(layer.get_weights()[0], [[0, 1], [2, 3], [4, 5]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.get("magic"), "Unknown initializer: 'magic'. Known: constant, glorot_normal, "),
        (lambda: initializers.VarianceScaling(0), "VarianceScaling: got scale=0, wanted a number above 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "got mode='fan', wanted 'fan_in', 'fan_out' or 'fan_avg'"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "got distribution='cauchy', wanted one of"),
        (lambda: initializers.Orthogonal()((3,)), "Orthogonal: got shape (3,), wanted at least two axes"),
        (lambda: initializers.Identity()((3,)), "Identity: got shape (3,), wanted that of a matrix"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)
