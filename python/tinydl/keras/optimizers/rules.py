"""The optimisers' settings, and what Keras's formulas change in those of `optim`."""

from __future__ import annotations

import math
from typing import Any

from ... import optim
from ...tensor import Tensor
from .base import Optimizer
from .schedules import LearningRateSchedule

Rate = float | LearningRateSchedule


class _SGD(optim.SGD):
    """The rate is in what the momentum remembers: b = momentum b + lr g, p = p - b."""

    def _rates(self, group: dict[str, Any]) -> tuple[float, float]:
        return (1.0, group["lr"]) if group["momentum"] else (group["lr"], 1.0)


class _RMSprop(optim.RMSprop):
    """Likewise, and ε is added under the root."""

    def _rates(self, group: dict[str, Any]) -> tuple[float, float]:
        return (1.0, group["lr"]) if group["momentum"] else (group["lr"], 1.0)

    def _epsilons(self, group: dict[str, Any]) -> tuple[float, float]:
        return group["eps"], 0.0


class _Adam(optim.Adam):
    """ε is added to √v instead of √(v / (1 - β₂ᵗ))."""

    def _rates(self, group: dict[str, Any], step: int) -> tuple[float, float, float]:
        beta1, beta2 = group["betas"]
        return group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step), 1.0, group["eps"]


class _Adagrad(optim.Adagrad):
    """ε is added under the root."""

    def _epsilons(self, group: dict[str, Any]) -> tuple[float, float]:
        return group["eps"], 0.0


class _Adamax(optim.Adamax):
    """ε is added to the maximum, not within it."""

    def _epsilons(self, group: dict[str, Any]) -> tuple[float, float]:
        return 0.0, group["eps"]


class SGD(Optimizer):
    """Stochastic gradient descent: b = momentum b + lr g; p = p - b, with nesterov p = p - momentum b - lr g."""

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.momentum = momentum
        self.nesterov = nesterov
        self.slots = int(momentum > 0)

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        nesterov = self.nesterov and self.momentum > 0  # Keras lets nesterov stand without a momentum
        return _SGD(params, lr=self.learning_rate, momentum=self.momentum, nesterov=nesterov)


class RMSprop(Optimizer):
    """Rates that fall with the moving average of squared gradients.

    v = rho v + (1 - rho) g²;  d = learning_rate g / √(v + epsilon);  p = p - d

    With `centered` v - a² stands for v in d, where a = rho a + (1 - rho) g; with a momentum b = momentum b + d stands
    for d in the last line.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self.slots = 1 + int(momentum > 0) + int(centered)

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        return _RMSprop(
            params,
            lr=self.learning_rate,
            alpha=self.rho,
            eps=self.epsilon,
            momentum=self.momentum,
            centered=self.centered,
        )


class Adam(Optimizer):
    """Adam: p = p - learning_rate √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + epsilon), with m and v as in `optim.Adam`."""

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.slots = 3 if amsgrad else 2

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        return _Adam(
            params, lr=self.learning_rate, betas=(self.beta_1, self.beta_2), eps=self.epsilon, amsgrad=self.amsgrad
        )


class AdamW(Adam):
    """Adam with a decay of the weights."""

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        limits = (clipnorm, clipvalue, global_clipnorm)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, *limits, name, **options)


class Adadelta(Optimizer):
    """Rates from the ratio of past steps to past gradients; the formula is that of `optim.Adadelta`."""

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.rho = rho
        self.epsilon = epsilon
        self.slots = 2

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        return optim.Adadelta(params, lr=self.learning_rate, rho=self.rho, eps=self.epsilon)


class Adagrad(Optimizer):
    """Rates that fall with the sum of squared gradients: s = s + g²; p = p - learning_rate g / √(s + epsilon)."""

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon
        self.slots = 1

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        initial = self.initial_accumulator_value
        return _Adagrad(params, lr=self.learning_rate, initial_accumulator_value=initial, eps=self.epsilon)


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the root mean square.

    u = max(beta_2 u, |g|);  p = p - learning_rate / (1 - beta_1ᵗ) m / (u + epsilon)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.slots = 2

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        return _Adamax(params, lr=self.learning_rate, betas=(self.beta_1, self.beta_2), eps=self.epsilon)


class Nadam(Optimizer):
    """Adam with Nesterov's momentum, whose schedule is that of `optim.NAdam` with momentum_decay=1."""

    numbers = 3  # with the product of the momenta

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name, options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.slots = 2

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        betas = (self.beta_1, self.beta_2)
        return optim.NAdam(params, lr=self.learning_rate, betas=betas, eps=self.epsilon, momentum_decay=1.0)
