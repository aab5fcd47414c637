"""Rates that fall when a measure no longer improves."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..optimizer import Optimizer
from .scheduler import EPOCH_WARNING, LRScheduler, checked, per_group


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rates by `factor` when a measure has not improved for more than `patience` epochs.

    Args:
        optimizer: see `LRScheduler`.
        mode: "min" for a measure that should fall, "max" for one that should rise.
        factor: below 1.
        patience: how many epochs without an improvement to allow.
        threshold: how much better than the best a measure must be to count.
        threshold_mode: "rel" for a share of the best, "abs" for a difference.
        cooldown: how many epochs to wait after a fall before counting again.
        min_lr: the least rate, one number or one for each group.
        eps: smaller changes of a rate are left out.

    >>> from tinydl import ones, optim
    >>> optimizer = optim.SGD([ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.5):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: got factor = {factor}, wanted a number below 1")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: got mode {mode!r}, wanted 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: got threshold_mode {threshold_mode!r}, wanted 'rel' or 'abs'")
        self.factor = factor
        self.optimizer = checked(self, optimizer)
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs: list[float] = per_group(self, "min_lr", optimizer, min_lr)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = self._rates()
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._reset()

    def _reset(self) -> None:
        """Forget all measures."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs are not counted."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Go on by one epoch, whose measure (a number, or a tensor with one) is `metrics`."""
        current = float(metrics)
        if epoch is not None:
            warnings.warn(EPOCH_WARNING, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def _is_better(self, value: float) -> bool:
        rising = self.mode == "max"
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + self.threshold if rising else 1.0 - self.threshold)
        else:
            bound = self.best + (self.threshold if rising else -self.threshold)
        return value > bound if rising else value < bound

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"ReduceLROnPlateau: min_lrs has {len(self.min_lrs)} values, the optimizer {len(groups)} groups; "
                    "set min_lrs anew after adding a group"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, least)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
