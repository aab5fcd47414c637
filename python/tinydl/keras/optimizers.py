"""Optimisers, by name or as objects; each makes one of `tinydl.optim` for a model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import optim
from ..tensor import Tensor
from .lookup import find, supported


class Optimizer:
    """Settings, and once the model is built the optimiser of `optim` that obeys them.

    Attributes:
        bound: that optimiser, or None.
        learning_rate: may be set at any time.
    """

    slots = 0  # arrays kept for each weight

    def __init__(self, learning_rate: float, name: str | None, options: dict[str, Any]) -> None:
        supported(type(self).__name__, options)
        if not isinstance(learning_rate, int | float) or not learning_rate >= 0:
            owner = type(self).__name__
            raise ValueError(f"{owner}: got learning_rate={learning_rate!r}, wanted a number of at least 0")
        self.name = name or type(self).__name__.lower()
        self.bound: Any = None
        self._learning_rate = float(learning_rate)

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        raise NotImplementedError(f"{type(self).__name__} does not define make")

    def bind(self, params: Iterable[Tensor]) -> Any:
        """Make the optimiser for a model's weights; the state of another model's is forgotten."""
        self.bound = self.make(list(params))
        return self.bound

    @property
    def learning_rate(self) -> float:
        """The step size."""
        return self._learning_rate if self.bound is None else float(self.bound.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = float(value)
        if self.bound is not None:
            for group in self.bound.param_groups:
                group["lr"] = float(value)

    def count_params(self) -> int:
        """How many numbers the optimiser keeps, counted as Keras does: with the step and the learning rate."""
        sizes = [p.numel() for group in self.bound.param_groups for p in group["params"]] if self.bound else []
        return int(self.slots * sum(sizes)) + 2


class SGD(Optimizer):
    """Stochastic gradient descent; see `optim.SGD`."""

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, name, {**options, "weight_decay": weight_decay})
        self.momentum = momentum
        self.nesterov = nesterov
        self.slots = int(momentum > 0)

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        nesterov = self.nesterov and self.momentum > 0  # Keras lets nesterov stand without a momentum
        return optim.SGD(params, lr=self.learning_rate, momentum=self.momentum, nesterov=nesterov)


class _AdamOfKeras(optim.Adam):
    """Adam that adds ε to √v instead of √(v / (1 - β₂ᵗ))."""

    def _rates(self, group: dict[str, Any], step: int) -> tuple[float, float, float]:
        beta1, beta2 = group["betas"]
        return group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step), 1.0, group["eps"]


class Adam(Optimizer):
    """Adam: p = p - learning_rate √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + epsilon), with m and v as in `optim.Adam`."""

    slots = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, name, {**options, "weight_decay": weight_decay})
        self.betas = (beta_1, beta_2)
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.slots = 3 if amsgrad else 2

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        return _AdamOfKeras(params, lr=self.learning_rate, betas=self.betas, eps=self.epsilon, amsgrad=self.amsgrad)


KNOWN: dict[str, type[Any]] = {"sgd": SGD, "adam": Adam}


def get(identifier: Any) -> Optimizer:
    """The optimiser of a name (in any case), of a class, or an object as it is."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # type: ignore[call-arg]
    name = identifier.lower() if isinstance(identifier, str) else identifier
    return find("optimizer", name, KNOWN)()  # type: ignore[no-any-return]
