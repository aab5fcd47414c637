"""The GPT: against PyTorch, the cache against the whole sequence, who sees whom, and wrong calls."""

import numpy as np
import pytest

import tinydl
from bench.peers import torch_text
from tests.support.compare import assert_close
from tests.support.layers import assert_near
from tinydl import nn
from tinydl.models import GPT, LanguageModel
from tinydl.nn.functional import cross_entropy
from tinydl.ops.self_attention import causal_self_attention, rotary_phases, turn

VOCABULARY = 11
POSITIONS = ["rotary", "learned"]
FLOATS = ["float32", "float64"]


def make(position="rotary", dtype="float64", rng=None, context=16, layers=2, **sizes):
    """A model in evaluation whose biases and norms are drawn, too."""
    model = GPT(VOCABULARY, context, layers, 2, 8, position=position, **sizes).to(dtype).eval()
    rng = rng or np.random.default_rng(3)
    with tinydl.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * rng.standard_normal(p.shape) + (p.ndim == 1))
    return model


def draw(rng, *shape):
    return tinydl.tensor(rng.integers(0, VOCABULARY, shape))


def agree(got, expected):
    """Logits of one model by two ways: a sum over the features after a chain of operations."""
    expected = expected.detach().numpy()
    assert_close(got, expected, "gradient", length=8, scale=np.abs(expected).max(initial=1.0))


def loss_of(model, ids):
    return cross_entropy(model(ids[:, :-1]).reshape(-1, VOCABULARY), ids[:, 1:].reshape(-1))


