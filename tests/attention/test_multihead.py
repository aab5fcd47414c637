"""Multi-head attention: its equation, PyTorch's layer with the same weights, masks, and what it refuses."""

import copy

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.layers import assert_near, compare, pair
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.ops import multihead

E, H, N, L, S = 8, 2, 3, 4, 5
LAYERS = [
    {},
    {"batch_first": True},
    {"bias": False},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"kdim": 5, "vdim": 7},
    {"vdim": 3, "bias": False, "add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "kdim": 5, "batch_first": True},
]
RESULTS = [{"need_weights": False}, {}, {"average_attn_weights": False}]
INF = float("inf")


def inputs(rng, extra, dtype=np.float64, batch=N, length=L, source=S):
    """Query, key and value for a layer with these arguments."""
    sizes = ((length, E), (source, extra.get("kdim", E)), (source, extra.get("vdim", E)))
    if batch is None:
        return [normal(rng, size, dtype) for size in sizes]
    first = extra.get("batch_first")
    return [normal(rng, (batch, n, f) if first else (n, batch, f), dtype) for n, f in sizes]


def mask(rng, kind, *shape):
    """A mask that hides no row completely; the first key is always seen."""
    hidden = rng.random(shape) < 0.4
    hidden[..., 0] = False
    if kind == "bool":
        return hidden
    return np.where(hidden, -INF, rng.standard_normal(shape))


MASKS = {
    "padding": lambda rng: (mask(rng, "bool", N, S), None),
    "float padding": lambda rng: (mask(rng, "float", N, S), None),
    "attention": lambda rng: (None, mask(rng, "bool", L, S)),
    "float attention": lambda rng: (None, mask(rng, "float", L, S)),
    "of heads": lambda rng: (None, mask(rng, "bool", N * H, L, S)),
    "float of heads": lambda rng: (None, mask(rng, "float", N * H, L, S)),
    "both": lambda rng: (mask(rng, "bool", N, S), mask(rng, "bool", L, S)),
    "both float": lambda rng: (mask(rng, "float", N, S), mask(rng, "float", N * H, L, S)),
    "both, mixed": lambda rng: (mask(rng, "bool", N, S), mask(rng, "float", L, S)),
    "both, mixed otherwise": lambda rng: (mask(rng, "float", N, S), mask(rng, "bool", N * H, L, S)),
}


