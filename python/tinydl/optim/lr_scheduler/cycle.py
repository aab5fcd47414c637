"""Rates that rise and fall, with the momentum the other way round."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_positive, checked, per_group

MODES = ("triangular", "triangular2", "exp_range")


class _WithMomentum(LRScheduler):
    """A schedule that also moves the optimizer's momentum, or its beta1."""

    def _begin_momentum(self, base: Any, most: Any, begin: bool) -> tuple[list[float], list[float]]:
        """The groups' least and largest momentum, which they get to begin with."""
        optimizer = self.optimizer
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"{type(self).__name__}: {type(optimizer).__name__} has neither momentum nor betas, which "
                "cycle_momentum=True needs"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        bases = per_group(self, "base_momentum", optimizer, base)
        largest = per_group(self, "max_momentum", optimizer, most)
        if begin:
            for group, low, high in zip(optimizer.param_groups, bases, largest, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low
        return bases, largest

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_WithMomentum):
    """The rate rises from base_lr to max_lr in `step_size_up` steps, falls again in `step_size_down`, and so on.

    Call `step` after each batch.

    Args:
        optimizer: see `LRScheduler`.
        base_lr, max_lr: one number, or one for each group.
        step_size_up, step_size_down: the halves of a cycle; the second is like the first unless given.
        mode: "triangular"; "triangular2", whose height is halved in each cycle; or "exp_range", whose height at a step
            is gamma^step of the first.
        gamma: of "exp_range".
        scale_fn: a function of the cycle (from 1) or of the step that gives the height instead of a mode.
        scale_mode: "cycle" or "iterations": what scale_fn is a function of.
        cycle_momentum: let the momentum (or beta1) fall from max_momentum to base_momentum while the rate rises.
        base_momentum, max_momentum: one number, or one for each group.
        last_epoch: the last step, to go on from.

    Reference: Smith 2017, "Cyclical learning rates for training neural networks".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(self, optimizer)
        if mode not in MODES and scale_fn is None:
            raise ValueError(f"CyclicLR: got mode {mode!r} and no scale_fn, wanted one of {', '.join(MODES)}")
        base_lrs = per_group(self, "base_lr", optimizer, base_lr)
        self.max_lrs: list[float] = per_group(self, "max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom: Any = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._begin_momentum(
                base_momentum, max_momentum, last_epoch == -1
            )
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, or at a step, as a share of the first."""
        if self._scale_fn_custom is not None:
            return float(self._scale_fn_custom(x))
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else 1 / 2.0 ** (x - 1)

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`; the momentum is set at the same time."""
        self._within_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        rising = place <= self.step_ratio
        share = place / self.step_ratio if rising else (place - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            limits = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, limits, strict=True):
                self._set_momentum(group, high - (high - low) * share * scale)
        return [low + (high - low) * share * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer and a function; of a callable object, a copy of its attributes."""
        state = super().state_dict()
        function = self._scale_fn_custom
        plain = function is None or isinstance(function, types.FunctionType)
        state["_scale_fn_custom"] = None if plain else function.__dict__.copy()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`; a function stays that of the constructor."""
        function = self._scale_fn_custom
        super().load_state_dict(state_dict)
        self._scale_fn_custom = function
        if function is not None and state_dict["_scale_fn_custom"] is not None:
            function.__dict__.update(state_dict["_scale_fn_custom"])


class OneCycleLR(_WithMomentum):
    """The rate rises from max_lr / div_factor to max_lr, then falls to the first rate / final_div_factor.

    Call `step` after each batch, `total_steps - 1` times.

    Args:
        optimizer: see `LRScheduler`.
        max_lr: one number, or one for each group.
        total_steps: the length of the cycle; or give `epochs` and `steps_per_epoch`.
        pct_start: the share of the steps in which the rate rises, a float.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: let the momentum (or beta1) fall from max_momentum to base_momentum while the rate rises, and
            rise while it falls.
        base_momentum, max_momentum: one number, or one for each group.
        div_factor, final_div_factor: see above.
        three_phase: fall to the first rate as fast as it rose, and then on to the last one.
        last_epoch: the last step, to go on from.

    Reference: Smith and Topin 2019, "Super-convergence: very fast training of neural networks using large learning
    rates".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(self, optimizer)
        self.total_steps = self._length(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: got pct_start = {pct_start!r}, wanted a float from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: got anneal_strategy {anneal_strategy!r}, wanted 'cos' or 'linear'")
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        largest = per_group(self, "max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, most in zip(optimizer.param_groups, largest, strict=True):
                group["initial_lr"] = most / div_factor
                group["max_lr"] = most
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def _length(self, total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
        if total_steps is not None:
            check_positive(self, "total_steps", total_steps)
            return total_steps
        if epochs is None or steps_per_epoch is None:
            raise ValueError("OneCycleLR: wanted total_steps, or both epochs and steps_per_epoch")
        check_positive(self, "epochs", epochs)
        check_positive(self, "steps_per_epoch", steps_per_epoch)
        return epochs * steps_per_epoch

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`; the momentum is set at the same time. ValueError after the last step."""
        self._within_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: got step {step}, the cycle has {self.total_steps} steps")
        begin = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            begin = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        length = phase["end_step"] - begin
        share = (step - begin) / length if length else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*ends, share))
        return rates

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _phases(total: int, share: float, three: bool) -> list[dict[str, Any]]:
    """The phases of one cycle: each ends at a step, and moves between two entries of the groups."""
    rise = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
    fall = ("max_lr", "initial_lr" if three else "min_lr", "base_momentum", "max_momentum")
    rest = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
    ends: list[tuple[float, tuple[str, ...]]] = [(float(share * total) - 1, rise)]
    ends += [(float(2 * share * total) - 2, fall), (total - 1, rest)] if three else [(total - 1, fall)]
    keys = ("start_lr", "end_lr", "start_momentum", "end_momentum")
    return [{"end_step": end, **dict(zip(keys, names, strict=True))} for end, names in ends]
