"""The Transformer's layers beside PyTorch's with the same weights, their equations, and what they refuse."""

import copy

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.layers import assert_near, compare, pair
from tinydl import nn

pytestmark = pytest.mark.filterwarnings(
    "ignore:enable_nested_tensor is True:UserWarning",
    "ignore:Support for mismatched:UserWarning",
    "ignore:The PyTorch API of nested tensors:UserWarning",
)

D, H, FF, N, S, T = 8, 2, 12, 3, 5, 4
INF = float("inf")
EXTRA = [
    {},
    {"batch_first": True},
    {"norm_first": True},
    {"bias": False},
    {"activation": "gelu", "norm_first": True, "batch_first": True},
    {"layer_norm_eps": 0.1, "bias": False, "norm_first": True},
]


def source(rng, extra, dtype=np.float64, batch=N, length=S):
    if batch is None:
        return normal(rng, (length, D), dtype)
    return normal(rng, (batch, length, D) if extra.get("batch_first") else (length, batch, D), dtype)


def layers(torch, name, extra, dtype=np.float64):
    """A pair of encoder or decoder layers without dropout."""
    return pair(torch, name, D, H, FF, dropout=0.0, dtype=dtype, **extra)


def model(torch, dtype=np.float64, **extra):
    """A pair of Transformers of two layers each."""
    return pair(torch, "Transformer", D, H, 2, 2, FF, dropout=0.0, dtype=dtype, **extra)


def hidden(rng, kind, *shape):
    """A mask that leaves the first place of each row."""
    mask = rng.random(shape) < 0.4
    mask[..., 0] = False
    return mask if kind == "bool" else np.where(mask, -INF, rng.standard_normal(shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("extra", EXTRA, ids=str)
@pytest.mark.parametrize("batch", [N, None])
def test_layers_as_in_pytorch(extra, batch, dtype, torch, rng):
    x, memory = source(rng, extra, dtype, batch, T), source(rng, extra, dtype, batch)
    encoders, decoders = (layers(torch, f"Transformer{kind}Layer", extra, dtype) for kind in ("Encoder", "Decoder"))
    compare(torch, *encoders, lambda layer, src: layer(src), [x], rng)
    compare(torch, *decoders, lambda layer, tgt, mem: layer(tgt, mem), [x, memory], rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("extra", EXTRA, ids=str)
@pytest.mark.parametrize("batch", [N, None])
def test_transformer_as_in_pytorch(extra, batch, dtype, torch, rng):
    given = [source(rng, extra, dtype, batch), source(rng, extra, dtype, batch, T)]
    compare(torch, *model(torch, dtype, **extra), lambda m, src, tgt: m(src, tgt), given, rng)


@pytest.mark.parametrize("kind", ["bool", "float", "mixed"])
@pytest.mark.parametrize("which", ["attention", "padding", "both", "of heads"])
def test_masks(which, kind, torch, rng):
    def made(number, *shape):
        return hidden(rng, kind if kind != "mixed" else ("bool", "float")[number % 2], *shape)

    lengths = {"src": (S, S), "tgt": (T, T), "memory": (T, S)}
    masks = {}
    for number, (name, (rows, keys)) in enumerate(lengths.items()):
        if which != "padding":
            lead = (N * H,) if which == "of heads" else ()
            masks[f"{name}_mask"] = made(number, *lead, rows, keys)
        if which in ("padding", "both"):
            masks[f"{name}_key_padding_mask"] = made(number + 1, N, keys)

    def call(m, src, tgt, *given):
        return m(src, tgt, **dict(zip(masks, given, strict=True)))

    given = [source(rng, {}), source(rng, {}, length=T), *masks.values()]
    compare(torch, *model(torch), call, given, rng)


@pytest.mark.parametrize("kind", [bool, np.float64])
@pytest.mark.parametrize("hint", [None, True, False])
def test_causal_masks(hint, kind, torch, rng):
    ahead = np.triu(np.ones((S, S), bool), 1)
    seen = ahead if kind is bool else np.where(ahead, -INF, 0.0)

    def call(m, src, tgt, mask):
        mask = mask.detach()
        return m(src, tgt, mask, mask, mask, src_is_causal=hint, tgt_is_causal=hint, memory_is_causal=bool(hint))

    ours, theirs = model(torch, batch_first=True)
    given = [source(rng, {"batch_first": True}) for _ in range(2)]
    compare(torch, ours, theirs, call, [*given, seen], rng)
    changed = [x.copy() for x in given]
    for x in changed:
        x[:, -1] += 1
    mask = tinydl.tensor(seen)
    before, after = (call(ours, *map(tinydl.tensor, x), mask).detach().numpy() for x in (given, changed))
    assert np.array_equal(before[:, :-1], after[:, :-1])
    assert not np.array_equal(before[:, -1], after[:, -1])


def test_a_causal_mask_is_found(rng, monkeypatch):
    hints = []
    forward = nn.MultiheadAttention.forward
    monkeypatch.setattr(
        nn.MultiheadAttention,
        "forward",
        lambda self, *args, **kwargs: hints.append(kwargs["is_causal"]) or forward(self, *args, **kwargs),
    )
    m = nn.Transformer(D, H, 1, 1, FF)
    x = tinydl.tensor(normal(rng, (S, N, D)))
    causal = m.generate_square_subsequent_mask(S)
    later = tinydl.tensor(np.triu(np.ones((S, S), bool), 2))
    for mask, found in ((causal, True), (causal.isinf(), True), (later, False), (causal * 0, False), (None, False)):
        hints.clear()
        m(x, x, mask, mask)
        assert hints == [found, found, False]


def test_masks_that_hide_everything(torch, rng):
    ours, theirs = model(torch)
    nothing = np.zeros((N, S), bool)
    nothing[1] = True
    given = [source(rng, {}), source(rng, {}, length=T), nothing]

    def call(m, src, tgt, mask):
        return m(src, tgt, src_key_padding_mask=mask, memory_key_padding_mask=mask)

    compare(torch, ours, theirs, call, given, rng)
    assert np.isfinite(call(ours, *map(tinydl.tensor, given)).detach().numpy()).all()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 3, 0), (1, 1, 1), (1, 4, 2), (4, 1, 1)])