def attend(options):
    """A call of the layer with query, key, value and both masks."""
    return lambda layer, q, k, v, padding=None, seen=None: layer(
        q, k, v, key_padding_mask=padding, attn_mask=seen, **options
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", RESULTS, ids=str)
@pytest.mark.parametrize("extra", LAYERS, ids=str)
def test_layers_as_in_pytorch(extra, options, dtype, torch, rng):
    layers = pair(torch, "MultiheadAttention", E, H, dtype=dtype, **extra)
    compare(torch, *layers, attend(options), inputs(rng, extra, dtype), rng)
    layers = pair(torch, "MultiheadAttention", E, H, dtype=dtype, **extra)
    compare(torch, *layers, attend(options), inputs(rng, extra, dtype, None), rng)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize("extra", LAYERS, ids=str)
@pytest.mark.parametrize("options", RESULTS, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_masks(kind, options, extra, torch, rng):
    layers = pair(torch, "MultiheadAttention", E, H, **extra)
    compare(torch, *layers, attend(options), [*inputs(rng, extra), *MASKS[kind](rng)], rng)


@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("options", RESULTS, ids=str)
def test_masks_without_a_batch(kind, options, torch, rng):
    for padding, seen in ((S,), None), (None, (L, S)), ((S,), (H, L, S)):
        masks = [None if shape is None else mask(rng, kind, *shape) for shape in (padding, seen)]
        layers = pair(torch, "MultiheadAttention", E, H)
        compare(torch, *layers, attend(options), [*inputs(rng, {}, batch=None), *masks], rng)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", RESULTS, ids=str)
@pytest.mark.parametrize("shared", ["all", "key and value", "query and key"])
def test_one_tensor_in_several_places(shared, options, batch_first, torch, rng, monkeypatch):
    places = {"all": (0, 0, 0), "key and value": (0, 1, 1), "query and key": (0, 0, 1)}[shared]
    products = []
    linear = multihead.linear
    monkeypatch.setattr(multihead, "linear", lambda *args: products.append(args) or linear(*args))

    def call(layer, *given):
        return layer(*[given[at] for at in places], **options)

    for batch in (N, None):
        layers = pair(torch, "MultiheadAttention", E, H, batch_first=batch_first)
        arrays = inputs(rng, {"batch_first": batch_first}, batch=batch, source=L)
        compare(torch, *layers, call, arrays[: max(places) + 1], rng)
        assert len(products) == {"all": 2, "key and value": 3, "query and key": 4}[shared]
        products.clear()


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("options", RESULTS, ids=str)
def test_the_causal_hint(options, kind, padded, torch, rng):
    ahead = np.triu(np.ones((L, L), bool), 1)
    seen = ahead if kind == "bool" else np.where(ahead, -INF, 0.0)
    given = [*inputs(rng, {}, source=L), mask(rng, "bool", N, L) if padded else None, seen]
    hinted = attend({**options, "is_causal": True})
    layers = pair(torch, "MultiheadAttention", E, H)
    compare(torch, *layers, hinted, given, rng)
    tensors = [None if x is None else tinydl.tensor(x) for x in given]
    assert_near(hinted(layers[0], *tensors)[0], attend(options)(layers[0], *tensors)[0])


def test_the_causal_hint_leaves_keys_at_the_end_visible(rng):
    layer = nn.MultiheadAttention(E, H, add_bias_kv=True, add_zero_attn=True, dtype=np.float64)
    x, seen = tinydl.tensor(normal(rng, (L, N, E), np.float64)), tinydl.tensor(np.triu(np.ones((L, L), bool), 1))
    expected = layer(x, x, x, attn_mask=seen)[0]
    assert_near(layer(x, x, x, attn_mask=seen, is_causal=True, need_weights=False)[0], expected)


@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("where", ["padding", "attention", "both"])
def test_queries_that_see_nothing(where, kind, torch, rng):
    padding, seen = mask(rng, "bool", N, S), mask(rng, "bool", L, S)
    if where != "attention":
        padding[1] = True
    if where != "padding":
        seen[2] = True
    masks = [m if kind == "bool" else np.where(m, -INF, 0.0) for m in (padding, seen)]
    given = [*inputs(rng, {}), *masks]
    layers = pair(torch, "MultiheadAttention", E, H)
    compare(torch, *layers, attend({"need_weights": False}), given, rng)
    with tinydl.no_grad(), torch.no_grad():
        got = attend({})(layers[0], *map(tinydl.tensor, given))
        wanted = attend({})(layers[1], *map(torch.tensor, given))
    assert np.isnan(got[1].numpy()).any()
    for a, b in zip(got, wanted, strict=True):
        assert_near(a, b)


@pytest.mark.parametrize("options", RESULTS, ids=str)
@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 3, 0), (0, 0, 2), (1, 1, 1), (1, 4, 1), (4, 1, 2)])
@pytest.mark.parametrize("extra", [{}, {"add_bias_kv": True, "add_zero_attn": True}, {"batch_first": True}], ids=str)
def test_empty_and_short(extra, sizes, options, torch, rng):
    length, source, batch = sizes
    given = inputs(rng, extra, batch=batch, length=length, source=source)
    layers = pair(torch, "MultiheadAttention", E, H, **extra)
    compare(torch, *layers, attend(options), given, rng)


# -- The equations ----------------------------------------------------------------------------------------------


