"""Callbacks with Keras's arguments; see `tinydl.train.callbacks`."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..train.callbacks import Callback, Checkpoint, History, _Best
from ..train.callbacks import CSVLogger as _CSVLogger
from ..train.callbacks import EarlyStopping as _EarlyStopping

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


Function = Callable[..., Any]


class EarlyStopping(_EarlyStopping):
    """End the training when a value has not improved for `patience` epochs in a row."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, abs(min_delta), patience, mode, restore_best_weights, baseline, start_from_epoch)
        self.verbose = verbose

    def _forget(self) -> None:
        super()._forget()
        self.stopped_epoch = 0  # as in Keras; no run ends after its first epoch

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Say so, and restore the best weights, if asked for."""
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.verbose and self._weights is not None:
            print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
        super().on_train_end(logs)


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch to schedule(epoch, the rate so far), with epochs from 0.

    The logs get the rate as "learning_rate". TypeError where the schedule returns no number.
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the rate; the rest of an epoch that a resumed run begins with has it already."""
        if self.trainer.batch:
            return
        rate = self.schedule(epoch, self.model.optimizer.learning_rate)
        if not isinstance(rate, numbers.Real):
            raise TypeError(f"LearningRateScheduler: the schedule returned {rate!r}, wanted a number")
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(rate)}.")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the rate."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ModelCheckpoint(Checkpoint):
    """Save the training to a safetensors file; `load_weights` and `BackupAndRestore` read it.

    Args:
        filepath: the file's name; `{epoch}` (from 1), `{batch}` (from 1, with a number as save_freq) and the names in
            the logs are filled in. Missing folders are made.
        monitor: the value that `save_best_only` looks at.
        verbose: 1 to print what is done.
        save_best_only: save only what is better than all before, also in earlier calls of `fit`.
        save_weights_only: save the weights alone, without what the training needs to go on.
        mode: "min", "max" or "auto", as for `EarlyStopping`.
        save_freq: "epoch", or a number of batches, after which the logs are those of the epoch so far.
        initial_value_threshold: what the first value must beat.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        if not os.fspath(filepath).endswith(".safetensors"):
            raise ValueError(f"ModelCheckpoint: the file name must end with .safetensors, got {os.fspath(filepath)!r}")
        super().__init__(filepath, save_freq, monitor, mode=mode)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self._best.value = initial_value_threshold

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """The best value is remembered from run to run."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Save, where the number of batches says so."""
        if isinstance(self.every, int) and self.trainer.step % self.every == 0:
            self._consider(self.trainer.epoch, logs or {}, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save, unless batches are counted, or the epoch is not better."""
        if self.every == "epoch":
            self._consider(epoch, logs or {})

    def _consider(self, epoch: int, logs: Mapping[str, float], **batch: int) -> None:
        if self.save_best_only and self._best.skipped(self.trainer):
            return
        try:
            path = self.path.format(epoch=epoch + 1, **{**batch, **logs})
        except KeyError as error:
            raise ValueError(f"ModelCheckpoint: {self.path!r}: {error} is not in the logs: {', '.join(logs)}") from None
        if not self._wanted(epoch, logs, path):
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.save(path)
        self._say(epoch, f"finished saving model to {path}")

    def _wanted(self, epoch: int, logs: Mapping[str, float], path: str) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        before = "None" if self._best.value is None else f"{self._best.value:.5f}"
        if not self._best.improves(dict(logs)):
            self._say(epoch, f"{self.monitor} did not improve from {before}")
            return False
        self._say(epoch, f"{self.monitor} improved from {before} to {self._best.value:.5f}, saving model to {path}")
        return True

    def _say(self, epoch: int, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {text}")

    def save(self, path: str) -> None:
        """Write the file."""
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            super().save(path)


class BackupAndRestore(Checkpoint):
    """Let `fit`, called again after an interruption, go on where it was, with the same bits as without it.

    The model, the data, the batch size and the other callbacks must be made as before.

    Args:
        backup_dir: the folder of the backup.
        save_freq: "epoch", or a number of batches, after which to save as well.
        double_checkpoint: has no effect: a backup is written whole or not at all.
        delete_checkpoint: whether to delete the backup once the training is done.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("BackupAndRestore: backup_dir is empty")
        super().__init__(os.path.join(self.backup_dir, "training.safetensors"), save_freq)
        self.delete_checkpoint = delete_checkpoint

    def found(self) -> str | None:
        """The backup of an interrupted training, if there is one."""
        return self.path if os.path.exists(self.path) else None

    def _save(self, epoch: int, logs: dict[str, float] | None) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        self.save(self.path)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Delete the backup, and its folder if nothing else is in it."""
        if self.delete_checkpoint and self.found():
            os.remove(self.path)
            if not os.listdir(self.backup_dir):
                os.rmdir(self.backup_dir)


class CSVLogger(_CSVLogger):
    """Write the logs of each epoch to a file; without validation data, its columns are there with "NA"."""

    def fields(self, logs: dict[str, float]) -> list[str]:
        """The names of the columns after the first."""
        names = sorted(logs)
        return names if any(name.startswith("val_") for name in names) else names + [f"val_{name}" for name in names]


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when a value has not improved for `patience` epochs in a row.

    Args:
        monitor: the value's name in the logs.
        factor: below 1.
        patience: how many epochs without an improvement to allow.
        verbose: 1 to print each change.
        mode: "min", "max", or "auto", which is "max" for accuracies and "min" for the rest.
        min_delta: how much better than the best a value must be to count.
        cooldown: how many epochs to wait after a change before counting again.
        min_lr: the least rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: got factor={factor}, wanted a number below 1")
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._best = _Best("ReduceLROnPlateau", monitor, mode, min_delta)
        self._forget()

    def _forget(self) -> None:
        self._best.forget()
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Begin anew, unless the run is resumed."""
        if not self.trainer.resumed:
            self._forget()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count the epoch, and log its rate as "learning_rate"."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate
        if self._best.skipped(self.trainer):
            return
        better = self._best.improves(logs)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if better:
            self.wait = 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        before = self.model.optimizer.learning_rate
        if before <= self.min_lr:
            return
        rate = max(before * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def state_dict(self) -> dict[str, Any]:
        """The best value, and the counters."""
        return {"best": self._best.value, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._best.value, self.wait = state["best"], state["wait"]
        self.cooldown_counter = state["cooldown_counter"]


class TerminateOnNaN(Callback):
    """End the training after a batch whose loss is NaN or infinite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self.trainer.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions, each with the arguments of the method of its name."""

    def __init__(
        self,
        on_epoch_begin: Function | None = None,
        on_epoch_end: Function | None = None,
        on_train_begin: Function | None = None,
        on_train_end: Function | None = None,
        on_train_batch_begin: Function | None = None,
        on_train_batch_end: Function | None = None,
        **kwargs: Any,
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        self.__dict__.update(kwargs)
        self.__dict__.update({name: function for name, function in given.items() if function is not None})
