"""Learning rates as functions of the step, from 0."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from ..config import Configured

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


class LearningRateSchedule(Configured):
    """Base of the schedules: subclasses define schedule(step), the rate of a step."""

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate decay_rate^(step / decay_steps); with `staircase` the exponent is rounded down.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _check_steps(self, decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        return float(self.initial_learning_rate * self.decay_rate ** _turns(self, step))


class InverseTimeDecay(ExponentialDecay):
    """initial_learning_rate / (1 + decay_rate step / decay_steps); with `staircase` the quotient is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        return float(self.initial_learning_rate / (1 + self.decay_rate * _turns(self, step)))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to the step boundaries[0], values[1] up to boundaries[1], and so on, each boundary included."""

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(values) != len(boundaries) + 1:
            got = f"{len(boundaries)} boundaries and {len(values)} values"
            raise ValueError(f"PiecewiseConstantDecay: got {got}, wanted one value more than boundaries")
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        return float(self.values[bisect_left(self.boundaries, step)])


class PolynomialDecay(LearningRateSchedule):
    """(initial_learning_rate - end_learning_rate) (1 - step / decay_steps)^power + end_learning_rate.

    It stays at the end, or with `cycle` decay_steps grows to its next multiple that the step has not passed.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _check_steps(self, decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        length: float = self.decay_steps
        if self.cycle:
            length *= max(1, math.ceil(step / length))
        left = 1 - min(step, length) / length
        return float((self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate)


class CosineDecay(LearningRateSchedule):
    """rate ((1 - alpha) (1 + cos(π step / decay_steps)) / 2 + alpha), which stays at its end.

    The rate is initial_learning_rate; with a `warmup_target` it first goes there in a line, in `warmup_steps`, and then
    falls from there.

    Reference: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts".
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _check_steps(self, decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        rate = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return float(rate + (self.warmup_target - rate) * step / self.warmup_steps)
            rate, step = self.warmup_target, step - self.warmup_steps
        return float(rate * _cosine(min(step, self.decay_steps) / self.decay_steps, self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` that begins anew: each period is `t_mul` times as long as the one before, and `m_mul` as high."""

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _check_steps(self, first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: float) -> float:
        """The rate of a step."""
        done = step / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts = math.floor(done)
            share = done - restarts
        else:
            restarts = math.floor(math.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul))
            before = (1 - self.t_mul**restarts) / (1 - self.t_mul)
            share = (done - before) / self.t_mul**restarts
        return float(self.initial_learning_rate * _cosine(share, self.alpha, self.m_mul**restarts))


def _cosine(share: float, alpha: float, height: float = 1.0) -> float:
    return (1 - alpha) * height * (1 + math.cos(math.pi * share)) / 2 + alpha


def _turns(schedule: ExponentialDecay, step: float) -> float:
    turns = step / schedule.decay_steps
    return math.floor(turns) if schedule.staircase else turns


def _check_steps(schedule: LearningRateSchedule, steps: float) -> None:
    if not steps > 0:
        raise ValueError(f"{type(schedule).__name__}: got decay steps of {steps}, wanted more than 0")
