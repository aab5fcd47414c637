"""What all optimisers share: the rate or its schedule, limits for gradients, the decay of weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ... import capture
from ...nn.utils.clip_grad import clip_grad_value_, get_total_norm, scale_
from ...tensor import Tensor
from ..config import Configured, serialize
from ..lookup import supported
from .schedules import LearningRateSchedule

LIMITS = ("clipnorm", "clipvalue", "global_clipnorm")


class Optimizer(Configured):
    """Settings, and once the model is built the optimiser of `optim` that obeys them.

    Args:
        learning_rate: a number, or a schedule of `schedules`, whose rate is that of the step (from 0).
        weight_decay: before each step every weight shrinks by weight_decay * learning_rate of itself.
        clipnorm, clipvalue, global_clipnorm: limits for each gradient's norm, for each element, or for the norm of all
            gradients together; at most one of them.
        name: the optimiser's name.
        options: Keras's other options, which must be None or False; `use_ema` is one.

    Attributes:
        bound: the optimiser of `optim`, or None.
        learning_rate: may be set at any time, unless there is a schedule.
        iterations: how many steps there have been.
    """

    slots = 0  # arrays kept for each weight
    numbers = 2  # numbers kept beside them: the step and the rate

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        name: str | None,
        options: dict[str, Any],
    ) -> None:
        owner = type(self).__name__
        supported(owner, {key: value for key, value in options.items() if key != "ema_momentum"})
        self.schedule = learning_rate if isinstance(learning_rate, LearningRateSchedule) else None
        if self.schedule is not None:
            learning_rate = self.schedule(0)
        if not isinstance(learning_rate, int | float) or not learning_rate >= 0:
            raise ValueError(f"{owner}: got learning_rate={learning_rate!r}, wanted a number of at least 0")
        limits = dict(zip(LIMITS, (clipnorm, clipvalue, global_clipnorm), strict=True))
        self.limits = {key: float(value) for key, value in limits.items() if value is not None}
        if len(self.limits) > 1 or not all(value > 0 for value in self.limits.values()):
            raise ValueError(f"{owner}: got {self.limits}, wanted at most one limit, above 0")
        self.name = name or owner.lower()
        self.weight_decay = weight_decay
        self.bound: Any = None
        self._learning_rate = float(learning_rate)

    def make(self, params: list[Tensor]) -> Any:
        """The optimiser for some weights."""
        raise NotImplementedError(f"{type(self).__name__} does not define make")

    def bind(self, params: Iterable[Tensor]) -> Any:
        """Make the optimiser for a model's weights; the state of another model's is forgotten."""
        bound = self.make(list(params))
        for group in bound.param_groups:
            group.update(weight_decay=self.weight_decay or 0.0, decoupled_weight_decay=True, iterations=0)
        bound.register_step_pre_hook(self._before_step)
        self.bound = bound
        return bound

    def minimize(self, loss: Tensor) -> None:
        """Compute the gradients of a loss, and take a step: for a model's own `train_step`."""
        if self.bound is None:
            raise ValueError(f"{type(self).__name__}.minimize: no model has been compiled with the optimizer and built")
        self.bound.zero_grad()
        loss.backward()
        self.bound.step()

    def _before_step(self, bound: Any, *_: Any) -> None:
        capture.refuse("a Keras optimizer's step", "its iterations and schedule would stay: use one of tinydl.optim")
        groups = bound.param_groups
        if self.schedule is not None:
            rate = self.schedule(groups[0]["iterations"])
            for group in groups:
                group["lr"] = rate
        groups[0]["iterations"] += 1
        if self.limits:
            self._clip([p for group in groups for p in group["params"] if p.grad is not None])

    def _clip(self, params: list[Tensor]) -> None:
        ((kind, limit),) = self.limits.items()
        if kind == "clipvalue":
            clip_grad_value_(params, limit)
            return
        for grads in [[p.grad for p in params]] if kind == "global_clipnorm" else [[p.grad] for p in params]:
            norm = get_total_norm(grads).item()  # type: ignore[arg-type]
            if not norm <= limit:
                scale_(grads, limit / norm)  # type: ignore[arg-type]

    @property
    def iterations(self) -> int:
        """The number of steps."""
        return 0 if self.bound is None else int(self.bound.param_groups[0]["iterations"])

    @property
    def learning_rate(self) -> float:
        """The step size; with a schedule, that of the next step."""
        if self.schedule is not None:
            return self.schedule(self.iterations)
        return self._learning_rate if self.bound is None else float(self.bound.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.schedule is not None:
            raise TypeError(f"{type(self).__name__}: the learning rate has a schedule, and cannot be set")
        self._learning_rate = float(value)
        if self.bound is not None:
            for group in self.bound.param_groups:
                group["lr"] = float(value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments with the defaults filled in, and the present learning rate."""
        rate = self.learning_rate if self.schedule is None else serialize(self.schedule)
        return {**super().get_config(), "learning_rate": rate}

    def count_params(self) -> int:
        """How many numbers the optimiser keeps, counted as Keras does: with the step and the learning rate."""
        sizes = [p.numel() for group in self.bound.param_groups for p in group["params"]] if self.bound else []
        return int(self.slots * sum(sizes)) + self.numbers
