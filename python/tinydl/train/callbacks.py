"""Callbacks: what happens beside the steps of a training run. The names and arguments are Keras's.

A `Trainer` calls each of its callbacks in their order, with the ones that `save` the run after all others, so that a
checkpoint holds what the others have remembered.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..tensor import Array
    from .trainer import Trainer

__all__ = ["CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "History", "LRSchedule", "ProgressBar"]

Logs = dict[str, float]


class Callback:
    """Subclasses override what they need; all methods do nothing here.

    Attributes:
        trainer: the `Trainer` that runs. Setting `trainer.stop_training = True` ends the epoch after the batch, and the
            run after the epoch.
        model: its model.
        params: {"epochs", "steps", "samples"} of the run; the last two are None where the data has no length.
        saves: whether the callback is called after those that do not save the run.
    """

    trainer: Trainer
    model: Any
    params: Mapping[str, Any]
    saves = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of the run, also of one that is resumed."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before epoch `epoch` (from 0), or the rest of it."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before the step on batch `batch` (from 0) of an epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After the step on batch `batch` (from 0) of an epoch; logs are the means over the epoch so far."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch; logs are its means, and those of the validation data under names with "val_"."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch; not after an error."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation that got the callback."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After batch `batch` of an evaluation; logs are the means so far."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def close(self) -> None:
        """At the very end of a run or an evaluation, also after an error."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold for the callback to go on: numbers, strings, arrays, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


class History:
    """The record of a run, `epoch` (numbers) and `history`: for each name in the logs its values, one an epoch."""

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def append(self, epoch: int, logs: Logs) -> None:
        """Record an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class _Best:
    """The best value so far of one entry of the logs."""

    def __init__(self, owner: str, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{owner}: got mode {mode!r}, wanted 'auto', 'min' or 'max'")
        if min_delta < 0:
            raise ValueError(f"{owner}: got min_delta {min_delta}, wanted at least 0")
        rising = mode == "max" or (mode == "auto" and monitor.split("_")[-1] in ("acc", "accuracy"))
        self.owner, self.monitor, self.min_delta = owner, monitor, min_delta
        self.sign = 1.0 if rising else -1.0
        self.forget()

    def forget(self) -> None:
        self.value: float | None = None

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
        mode: "min", "max", or "auto", which is "max" for accuracies and "min" for the rest.
        restore_best_weights: at the end give the model the parameters and buffers of the best epoch.
        baseline: a value that an improvement must also beat to count.
        start_from_epoch: the first epoch (from 0) that is looked at.

    Attributes:
        stopped_epoch: the epoch after which the run was ended, or None.
        best: the best value, or None.
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
        if epoch < self.start_from_epoch:
            return
        better = self._best.improves(logs)
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
        keys = ("best", "wait", "stopped_epoch", "weights")
        return dict(zip(keys, (self.best, self._wait, self.stopped_epoch, self._weights), strict=True))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._best.value, self._wait = state["best"], state["wait"]
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
        if not self.save_best_only or self._best.improves(logs):
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
        if self.monitor is not None:
            if not logs or self.monitor not in logs:
                raise ValueError(
                    f"LRSchedule: '{self.monitor}' is not in the logs, which have: {', '.join(logs or {})}"
                )
            self.schedule.step(logs[self.monitor])

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


class CSVLogger(Callback):
    """Write a line for each epoch to a file: its number (from 0) and the logs, by name, under a line with the names.

    A resumed run goes on in the file, after the lines of the epochs before it.

    Args:
        filename: the file.
        separator: what stands between the values.
        append: add to a file that is there, instead of beginning anew.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: Any = None
        self._writer: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        kept: list[list[str]] = []
        if (self.append or self.trainer.resumed) and os.path.exists(self.filename):
            with open(self.filename, newline="") as file:
                kept = [*csv.reader(file, delimiter=self.separator)]
            if self.trainer.resumed and not self.append:
                kept = kept[:1] + [row for row in kept[1:] if row and int(row[0]) < self.trainer.epoch]
        self._file = open(self.filename, "w", newline="")  # noqa: SIM115 - `close` closes it
        self._writer = csv.writer(self._file, delimiter=self.separator)
        self._writer.writerows(kept)
        self._fields = kept[0][1:] if kept else None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line."""
        logs = logs or {}
        if self._fields is None:
            self._fields = self.fields(logs)
            self._writer.writerow(["epoch", *self._fields])
        self._writer.writerow([epoch, *(logs.get(name, "NA") for name in self._fields)])
        self._file.flush()

    def fields(self, logs: Logs) -> list[str]:
        """The names of the columns after the first."""
        return sorted(logs)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class ProgressBar(Callback):
    """A line for each epoch with loss, metrics and images a second (tqdm), drawn at most ten times a second."""

    interval = 0.1  # seconds

    def __init__(self, unit: str = "images") -> None:
        self.unit = unit
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw an empty bar."""
        from tqdm import tqdm

        trainer = self.trainer
        self._bar = tqdm(
            total=self.params["samples"],
            initial=trainer.samples,
            desc=f"epoch {epoch + 1}/{self.params['epochs']}",
            unit=f" {self.unit}",
            leave=True,
        )
        self._drawn = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar, if it was not moved just now."""
        now = time.perf_counter()
        if now - self._drawn >= self.interval:
            self._drawn = now
            self._draw(logs)

    def _draw(self, logs: Logs | None) -> None:
        text = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(self.trainer.samples - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Complete the bar."""
        self._draw(logs)
        self.close()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar.fp.flush()  # its last newline, before anything is written elsewhere
            self._bar = None