def test_the_equations_term_by_term(rng):
    """head_i = softmax(Q W_i^Q (K W_i^K)^T / sqrt(d_k)) V W_i^V, Concat(head_1 ... head_h) W^O, with loops."""
    layer = nn.MultiheadAttention(E, H, dtype=np.float64, batch_first=True, kdim=5, vdim=7)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    state = {name: t.numpy() for name, t in layer.state_dict().items()}
    q, k, v = inputs(rng, {"batch_first": True, "kdim": 5, "vdim": 7})
    d = E // H
    expected, attention = np.zeros((N, L, E)), np.zeros((N, H, L, S))
    for n in range(N):
        heads = []
        for i in range(H):
            rows = slice(i * d, (i + 1) * d)
            parts = []
            for at, (x, name) in enumerate(((q, "q"), (k, "k"), (v, "v"))):
                bias = state["in_proj_bias"][at * E : (at + 1) * E][rows]
                parts.append(x[n] @ state[f"{name}_proj_weight"][rows].T + bias)
            scores = parts[0] @ parts[1].T / np.sqrt(d)
            for row in range(L):
                powers = [np.exp(score) for score in scores[row]]
                attention[n, i, row] = [power / sum(powers) for power in powers]
            heads.append(attention[n, i] @ parts[2])
        expected[n] = np.concatenate(heads, 1) @ state["out_proj.weight"].T + state["out_proj.bias"]
    given = [tinydl.tensor(x) for x in (q, k, v)]
    out, weights = layer(*given, average_attn_weights=False)
    assert np.abs(out.detach().numpy() - expected).max() < 1e-12
    assert np.abs(weights.detach().numpy() - attention).max() < 1e-12
    assert np.abs(layer(*given)[1].detach().numpy() - attention.mean(1)).max() < 1e-12
    assert np.abs(layer(*given, need_weights=False)[0].detach().numpy() - expected).max() < 1e-12


@pytest.mark.parametrize("options", [{"need_weights": False}, {}], ids=str)
def test_gradients(options, rng):
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=True, dtype=np.float64)
    given = [tinydl.tensor(normal(rng, (n, 2, 4), np.float64)).requires_grad_() for n in (3, 2, 2)]
    seen = tinydl.tensor(rng.standard_normal((3, 2))).requires_grad_()
    assert gradcheck(lambda q, k, v, m: layer(q, k, v, attn_mask=m, **options)[0], [*given, seen])


# -- The layer as a module --------------------------------------------------------------------------------------


def test_initial_values():
    tinydl.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    for weight, bound in ((layer.in_proj_weight, np.sqrt(6 / 256)), (layer.out_proj.weight, 1 / 8)):
        values = weight.detach().numpy()
        assert 0.98 * bound < np.abs(values).max() <= bound
        assert abs(values.std() / (bound / np.sqrt(3)) - 1) < 0.03
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
    for last in (layer.bias_k, layer.bias_v):
        assert abs(last.detach().numpy().std() / np.sqrt(2 / 128) - 1) < 0.3
    apart = nn.MultiheadAttention(64, 4, kdim=32)
    assert np.abs(apart.k_proj_weight.detach().numpy()).max() <= np.sqrt(6 / 96)


@pytest.mark.parametrize("options", RESULTS, ids=str)
def test_dropout(options, rng):
    layer = nn.MultiheadAttention(E, H, dropout=0.3)
    x = tinydl.tensor(normal(rng, (40, N, E)))
    run = lambda: layer(x, x, x, **options)[0].detach().numpy()  # noqa: E731
    tinydl.manual_seed(1)
    first, second = run(), run()
    tinydl.manual_seed(1)
    assert np.array_equal(run(), first)
    assert not np.array_equal(first, second)
    runs = np.mean([run() for _ in range(300)], 0)
    layer.eval()
    assert np.array_equal(run(), run())
    assert np.abs(runs - run()).max() < 0.2 * np.abs(first - run()).max()


def test_dropout_thins_the_weights(rng):
    layer = nn.MultiheadAttention(E, H, dropout=0.3)
    x = tinydl.tensor(normal(rng, (50, N, E)))
    weights = layer(x, x, x, average_attn_weights=False)[1].detach().numpy()
    dropped = weights == 0
    whole = layer.eval()(x, x, x, average_attn_weights=False)[1].detach().numpy()
    assert abs(dropped.mean() - 0.3) < 0.02
    assert np.abs(weights / (whole / 0.7) - 1)[~dropped].max() < 1e-5
    all_dropped = nn.MultiheadAttention(E, H, dropout=1.0, bias=False)
    assert not all_dropped(x, x, x, need_weights=False)[0].detach().numpy().any()


