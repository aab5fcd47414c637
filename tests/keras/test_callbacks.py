"""Keras's callbacks: what they print, log, change and end."""

import contextlib
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


# -- Hooks ------------------------------------------------------------------------------------------------------

HOOKS = [
    name
    for name in dir(callbacks.Callback)
    if name.startswith("on_") and not name.startswith(("on_batch", "on_train_begin", "on_train_end"))
]


class Recorder(callbacks.Callback):
    """Notes each call, as (hook, number or None, names in the logs)."""

    def __init__(self):
        self.calls = []
        for hook in HOOKS:
            setattr(self, hook, lambda *args, hook=hook: self.note(hook, *args))

    def note(self, hook, *args):
        *number, logs = args
        self.calls.append((hook.removeprefix("on_"), *number, *logs))

    def set_model(self, model):
        self.calls.append("model")
        super().set_model(model)

    def set_params(self, params):
        self.calls.append(f"{params['epochs']} epochs of {params['steps']}")
        super().set_params(params)


def test_all_hooks():
    made, seen = model(), Recorder()
    made.fit(X, X, batch_size=12, validation_data=(X, X), validation_batch_size=24, verbose=0, callbacks=[seen])
    batches = [call for n in (0, 1) for call in (("train_batch_begin", n), ("train_batch_end", n, "loss"))]
    test = [("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0, "loss"), ("test_end", "loss")]
    assert seen.calls == [
        "model",
        "1 epochs of 2",
        ("epoch_begin", 0),
        *batches,
        *test,
        ("epoch_end", 0, "loss", "val_loss"),
    ]
    assert seen.model is made
    seen.calls.clear()
    made.evaluate(X, X, verbose=0, callbacks=[seen])
    assert seen.calls == ["model", "None epochs of 1", *test]
    seen.calls.clear()
    made.predict(X, batch_size=24, verbose=0, callbacks=[seen])
    predict = [("predict_begin",), ("predict_batch_begin", 0), ("predict_batch_end", 0, "outputs"), ("predict_end",)]
    assert seen.calls == ["model", "None epochs of 1", *predict]


def test_train_end_gets_the_last_logs():
    seen = []
    watch = callbacks.LambdaCallback(on_train_end=lambda logs: seen.append(logs))
    history = model().fit(X, X, epochs=2, validation_data=(X, X), verbose=0, callbacks=[watch]).history
    assert seen == [{name: values[-1] for name, values in history.items()}]


# -- Saving -----------------------------------------------------------------------------------------------------


def test_early_stopping_says_what_it_does(capsys):
    stop = callbacks.EarlyStopping("score", patience=1, verbose=1, restore_best_weights=True)
    assert stop.stopped_epoch == 0
    model().fit(X, X, epochs=9, verbose=0, callbacks=[Scripted([3, 2, 5, 5]), stop])
    said = "Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    assert capsys.readouterr().out == said
    assert (stop.stopped_epoch, stop.best_epoch, stop.best) == (2, 1, 2)


def test_model_checkpoint_of_the_best_epochs(tmp_path, capsys):
    path = f"{tmp_path}/deep/{{epoch}}-{{score:.1f}}.safetensors"
    save = callbacks.ModelCheckpoint(path, "score", 1, True, True, initial_value_threshold=3.0)
    made = model()
    made.fit(X, X, epochs=4, verbose=0, callbacks=[Scripted([4, 2, 2.5, 1]), save])
    two, four = (f"{tmp_path}/deep/{name}.safetensors" for name in ("2-2.0", "4-1.0"))
    said = [
        "Epoch 1: score did not improve from 3.00000",
        f"Epoch 2: score improved from 3.00000 to 2.00000, saving model to {two}",
        f"Epoch 2: finished saving model to {two}",
        "Epoch 3: score did not improve from 2.00000",
        f"Epoch 4: score improved from 2.00000 to 1.00000, saving model to {four}",
        f"Epoch 4: finished saving model to {four}",
    ]
    assert capsys.readouterr().out == "".join(f"\n{line}\n" for line in said)
    assert sorted(str(p) for p in (tmp_path / "deep").iterdir()) == [two, four]
    before = made.get_weights()
    made.fit(X, X, verbose=0, callbacks=[Scripted([1.5]), save])  # not better than in the run before
    assert "did not improve from 1.00000" in capsys.readouterr().out
    made.load_weights(four)
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), before, strict=True))


