"""What all callbacks share, and the record of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Callback", "History"]

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

    def set_model(self, model: Any) -> None:
        """Called before everything else, with the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called after `set_model`, with the run's params."""
        self.params = params

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
        """After the last epoch, with its logs; not after an error."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, also that of the validation data after an epoch."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before batch `batch` of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After batch `batch` of an evaluation; logs are the means so far."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation; logs are the means."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction that got the callback."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before batch `batch` of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """After batch `batch` of a prediction; logs have its "outputs"."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

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