def test_empty_and_short(sizes, batch_first, torch, rng):
    src, tgt, batch = sizes
    extra = {"batch_first": batch_first}
    given = [source(rng, extra, batch=batch, length=length) for length in (src, tgt)]
    compare(torch, *model(torch, **extra), lambda m, s, t: m(s, t), given, rng)


@pytest.mark.parametrize("extra", EXTRA, ids=str)
def test_evaluation(extra, torch, rng):
    """Without gradients and dropout PyTorch takes its fast path; seen places come out the same."""
    ours, theirs = (m.eval() for m in model(torch, **{**extra, "batch_first": True}))
    src, tgt = (source(rng, {"batch_first": True}, length=n) for n in (S, T))
    padding = np.arange(S) >= np.array([5, 2, 4])[:, None]
    with tinydl.no_grad(), torch.no_grad():
        for masks in ({}, {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}):
            got, want = (
                m(f(src), f(tgt), **{name: f(mask) for name, mask in masks.items()})
                for m, f in ((ours, tinydl.tensor), (theirs, torch.tensor))
            )
            assert_near(got, want)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "PReLU"])
def test_activations(activation, torch, rng):
    def extra(library, functional):
        made = {"tanh": functional.tanh, "PReLU": library.PReLU()}.get(activation, activation)
        return {"dropout": 0.0, "activation": made, "norm_first": True}

    ours = nn.TransformerEncoderLayer(D, H, FF, **extra(nn, nn.functional)).double()
    theirs = torch.nn.TransformerEncoderLayer(D, H, FF, **extra(torch.nn, torch.nn.functional)).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    compare(torch, ours, theirs, lambda m, x: m(x), [source(rng, {})], rng)


# -- The equations ----------------------------------------------------------------------------------------------


def layer_norm(x, state, name):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return state[f"{name}.weight"] * (x - mean) / np.sqrt(var + 1e-5) + state[f"{name}.bias"]


