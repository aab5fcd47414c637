"""Callbacks: what happens beside the steps of a training run. The names and arguments are Keras's.

A `Trainer` calls each of its callbacks in their order, with the ones that `save` the run after all others, so that a
checkpoint holds what the others have remembered.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..tensor import Array
from .callback import Callback, History, Logs
from .reporting import CSVLogger, ProgressBar

__all__ = ["CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "History", "LRSchedule", "ProgressBar"]

_RISING = ("acc", "accuracy", "auc", "precision", "recall", "f1_score", "r2_score")  # metrics of which more is better


class _Best:
    """The best value so far of one entry of the logs."""

    def __init__(self, owner: str, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{owner}: got mode {mode!r}, wanted 'auto', 'min' or 'max'")
        if min_delta < 0:
            raise ValueError(f"{owner}: got min_delta {min_delta}, wanted at least 0")
        rising = mode == "max" or (mode == "auto" and re.sub(r"_\d+$", "", monitor).endswith(_RISING))
        self.owner, self.monitor, self.min_delta = owner, monitor, min_delta
        self.sign = 1.0 if rising else -1.0
        self.forget()

    def forget(self) -> None:
        self.value: float | None = None

    def skipped(self, trainer: Any) -> bool:
        """Whether the value is missing because the validation data is not evaluated after every epoch."""
        return self.monitor.startswith("val_") and not trainer.validates and trainer.validation_freq != 1

    def improves(self, logs: Logs | None) -> bool:
        """Whether the logs are better than all before, by more than min_delta; if so, they are the best now."""
        value = self.of(logs)
        better = self.beats(value, -self.sign * math.inf if self.value is None else self.value)
        if better:
            self.value = value
        return better

    def of(self, logs: Logs | None) -> float:
        """The value in the logs."""
        if not logs or self.monitor not in logs:
            raise ValueError(f"{self.owner}: '{self.monitor}' is not in the logs, which have: {', '.join(logs or {})}")
        return float(logs[self.monitor])

    def beats(self, value: float, other: float) -> bool:
        """Whether a value is better than another by more than min_delta; not where one is NaN."""
        return self.sign * value - self.min_delta > self.sign * other


class EarlyStopping(Callback):
    """End the run when a value has not improved for `patience` epochs in a row; never after the first epoch.

    Args:
        monitor: the value's name in the logs.
        min_delta: how much better than the best a value must be to count.
        patience: how many epochs without an improvement to allow.
        mode: "min", "max", or "auto", which is "max" for accuracies, AUC, precision, recall, F1 and R2, else "min".
        restore_best_weights: at the end give the model the parameters and buffers of the best epoch.
        baseline: a value that an improvement must also beat to count.
        start_from_epoch: the first epoch (from 0) that is looked at.

    Attributes:
        stopped_epoch: the epoch after which the run was ended, or None.
        best: the best value, or None.
        best_epoch: its epoch, from 0.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
        baseline: float | None = None,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor = monitor
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self.baseline = baseline
        self.start_from_epoch = start_from_epoch
        self._best = _Best("EarlyStopping", monitor, mode, min_delta)
        self._forget()

    def _forget(self) -> None:
        self._best.forget()
        self._wait = 0
        self._weights: dict[str, Array] | None = None
        self.best_epoch = 0
        self.stopped_epoch: int | None = None

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self._best.value

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, unless the run is resumed."""
        if not self.trainer.resumed:
            self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Count the epoch."""
        if epoch < self.start_from_epoch or self._best.skipped(self.trainer):
            return
        better = self._best.improves(logs)
        if better:
            self.best_epoch = epoch
        if better and self.restore_best_weights:
            self._weights = {k: np.array(t._data, order="K") for k, t in self.model.state_dict().items()}
        self._wait += 1
        if better:
            if self.baseline is None or self._best.beats(self._best.of(logs), self.baseline):
                self._wait = 0
            return
        if self._wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.trainer.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, if asked for."""
        if self._weights is not None:
            self.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value, the epochs since, and the best weights."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "wait": self._wait,
            "stopped_epoch": self.stopped_epoch,
            "weights": self._weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._best.value, self.best_epoch, self._wait = state["best"], state["best_epoch"], state["wait"]
        self.stopped_epoch, self._weights = state["stopped_epoch"], state["weights"]


class Checkpoint(Callback):
    """Save the run to a file, from which `Trainer.fit(resume=...)` goes on.

    Args:
        path: the file; fields such as `{epoch}` (from 1) and `{val_loss:.3f}` are filled in.
        every: "epoch", or a number of steps: then also in the middle of epochs, in addition to their ends.
        monitor: the value that `save_best_only` looks at.
        save_best_only: save only after epochs with a better value than all before.
        mode: "min", "max" or "auto", as for `EarlyStopping`.
    """

    saves = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: str | int = "epoch",
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
    ) -> None:
        if every != "epoch" and (isinstance(every, str | bool) or every < 1):
            raise ValueError(f"Checkpoint: got every={every!r}, wanted 'epoch' or a positive number of steps")
        if save_best_only and every != "epoch":
            raise ValueError("Checkpoint: save_best_only needs every='epoch'")
        self.path = os.fspath(path)
        self.every = every
        self.monitor = monitor
        self.save_best_only = save_best_only
        self._best = _Best("Checkpoint", monitor, mode)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, unless the run is resumed."""
        if not self.trainer.resumed:
            self._best.forget()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, where the number of steps says so."""
        if isinstance(self.every, int) and self.trainer.step % self.every == 0:
            self._save(self.trainer.epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, unless only better epochs are wanted and this one is not."""
        if not self.save_best_only or (not self._best.skipped(self.trainer) and self._best.improves(logs)):
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs | None) -> None:
        self.save(self.path.format(epoch=epoch + 1, step=self.trainer.step, **(logs or {})))

    def save(self, path: str) -> None:
        """Write the file."""
        self.trainer.save(path)

    def state_dict(self) -> dict[str, Any]:
        """The best value, if it matters."""
        return {"best": self._best.value} if self.save_best_only else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._best.value = state["best"]


