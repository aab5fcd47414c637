"""Keras's callbacks: what they print, log, change and end."""

import csv
import math

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, callbacks, layers

X = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]


def model(**options):
    tinydl.manual_seed(0)
    made = Sequential([layers.Input((1,)), layers.Dense(1)])
    made.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return made


class Scripted(callbacks.Callback):
    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.values[epoch]


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([5, 4, 4, 4, 4, 4], {"patience": 2}, [1, 1, 1, 0.1, 0.1, 0.01]),
        ([5, 4, 4, 4, 4, 4], {"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([5, 4, 4, 4, 4, 4], {"patience": 1, "factor": 0.5, "min_lr": 0.3}, [1, 1, 0.5, 0.3, 0.3, 0.3]),
        ([1, 2, 3, 3, 3, 3], {"patience": 1, "factor": 0.5, "mode": "max"}, [1, 1, 1, 0.5, 0.25, 0.125]),
        ([5, 4.9, 4.8, 4.7, 1, 1], {"patience": 2, "factor": 0.5, "min_delta": 1.0}, [1, 1, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_reduce_lr_on_plateau(values, options, expected):
    made = model()
    made.optimizer.learning_rate = 1.0
    watch = callbacks.ReduceLROnPlateau("score", **options)
    rates = []
    after = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(made.optimizer.learning_rate))
    history = made.fit(X, X, epochs=6, verbose=0, callbacks=[Scripted(values), watch, after]).history
    assert rates == pytest.approx(expected)
    assert history["learning_rate"] == pytest.approx([1.0, *expected[:-1]])  # that of the epoch


def test_reduce_lr_on_plateau_prints_and_refuses(capsys):
    watch = callbacks.ReduceLROnPlateau("score", factor=0.5, patience=1, verbose=1)
    model().fit(X, X, epochs=2, verbose=0, callbacks=[Scripted([1, 1]), watch])
    assert capsys.readouterr().out == "\nEpoch 2: ReduceLROnPlateau reducing learning rate to 0.005.\n"
    with pytest.raises(ValueError, match="ReduceLROnPlateau: got factor=1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


def test_terminate_on_nan(capsys):
    y = X.copy()
    y[9] = np.nan
    history = model().fit(
        X, y, epochs=5, batch_size=8, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
    )
    assert history.epoch == [0]
    assert math.isnan(history.history["loss"][0])
    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_lambda_callback():
    seen = []
    names = (
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_epoch_end",
        "on_train_end",
    )
    functions = {name: lambda *args, name=name: seen.append((name, *args[:-1])) for name in names}
    model().fit(X, X, batch_size=12, verbose=0, callbacks=[callbacks.LambdaCallback(**functions)])
    batches = [(f"on_train_batch_{when}", batch) for batch in (0, 1) for when in ("begin", "end")]
    assert seen == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        *batches,
        ("on_epoch_end", 0),
        ("on_train_end",),
    ]


@pytest.mark.parametrize("validated", [False, True])
def test_csv_logger(tmp_path, validated):
    options = {"validation_data": (X, X)} if validated else {}
    history = model().fit(X, X, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "log")], **options)
    with open(tmp_path / "log", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_loss"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    expected = history.history["val_loss"] if validated else ["NA", "NA"]
    assert [float(row["val_loss"]) if validated else row["val_loss"] for row in rows] == expected


def test_the_default_optimizer_is_rmsprop():
    made = Sequential([layers.Input((1,)), layers.Dense(1)])
    made.compile(loss="mse")
    before = made.get_weights()[0]
    made.fit(X, X, verbose=0)
    assert type(made.optimizer).__name__ == "RMSprop"
    assert not np.array_equal(made.get_weights()[0], before)
