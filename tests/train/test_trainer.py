"""The loop: what it computes, what it records, what it refuses."""

import math

import numpy as np
import pytest

import tinydl
from tinydl import nn, optim
from tinydl.train import Accuracy, Callback, EarlyStopping, ProgressBar, Trainer
from tinydl.utils.data import DataLoader, TensorDataset

from ..support.compare import assert_close
from .models import bits, data, trainer


def test_steps_are_those_of_a_loop_by_hand():
    x, y = data()
    run = trainer(dropout=0.0, optimizer=optim.SGD, momentum=0.9)
    tinydl.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.0), nn.Linear(16, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    losses, right = [], 0
    for start in range(0, len(x), 32):
        inputs, targets = tinydl.tensor(x[start : start + 32]), tinydl.tensor(y[start : start + 32])
        optimizer.zero_grad()
        out = model(inputs)
        loss = nn.CrossEntropyLoss()(out, targets)
        loss.backward()
        optimizer.step()
        losses += [loss.item()] * len(targets)
        right += int(np.sum(out.detach().numpy().argmax(1) == targets.numpy()))
    history = run.fit((x, y), batch_size=32, shuffle=False)
    assert bits(run.model.state_dict()) == bits(model.state_dict())
    assert history.history["accuracy"] == [right / len(x)]
    assert_close(np.array(history.history["loss"]), np.array([np.mean(losses)]), "reduce", length=len(x))


def test_learns():
    x, y = data(200)
    history = trainer(dropout=0.0, lr=0.03).fit((x, y), epochs=30)
    assert history.history["accuracy"][-1] > 0.95
    assert history.epoch == list(range(30))


@pytest.mark.parametrize("kind", ["arrays", "dataset", "loader", "another iterable"])
def test_kinds_of_data(kind):
    x, y = data()
    given = {
        "arrays": (x, y),
        "dataset": TensorDataset(x, y),
        "loader": DataLoader(TensorDataset(x, y), batch_size=32),
        "another iterable": _Batches([(x[:32], y[:32]), (x[32:64], y[32:64]), (x[64:], y[64:])]),
    }[kind]
    run, wanted = trainer(), trainer()
    run.fit(given, epochs=2, shuffle=False)
    trainer_state = bits(run.model.state_dict())
    tinydl.manual_seed(1)
    wanted = trainer()
    wanted.fit((x, y), epochs=2, shuffle=False)
    assert trainer_state == bits(wanted.model.state_dict())
    assert run.evaluate(given) == wanted.evaluate((x, y))
    assert np.array_equal(run.predict(given), wanted.predict(x))


class _Batches:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_evaluate_and_predict_leave_the_run_alone():
    x, y = data()
    run = trainer()
    run.fit((x, y))
    before, generator = bits(run.state_dict()), tinydl.random.default_generator.state()
    got = run.evaluate((x, y), batch_size=16)
    logits = run.predict(x, batch_size=9)
    assert bits(run.state_dict()) == before
    assert tinydl.random.default_generator.state() == generator
    assert run.model.training
    log_p = logits - np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
    assert got["accuracy"] == np.mean(logits.argmax(1) == y)
    assert_close(np.array(got["loss"]), -log_p[np.arange(len(y)), y].mean(), "loss", length=len(y), dtype=np.float32)


def test_layers_keep_their_modes():
    x, y = data()
    run = trainer()
    run.model[2].eval()
    run.evaluate((x, y))
    assert [m.training for m in run.model] == [True, True, False, True]


def test_validation_is_that_of_evaluate():
    x, y = data()
    run = trainer()
    history = run.fit((x, y), validation_data=(x[:20], y[:20]))
    assert {f"val_{k}": [v] for k, v in run.evaluate((x[:20], y[:20])).items()}.items() <= history.history.items()


def test_batches_with_weights(torch):
    """The loss and the weighted metrics get the weights, the other metrics do not."""
    x, y = data(60)
    w = np.linspace(0, 2, 60, dtype=np.float32)
    run = trainer(dropout=0.0)
    each = nn.CrossEntropyLoss(reduction="none")
    run = Trainer(
        run.model,
        optim.SGD(run.model.parameters(), lr=0.1),
        lambda outputs, targets, weights: (each(outputs, targets) * weights).mean(),
        ["accuracy"],
        weighted_metrics=[Accuracy("own")],
    )
    logits = run.predict(x)
    losses = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(y), reduction="none")
    wanted = (losses.numpy() * w).mean()
    got = run.evaluate((x, y, w), batch_size=17)
    assert_close(np.float32(got["loss"]), np.float64(wanted), "loss", length=60)
    right = logits.argmax(1) == y
    assert (got["accuracy"], got["own"]) == (right.mean(), pytest.approx(np.average(right, weights=w)))
    history = run.fit((x, y, w), epochs=20, validation_data=(x, y, w), validation_freq=5).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert len(history["val_own"]) == 4


