"""Callbacks with Keras's arguments; see `tinydl.train.callbacks`."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from typing import Any

from ..train.callbacks import Callback, Checkpoint, History
from ..train.callbacks import EarlyStopping as _EarlyStopping
from .lookup import supported

__all__ = ["Callback", "EarlyStopping", "History", "LearningRateScheduler", "ModelCheckpoint"]


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
        supported("EarlyStopping", {"baseline": baseline, "start_from_epoch": start_from_epoch or None})
        super().__init__(monitor, abs(min_delta), patience, mode, restore_best_weights)
        self.verbose = verbose

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Say so, and restore the best weights, if asked for."""
        if self.verbose and self.stopped_epoch is not None:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
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
    """Save the training to a safetensors file at the end of epochs; `Sequential.load_weights` reads it."""

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
    ) -> None:
        if not os.fspath(filepath).endswith(".safetensors"):
            raise ValueError(f"ModelCheckpoint: the file name must end with .safetensors, got {os.fspath(filepath)!r}")
        super().__init__(filepath, save_freq, monitor, save_best_only, mode)
        self.verbose = verbose
        self.save_weights_only = save_weights_only

    def save(self, path: str) -> None:
        """Write the file."""
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            super().save(path)
        if self.verbose:
            print(f"Epoch {self.trainer.epoch}: saving model to {path}")