def test_model_checkpoint_after_batches(tmp_path):
    save = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_freq=2)
    model().fit(X, X, epochs=2, batch_size=8, verbose=0, callbacks=[save])  # three batches an epoch
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["1-2", "2-1", "2-3"]
    best = callbacks.ModelCheckpoint(tmp_path / "best.safetensors", "loss", save_best_only=True, save_freq=1)
    model().fit(X, X, batch_size=8, verbose=0, callbacks=[best])
    assert (tmp_path / "best.safetensors").exists()


def test_model_checkpoint_errors(tmp_path):
    for options, message in (
        ({"save_freq": "batch"}, "got every='batch', wanted 'epoch'"),
        ({"save_freq": 0}, "got every=0"),
        ({"mode": "up"}, "got mode 'up'"),
    ):
        with pytest.raises(ValueError, match=message):
            callbacks.ModelCheckpoint("a.safetensors", **options)
    for save, message in (
        (callbacks.ModelCheckpoint(tmp_path / "a.safetensors", save_best_only=True), "'val_loss' is not in the logs"),
        (callbacks.ModelCheckpoint(tmp_path / "{rate}.safetensors"), "'rate' is not in the logs: loss"),
    ):
        with pytest.raises(ValueError, match=message):
            model().fit(X, X, verbose=0, callbacks=[save])
    assert not list(tmp_path.iterdir())


class Interrupt(callbacks.Callback):
    """Raises at a step of the run."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("save_freq", ["epoch", 2])
@pytest.mark.parametrize("steps", [None, 2])
def test_backup_and_restore(tmp_path, save_freq, steps):
    """An interrupted training, begun anew with the same lines, ends with the bits of one that was not."""
    folder = tmp_path / "backup"

    def run(seed, *others, restore=True):
        tinydl.manual_seed(seed)
        noise = [layers.Dropout(0.5), layers.GaussianNoise(0.1, seed=3)]
        made = Sequential([layers.Input((1,)), layers.Dense(4), *noise, layers.Dense(1)])
        made.compile("adam", "mse")
        watch = [callbacks.BackupAndRestore(folder, save_freq)] if restore else []
        options = {"epochs": 4, "batch_size": 8, "steps_per_epoch": steps, "sample_weight": X[:, 0], "verbose": 0}
        history = made.fit(X, X, callbacks=[*watch, *others], **options)
        return history.history, [w.tobytes() for w in made.get_weights()]

    with pytest.warns(UserWarning, match="ran out") if steps else contextlib.nullcontext():
        whole = run(1, restore=False)
        with pytest.raises(KeyboardInterrupt):
            run(1, Interrupt(5))
        assert [p.name for p in folder.iterdir()] == ["training.safetensors"]
        resumed = run(99)
    assert resumed == whole
    assert not folder.exists()


def test_backup_errors(tmp_path):
    with pytest.raises(ValueError, match="backup_dir is empty"):
        callbacks.BackupAndRestore("")
    keep = callbacks.BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    model().fit(X, X, verbose=0, callbacks=[keep])
    assert keep.found()
    other = Sequential([layers.Input((1,)), layers.Dense(2)])
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match="the checkpoint does not fit this run"):
        other.fit(X, X, verbose=0, callbacks=[keep])


@pytest.mark.parametrize(
    ("monitor", "rising"),
    [
        ("val_accuracy", True),
        ("auc_1", True),
        ("recall", True),
        ("val_f1_score", True),
        ("loss", False),
        ("mse", False),
    ],
)
def test_the_better_direction(monitor, rising):
    assert callbacks.EarlyStopping(monitor)._best.sign == (1 if rising else -1)