def test_callbacks_in_order():
    calls = []

    class Recorder(Callback):
        def on_train_begin(self, logs=None):
            calls.append("begin")

        def on_epoch_begin(self, epoch, logs=None):
            calls.append(f"epoch {epoch}")

        def on_train_batch_end(self, batch, logs=None):
            calls.append((batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs=None):
            calls.append(f"end {epoch}")
            self.trainer.stop_training = True

        def on_train_end(self, logs=None):
            calls.append("done")

        def close(self):
            calls.append("close")

    trainer().fit(data(40), epochs=5, callbacks=[Recorder()])
    steps = [(0, ["accuracy", "loss"]), (1, ["accuracy", "loss"])]
    assert calls == ["begin", "epoch 0", *steps, "end 0", "done", "close"]


class _Scripted(Callback):
    """Puts given values into the logs, and numbers the weights by epoch."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.values[epoch]
        with tinydl.no_grad():
            self.model[0].weight.fill_(epoch)


@pytest.mark.parametrize(
    ("values", "options", "stopped", "best"),
    [
        ([3, 2, 1, 2, 2, 2], {"patience": 2}, 4, 2),
        ([3, 2, 1, 2, 2, 2], {"patience": 0}, 3, 2),
        ([1, 2, 3, 3, 2, 0], {"patience": 1, "mode": "max"}, 3, 2),
        ([3, 2.95, 2.9, 2.85, 0, 0], {"patience": 2, "min_delta": 0.2}, 2, 0),
        ([math.nan, math.nan, 1, 0, 0, 0], {"patience": 2}, 1, None),
        ([math.nan, 1, 2, 0, 0, 0], {"patience": 1}, 2, 1),
        ([5, 4, 3, 2, 1, 0], {"patience": 1}, None, 5),
    ],
)
def test_early_stopping(values, options, stopped, best):
    stopping = EarlyStopping("score", restore_best_weights=True, **options)
    run = trainer()
    history = run.fit(data(40), epochs=6, callbacks=[_Scripted(values), stopping])
    assert stopping.stopped_epoch == stopped
    assert len(history.epoch) == (6 if stopped is None else stopped + 1)
    weight = run.model[0].weight.detach().numpy()
    assert np.all(weight == (history.epoch[-1] if best is None else best))


def test_early_stopping_of_a_missing_value():
    with pytest.raises(ValueError, match="EarlyStopping: 'val_loss' is not in the logs, which have: loss, accuracy"):
        trainer().fit(data(), callbacks=[EarlyStopping()])


def test_progress_bar(capsys):
    trainer().fit(data(), epochs=2, callbacks=[ProgressBar()])
    text = capsys.readouterr().err
    assert "epoch 2/2: 100%" in text
    assert "70/70" in text
    assert "images/s" in text
    assert "accuracy 0." in text


def test_progress_bar_is_closed_after_an_error(capsys):
    bar = ProgressBar()

    class Fails(Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        trainer().fit(data(), callbacks=[bar, Fails()])
    assert bar._bar is None


def test_errors():
    x, y = data()
    run = trainer()
    with pytest.raises(ValueError, match="fit: inputs and targets must be equally many, got 70 and 69 rows"):
        run.fit((x, y[:-1]))
    with pytest.raises(ValueError, match="fit: the data is empty"):
        run.fit((x[:0], y[:0]))
    with pytest.raises(ValueError, match="fit: the data is empty: the loader gave no batch"):
        run.fit(DataLoader(TensorDataset(x, y), batch_size=100, drop_last=True))
    with pytest.raises(TypeError, match=r"fit: got a batch of Tensor, wanted \(inputs, targets\)"):
        run.fit(DataLoader(x))
    with pytest.raises(TypeError, match="fit: got data of type int"):
        run.fit(3)
    with pytest.raises(ValueError, match="fit: the trainer needs a loss and an optimizer"):
        Trainer(run.model).fit((x, y))
    with pytest.raises(ValueError, match="metric 'f1' is unknown"):
        Trainer(run.model, metrics=["f1"])
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        Trainer(run.model, device="cuda")
    with pytest.raises(ValueError, match="predict: the data is empty"):
        run.predict(x[:0])
    with pytest.raises(IndexError, match="label 7"):
        run.fit((x, np.full(70, 7)))
