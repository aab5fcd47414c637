"""The document's LSTM model of text: PyTorch's numbers, Keras's dropout, one step at a time."""

import numpy as np
import pytest

import tinydl
from tests.recurrent import reference
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.keras import layers
from tinydl.models import LSTMText
from tinydl.models import lstm_text as module
from tinydl.train.recipes.text import next_token_loss

V, E, H = 11, 6, 7


def make(dtype="float64", **options):
    tinydl.manual_seed(0)
    return LSTMText(V, E, H, **options).to(np.dtype(dtype))


def ids(rng, *shape):
    return tinydl.tensor(rng.integers(0, V, shape))


def test_the_documents_sizes():
    model = LSTMText(65)
    assert [(k, v.shape) for k, v in model.state_dict().items()] == [
        ("embedding.weight", (65, 64)),
        ("lstm.weight_ih_l0", (512, 64)),
        ("lstm.weight_hh_l0", (512, 128)),
        ("lstm.bias_ih_l0", (512,)),
        ("lstm.bias_hh_l0", (512,)),
        ("head.weight", (65, 128)),
        ("head.bias", (65,)),
    ]
    assert (model.dropout, model.recurrent_dropout) == (0.2, 0.2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch(torch, rng, dtype):
    """The same layers from torch.nn: logits, loss and gradients from the same weights."""

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.lstm = torch.nn.Embedding(V, E), torch.nn.LSTM(E, H, batch_first=True)
            self.head = torch.nn.Linear(H, V)

        def forward(self, ids):
            return self.head(self.lstm(self.embedding(ids))[0])

    theirs = Twin().to(getattr(torch, dtype))
    ours = make(dtype, dropout=0.0, recurrent_dropout=0.0)
    ours.load_state_dict(theirs.state_dict())
    x, y = rng.integers(0, V, (3, 9)), rng.integers(0, V, (3, 9))
    a, b = ours(tinydl.tensor(x)), theirs(torch.tensor(x))
    assert a.shape == (3, 9, V)
    assert_close(a, b.detach(), "gradient", length=H, scale=1.0)
    loss = next_token_loss(a, tinydl.tensor(y))
    wanted = torch.nn.functional.cross_entropy(b.reshape(-1, V), torch.tensor(y).reshape(-1))
    assert_close(loss, wanted.detach(), "gradient", length=27)
    loss.backward()
    wanted.backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, "gradient", length=27, scale=q.grad.abs().max().item())


def test_the_loss_is_the_same_in_any_memory_order(rng):
    logits, targets = normal(rng, (3, 4, 5)), ids(rng, 3, 4) % 5
    turned = tinydl.tensor(np.ascontiguousarray(logits.swapaxes(0, 1))).transpose(0, 1)
    plain = next_token_loss(tinydl.tensor(logits), targets)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -np.log(np.take_along_axis(shares, targets.numpy()[:, :, None], 2)).mean()
    for loss in (plain, next_token_loss(turned, targets)):
        assert_close(loss, np.float32(wanted), "loss", length=60)


def masks_of(monkeypatch, model, x):
    """Logits in training, and the two masks that were drawn."""
    drawn = []
    real = module._mask
    monkeypatch.setattr(module, "_mask", lambda *args: drawn.append(real(*args)) or drawn[-1])
    return model.train()(x), [m.numpy() for m in drawn]


def test_dropout_has_one_mask_a_sequence(monkeypatch, rng):
    """The equations, with a mask on the inputs and one on h[t-1], which are the same at all steps."""
    model = make(dropout=0.4, recurrent_dropout=0.3)
    x = ids(rng, 3, 6)
    got, (of_x, of_h) = masks_of(monkeypatch, model, x)
    assert of_x.shape == (3, E)
    assert of_h.shape == (3, H)
    for mask, rate in ((of_x, 0.4), (of_h, 0.3)):
        assert_close(np.unique(mask), np.array([0, 1 / (1 - rate)]), "elementwise", dtype="float32")
    w = {k: v.numpy() for k, v in model.state_dict().items()}
    embedded = w["embedding.weight"][x.numpy().T] * of_x
    zeros = np.zeros((3, H))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    h, _ = reference.run("lstm", embedded, *(w[f"lstm.{n}_l0"] for n in names), zeros, zeros, of_h)
    wanted = h @ w["head.weight"].T + w["head.bias"]
    assert_close(got, wanted.swapaxes(0, 1), "recurrent", length=100, scale=1.0)


def test_dropout_is_that_of_keras(monkeypatch, rng):
    """The Keras-like layer with the same weights and masks returns the same."""
    model = make("float32", dropout=0.4, recurrent_dropout=0.3)
    x = ids(rng, 3, 6)
    got, masks = masks_of(monkeypatch, model, x)
    layer = layers.LSTM(H, dropout=0.4, recurrent_dropout=0.3, return_sequences=True)
    layer.build((None, 6, E))
    w = model.state_dict()
    bias = w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
    layer.set_weights([w["lstm.weight_ih_l0"].numpy().T, w["lstm.weight_hh_l0"].numpy().T, bias.numpy()])
    drawn = iter(masks)
    monkeypatch.setattr(type(layer.cell), "drawn", lambda *_: tinydl.tensor(next(drawn)))
    y = layer(model.embedding(x), training=True)
    assert_close(got, model.head(y).detach(), "recurrent", length=100, scale=1.0)


