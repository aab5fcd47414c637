"""A run that was interrupted and resumed ends with the same bits as one that was not."""

import numpy as np
import pytest

import tinydl
from tinydl import optim
from tinydl.train import Callback, Checkpoint, EarlyStopping, checkpoint
from tinydl.utils.data import DataLoader, TensorDataset

from .models import bits, data, trainer

EPOCHS = 4


class Interrupt(Callback):
    """Ctrl-C after a number of steps."""

    saves = True  # after Checkpoint, which is listed before

    def __init__(self, step):
        self.at = step

    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.step == self.at:
            raise KeyboardInterrupt


def fit(run, path=None, every="epoch", interrupt=None, resume=None, patience=2):
    callbacks = [EarlyStopping("val_accuracy", patience=patience, restore_best_weights=True)]
    if path is not None:
        callbacks.append(Checkpoint(path, every=every))
    if interrupt is not None:
        callbacks.append(Interrupt(interrupt))
    x, y = data()
    return run.fit((x, y), EPOCHS, batch_size=16, validation_data=data(seed=5), callbacks=callbacks, resume=resume)


def outcome(run):
    state = run.state_dict()
    return bits({k: v for k, v in state.items() if k != "callbacks"} | {"last": state["callbacks"][:1]})


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.SGD])
@pytest.mark.parametrize(
    ("every", "interrupt"),
    # 70 samples in batches of 16 make 5 steps an epoch
    [("epoch", 6), ("epoch", 12), ("epoch", 20), (1, 3), (1, 5), (1, 6), (3, 11), (2, 20), (7, 19)],
)
def test_resumed_bits(tmp_path, optimizer, every, interrupt):
    path = tmp_path / "run.safetensors"
    options = {"momentum": 0.9} if optimizer is optim.SGD else {}
    whole = trainer(optimizer=optimizer, **options)
    history = fit(whole, tmp_path / "other.safetensors", every)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(optimizer=optimizer, **options), path, every, interrupt)
    checkpoint.load(path)  # whole
    resumed = trainer(seed=999, optimizer=optimizer, **options)  # other weights, other random numbers
    tinydl.rand(17)
    got = fit(resumed, path, every, resume=path)
    assert outcome(resumed) == outcome(whole)
    assert (got.history, got.epoch) == (history.history, history.epoch)
    assert tinydl.random.default_generator.state() == tuple(resumed.state_dict()["generator"])


def test_the_runs_are_not_all_alike(tmp_path):
    """What the test above compares does depend on the seed."""
    one, two = trainer(seed=1), trainer(seed=2)
    fit(one)
    fit(two)
    assert outcome(one)["model"] != outcome(two)["model"]


def test_a_run_that_had_stopped_stays_stopped(tmp_path):
    path = tmp_path / "run.safetensors"

    class Stop(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.trainer.stop_training = epoch == 1

    run = trainer()
    run.fit(data(), 4, callbacks=[Stop(), Checkpoint(path)])
    again = trainer()
    history = again.fit(data(), 4, callbacks=[Checkpoint(path)], resume=path)
    assert history.epoch == [0, 1]
    assert bits(again.model.state_dict()) == bits(run.model.state_dict())


def test_a_loader_of_the_user(tmp_path):
    path = tmp_path / "run.safetensors"

    def loader():
        return DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True, num_workers=2, drop_last=True)

    whole = trainer()
    whole.fit(loader(), EPOCHS)
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(loader(), EPOCHS, callbacks=[Checkpoint(path, every=3), Interrupt(6)])
    resumed = trainer(seed=999)
    resumed.fit(loader(), EPOCHS, callbacks=[Checkpoint(path)], resume=path)
    assert bits(resumed.model.state_dict()) == bits(whole.model.state_dict())


def test_checkpoints_by_name_and_best_only(tmp_path):
    run = trainer()
    run.fit(data(), 3, callbacks=[Checkpoint(tmp_path / "e{epoch}-{step}.safetensors")])
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"e{e}-{3 * e}.safetensors" for e in (1, 2, 3)]
    best = tmp_path / "best.safetensors"

    class Worse(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["loss"] = float(epoch)

    run.fit(data(), 3, callbacks=[Worse(), Checkpoint(best, monitor="loss", save_best_only=True)])
    assert checkpoint.load(best)["progress"]["epoch"] == 1


def test_load_for_use(tmp_path):
    run, other = trainer(), trainer(seed=5)
    run.fit(data())
    run.save(tmp_path / "a.safetensors")
    other.load(tmp_path / "a.safetensors")
    x, _ = data()
    assert np.array_equal(other.predict(x), run.predict(x))


def wrong(**changes):
    def change(state):
        for key, value in changes.items():
            if value is None:
                del state[key]
            else:
                state[key] = value
        return state

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (wrong(model=None), "it lacks 'model'"),
        (wrong(optimizer=None), "it lacks 'optimizer'"),
        (wrong(progress=None), "it lacks 'progress'"),
        (wrong(generator=None), "it lacks 'generator'"),
        (wrong(model={"0.weight": np.zeros((2, 2))}), "size mismatch for 0.weight"),
        (wrong(optimizer_class="SGD"), "its optimizer is SGD, wanted Adam"),
        (wrong(optimizer={"state": {}, "param_groups": []}), "groups of"),
        (wrong(steps=4), "batches an epoch: 4, this one: 5"),
        (wrong(callbacks=[]), "callbacks: "),
        (wrong(metrics=[]), "metrics: 0"),
        (wrong(progress={"epoch": 1}), "it lacks 'batch'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path, change, message):
    path = tmp_path / "run.safetensors"
    fit(trainer(), path)
    checkpoint.save(path, change(checkpoint.load(path)))
    run = trainer(seed=7)
    stopping = EarlyStopping("loss", patience=3)
    run.fit(data(), callbacks=[stopping])
    metric, remembered = run.metrics[0].state_dict(), stopping.state_dict()
    model, optimizer = bits(run.model.state_dict()), bits(run.optimizer.state_dict())
    generator = tinydl.random.default_generator.state()
    with pytest.raises(ValueError, match="does not fit this run") as error:
        run.fit(data(), epochs=6, batch_size=16, callbacks=[stopping], resume=path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert bits(run.model.state_dict()) == model
    assert bits(run.optimizer.state_dict()) == optimizer
    assert tinydl.random.default_generator.state() == generator
    assert run.metrics[0].state_dict() == metric
    assert stopping.state_dict() == remembered


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"every": "step"}, {"every": 5, "save_best_only": True}, {"mode": "up"}]
)
def test_wrong_options(options):
    with pytest.raises(ValueError, match="Checkpoint"):
        Checkpoint("x", **options)