# -- The model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("position", POSITIONS)
def test_against_pytorch(torch, rng, isa, position, dtype):
    """Logits, loss and gradients."""
    model = make(position, dtype, rng)
    theirs = torch_text.gpt(torch, model)
    ids = draw(rng, 3, 14)
    other = torch.tensor(ids.numpy())
    assert_near(model(ids), theirs(other), "logits")
    loss = loss_of(model, ids)
    expected = torch.nn.functional.cross_entropy(theirs(other[:, :-1]).flatten(0, 1), other[:, 1:].flatten())
    assert_near(loss, expected, "loss")
    loss.backward()
    expected.backward()
    for (name, p), (also, q) in zip(model.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == also
        assert_near(p.grad, q.grad, name, 1e-1)


@pytest.mark.parametrize("position", POSITIONS)
def test_gradcheck(rng, position):
    model = GPT(5, 6, 1, 2, 4, position=position).double()
    ids = tinydl.tensor(rng.integers(0, 5, (2, 4)))
    assert tinydl.autograd.gradcheck(lambda *_: model(ids), list(model.parameters()))


def test_parameters():
    tinydl.manual_seed(5)
    model = GPT(300, 64, 8, 4, 64, position="learned")
    assert isinstance(model, LanguageModel)
    assert model.vocabulary_size == 300
    for name, p in model.named_parameters():
        values = p.detach().numpy()
        if p.ndim == 1:
            assert (values == (0.0 if name.endswith("bias") else 1.0)).all(), name
            continue
        ends = ".projection." in name or ".reduce." in name
        wanted = 0.02 / 4 if ends else 0.02  # 4 = √(2 · 8 layers)
        assert abs(values.std() / wanted - 1) < 4 / np.sqrt(2 * values.size), name
        assert abs(values.mean()) < 4 * wanted / np.sqrt(values.size), name
    block = 64 * 64 * 12 + 64 * 13
    assert sum(p.numel() for p in model.parameters()) == (300 + 64) * 64 + 8 * block + 2 * 64


def test_deterministic_under_a_seed():
    models = []
    for _ in range(2):
        tinydl.manual_seed(2)
        models.append(GPT(VOCABULARY, 8, 1, 2, 8, dropout=0.3))
    ids = draw(np.random.default_rng(0), 2, 8)
    outputs = []
    for model in models:
        tinydl.manual_seed(4)
        outputs.append(model(ids).detach().numpy())
    np.testing.assert_array_equal(*outputs)


def test_dropout_in_training_only(rng):
    model = make(dtype="float32", dropout=0.5)
    ids = draw(rng, 2, 8)
    plain = model(ids).detach().numpy()
    np.testing.assert_array_equal(model(ids).detach().numpy(), plain)
    without = make(dtype="float32")
    without.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(without.train()(ids).detach().numpy(), plain)
    model.train()
    first, second = (model(ids).detach().numpy() for _ in range(2))
    assert (first != plain).any()
    assert (first != second).any()
    logits, _ = model.step(ids)  # writing drops nothing, whatever the mode
    agree(logits, tinydl.tensor(plain[:, -1]))


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("length", [0, 1])
def test_short_sequences(torch, rng, position, length):
    model = make(position)
    ids = draw(rng, 2, length)
    out = model(ids)
    assert out.shape == (2, length, VOCABULARY)
    out.sum().backward()
    if length:
        assert_near(out, torch_text.gpt(torch, model)(torch.tensor(ids.numpy())), "logits")
    assert model(draw(rng, 0, 3)).shape == (0, 3, VOCABULARY)


@pytest.mark.parametrize("position", POSITIONS)
def test_causality(rng, position):
    """A changed token leaves the logits before it as they are, to the bit, and changes its own and later ones."""
    model = make(position)
    ids = draw(rng, 1, 12).numpy()
    before = model(tinydl.tensor(ids)).detach().numpy()
    for t in range(12):
        changed = ids.copy()
        changed[0, t] = (changed[0, t] + 1) % VOCABULARY
        after = model(tinydl.tensor(changed)).detach().numpy()
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert (after[:, t:] != before[:, t:]).any(-1).all()


def test_rotary_window(rng):
    """One layer sees the last `context` tokens alone, wherever they stand; two layers twice as far less one."""
    ids = draw(rng, 2, 30)
    one = make(context=7, layers=1)
    agree(one(ids)[:, -1], one(ids[:, -7:])[:, -1])
    two = make(context=7)
    agree(two(ids)[:, -1], two(ids[:, -13:])[:, -1])
    assert (two(ids)[:, -1] != two(ids[:, -12:])[:, -1]).all()


def test_same_bits_for_all_thread_counts(rng):
    results = []
    model = make(dtype="float32", context=32)
    ids = draw(rng, 4, 33)
    before = tinydl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            tinydl.set_num_threads(threads)
            model.zero_grad()
            loss = loss_of(model, ids)
            loss.backward()
            logits, _ = model.step(ids)
            results.append(
                [loss.detach().numpy(), logits.numpy(), *(p.grad.numpy().copy() for p in model.parameters())]
            )
    finally:
        tinydl.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("position", POSITIONS)
def test_it_learns(rng, position):
    """Sixty steps teach it a loop of tokens."""
    tinydl.manual_seed(1)
    model = GPT(VOCABULARY, 10, 1, 2, 16, position=position)
    optimizer = tinydl.optim.AdamW(model.parameters(), lr=1e-2)
    ids = tinydl.tensor((np.arange(10) + np.arange(8)[:, None]) % VOCABULARY)
    first = loss_of(model, ids).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_of(model, ids)
        loss.backward()
        optimizer.step()
    assert abs(first - np.log(VOCABULARY)) < 0.2
    assert loss_of(model, ids).item() < 0.1


# -- Step by step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("position", "pieces"),
    [
        ("learned", [1] * 16),
        ("learned", [5, 1, 1, 7, 2]),
        ("learned", [16]),
        ("rotary", [1] * 100),
        ("rotary", [5, 1, 1, 7, 2, 15, 1, 16, 16, 1, 3]),
        ("rotary", [45, 1, 50, 3]),
        ("rotary", [16, 16, 16, 16, 1]),
    ],
)
def test_steps_give_the_logits_of_the_whole(rng, position, pieces, dtype):
    """Across the window's end, the cache's end, and prompts longer than either."""
    model = make(position, dtype, rng)
    ids = draw(rng, 3, sum(pieces))
    whole = model(ids)
    state, at = None, 0
    for piece in pieces:
        logits, state = model.step(ids[:, at : at + piece], state)
        at += piece
        assert state.seen == at
        assert logits.dtype == whole.dtype
        assert not logits.requires_grad
        agree(logits, whole[:, at - 1])


@pytest.mark.parametrize("context", [1, 2])
def test_steps_in_small_windows(rng, context):
    model = make(context=context)
    ids = draw(rng, 2, 9)
    whole = model(ids)
    _, state = model.step(ids[:, :4])
    for t in range(4, 9):
        logits, state = model.step(ids[:, t : t + 1], state)
        agree(logits, whole[:, t])


