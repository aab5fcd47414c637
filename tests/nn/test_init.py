"""Initial values: bounds, moments, seeds."""

import math

import numpy as np
import pytest

import tinydl
from tinydl import nn
from tinydl.nn import init

SHAPE = (64, 32, 5, 5)
FAN_IN, FAN_OUT = 32 * 25, 64 * 25


@pytest.fixture(autouse=True)
def _seed():
    tinydl.manual_seed(7)


def check_uniform(tensor, bound):
    values = np.asarray(tensor, np.float64)
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > 0.99 * bound
    assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.02
    assert abs(values.mean()) < 0.02 * bound


def check_normal(tensor, std, mean=0.0):
    values = np.asarray(tensor, np.float64)
    assert abs(values.std() / std - 1) < 0.02
    assert abs(values.mean() - mean) < 0.03 * std
    assert np.abs(values - mean).max() > 3 * std


def test_distributions():
    w = tinydl.zeros(SHAPE)
    check_uniform(init.uniform_(w, -2, 2), 2)
    check_normal(init.normal_(w, 1, 3), 3, mean=1)
    check_uniform(init.xavier_uniform_(w, gain=2), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT)))
    check_normal(init.xavier_normal_(w), math.sqrt(2 / (FAN_IN + FAN_OUT)))
    check_uniform(init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(6 / FAN_IN))
    check_uniform(init.kaiming_uniform_(w, a=1, mode="fan_out"), math.sqrt(3 / FAN_OUT))
    check_normal(init.kaiming_normal_(w, nonlinearity="relu", mode="fan_out"), math.sqrt(2 / FAN_OUT))
    assert (np.asarray(init.zeros_(w)) == 0).all()
    assert (np.asarray(init.ones_(w)) == 1).all()
    assert (np.asarray(init.constant_(w, 0.5)) == 0.5).all()


@pytest.mark.parametrize(
    ("layer", "fan_in"), [(lambda: nn.Linear(400, 300), 400), (lambda: nn.Conv2d(32, 64, 5, groups=2), 400)]
)
def test_default_of_the_layers(layer, fan_in):
    layer = layer()
    check_uniform(layer.weight, 1 / math.sqrt(fan_in))
    assert 0.8 < np.abs(np.asarray(layer.bias)).max() * math.sqrt(fan_in) <= 1 + 1e-6


def test_gains_are_pytorchs(torch):
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))


def test_the_seed_fixes_the_values():
    first = nn.Conv2d(2, 3, 3)
    tinydl.manual_seed(7)
    second = nn.Conv2d(2, 3, 3)
    third = nn.Conv2d(2, 3, 3)
    assert first.weight.tolist() == second.weight.tolist()
    assert first.bias.tolist() == second.bias.tolist()
    assert first.weight.tolist() != third.weight.tolist()
    tinydl.manual_seed(7)
    row_major = tinydl.zeros(3, 2, 3, 3)
    init.kaiming_uniform_(row_major, a=math.sqrt(5))
    assert row_major.tolist() == first.weight.tolist()


def test_a_generator_of_ones_own():
    a = init.normal_(tinydl.zeros(9), generator=tinydl.Generator(3)).tolist()
    assert a == init.normal_(tinydl.zeros(9), generator=tinydl.Generator(3)).tolist()
    assert a != init.normal_(tinydl.zeros(9), generator=tinydl.Generator(4)).tolist()


def test_parameters_can_be_drawn_while_recording():
    p = nn.Parameter(tinydl.zeros(4, 4))
    assert init.xavier_uniform_(p) is p
    assert p.requires_grad
    assert p.is_leaf


def test_no_elements():
    for shape in ((0, 3), (3, 0), (2, 0, 3, 3)):
        for fill in (init.xavier_uniform_, init.kaiming_normal_, init.uniform_):
            assert fill(tinydl.zeros(shape)).shape == shape
    assert nn.Linear(0, 3).bias.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: init.calculate_gain("swish"), "'swish' is unknown"),
        (lambda t: init.kaiming_uniform_(t, mode="fan"), "mode 'fan' is unknown"),
        (lambda t: init.xavier_normal_(t), "at least two axes, got shape"),
        (lambda t: init.uniform_(t, 2, 1), "interval"),
        (lambda t: init.normal_(t, 0, -1), "standard deviation -1"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call(tinydl.zeros(3))
