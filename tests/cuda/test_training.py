"""Models train on a GPU as on the CPU: the same losses and parameters, step by step."""

import numpy as np
import pytest

import tinydl
from tests.support import devices
from tinydl import nn, optim

DEVICES = {"emulated": "cuda-emulated", "cuda": "cuda"}


@pytest.fixture
def device(gpu_kernels):
    return DEVICES[gpu_kernels.device]


class Cnn(nn.Module):
    """Convolution, batch norm, both kinds of pooling, dropout of nothing, a dense head."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3),
            nn.AvgPool2d(2),
        )
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Text(nn.Module):
    """An embedding, a recurrent layer and a head for every step."""

    def __init__(self, layer):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.layer = layer(8, 12, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        return self.head(self.layer(self.embedding(x))[0]).mean(1)


class Encoder(nn.Module):
    """A layer of a Transformer over embedded tokens."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.layer(self.embedding(x)).mean(1))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 4)), (5, 6)),
    "cnn": (Cnn, (3, 3, 8, 8)),
    "rnn": (lambda: Text(nn.RNN), None),
    "lstm": (lambda: Text(nn.LSTM), None),
    "gru": (lambda: Text(nn.GRU), None),
    "encoder": (Encoder, None),
}


def batch_for(name, rng):
    shape = MODELS[name][1]
    x = rng.integers(0, 11, (3, 5)) if shape is None else rng.standard_normal(shape).astype(np.float32)
    return tinydl.tensor(x), tinydl.tensor(rng.integers(0, 4, len(x)))


def train(name, device, steps=3, make=lambda params: optim.SGD(params, lr=0.1, momentum=0.9)):
    """The losses and the parameters of some steps, as NumPy arrays."""
    tinydl.manual_seed(3)
    model = MODELS[name][0]().to(device)
    optimizer = make(model.parameters())
    losses = []
    for step in range(steps):
        x, y = (t.to(device) for t in batch_for(name, np.random.default_rng(step)))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        assert loss.device == device
        losses.append(loss.item())
    return np.array(losses), {key: value.cpu().numpy() for key, value in model.state_dict().items()}


def same(got, expected):
    np.testing.assert_allclose(got[0], expected[0], rtol=2e-5)
    for key, value in expected[1].items():
        np.testing.assert_allclose(got[1][key], value, rtol=2e-4, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_models(name, device):
    same(train(name, device), train(name, "cpu"))


OPTIMIZERS = {
    "adam": lambda params: optim.Adam(params, lr=0.01),
    "adamw": lambda params: optim.AdamW(params, lr=0.01),
    "rmsprop": lambda params: optim.RMSprop(params, lr=0.01),
    "adagrad": lambda params: optim.Adagrad(params, lr=0.01),
    "adadelta": optim.Adadelta,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, device):
    same(train("mlp", device, make=OPTIMIZERS[name]), train("mlp", "cpu", make=OPTIMIZERS[name]))


def test_state_moves_between_devices(device, tmp_path):
    model, other = (nn.Linear(3, 2) for _ in range(2))
    model.to(device)
    tinydl.save(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(tinydl.load(tmp_path / "model.safetensors"))
    assert np.array_equal(other.weight.detach().numpy(), model.weight.cpu().detach().numpy())
    there = tinydl.load(tmp_path / "model.safetensors", map_location=device)
    assert all(t.device == device for t in there.values())
    model.load_state_dict(other.state_dict())
    assert model.weight.device == device


def test_the_trainer_takes_a_device(device):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((24, 6)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    found = []
    for where in (device, "cpu"):
        tinydl.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        trainer = tinydl.train.Trainer(
            model, optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss(), ["accuracy"], device=where
        )
        history = trainer.fit((x, y), epochs=2, batch_size=8, validation_data=(x, y))
        found.append((history.history["loss"], history.history["val_accuracy"], trainer.predict(x)))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_gradients_move_back(device):
    x = tinydl.tensor([1.0, 2.0], requires_grad=True)
    (x.to(device) * 3).sum().backward()
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [3, 3]


def test_what_is_on_a_gpu_is_not_copied_unasked(device):
    x = tinydl.ones(2, device=device)
    for read in (lambda: x.numpy(), lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=f"numpy: the tensor is on '{x.device}'; call cpu"):
            read()
    assert x.cpu().numpy().tolist() == [1, 1]
    assert repr(x) == f"tensor([1., 1.], device='{x.device}')"
    with pytest.raises(RuntimeError, match="add: got tensors on 'cpu' and"):
        x + tinydl.ones(2)


def test_raw_arrays_are_not_copied_unasked(device):
    array = tinydl.ones(2, 2, device=device)._data
    for read in (
        lambda: np.asarray(array),
        lambda: np.ones(2) + array,
        lambda: np.zeros((2, 2)).__setitem__(..., array),
    ):
        with pytest.raises(TypeError):
            read()


DTYPES = ["bool", "int8", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("first", DTYPES)
def test_dtypes_are_promoted_as_on_the_cpu(first, device):
    for second in DTYPES:
        for shape in ((2,), ()):
            a, b = tinydl.ones(2, dtype=first), tinydl.ones(*shape or ((),), dtype=second)
            assert (a.to(device) * b.to(device)).dtype == (a * b).dtype


def test_zeros_keep_their_sign(device):
    x = tinydl.tensor([2.0], device=device)
    assert (x * 0.0).cpu().numpy().tobytes() == np.float32([0.0]).tobytes()
    assert (x * -0.0).cpu().numpy().tobytes() == np.float32([-0.0]).tobytes()


def test_optimisers_follow_a_moved_model(device):
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for where in ("cpu", device, "cpu"):
        model.to(where)
        model(tinydl.ones(1, 2, device=where)).sum().backward()
        optimizer.step()
    assert model.weight.device == "cpu"


def test_memory_order_survives_the_way(device):
    image = tinydl.tensor(np.ones((2, 4, 4, 3), np.float32).transpose(0, 3, 1, 2))
    assert image.to(device).stride() == image.stride() == image.to(device).cpu().stride()


def test_devices_are_listed():
    assert set(devices.available()) <= {"cpu", "emulated"}
    if not tinydl.cuda.is_available():
        assert tinydl.cuda.device_count() == 0
        with pytest.raises(ValueError, match="device 'cuda' is not available: "):
            tinydl.ones(1, device="cuda")


def test_misaligned_arrays_are_refused(device):
    array = tinydl.zeros(17, dtype="uint8", device=device)._data[1:].view(np.float32)
    with pytest.raises(ValueError, match="relu: the array's memory is not aligned to its dtype; pass a copy"):
        tinydl.Tensor(array).relu()
