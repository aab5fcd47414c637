"""The optimisers' steps against Keras's formulas in NumPy; limits, decay, schedules, wrong calls."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.keras import optimizers
from tinydl.keras.optimizers import schedules


class Reference:
    """One of Keras's rules in float64: step(g, lr) is what a weight changes by."""

    def __init__(self, rule, shape, **options):
        self.rule, self.o, self.t = rule, options, 0
        self.s = {name: np.zeros(shape) for name in "abmuvw"}
        self.product = 1.0

    def step(self, g, lr):
        self.t += 1
        return getattr(self, self.rule)(g, lr, self.s, self.o)

    def sgd(self, g, lr, s, o):
        s["m"] = o["momentum"] * s["m"] - lr * g
        return o["momentum"] * s["m"] - lr * g if o.get("nesterov") else s["m"]

    def rmsprop(self, g, lr, s, o):
        s["v"] = o["rho"] * s["v"] + (1 - o["rho"]) * g * g
        s["a"] = o["rho"] * s["a"] + (1 - o["rho"]) * g
        v = s["v"] - s["a"] ** 2 if o.get("centered") else s["v"]
        s["b"] = o.get("momentum", 0.0) * s["b"] + lr * g / np.sqrt(v + o["epsilon"])
        return -s["b"]

    def adam(self, g, lr, s, o):
        b1, b2 = o["beta_1"], o["beta_2"]
        s["m"], s["v"] = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g * g
        s["w"] = np.maximum(s["w"], s["v"])
        rate = lr * np.sqrt(1 - b2**self.t) / (1 - b1**self.t)
        return -rate * s["m"] / (np.sqrt(s["w"] if o.get("amsgrad") else s["v"]) + o["epsilon"])

    adamw = adam

    def adadelta(self, g, lr, s, o):
        s["v"] = o["rho"] * s["v"] + (1 - o["rho"]) * g * g
        delta = -np.sqrt(s["u"] + o["epsilon"]) / np.sqrt(s["v"] + o["epsilon"]) * g
        s["u"] = o["rho"] * s["u"] + (1 - o["rho"]) * delta * delta
        return lr * delta

    def adagrad(self, g, lr, s, o):
        s["v"] = (o["initial_accumulator_value"] if self.t == 1 else s["v"]) + g * g
        return -lr * g / np.sqrt(s["v"] + o["epsilon"])

    def adamax(self, g, lr, s, o):
        b1, b2 = o["beta_1"], o["beta_2"]
        s["m"], s["u"] = b1 * s["m"] + (1 - b1) * g, np.maximum(b2 * s["u"], np.abs(g))
        return -lr / (1 - b1**self.t) * s["m"] / (s["u"] + o["epsilon"])

    def nadam(self, g, lr, s, o):
        b1, b2 = o["beta_1"], o["beta_2"]
        mu, following = (b1 * (1 - 0.5 * 0.96**t) for t in (self.t, self.t + 1))
        self.product *= mu
        s["m"], s["v"] = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g * g
        m = following * s["m"] / (1 - self.product * following) + (1 - mu) * g / (1 - self.product)
        return -lr * m / (np.sqrt(s["v"] / (1 - b2**self.t)) + o["epsilon"])