@pytest.mark.parametrize("seen", [5, 31])
def test_a_state_can_be_used_again(rng, seen):
    """Two continuations of one state, one token after the other in turns, do not see each other."""
    model = make()
    start, ends = draw(rng, 2, seen), [draw(rng, 2, 20) for _ in range(2)]
    _, state = model.step(start)
    states = [state, state]
    for t in range(20):
        for i, end in enumerate(ends):
            logits, states[i] = model.step(end[:, t : t + 1], states[i])
            agree(logits, model(tinydl.cat([start, end[:, : t + 1]], 1))[:, -1])
    logits, _ = model.step(ends[1][:, :1], state)
    agree(logits, model(tinydl.cat([start, ends[1][:, :1]], 1))[:, -1])


def test_a_failed_step_leaves_the_state(rng):
    model = make()
    ids = draw(rng, 1, 6)
    _, state = model.step(ids[:, :5])
    with pytest.raises(IndexError):
        model.step(tinydl.tensor([[VOCABULARY]]), state)
    logits, _ = model.step(ids[:, 5:], state)
    agree(logits, model(ids)[:, -1])


def test_against_pytorch_with_its_own_cache(torch, rng):
    model = make("rotary", "float64", rng)
    theirs = torch_text.gpt(torch, model)
    ids = draw(rng, 2, 12)
    other = torch.tensor(ids.numpy())
    logits, state = model.step(ids[:, :6])
    expected, past = theirs.run(other[:, :6], None)
    for t in range(6, 12):
        assert_near(logits, expected[:, -1], f"token {t}")
        logits, state = model.step(ids[:, t : t + 1], state)
        expected, past = theirs.run(other[:, t : t + 1], past)
    assert_near(logits, expected[:, -1], "the last token")


# -- Wrong calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size=0, wanted at least 1"),
        ({"context": 0}, "context=0"),
        ({"layers": -1}, "layers=-1"),
        ({"features": 10, "heads": 4}, "heads that divide"),
        ({"features": 6, "heads": 2}, "even number with 'rotary'"),
        ({"position": "none"}, "wanted 'rotary' or 'learned'"),
        ({"dropout": 1.5}, "wanted a probability"),
    ],
)
def test_wrong_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        GPT(**{"vocabulary_size": 5, "features": 8, "heads": 2, **sizes})


@pytest.mark.parametrize("call", [lambda m, ids: m(ids), lambda m, ids: m.step(ids)])
def test_wrong_ids(call):
    model = make("learned")
    for wrong in (-1, VOCABULARY):
        with pytest.raises(IndexError, match=str(wrong)):
            call(model, tinydl.tensor([[1, wrong]]))
    with pytest.raises(ValueError, match=r"shape \(3,\), wanted \(N, L\)"):
        call(model, tinydl.tensor([1, 2, 3]))
    with pytest.raises(TypeError, match="float32"):
        call(model, tinydl.ones(1, 3))
    with pytest.raises(TypeError, match="ndarray"):
        call(model, np.ones((1, 3), np.int64))
    with pytest.raises(ValueError, match="17 tokens in all, but learned positions end at context=16"):
        call(model, tinydl.zeros(1, 17, dtype="int64"))


def test_wrong_states():
    model, ids = make("learned"), tinydl.tensor([[1, 2]])
    _, state = model.step(ids)
    with pytest.raises(ValueError, match=r"shape \(1, 0\), wanted at least one token"):
        model.step(ids[:, :0], state)
    with pytest.raises(ValueError, match="ids for 2 sequences and the state of 1"):
        model.step(tinydl.tensor([[1], [2]]), state)
    with pytest.raises(ValueError, match="another model"):
        make("learned").step(ids, state)
    with pytest.raises(TypeError, match="a state of tuple"):
        model.step(ids, (1, 2))
    _, state = model.step(tinydl.ones(1, 14, dtype="int64"), state)
    with pytest.raises(ValueError, match=r"17 tokens in all.*begin anew.*rotary"):
        model.step(ids[:, :1], state)