def test_nothing_is_dropped_in_evaluation(rng):
    model, plain = make(dropout=0.5, recurrent_dropout=0.5).eval(), make(dropout=0.0, recurrent_dropout=0.0)
    x = ids(rng, 2, 5)
    state = tinydl.random.default_generator.state()
    assert_close(model(x), plain(x).detach(), "elementwise")
    assert tinydl.random.default_generator.state() == state


def test_gradients(rng):
    model, x = make(dropout=0.0, recurrent_dropout=0.0), ids(rng, 2, 4)
    assert tinydl.autograd.gradcheck(lambda *_: next_token_loss(model(x), x), list(model.parameters()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cuts", [[1] * 9, [4, 5], [1, 3, 1, 4], [9]])
@pytest.mark.parametrize("grad", [True, False])
def test_step_by_step_is_all_at_once(rng, dtype, cuts, grad):
    model = make(dtype).eval()
    x = ids(rng, 3, 9)
    with tinydl.enable_grad() if grad else tinydl.no_grad():
        wanted = model(x)
        state, begin = None, 0
        for cut in cuts:
            logits, state = model.step(x[:, begin : begin + cut], state)
            begin += cut
            assert logits.requires_grad is grad
            assert_close(logits, wanted[:, begin - 1].detach(), "recurrent", length=100, scale=1.0)
    assert [s.shape for s in state] == [(3, H)] * 2


def test_a_step_leaves_its_state(rng):
    model = make().eval()
    with tinydl.no_grad():
        _, state = model.step(ids(rng, 1, 3))
        before = [s.tolist() for s in state]
        a, _ = model.step(tinydl.tensor([[1]]), state)
        b, _ = model.step(tinydl.tensor([[1]]), state)
    assert [s.tolist() for s in state] == before
    assert a.tolist() == b.tolist()


def test_bfloat16(rng):
    model = make("float32").eval()
    x = ids(rng, 2, 6)
    wanted = model(x)
    model.to(tinydl.bfloat16)
    got, state = model.step(x[:, :5])
    got, _ = model.step(x[:, 5:], state)
    error = (got.float() - wanted[:, -1]).abs().max().item()
    assert 0 < error < 2**-8 * 10  # a few roundings to 8 bits


def test_it_learns_a_circle():
    tinydl.manual_seed(0)
    model = LSTMText(V, 8, 16, 0.0, 0.0)
    optimizer = tinydl.optim.Adam(model.parameters(), lr=0.03)
    x = tinydl.tensor((np.arange(8)[:, None] + np.arange(13)) % V)
    for _ in range(60):
        optimizer.zero_grad()
        loss = next_token_loss(model(x[:, :-1]), x[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_wrong_rates(rate):
    for name in ("dropout", "recurrent_dropout"):
        with pytest.raises(ValueError, match=f"LSTMText: got {name}={rate}"):
            LSTMText(5, **{name: rate})
    with pytest.raises(ValueError, match="LSTMText: got vocabulary_size=0, wanted at least 1"):
        LSTMText(0)


@pytest.mark.parametrize("call", ["forward", "step"])
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([[0, V]], IndexError, f"index {V} is out of range for size {V}"),
        ([[-1]], IndexError, "index -1 is out of range"),
        ([1, 2], ValueError, r"ids of shape \(2,\), wanted \(N, L\) with L at least 1"),
        (np.zeros((2, 0), np.int64), ValueError, r"ids of shape \(2, 0\)"),
        ([[0.5]], TypeError, "float32"),
        (1, ValueError, r"ids of shape \(\), wanted \(N, L\)"),
    ],
)
def test_wrong_ids(call, values, error, message):
    with pytest.raises(error, match=message):
        getattr(make().eval(), call)(tinydl.tensor(values))
    with pytest.raises(TypeError, match="LSTMText: got ids of list, wanted a tensor"):
        getattr(make().eval(), call)([[1, 2]])


def test_wrong_states(rng):
    model = make().eval()
    _, (h, c) = model.step(ids(rng, 2, 3))
    for state in ((h, c[:1]), (h[:, :3], c), (h[:1], c[:1])):
        with pytest.raises(ValueError, match=r"LSTMText: got states .*, wanted \(2, 7\)"):
            model.step(ids(rng, 2, 1), state)
    with tinydl.no_grad(), pytest.raises(IndexError, match=f"{V} is out of range"):
        model.step(tinydl.tensor([[1], [V]]), (h, c))
    with tinydl.no_grad(), pytest.raises(ValueError, match=r"ids of shape \(2, 0\)"):
        model.step(tinydl.tensor(np.zeros((2, 0), np.int64)), (h, c))
    with pytest.raises(ValueError, match=r"ids of shape \(\)"):
        model.step(tinydl.tensor(1), (h, c))
    for state in (3, (h,), (h, c, c), (h, None), (h.tolist(), c.tolist()), h):
        with pytest.raises(TypeError, match=r"LSTMText: got a state of \w+, wanted the \(h, c\) that a step returned"):
            model.step(ids(rng, 2, 1), state)
    for cut in (1, 2):
        with tinydl.no_grad(), pytest.raises(TypeError, match=r"got dtypes float(32|64) and float(32|64)"):
            model.step(ids(rng, 2, cut), (h.float(), c.float()))


def test_no_sequences():
    model = make()
    assert model(tinydl.tensor(np.zeros((0, 3), np.int64))).shape == (0, 3, V)
    assert isinstance(model.head, nn.Linear)
