"""Initial values: bounds, moments, seeds."""

import math

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.nn import init

SHAPE = (64, 32, 5, 5)
FAN_IN, FAN_OUT = 32 * 25, 64 * 25


@pytest.fixture(autouse=True)
def _seed():
    tinydl.manual_seed(7)


def check_uniform(tensor, bound):
    values = np.asarray(tensor.detach(), np.float64)
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
    assert 0.8 < np.abs(layer.bias.detach().numpy()).max() * math.sqrt(fan_in) <= 1 + 1e-6


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


def check_distribution(tensor, cdf):
    """Kolmogorov and Smirnov's test at the level 1e-3; float32 draws have ties that it tolerates."""
    stats = pytest.importorskip("scipy.stats")
    assert stats.kstest(np.asarray(tensor, np.float64).ravel(), cdf).pvalue > 1e-3


def test_kolmogorov_and_smirnov():
    norm, uniform = (getattr(pytest.importorskip("scipy.stats"), name) for name in ("norm", "uniform"))
    w = tinydl.zeros(SHAPE)
    check_distribution(init.uniform_(w, -1, 3), uniform(-1, 4).cdf)
    check_distribution(init.normal_(w, 2, 0.5), norm(2, 0.5).cdf)
    bound = math.sqrt(6 / (FAN_IN + FAN_OUT))
    check_distribution(init.xavier_uniform_(w), uniform(-bound, 2 * bound).cdf)
    check_distribution(init.xavier_normal_(w, 3), norm(0, 3 * math.sqrt(2 / (FAN_IN + FAN_OUT))).cdf)
    check_distribution(init.kaiming_normal_(w, 0.5, "fan_out"), norm(0, math.sqrt(2 / 1.25 / FAN_OUT)).cdf)
    bound = 5 / 3 * math.sqrt(3 / FAN_IN)
    check_distribution(init.kaiming_uniform_(w, nonlinearity="tanh"), uniform(-bound, 2 * bound).cdf)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (1, 2, -1, 1.5), (0, 1, 3, 4), (0, 1, 3, math.inf), (5, 1, -1, 1), (0, 10, -1, 1), (2, 0.5, 2, 9)],
)
def test_truncated_normal(mean, std, a, b):
    truncnorm = pytest.importorskip("scipy.stats").truncnorm
    w = init.trunc_normal_(tinydl.zeros(100, 200), mean, std, a, b)
    values = np.asarray(w)
    assert values.min() >= a
    assert values.max() <= b
    check_distribution(w, truncnorm((a - mean) / std, (b - mean) / std, mean, std).cdf)


def test_truncated_normal_without_room():
    assert init.trunc_normal_(tinydl.zeros(3), 0, 1, 2, 2).tolist() == [2, 2, 2]
    assert init.trunc_normal_(tinydl.zeros(3), 7, 0).tolist() == [2, 2, 2]
    assert init.trunc_normal_(tinydl.zeros(0, 2)).shape == (0, 2)


def test_fans_are_pytorchs(torch):
    for shape in ((3, 5), (3, 5, 7), (2, 3, 4, 5), (2, 3, 2, 3, 4)):
        fans = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
        assert init.fan_in_and_fan_out(tinydl.zeros(shape)) == fans


def test_identities_are_pytorchs(torch):
    for shape in ((3, 3), (2, 5), (5, 2), (0, 2)):
        assert init.eye_(tinydl.ones(shape)).tolist() == torch.nn.init.eye_(torch.ones(shape)).tolist()
    for shape, groups in (
        ((3, 3, 5), 1),
        ((4, 2, 2), 2),
        ((6, 3, 3, 4), 2),
        ((2, 5, 1, 3), 1),
        ((6, 1, 3, 3, 2), 3),
        ((4, 3, 2, 2, 2), 1),
    ):
        ours = init.dirac_(tinydl.ones(shape), groups)
        assert ours.tolist() == torch.nn.init.dirac_(torch.ones(shape), groups).tolist()
    conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    init.dirac_(conv.weight)
    x = tinydl.rand(1, 3, 4, 5)
    assert conv(x).tolist() == x.tolist()


@pytest.mark.parametrize("shape", [(7, 7), (3, 8), (8, 3), (4, 3, 5), (30, 2, 3)])
def test_orthogonal(shape):
    w = np.asarray(init.orthogonal_(tinydl.zeros(shape, dtype=tinydl.float64), 2.0)).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert_close(product, 4 * np.eye(len(product)), "matmul", length=w.size, scale=4.0)


def test_orthogonal_has_no_preferred_signs():
    values = [np.asarray(init.orthogonal_(tinydl.zeros(2, 2))) for _ in range(2000)]
    angles = np.arctan2([v[1, 0] for v in values], [v[0, 0] for v in values])
    check_distribution(angles / (2 * np.pi) + 0.5, "uniform")
    assert 900 < sum(np.linalg.det(v) > 0 for v in values) < 1100


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.25, 1.0])
def test_sparse(sparsity):
    w = np.asarray(init.sparse_(tinydl.zeros(301, 203), sparsity, std=0.5))
    assert ((w == 0).sum(0) == math.ceil(sparsity * 301)).all()
    if sparsity == 0.25:
        check_normal(w[w != 0], 0.5)
        assert (w == 0).sum(1).std() < 2 * math.sqrt(203 * 0.25 * 0.75)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: init.eye_(t), "eye_: got a tensor of shape"),
        (lambda t: init.dirac_(t), "three to five axes"),
        (lambda t: init.dirac_(tinydl.zeros(3, 2, 2), 2), "multiple of groups=2"),
        (lambda t: init.trunc_normal_(t, a=1, b=0), r"interval \[1, 0\]"),
        (lambda t: init.trunc_normal_(t, std=-1), "standard deviation -1"),
        (lambda t: init.orthogonal_(t), "at least two axes"),
        (lambda t: init.sparse_(t, 0.5), "wanted a matrix"),
        (lambda t: init.sparse_(tinydl.zeros(2, 2), 1.5), "sparsity 1.5"),
        (lambda t: init.calculate_gain("leaky_relu", True), "not a number"),
        (lambda t: init.calculate_gain("leaky_relu", "a"), "not a number"),
    ],
)
def test_more_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call(tinydl.zeros(3))


def test_gains_of_transposed_convolutions(torch):
    for name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
