"""Models train in 16 bits to nearly the losses that float32 reaches, by hand and with the trainer."""

import numpy as np
import pytest

import tinydl
from tinydl import amp, nn, optim
from tinydl.nn import functional as F
from tinydl.train import Callback, Checkpoint, Trainer

LOW = {"bfloat16": tinydl.bfloat16, "float16": tinydl.float16}


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU()
        )
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.layer(self.embedding(x)).mean(1))


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.layer = nn.GRU(8, 16, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.layer(self.embedding(x))[0].mean(1))


MODELS = {"cnn": Cnn, "transformer": Transformer, "gru": Text}


def batch_of(name, step, count=12):
    """Images and texts whose labels can be learned."""
    rng = np.random.default_rng(step)
    labels = rng.integers(0, 3, count)
    if name == "cnn":
        x = rng.standard_normal((count, 1, 8, 8)).astype(np.float32) * 0.5
        x[:, 0] += labels[:, None, None] - 1
    else:
        x = rng.integers(0, 3, (count, 6)) + 3 * labels[:, None]
    return tinydl.tensor(x), tinydl.tensor(labels)


def losses(name, device, low, steps=15):
    tinydl.manual_seed(1)
    model = MODELS[name]().to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scaler = amp.GradScaler(device, init_scale=2.0**10, enabled=low == tinydl.float16)
    found = []
    for step in range(steps):
        x, y = (t.to(device) for t in batch_of(name, step))
        optimizer.zero_grad()
        with amp.autocast(device, low or tinydl.bfloat16, enabled=low is not None):
            loss = F.cross_entropy(model(x), y)
        assert loss.dtype == tinydl.float32
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        scaler.step(optimizer)
        scaler.update()
        found.append(loss.item())
    assert {str(p.dtype) for p in model.parameters()} == {"float32"}
    assert scaler.get_scale() == (2.0**10 if low == tinydl.float16 else 1.0)  # no step was skipped
    return np.array(found)


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("name", MODELS)
def test_models(name, device, low):
    exact, got = losses(name, "cpu", None), losses(name, device, LOW[low])
    assert exact[-3:].mean() < 0.7 * exact[:3].mean()  # it learns
    np.testing.assert_allclose(got, exact, atol=0.05)
    if device != "cpu" or (low == "bfloat16"):
        assert not np.array_equal(got, exact)  # something was low
    else:
        np.testing.assert_array_equal(got, exact)  # the CPU has no kernels for float16


# -- The trainer ------------------------------------------------------------------------------------------------


def data(count=48):
    return tuple(t.numpy() for t in batch_of("cnn", 5, count))


def trainer(precision, device=None, seed=1):
    tinydl.manual_seed(seed)
    model = Cnn()
    if device is not None:
        model.to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return Trainer(model, optimizer, nn.CrossEntropyLoss(), ["accuracy"], device=device, precision=precision)


@pytest.mark.parametrize("precision", LOW)
def test_trainer(precision, device):
    exact = trainer("float32").fit(data(), epochs=3, batch_size=12).history["loss"]
    run = trainer(precision, device)
    dtypes = []

    def seen(outputs, targets):
        dtypes.append(outputs.dtype)
        return F.cross_entropy(outputs, targets)

    run.loss = seen
    got = run.fit(data(), epochs=3, batch_size=12, validation_data=data()).history
    np.testing.assert_allclose(got["loss"], exact, atol=0.05)
    low = precision == "bfloat16" or device != "cpu"
    assert set(dtypes) == {LOW[precision] if low else tinydl.float32}
    assert run.precision.scaler.is_enabled() == (precision == "float16")
    assert run.predict(data()[0]).dtype == np.float32
    assert run.evaluate(data())["loss"] == pytest.approx(got["val_loss"][-1])
    assert not tinydl.is_autocast_enabled("cpu")


def test_an_overflow_is_skipped_and_the_run_goes_on():
    run = trainer("float16")
    run.precision.scaler.update(2.0**127)  # above what float32's gradients hold
    before = [p.detach().numpy().copy() for p in run.model.parameters()]
    x, y = (tinydl.tensor(a) for a in data(12))
    run.loss = lambda outputs, targets: F.cross_entropy(outputs, targets) * 8
    run.train_step((x, y))
    assert run.precision.scaler.get_scale() == 2.0**126
    for p, old in zip(run.model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), old)


class Interrupt(Callback):
    saves = True

    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.step == 6:
            raise KeyboardInterrupt


def test_a_resumed_run_has_the_same_bits_and_scale(tmp_path, device):
    path = tmp_path / "run.safetensors"

    def fit(run, *callbacks, resume=None):
        return run.fit(
            data(), epochs=3, batch_size=12, callbacks=[Checkpoint(path, every=1), *callbacks], resume=resume
        )

    def with_interval(run):
        run.precision.scaler.update(2.0**10)
        run.precision.scaler.set_growth_interval(5)
        return run

    whole = with_interval(trainer("float16", device))
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(with_interval(trainer("float16", device)), Interrupt())
    resumed = trainer("float16", device, seed=9)
    fit(resumed, resume=path)
    assert resumed.precision.scaler.state_dict() == whole.precision.scaler.state_dict()
    assert whole.precision.scaler.get_scale() == 2.0**12  # twelve steps
    for p, q in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().cpu().numpy(), q.detach().cpu().numpy())


def test_a_run_of_another_precision(tmp_path):
    """It does not go on, but its model can be used."""
    path = tmp_path / "run.safetensors"
    run = trainer("float16")
    run.fit(data(), epochs=1)
    run.save(path)
    with pytest.raises(ValueError, match="its run has precision: float16, this one: float32"):
        trainer("float32").fit(data(), epochs=2, resume=path)
    other = trainer("float32", seed=3)
    other.load(path)
    np.testing.assert_array_equal(other.model.head.weight.detach().numpy(), run.model.head.weight.detach().numpy())


def test_unknown_precision():
    with pytest.raises(ValueError, match="Trainer: got precision 'half', wanted one of float32, bfloat16, float16"):
        trainer("half")
