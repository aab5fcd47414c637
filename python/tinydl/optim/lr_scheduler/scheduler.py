"""What all schedules share: the epoch, the groups' first rates, and the state."""

from __future__ import annotations

import warnings
from typing import Any

from ..optimizer import Optimizer

EPOCH_WARNING = (
    "step(epoch) is kept for old scripts: it computes the rate of that epoch from the first rate, where there is a "
    "formula for it; call step() once an epoch instead"
)


class LRScheduler:
    """Base of the schedules: subclasses define `get_lr`, the groups' rates at the epoch `last_epoch`.

    The constructor remembers each group's rate as its "initial_lr" and sets the rates of epoch 0; each `step` goes on
    by one epoch. Call it after `optimizer.step()`.

    Args:
        optimizer: whose `param_groups` are changed.
        last_epoch: the epoch that is over, to go on from; -1 to begin. Going on needs "initial_lr" in each group.

    Attributes:
        base_lrs: the groups' first rates.
        last_epoch: the epoch that the rates are of.

    Raises:
        TypeError: `optimizer` is none.
        ValueError: last_epoch is not -1 and a group has no "initial_lr".
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(self, optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{type(self).__name__}: param_groups[{number}] has no 'initial_lr', which last_epoch={last_epoch} "
                    "needs; load the optimizer's state first, or begin with last_epoch=-1"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch (or, as old scripts do, to `epoch`), and set its rates."""
        optimizer = self.optimizer
        if self._step_count == 1 and not optimizer._opt_called and type(optimizer).step is Optimizer.step:
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first rate of the schedule is skipped",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._set_rates(closed_form)

    def _set_rates(self, rates: Any = None) -> None:
        """Give the groups the rates of a function, or of `get_lr`."""
        self._get_lr_called_within_step = True
        try:
            values = (rates or self.get_lr)()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = lr
        self._last_lr: list[float] = self._rates()

    def get_last_lr(self) -> list[float]:
        """The groups' rates as the schedule set them last."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`; for `step` only, since many schedules compute them from the rates before."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr")

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict` of this class, here or in PyTorch. The optimizer's rates are in its own state."""
        self.__dict__.update(state_dict)

    # -- For subclasses --------------------------------------------------------------------------------------

    def _rates(self) -> list[float]:
        """The groups' rates now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _within_step(self) -> None:
        """Warn where `get_lr` is called by a user."""
        if not self._get_lr_called_within_step:
            warnings.warn("get_last_lr() tells the last rates; get_lr() is for step() only", UserWarning, stacklevel=3)


def checked(owner: Any, optimizer: Any) -> Optimizer:
    """The optimizer; TypeError where it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(owner).__name__}: got a {type(optimizer).__name__}, wanted an Optimizer")
    return optimizer


def per_group(owner: Any, name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group: a list or tuple as it is, anything else for all."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{type(owner).__name__}: {name} has {len(value)} values, the optimizer {groups} groups")
    return list(value)


def check_between(owner: Any, name: str, value: float, low: float, high: float, above: bool = False) -> None:
    """ValueError unless low <= value <= high, or low < value with `above`."""
    if not (low < value <= high if above else low <= value <= high):
        limits = f"above {low} and at most {high}" if above else f"from {low} to {high}"
        raise ValueError(f"{type(owner).__name__}: got {name} = {value}, wanted a number {limits}")


def check_positive(owner: Any, name: str, value: Any) -> None:
    """ValueError unless the value is a positive integer."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"{type(owner).__name__}: got {name} = {value!r}, wanted a positive integer")