def test_hooks_copies_and_state(rng):
    layer = nn.MultiheadAttention(E, H, add_bias_kv=True, batch_first=True)
    x = tinydl.tensor(normal(rng, (N, L, E)))
    seen = []
    layer.register_forward_hook(lambda module, args, out: seen.append((len(args), out[0].shape)))
    expected = layer(x, x, x)[0].detach().numpy()
    assert seen == [(3, (N, L, E))]
    other = nn.MultiheadAttention(E, H, add_bias_kv=True, batch_first=True)
    other.load_state_dict(layer.state_dict())
    twin = copy.deepcopy(layer)
    nn.init.zeros_(layer.in_proj_weight)
    for same in (other, twin):
        assert np.array_equal(same(x, x, x)[0].detach().numpy(), expected)
    assert repr(layer).startswith("MultiheadAttention(\n  (out_proj): ")
    assert layer.double()(x.double(), x.double(), x.double())[0].dtype == tinydl.float64


@pytest.mark.parametrize("options", [{"need_weights": False}, {}], ids=str)
@pytest.mark.parametrize("dtype", [tinydl.float16, tinydl.bfloat16], ids=str)
def test_half_precision(dtype, options, rng):
    layer = nn.MultiheadAttention(E, H)
    x, padding = tinydl.tensor(normal(rng, (L, N, E))), tinydl.tensor(mask(rng, "bool", N, L))
    wanted = layer(x, x, x, padding, **options)[0].detach().numpy()
    x = x.to(dtype).requires_grad_()
    out = layer.to(dtype)(x, x, x, padding, **options)[0]
    assert out.dtype == dtype
    assert np.abs(out.float().detach().numpy() - wanted).max() < 2**-5
    out.sum().backward()
    assert x.grad.dtype == dtype


