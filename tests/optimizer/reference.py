"""The optimisers' equations in NumPy, one array at a time, in float64: what each kernel's contract says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, Any]


class Rule:
    """A parameter with its states. Subclasses define `update(g)`, which returns what is subtracted from p."""

    states: ClassVar[dict[str, float]] = {}  # what they start full of
    options: ClassVar[dict[str, Any]] = {}  # the kernel's arguments after the states, in its order, and their defaults

    def __init__(self, p: Array, weight_decay=0.0, keep=1.0, maximize=False, **options: Any) -> None:
        assert not options.keys() - self.options.keys()
        self.p = p.astype(np.float64)
        self.weight_decay, self.keep, self.maximize = weight_decay, keep, maximize
        self.s = {name: np.full(p.shape, float(fill)) for name, fill in self.states.items()}
        self.o = {**self.options, **options}
        self.t = 0

    def step(self, gradient: Array) -> None:
        self.t += 1
        g = gradient.astype(np.float64) * (-1 if self.maximize else 1) + self.weight_decay * self.p
        self.p = self.keep * self.p
        with np.errstate(invalid="ignore", divide="ignore"):
            self.p = self.p - self.update(g)

    def update(self, g: Array) -> Array:
        raise NotImplementedError


class Sgd(Rule):
    states: ClassVar[dict[str, float]] = {"momentum_buffer": np.nan}
    options: ClassVar[dict[str, Any]] = {
        "lr": 0.1,
        "scale": 1.0,
        "momentum": 0.0,
        "dampening": 0.0,
        "nesterov": False,
        "first_step": False,
    }

    def update(self, g: Array) -> Array:
        o, g = self.o, self.o["scale"] * g
        if not o["momentum"]:
            return o["lr"] * g
        b = g if self.t == 1 else o["momentum"] * self.s["momentum_buffer"] + (1 - o["dampening"]) * g
        self.s["momentum_buffer"] = b
        return o["lr"] * (g + o["momentum"] * b if o["nesterov"] else b)


class Adam(Rule):
    states: ClassVar[dict[str, float]] = {"exp_avg": 0, "exp_avg_sq": 0, "max_exp_avg_sq": 0}
    options: ClassVar[dict[str, Any]] = {
        "beta1": 0.9,
        "beta2": 0.999,
        "avg_rate": 0.1,
        "grad_rate": 0.0,
        "root_scale": 1.0,
        "eps": 1e-8,
        "amsgrad": False,
    }

    def update(self, g: Array) -> Array:
        o, s = self.o, self.s
        s["exp_avg"] = o["beta1"] * s["exp_avg"] + (1 - o["beta1"]) * g
        s["exp_avg_sq"] = o["beta2"] * s["exp_avg_sq"] + (1 - o["beta2"]) * g * g
        s["max_exp_avg_sq"] = np.maximum(s["max_exp_avg_sq"], s["exp_avg_sq"])
        second = s["max_exp_avg_sq" if o["amsgrad"] else "exp_avg_sq"]
        return (o["avg_rate"] * s["exp_avg"] + o["grad_rate"] * g) / (o["root_scale"] * np.sqrt(second) + o["eps"])


class Adamax(Rule):
    states: ClassVar[dict[str, float]] = {"exp_avg": 0, "exp_inf": 0}
    options: ClassVar[dict[str, Any]] = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "inner_eps": 0.0, "eps": 0.0}

    def update(self, g: Array) -> Array:
        o, s = self.o, self.s
        s["exp_avg"] = o["beta1"] * s["exp_avg"] + (1 - o["beta1"]) * g
        s["exp_inf"] = np.maximum(o["beta2"] * s["exp_inf"], np.abs(g) + o["inner_eps"])
        return o["lr"] * s["exp_avg"] / (s["exp_inf"] + o["eps"])


class Adagrad(Rule):
    states: ClassVar[dict[str, float]] = {"sum": 0.25}
    options: ClassVar[dict[str, Any]] = {"lr": 0.1, "inner_eps": 0.0, "eps": 1e-10}

    def update(self, g: Array) -> Array:
        o, s = self.o, self.s
        s["sum"] = s["sum"] + g * g
        return o["lr"] * g / (np.sqrt(s["sum"] + o["inner_eps"]) + o["eps"])


class Rmsprop(Rule):
    states: ClassVar[dict[str, float]] = {"square_avg": 0, "grad_avg": 0, "momentum_buffer": 0}
    options: ClassVar[dict[str, Any]] = {
        "lr": 0.1,
        "scale": 1.0,
        "alpha": 0.9,
        "inner_eps": 0.0,
        "eps": 1e-8,
        "momentum": 0.0,
        "centered": False,
    }

    def update(self, g: Array) -> Array:
        o, s = self.o, self.s
        s["square_avg"] = o["alpha"] * s["square_avg"] + (1 - o["alpha"]) * g * g
        s["grad_avg"] = o["alpha"] * s["grad_avg"] + (1 - o["alpha"]) * g
        v = s["square_avg"] - s["grad_avg"] ** 2 if o["centered"] else s["square_avg"]
        d = o["scale"] * g / (np.sqrt(v + o["inner_eps"]) + o["eps"])
        s["momentum_buffer"] = o["momentum"] * s["momentum_buffer"] + d
        return o["lr"] * (s["momentum_buffer"] if o["momentum"] else d)


class Adadelta(Rule):
    states: ClassVar[dict[str, float]] = {"square_avg": 0, "acc_delta": 0}
    options: ClassVar[dict[str, Any]] = {"lr": 1.0, "rho": 0.9, "eps": 1e-2}

    def update(self, g: Array) -> Array:
        o, s = self.o, self.s
        s["square_avg"] = o["rho"] * s["square_avg"] + (1 - o["rho"]) * g * g
        d = np.sqrt(s["acc_delta"] + o["eps"]) / np.sqrt(s["square_avg"] + o["eps"]) * g
        s["acc_delta"] = o["rho"] * s["acc_delta"] + (1 - o["rho"]) * d * d
        return o["lr"] * d


class Asgd(Rule):
    states: ClassVar[dict[str, float]] = {"ax": 0}
    options: ClassVar[dict[str, Any]] = {"lr": 0.1, "share": 1.0}

    def update(self, g: Array) -> Array:
        after = self.p - self.o["lr"] * g
        self.s["ax"] = self.s["ax"] + self.o["share"] * (after - self.s["ax"])
        return self.o["lr"] * g


class Rprop(Rule):
    states: ClassVar[dict[str, float]] = {"prev": 0, "step_size": 0.1}
    options: ClassVar[dict[str, Any]] = {"shrink": 0.5, "grow": 1.2, "smallest": 1e-6, "largest": 50.0}

    def update(self, g: Array) -> Array:
        o, s = self.o, self.s
        product = g * s["prev"]
        turned = product < 0
        factor = np.where(product > 0, o["grow"], np.where(turned, o["shrink"], np.where(product == 0, 1, np.nan)))
        s["step_size"] = np.clip(s["step_size"] * factor, o["smallest"], o["largest"])
        s["prev"] = np.where(turned, 0, g)
        return np.sign(s["prev"]) * s["step_size"]


RULES: dict[str, type[Rule]] = {rule.__name__.lower(): rule for rule in Rule.__subclasses__()}


class Stepper:
    """The kernel of a rule on copies of parameters, called as the rule is."""

    def __init__(self, kernels: Any, name: str, params: list[Array], **options: Any) -> None:
        rule = RULES[name]
        decay = {"weight_decay": 0.0, "keep": 1.0, "maximize": False}
        self.params = [p.copy(order="K") for p in params]
        self.states = {key: [np.full_like(p, fill) for p in params] for key, fill in rule.states.items()}
        self.options = {**rule.options, **decay, **options}
        self.kernel: Callable[..., None] = getattr(kernels, f"{name}_step")
        self.t = 0

    def step(self, grads: list[Array]) -> None:
        self.t += 1
        if "first_step" in self.options:
            self.options["first_step"] = self.t == 1
        self.kernel(self.params, grads, *self.states.values(), **self.options)