# -- The operation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_attention_term_by_term(rng, turned, window):
    """softmax(Q Kᵀ / √d) V in loops, with rotations as 2 x 2 matrices."""
    n, length, features, heads, size = 2, 5, 3, 2, 4
    x, w, b = (rng.standard_normal(s) for s in ((n, length, features), (24, features), (24,)))
    phases = rotary_phases(2, 2 + length, size, heads, np.dtype("float64")) if turned else None
    got = causal_self_attention(*(tinydl.tensor(a) for a in (x, w, b)), heads, phases, window)
    q, k, v = np.moveaxis((x @ w.T + b).reshape(n, length, 3, heads, size), 2, 0)
    expected = np.zeros((n, length, heads, size))
    for s, t, h in np.ndindex(n, length, heads):
        seen = range(0 if window is None else max(0, t - window + 1), t + 1)
        scores = np.array([rotated(q[s, t, h], t + 2, turned) @ rotated(k[s, j, h], j + 2, turned) for j in seen])
        weights = np.exp(scores / np.sqrt(size))
        expected[s, t, h] = weights @ v[s, list(seen), h] / weights.sum()
    assert_close(got, expected.reshape(n, length, -1), "attention", length=8, scale=10.0)


def rotated(x, position, turned):
    out = x.copy()
    for i in range(0, x.size if turned else 0, 2):
        a = position / 10000 ** (i / x.size)
        out[i : i + 2] = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ x[i : i + 2]
    return out


@pytest.mark.parametrize(("dtype", "half_a_step"), [(tinydl.float16, 2.0**-11), (tinydl.bfloat16, 2.0**-8)])
def test_turning_16_bits_rounds_once(rng, dtype, half_a_step):
    """As complex numbers in float64 would be, rounded to the dtype; the values stay."""
    features, heads = 4, 2
    packed = rng.standard_normal((2, 50, 3 * heads * features)).astype(dtype)
    before = packed.astype(np.float64)
    turn(packed, rotary_phases(1000, 1050, features, heads, dtype))
    after = packed.astype(np.float64)
    assert np.array_equal(after[..., 16:], before[..., 16:])
    for s, t, part in np.ndindex(2, 50, 4):  # the heads of the queries, then of the keys
        at = slice(part * features, (part + 1) * features)
        exact = rotated(before[s, t, at], 1000 + t, True)
        assert (np.abs(after[s, t, at] - exact) <= 1.02 * half_a_step * np.abs(exact) + 1e-6).all()


def test_attention_dropout_thins_the_weights(rng):
    """The mean over many draws is the value without dropout; gradients are those of the same draw."""
    x = tinydl.tensor(rng.standard_normal((1, 3, 4)))
    w = tinydl.tensor(rng.standard_normal((12, 4)), requires_grad=True)
    plain = causal_self_attention(x, w, None, 2).detach().numpy()
    tinydl.manual_seed(0)
    draws = np.stack([causal_self_attention(x, w, None, 2, dropout_p=0.5).detach().numpy() for _ in range(4000)])
    error = draws.std(0) / np.sqrt(4000)
    assert (np.abs(draws.mean(0) - plain) <= 5 * error).all()

    def drawn(w):
        tinydl.manual_seed(9)
        return causal_self_attention(x, w, None, 2, dropout_p=0.5)

    assert tinydl.autograd.gradcheck(drawn, [w])


def test_attention_refusals():
    x = tinydl.ones(2, 3, 4)
    with pytest.raises(ValueError, match=r"causal_self_attention: got x \(2, 3, 4\), weight \(13, 4\) and 2 heads"):
        causal_self_attention(x, tinydl.ones(13, 4), None, 2)
    with pytest.raises(TypeError, match="wanted one"):
        causal_self_attention(x, tinydl.ones(12, 4, dtype="float64"), None, 2)
    with pytest.raises(TypeError, match=r"wanted float32 or float64 \(on a GPU 16-bit floats too\)"):
        causal_self_attention(x.to("int64"), tinydl.ones(12, 4, dtype="int64"), None, 2)
    w = tinydl.ones(12, 4)
    for heads, window in ((0, None), (-2, None), (2, 0), (2, -1)):
        with pytest.raises(ValueError, match="wanted at least 1"):
            causal_self_attention(x, w, None, heads, window=window)
    for positions, dtype in ((4, "float32"), (1, "float32"), (3, "float64")):
        phases = rotary_phases(0, positions, 2, 2, np.dtype(dtype))
        with pytest.raises(ValueError, match=r"got phases of complex.*, wanted those of 3 positions in all heads"):
            causal_self_attention(x, w, None, 2, phases)


def test_a_saved_input_is_guarded():
    layer = nn.Linear(4, 12)
    x = tinydl.ones(1, 3, 4)
    y = causal_self_attention(x, layer.weight, layer.bias, 2)
    x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()