def test_the_function(torch, rng):
    given = [normal(rng, (n, N, E), np.float64) for n in (L, S, S)]
    weights = [normal(rng, shape, np.float64) for shape in ((3 * E, E), (3 * E,), (E, E), (E,))]
    static = [normal(rng, (N * H, 6, E // H), np.float64) for _ in range(2)]
    cases = [
        {},
        {"need_weights": False},
        {"training": False},
        {"static": True, "need_weights": False},
        {"static": True},
        {"separate": True},
    ]
    for case in cases:
        outs = []
        for tensor, function in (
            (tinydl.tensor, nn.functional.multi_head_attention_forward),
            (torch.tensor, torch.nn.functional.multi_head_attention_forward),
        ):
            w, b, out_w, out_b = map(tensor, weights)
            more = dict(case)
            if more.pop("static", False):
                more |= {"static_k": tensor(static[0]), "static_v": tensor(static[1])}
            if more.pop("separate", False):
                names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
                more |= {"use_separate_proj_weight": True, **dict(zip(names, w.chunk(3), strict=True))}
            p = 0.0 if more.get("training", True) else 0.5
            arguments = (*map(tensor, given), E, H, w, b, None, None, False, p, out_w, out_b)
            outs.append(function(*arguments, **more))
        for a, b in zip(*outs, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_near(a, b)


# -- What is refused --------------------------------------------------------------------------------------------


def call_of(**options):
    """A call on zeros of the shapes and dtypes that the options change."""
    layer = nn.MultiheadAttention(E, H, **options.pop("layer", {}))
    shapes = {"query": (L, N, E), "key": (S, N, E), "value": (S, N, E)}
    given = {name: options.pop(name, tinydl.zeros(*shape)) for name, shape in shapes.items()}
    return lambda: layer(**given, **options)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: nn.MultiheadAttention(0, 1), ValueError, "got embed_dim=0, wanted an integer of at least 1"),
        (lambda: nn.MultiheadAttention(8, 2.0), TypeError, "got num_heads=2.0, wanted an integer"),
        (lambda: nn.MultiheadAttention(8, 2, kdim=0), ValueError, "got kdim=0"),
        (lambda: nn.MultiheadAttention(8, 3), ValueError, "embed_dim=8 and num_heads=3, wanted heads that divide it"),
        (lambda: nn.MultiheadAttention(8, 2, 1.5), ValueError, r"got dropout=1.5, wanted a probability in \[0, 1\]"),
        (lambda: nn.MultiheadAttention(8, 2, "0.1"), ValueError, "got dropout='0.1', wanted a probability"),
        (lambda: nn.MultiheadAttention(8, 2, device="nowhere"), ValueError, "device 'nowhere'"),
        (call_of(query=tinydl.zeros(L, N, 7)), ValueError, r"query of shape \(4, 3, 7\), wanted \(L, N, 8\)"),
        (call_of(query=np.zeros((L, N, E), np.float32)), TypeError, "query is of type ndarray, wanted a tensor"),
        (call_of(key=tinydl.zeros(S, E)), ValueError, "wanted all three with 3 axes, or all with 2"),
        (call_of(query=tinydl.zeros(E)), ValueError, r"\(8,\), \(5, 3, 8\)"),
        (call_of(value=tinydl.zeros(4, N, E)), ValueError, r"key of shape \(5, 3, 8\) and value of shape \(4, 3, 8\)"),
        (call_of(query=tinydl.zeros(L, 1, E)), ValueError, r"wanted one batch size \(axis 1\)"),
        (call_of(layer={"vdim": 3}), ValueError, r"value of shape \(5, 3, 8\), wanted \(S, N, 3\)"),
        (call_of(query=tinydl.zeros(L, N, E).double()), TypeError, "dtypes float32 and float64, wanted one"),
        (call_of(is_causal=True), ValueError, "is_causal says that attn_mask is the causal mask, and needs it"),
        (call_of(attn_mask=tinydl.zeros(S, L)), ValueError, r"attn_mask of shape \(5, 4\), wanted \(4, 5\) or \(6, 4,"),
        (call_of(attn_mask=tinydl.zeros(1, L, S)), ValueError, r"got attn_mask of shape \(1, 4, 5\)"),
        (call_of(attn_mask=tinydl.zeros(L, S).long()), TypeError, "attn_mask of dtype int64, wanted bool or the query"),
        (call_of(attn_mask=tinydl.zeros(L, S).double()), TypeError, "attn_mask of dtype float64, wanted bool or"),
        (call_of(attn_mask=[[0.0]]), TypeError, "attn_mask is of type list, wanted a tensor"),
        (call_of(key_padding_mask=tinydl.zeros(S)), ValueError, r"key_padding_mask of shape \(5,\), wanted \(3, 5\)"),
    ],
)
def test_wrong_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_wrong_calls_of_the_function():
    x, w, o = tinydl.zeros(L, N, E), tinydl.zeros(3 * E, E), tinydl.zeros(E, E)
    k = tinydl.zeros(1, 1, E)
    f = nn.functional.multi_head_attention_forward
    for call, said in [
        (lambda: f(x, x, x, 9, H, w, None, None, None, False, 0.0, o, None), r"wanted \(..., 9\) and heads"),
        (lambda: f(x, x, x, E, 3, w, None, None, None, False, 0.0, o, None), "3 heads"),
        (lambda: f(x, x, x, E, H, None, None, None, None, False, 0.0, o, None), "got no in_proj_weight"),
        (lambda: f(x, x, x, E, H, w, None, k, None, False, 0.0, o, None), "bias_k and bias_v both or neither"),
        (
            lambda: f(x, x, x, E, H, None, None, None, None, False, 0.0, o, None, use_separate_proj_weight=True),
            "needs q_proj_weight",
        ),
        (lambda: f(x, x, x, E, H, w, None, None, None, False, 0.0, o, None, static_k=x), r"wanted \(6, S, 4\)"),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