def attention(x, memory, state, name):
    """Of one sequence, head by head."""
    w, b = state[f"{name}.in_proj_weight"], state[f"{name}.in_proj_bias"]
    q, k, v = (y @ w[i * D : (i + 1) * D].T + b[i * D : (i + 1) * D] for i, y in enumerate((x, memory, memory)))
    heads = []
    for at in range(0, D, D // H):
        part = slice(at, at + D // H)
        powers = np.exp(q[:, part] @ k[:, part].T / np.sqrt(D // H))
        heads.append(powers / powers.sum(1, keepdims=True) @ v[:, part])
    return np.concatenate(heads, 1) @ state[f"{name}.out_proj.weight"].T + state[f"{name}.out_proj.bias"]


def feed_forward(x, state):
    inner = np.maximum(x @ state["linear1.weight"].T + state["linear1.bias"], 0)
    return inner @ state["linear2.weight"].T + state["linear2.bias"]


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_the_equations_term_by_term(kind, norm_first, rng):
    x, memory = (normal(rng, (n, D), np.float64) for n in (T, S))
    make = getattr(nn, f"Transformer{kind}Layer")
    layer = make(D, H, FF, dropout=0.0, norm_first=norm_first, dtype=np.float64)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    state = {name: t.numpy() for name, t in layer.state_dict().items()}
    blocks = [lambda y: attention(y, y, state, "self_attn"), lambda y: feed_forward(y, state)]
    if kind == "Decoder":
        blocks.insert(1, lambda y: attention(y, memory, state, "multihead_attn"))
    expected = x
    for number, block in enumerate(blocks, 1):
        norm = f"norm{number}"
        if norm_first:
            expected = expected + block(layer_norm(expected, state, norm))
        else:
            expected = layer_norm(expected + block(expected), state, norm)
    given = [tinydl.tensor(x)] + ([tinydl.tensor(memory)] if kind == "Decoder" else [])
    assert np.abs(layer(*given).detach().numpy() - expected).max() < 1e-11


# -- The layers as modules --------------------------------------------------------------------------------------


def test_initial_values(torch):
    tinydl.manual_seed(0)
    ours, theirs = nn.Transformer(32, 4, 1, 1, 64), torch.nn.Transformer(32, 4, 1, 1, 64)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        x, y = a.detach().numpy(), b.detach().numpy()
        if x.ndim > 1:  # uniform in ±sqrt(6 / (ins + outs))
            bound = np.sqrt(6 / sum(x.shape))
            assert 0.97 * bound < np.abs(x).max() <= bound, name
            assert abs(x.std() / y.std() - 1) < 0.08, name
        elif "linear" not in name:
            assert np.array_equal(x, y), name


def test_stacks_have_parameters_of_their_own():
    layer = nn.TransformerEncoderLayer(D, H, FF)
    stack = nn.TransformerEncoder(layer, 3, nn.LayerNorm(D))
    first, second = (list(stack.layers[n].parameters()) for n in (0, 1))
    for a, b, c in zip(first, second, layer.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
        assert len({id(a), id(b), id(c)}) == 3
    nn.init.zeros_(first[0])
    assert second[0].detach().numpy().any()
    assert len(list(stack.parameters())) == 3 * len(first) + 2


def test_dropout(rng):
    m = nn.Transformer(D, H, 1, 1, FF, dropout=0.2)
    src, tgt = (tinydl.tensor(source(rng, {}, np.float32, length=n)) for n in (S, T))
    run = lambda: m(src, tgt).detach().numpy()  # noqa: E731
    tinydl.manual_seed(3)
    first, second = run(), run()
    tinydl.manual_seed(3)
    assert np.array_equal(run(), first)
    assert not np.array_equal(first, second)
    m.eval()
    assert np.array_equal(run(), run())
    all_dropped = nn.TransformerEncoderLayer(D, H, FF, dropout=1.0, norm_first=True)
    assert np.array_equal(all_dropped(src).detach().numpy(), src.numpy())


@pytest.mark.parametrize("block", range(3))
def test_each_block_has_its_dropout(block, rng):
    last = ("self_attn.out_proj", "multihead_attn.out_proj", "linear2")[block]
    layer = nn.TransformerDecoderLayer(D, H, FF, dropout=0.0, norm_first=True)
    tgt, memory = (tinydl.tensor(source(rng, {}, np.float32, length=n)) for n in (T, S))
    whole = layer(tgt, memory).detach().numpy()
    getattr(layer, f"dropout{block + 1}").p = 1.0
    dropped = layer(tgt, memory).detach().numpy()
    getattr(layer, f"dropout{block + 1}").p = 0.0
    for parameter in layer.get_submodule(last).parameters():
        nn.init.zeros_(parameter)
    assert np.array_equal(layer(tgt, memory).detach().numpy(), dropped)
    assert not np.array_equal(whole, dropped)


def test_hooks_and_state(rng):
    m = nn.Transformer(D, H, 2, 1, FF, dropout=0.0)
    src, tgt = (tinydl.tensor(source(rng, {}, np.float32, length=n)) for n in (S, T))
    expected = m(src, tgt).detach().numpy()
    other = nn.Transformer(D, H, 2, 1, FF, dropout=0.0)
    other.load_state_dict(m.state_dict())
    assert np.array_equal(other(src, tgt).detach().numpy(), expected)
    assert np.array_equal(copy.deepcopy(m)(src, tgt).detach().numpy(), expected)
    seen = {}
    for name in ("encoder.layers.1", "encoder.layers.1.linear1", "decoder.layers.0.multihead_attn"):
        m.get_submodule(name).register_forward_hook(lambda module, args, out, name=name: seen.update({name: out}))
    assert np.array_equal(m(src, tgt).detach().numpy(), expected)
    assert seen["encoder.layers.1"].shape == (S, N, D)
    assert seen["encoder.layers.1.linear1"].detach().numpy().min() < 0  # before relu
    assert seen["decoder.layers.0.multihead_attn"][1] is None


def test_parts_of_ones_own(rng):
    class Encoder(nn.Module):
        def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
            return src * 2

    class Layer(nn.Module):
        def forward(self, src, src_mask=None, is_causal=False, src_key_padding_mask=None):
            return src + 1

    src, tgt = (tinydl.tensor(source(rng, {}, np.float32, length=n)) for n in (S, T))
    m = nn.Transformer(D, H, 1, 1, FF, dropout=0.0, custom_encoder=Encoder())
    assert np.array_equal(m(src, tgt).detach().numpy(), m.decoder(tgt, src * 2).detach().numpy())
    assert np.array_equal(nn.TransformerEncoder(Layer(), 3)(src).numpy(), src.numpy() + 1 + 1 + 1)


def test_the_causal_mask(torch):
    for dtype in ("float32", "float64", "bool"):
        got = nn.Transformer.generate_square_subsequent_mask(3, dtype=getattr(tinydl, dtype))
        want = torch.nn.Transformer.generate_square_subsequent_mask(3, dtype=getattr(torch, dtype))
        assert str(got.dtype) == dtype
        assert got.tolist() == want.tolist()
    assert nn.Transformer.generate_square_subsequent_mask(0).shape == (0, 0)


def test_learns_to_reverse(rng):
    tinydl.manual_seed(0)
    m = nn.Transformer(16, 2, 1, 1, 32, dropout=0.0, batch_first=True)
    place = tinydl.tensor(normal(rng, (4, 16)))
    table, head = nn.Embedding(6, 16), nn.Linear(16, 6)
    parameters = [*m.parameters(), *table.parameters(), *head.parameters()]
    optimizer = tinydl.optim.Adam(parameters, 3e-3)
    mask = m.generate_square_subsequent_mask(4)
    losses = []
    for _ in range(150):
        words = rng.integers(1, 6, (32, 4))
        wanted = words[:, ::-1].copy()
        before = np.concatenate([np.zeros((32, 1), np.int64), wanted[:, :-1]], 1)
        src, tgt = (table(tinydl.tensor(x)) + place for x in (words, before))
        logits = head(m(src, tgt, tgt_mask=mask))
        loss = nn.functional.cross_entropy(logits.reshape(-1, 6), tinydl.tensor(wanted.reshape(-1)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.5
    assert np.mean(losses[-5:]) < 0.3


# -- What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m, x: nn.TransformerEncoderLayer(8, 3), ValueError, "wanted heads that divide it"),
        (lambda m, x: nn.TransformerEncoderLayer(8, 2, activation="tanh"), ValueError, "got activation 'tanh', wanted"),
        (lambda m, x: nn.TransformerDecoderLayer(8, 2, activation=3), TypeError, "activation of type int, wanted"),
        (lambda m, x: nn.TransformerEncoder(m.encoder.layers[0], 0), ValueError, "num_layers=0, wanted an integer of"),
        (lambda m, x: nn.TransformerEncoder(m.encoder.layers[0], 2.0), TypeError, "num_layers=2.0, wanted an integer"),
        (lambda m, x: nn.TransformerDecoder(None, 2), TypeError, "got a layer of type NoneType, wanted a module"),
        (lambda m, x: m(x, x[..., :7]), ValueError, r"shapes \(5, 3, 8\) and \(5, 3, 7\), wanted 8 features"),
        (lambda m, x: m(x, x[:, :2]), ValueError, r"and \(5, 2, 8\), wanted one batch size \(axis 1\)"),
        (lambda m, x: m(x, x[0]), ValueError, "wanted one batch size"),
        (lambda m, x: m(x, x, tgt_is_causal=True), ValueError, "is_causal says that attn_mask is the causal mask"),
        (lambda m, x: m(x, x, memory_is_causal=True), ValueError, "is_causal says that attn_mask is the causal mask"),
        (lambda m, x: m(x, x, src_mask=tinydl.zeros(4, 5)), ValueError, r"attn_mask of shape \(4, 5\), wanted"),
        (lambda m, x: m(x, x, tinydl.zeros(5, 5).int()), TypeError, "attn_mask of dtype int32, wanted bool or"),
    ],
)
def test_wrong_calls(call, error, said, rng):
    with pytest.raises(error, match=said):
        call(nn.Transformer(D, H, 1, 1, FF), tinydl.tensor(normal(rng, (S, N, D))))