class LRSchedule(Callback):
    """Let a schedule of `optim.lr_scheduler` set the learning rate.

    Args:
        make: makes the schedule of an optimizer, as in `lambda o: CosineAnnealingLR(o, T_max=10)`.
        every: "epoch", at whose beginning the schedule takes its step, or "batch", after each.
        monitor: for `ReduceLROnPlateau`: the entry of the logs that its step gets, at the end of each epoch.

    Attributes:
        schedule: the schedule, once the run has begun.
    """

    def __init__(self, make: Callable[[Any], Any], every: str = "epoch", monitor: str | None = None) -> None:
        if every not in ("epoch", "batch") or (every == "batch" and monitor is not None):
            raise ValueError(f"LRSchedule: got every={every!r}, wanted 'epoch', or 'batch' without a monitor")
        self.make = make
        self.every = every
        self.monitor = monitor
        self._monitored = None if monitor is None else _Best("LRSchedule", monitor, "auto")
        self.schedule: Any = None
        self._begun = False
        if every == "batch":  # else nothing happens after a batch, and the trainer need not call
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Make the schedule, which sets the first rate, unless the run is resumed."""
        if not self.trainer.resumed:
            self.schedule = self.make(self.trainer.optimizer)
            self._begun = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Go on, except in the first epoch, and within an epoch that a resumed run begins with."""
        if self._begun and not self.trainer.batch and self.every == "epoch" and self.monitor is None:
            self.schedule.step()
        self._begun = True

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self.schedule.step()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Show the schedule the value that it monitors."""
        if self._monitored is not None and not self._monitored.skipped(self.trainer):
            self.schedule.step(self._monitored.of(logs))

    def state_dict(self) -> dict[str, Any]:
        """The schedule's state; the rates are in the optimizer's."""
        return {"schedule": None if self.schedule is None else self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        if state["schedule"] is None:
            self.schedule = None
            return
        groups = self.trainer.optimizer.param_groups
        before = [dict(group) for group in groups]
        self.schedule = self.make(self.trainer.optimizer)
        for group, values in zip(groups, before, strict=True):
            group.update(values)  # what the schedule set to begin with
        self.schedule.load_state_dict(state["schedule"])
        self.trainer.optimizer._opt_called = True  # before the checkpoint
        self._begun = True
