"""Schedules and logs beside a training run, also of one that is resumed."""

import csv
import math

import numpy as np
import pytest

from tests.train.models import data, trainer
from tinydl import optim
from tinydl.optim import lr_scheduler
from tinydl.train import Callback, Checkpoint, CSVLogger, EarlyStopping, LRSchedule


class Rates(Callback):
    """Remembers the learning rate of each batch."""

    def __init__(self):
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(self.trainer.optimizer.param_groups[0]["lr"])


class Stop(Callback):
    """Interrupts the run after some batches, once the checkpoint is written."""

    saves = True

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.step == self.steps:
            raise KeyboardInterrupt


SCHEDULES = {
    "step": lambda: LRSchedule(lambda o: lr_scheduler.StepLR(o, 2, 0.5)),
    "cosine": lambda: LRSchedule(lambda o: lr_scheduler.CosineAnnealingLR(o, 6)),
    "linear": lambda: LRSchedule(lambda o: lr_scheduler.LinearLR(o, 0.25, total_iters=4)),
    "one cycle": lambda: LRSchedule(lambda o: lr_scheduler.OneCycleLR(o, 0.1, 18), every="batch"),
    "plateau": lambda: LRSchedule(
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5), monitor="loss"
    ),
    "function": lambda: LRSchedule(lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch))),
}


def rates(schedule, **options):
    watch = Rates()
    run = trainer()
    run.fit(data(), 6, batch_size=24, callbacks=[schedule, watch, *options.pop("callbacks", ())], **options)
    return watch.rates, run


def test_rates_of_epochs_and_batches():
    assert rates(SCHEDULES["step"]())[0] == [0.01 * 0.5 ** (e // 2) for e in range(6) for _ in range(3)]
    optimizer = trainer().optimizer
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, 18)
    expected = []
    for _ in range(18):
        expected += cycle.get_last_lr()
        optimizer.step()
        cycle.step()
    assert rates(SCHEDULES["one cycle"]())[0] == expected
    seen = rates(SCHEDULES["plateau"]())[0]
    assert seen[:3] == [0.01] * 3
    assert seen[-1] < 0.01


@pytest.mark.parametrize("steps", [4, 6, 7])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_schedule_goes_on(tmp_path, name, steps):
    path = tmp_path / "run.safetensors"
    whole, run = rates(SCHEDULES[name]())
    watch = Rates()
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(
            data(), 6, batch_size=24, callbacks=[SCHEDULES[name](), Checkpoint(path, every=1), Stop(steps), watch]
        )
    rest, resumed = rates(SCHEDULES[name](), resume=path)
    assert watch.rates[:steps] + rest == whole
    for p, q in zip(run.model.parameters(), resumed.model.parameters(), strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())


def test_wrong_schedules():
    with pytest.raises(ValueError, match="LRSchedule: got every='step', wanted 'epoch', or 'batch'"):
        LRSchedule(lambda o: None, every="step")
    with pytest.raises(ValueError, match="LRSchedule: got every='batch'"):
        LRSchedule(lambda o: None, every="batch", monitor="loss")
    with pytest.raises(ValueError, match="LRSchedule: 'val_loss' is not in the logs"):
        rates(LRSchedule(lambda o: lr_scheduler.ReduceLROnPlateau(o), monitor="val_loss"))


def table(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    history = trainer().fit(data(), 3, callbacks=[CSVLogger(path, separator=";")])
    rows = table(path, ";")
    assert rows[0] == ["epoch", "accuracy", "loss"]
    assert [int(row[0]) for row in rows[1:]] == [0, 1, 2]
    assert [float(row[2]) for row in rows[1:]] == history.history["loss"]
    trainer().fit(data(), 2, callbacks=[CSVLogger(path, ";", append=True)])
    assert table(path, ";")[:4] == rows
    assert [row[0] for row in table(path, ";")] == ["epoch", "0", "1", "2", "0", "1"]
    trainer().fit(data(), 1, callbacks=[CSVLogger(path)])
    assert len(table(path)) == 2


def test_csv_logger_of_a_resumed_run(tmp_path):
    """Epochs that are trained again have one line."""
    whole, log, path = tmp_path / "whole.csv", tmp_path / "log.csv", tmp_path / "run.safetensors"
    trainer().fit(data(), 4, batch_size=24, callbacks=[CSVLogger(whole)])
    callbacks = [CSVLogger(log), Checkpoint(path, every=4), Stop(7)]  # saved at 4, interrupted after the next epoch
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(data(), 4, batch_size=24, callbacks=callbacks)
    trainer(seed=9).fit(data(), 4, batch_size=24, callbacks=[CSVLogger(log), Checkpoint(path, every=4)], resume=path)
    assert table(log) == table(whole)


class Scripted(Callback):
    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.values[epoch]


@pytest.mark.parametrize(
    ("values", "options", "stopped"),
    [
        ([5, 4, 3, 3, 3, 3], {"patience": 2, "baseline": 1.0}, 3),
        ([5, 4, 3, 3, 3, 3], {"patience": 2, "baseline": 4.5}, 4),
        ([5, 4, 3, 2, 1, 0], {"patience": 2, "baseline": -1.0}, None),
        ([1, 9, 9, 9, 9, 9], {"patience": 2, "start_from_epoch": 2}, 4),
        ([1, 9, 8, 7, 6, 5], {"patience": 1, "start_from_epoch": 1}, None),
    ],
)
def test_early_stopping_with_a_baseline_or_a_late_start(values, options, stopped):
    stopping = EarlyStopping("score", **options)
    trainer().fit(data(), epochs=6, callbacks=[Scripted(values), stopping])
    assert stopping.stopped_epoch == stopped


def test_stopping_within_an_epoch():
    class Halt(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.trainer.step == 4:
                self.trainer.stop_training = True

    run = trainer(optimizer=optim.SGD)
    history = run.fit(data(), 6, batch_size=24, callbacks=[Halt()])
    assert (run.step, history.epoch) == (4, [0, 1])
    assert all(math.isfinite(loss) for loss in history.history["loss"])