BETAS = {"beta_1": 0.8, "beta_2": 0.95}
CASES = [
    ("SGD", {"momentum": 0.0}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"rho": 0.8, "epsilon": 1e-7}),
    ("RMSprop", {"rho": 0.8, "epsilon": 0.1, "momentum": 0.7}),
    ("RMSprop", {"rho": 0.8, "epsilon": 0.1, "momentum": 0.7, "centered": True}),
    ("Adam", {**BETAS, "epsilon": 1e-7}),
    ("Adam", {**BETAS, "epsilon": 0.5, "amsgrad": True}),
    ("AdamW", {**BETAS, "epsilon": 0.1}),
    ("Adadelta", {"rho": 0.8, "epsilon": 0.01}),
    ("Adagrad", {"initial_accumulator_value": 0.3, "epsilon": 0.1}),
    ("Adamax", {**BETAS, "epsilon": 0.1}),
    ("Nadam", {**BETAS, "epsilon": 0.1}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weight_decay", [None, 0.3])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_twenty_steps_follow_keras(rng, name, options, weight_decay, dtype):
    """The rate changes on the way, which tells where a formula has it."""
    p = rng.standard_normal((3, 4)).astype(dtype)
    weight = tinydl.tensor(p, requires_grad=True)
    settings = getattr(optimizers, name)(0.1, **options, weight_decay=weight_decay)
    optimizer, reference = settings.bind([weight]), Reference(name.lower(), p.shape, **options)
    p, travelled = p.astype(np.float64), 0.0
    for t in range(20):
        g = rng.standard_normal(p.shape).astype(dtype)
        settings.learning_rate = rate = 0.1 / (1 + t / 5)
        weight.grad = tinydl.tensor(g)
        optimizer.step()
        before = p
        p = p * (1 - rate * (weight_decay or 0.0))
        p = p + reference.step(g.astype(np.float64), rate)
        travelled = travelled + np.abs(p - before)
        assert_close(weight, p, "optimizer", scale=np.abs(p) + travelled + 1)
    assert settings.iterations == 20


DEFAULTS = {
    "SGD": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "Adam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "AdamW": {
        "learning_rate": 0.001,
        "weight_decay": 0.004,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    },
    "Adadelta": {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
    "Adagrad": {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "Adamax": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "Nadam": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_keras_own(name):
    parameters = inspect.signature(getattr(optimizers, name)).parameters
    leading = list(parameters.values())[: len(DEFAULTS[name])]
    assert {p.name: p.default for p in leading} == DEFAULTS[name]
    assert [p.name for p in leading] == list(DEFAULTS[name])
    assert type(optimizers.get(name.upper())) is getattr(optimizers, name)
    assert optimizers.get({"class_name": name, "config": {"learning_rate": 0.5}}).learning_rate == 0.5


def clipped(kind, limit, grads):
    """What one step of gradient descent at a rate of 1 subtracts."""
    params = [tinydl.tensor(np.zeros_like(g), requires_grad=True) for g in grads]
    optimizer = optimizers.SGD(1.0, **{kind: limit}).bind(params)
    for p, g in zip(params, grads, strict=True):
        p.grad = tinydl.tensor(g)
    optimizer.step()
    return [-p.detach().numpy() for p in params]


def test_limits_for_gradients(rng):
    grads = [rng.standard_normal((3, 4)), 0.01 * rng.standard_normal(5)]
    for got, g in zip(clipped("clipvalue", 0.3, grads), grads, strict=True):
        assert_close(got, np.clip(g, -0.3, 0.3), "optimizer")
    for got, g in zip(clipped("clipnorm", 0.5, grads), grads, strict=True):
        assert_close(got, g * 0.5 / max(np.linalg.norm(g), 0.5), "optimizer")
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    for limit in (0.5, 100.0):
        for got, g in zip(clipped("global_clipnorm", limit, grads), grads, strict=True):
            assert_close(got, g * min(1, limit / norm), "optimizer")


def test_schedules_follow_keras():
    """The values that Keras's documentation gives the formulas for."""
    decay = schedules.ExponentialDecay(0.1, 10, 0.5)
    stairs = schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)
    inverse = schedules.InverseTimeDecay(0.1, 10, 0.5)
    pieces = schedules.PiecewiseConstantDecay([5, 8], [1.0, 0.5, 0.1])
    line = schedules.PolynomialDecay(0.1, 10, 0.01, power=2.0)
    cycle = schedules.PolynomialDecay(0.1, 10, 0.01, cycle=True)
    cosine = schedules.CosineDecay(0.1, 10, alpha=0.1)
    warm = schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=4)
    restarts = schedules.CosineDecayRestarts(0.1, 4, t_mul=2.0, m_mul=0.5, alpha=0.1)
    even = schedules.CosineDecayRestarts(0.1, 4, t_mul=1.0)
    for step in range(30):
        assert decay(step) == pytest.approx(0.1 * 0.5 ** (step / 10))
        assert stairs(step) == pytest.approx(0.1 * 0.5 ** (step // 10))
        assert inverse(step) == pytest.approx(0.1 / (1 + 0.5 * step / 10))
        assert pieces(step) == (1.0 if step <= 5 else 0.5 if step <= 8 else 0.1)
        assert line(step) == pytest.approx(0.09 * (1 - min(step, 10) / 10) ** 2 + 0.01)
        length = 10 * max(1, math.ceil(step / 10))
        assert cycle(step) == pytest.approx(0.09 * (1 - step / length) + 0.01)
        assert cosine(step) == pytest.approx(0.1 * (0.9 * (1 + math.cos(math.pi * min(step, 10) / 10)) / 2 + 0.1))
        later = 0.05 * (1 + math.cos(math.pi * min(step - 4, 10) / 10))
        assert warm(step) == pytest.approx(0.025 * step if step < 4 else later)
        period, begin = next((n, b) for n, b in ((0, 0), (1, 4), (2, 12), (3, 28)) if step < b + 4 * 2**n)
        share = (1 + math.cos(math.pi * (step - begin) / (4 * 2**period))) / 2
        assert restarts(step) == pytest.approx(0.1 * (0.9 * 0.5**period * share + 0.1))
        assert even(step) == pytest.approx(0.05 * (1 + math.cos(math.pi * (step % 4) / 4)))


def test_a_schedule_sets_the_rate_of_each_step_and_goes_on_from_a_state():
    schedule = schedules.ExponentialDecay(1.0, 1, 0.5)

    def bound():
        weight = tinydl.zeros(1, requires_grad=True)
        weight.grad = tinydl.ones(1)
        settings = optimizers.SGD(schedule)
        return weight, settings, settings.bind([weight])

    weight, settings, optimizer = bound()
    places = []
    for _ in range(3):
        optimizer.step()
        places.append(weight.item())
    assert places == [-1.0, -1.5, -1.75]
    assert settings.learning_rate == 0.125
    weight, again, restored = bound()
    restored.load_state_dict(optimizer.state_dict())
    restored.step()
    assert (weight.item(), again.iterations) == (-0.125, 4)
    with pytest.raises(TypeError, match="SGD: the learning rate has a schedule, and cannot be set"):
        settings.learning_rate = 0.1


def test_numbers_kept_for_each_weight():
    def kept(name, **options):
        settings = getattr(optimizers, name)(**options)
        settings.bind([tinydl.zeros(10, requires_grad=True)])
        return settings.count_params()

    assert [kept(name) for name in DEFAULTS] == [2, 12, 22, 22, 22, 12, 22, 23]
    assert kept("RMSprop", momentum=0.5, centered=True) == 32
    assert kept("Adam", amsgrad=True) == 32


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), "Adam: got {'clipnorm': 1.0, 'clipvalue': 1.0}"),
        (lambda: optimizers.SGD(clipvalue=0.0), "wanted at most one limit, above 0"),
        (lambda: optimizers.SGD(use_ema=True), "SGD: not available: use_ema=True"),
        (lambda: optimizers.SGD(learning_rate="fast"), "SGD: got learning_rate='fast'"),
        (lambda: schedules.CosineDecay(0.1, 0), "CosineDecay: got decay steps of 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), "got 1 boundaries and 1 values"),
    ],
)
def test_wrong_values(action, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        action()
    assert message in str(error.value)
