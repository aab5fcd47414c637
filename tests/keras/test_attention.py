"""Attention layers: the equations term by term, what Keras computes, masks, dropout, settings, refusals."""

import inspect

import numpy as np
import pytest

import tinydl
from tinydl.keras import Model, layers, models

from ..support.compare import assert_close
from .agreement import grads_of, unsettle
from .test_recurrent import set_waves, waves

N, T, S = 2, 3, 5
MASK = np.array([[[True, False, True, True, False]] * T, [[True] * S, [False, True, False, False, False], [True] * S]])


def heads(t, x, kernel, bias):
    return t.einsum("nti,ihd->nhtd", x, kernel) + bias[:, None]


def multi_head(t, q, v, k, weights, mask=None, gated=False):
    """concat(softmax(Q_i K_i^T/√d) V_i) W_o + b_o."""
    parts = list(zip(weights[::2], weights[1::2], strict=True))
    queries, keys = heads(t, q, *parts[0]), heads(t, k, *parts[1])
    values = heads(t, v, *parts[-2])
    scores = queries @ keys.transpose(2, 3) / queries.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~t.tensor(mask)[:, None], -np.inf)
    out = scores.softmax(-1) @ values
    if gated:
        out = out * heads(t, q, *parts[2]).sigmoid()
    return t.einsum("nhtd,hdo->nto", out, parts[-1][0]) + parts[-1][1], scores.softmax(-1)


CASES = [
    ({}, {}, None),
    ({"value_dim": 2}, {"attention_mask": MASK}, MASK),
    ({"output_shape": 7}, {"use_causal_mask": True}, np.tri(T, S, dtype=bool)[None]),
    ({}, {"use_causal_mask": True, "attention_mask": MASK | np.eye(T, S, dtype=bool)}, MASK & np.tri(T, S, dtype=bool)
     | np.eye(T, S, dtype=bool)),
    ({"sliding_window": 2}, {}, (np.abs(np.arange(T)[:, None] - np.arange(S)) < 2)[None]),
    ({"use_gate": True}, {}, None),
]  # fmt: skip


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize(("options", "beside", "mask"), CASES)
def test_equations(torch, rng, options, beside, mask, scored):
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((N, T, 4), (N, S, 6), (N, S, 7))]
    layer = layers.MultiHeadAttention(2, 3, **options)
    layer.build(*[x.shape for x in arrays])
    layer.set_weights([rng.standard_normal(w.shape) / 2 for w in layer.get_weights()])
    given = [tinydl.tensor(x, requires_grad=True) for x in arrays]
    out = layer(*given, return_attention_scores=scored, training=True, **beside)
    out, weights = out if scored else (out, None)
    wide = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in arrays]
    held = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in layer.get_weights()]
    wanted, seen = multi_head(torch, *wide, held, mask, "use_gate" in options)
    assert_close(out, wanted.detach().numpy(), "gradient", length=60, scale=wanted.abs().max().item())
    if scored:
        assert_close(weights, seen.detach().numpy(), "gradient", length=60, scale=1.0)
    upstream = rng.standard_normal(out.shape).astype(np.float32)
    out.backward(tinydl.tensor(upstream))
    wanted.backward(torch.tensor(upstream, dtype=torch.float64))
    pairs = zip([*[x.grad.numpy() for x in given], *grads_of(layer)], [x.grad for x in (*wide, *held)], strict=True)
    for got, want in pairs:
        assert_close(got, want.numpy(), "gradient", length=200, scale=max(1.0, want.abs().max().item()))


def test_outputs_of_keras():
    """Those of Keras 3.15, rounded to 1e-6."""
    q, v = waves((1, 3, 4)), waves((1, 5, 4), 0.7)
    layer = layers.MultiHeadAttention(2, 3, value_dim=2)
    layer.build(q.shape, v.shape)
    set_waves(layer)
    wanted = [-0.00301, 0.040679, -0.736838, -0.866059, -1.018375, -1.475037, -2.681932, -3.149453, -0.890953]
    got = layer(q, v, attention_mask=np.tril(np.ones((1, 3, 5), bool))).numpy().ravel()
    assert got == pytest.approx([*wanted, -1.145872, -2.166437, -2.471765], abs=2e-6)


def test_weights():
    layer = layers.MultiHeadAttention(2, 3, use_bias=False)
    layer.build((None, 5, 4), (None, 6, 7))
    names = ["query_kernel", "key_kernel", "value_kernel", "attention_output_kernel"]
    assert [v.name for v in layer._variables] == names
    assert [w.shape for w in layer.weights] == [(4, 2, 3), (7, 2, 3), (7, 2, 3), (2, 3, 4)]
    biased = layers.MultiHeadAttention(2, 3, output_shape=(5, 2))
    biased.build((None, 5, 4), (None, 6, 7))
    shapes = [(4, 2, 3), (2, 3), (7, 2, 3), (2, 3), (7, 2, 3), (2, 3), (2, 3, 5, 2), (5, 2)]
    assert [w.shape for w in biased.weights] == shapes
    assert biased.compute_output_shape((None, 5, 4)) == (None, 5, 5, 2)


def test_masks_of_the_inputs(rng):
    tokens = np.array([[1, 2, 0], [0, 0, 0]])
    embedding = layers.Embedding(3, 4, mask_zero=True)
    x = embedding(tokens)
    layer = layers.MultiHeadAttention(2, 3)
    out = layer(x, x)
    assert np.array_equal(out._keras_mask.numpy(), tokens != 0)
    short = tinydl.tensor(x.numpy()[:1, :2])
    assert_close(out[:1, :2], layer(short, short).numpy(), "gradient", length=20, scale=1.0)
    assert np.isfinite(out.numpy()).all()
    nothing = np.broadcast_to(layer.get_weights()[-1], (3, 4))  # where no key is seen: the output's bias
    assert np.array_equal(out.numpy()[1], nothing)
    _, weights = layer(x, x, return_attention_scores=True)
    assert not weights.numpy()[1].any()


@pytest.mark.parametrize("axes", [None, (1,), (2,), (1, 2)])
def test_axes_of_steps(rng, axes):
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    layer = layers.MultiHeadAttention(2, 3, attention_axes=axes)
    got = layer(x, x).numpy()
    plain = layers.MultiHeadAttention(2, 3)
    plain.build((None, 3, 5), (None, 3, 5))
    plain.set_weights(layer.get_weights())
    wanted = np.empty_like(got)
    if axes == (1,):
        for i in range(4):
            wanted[:, :, i] = plain(x[:, :, i], x[:, :, i]).numpy()
    elif axes == (2,):
        for i in range(3):
            wanted[:, i] = plain(x[:, i], x[:, i]).numpy()
    else:
        flat = x.reshape(2, 12, 5)
        wanted = plain(flat, flat).numpy().reshape(2, 3, 4, 5)
    assert_close(got, wanted.astype(np.float64), "gradient", length=60, scale=1.0)


def test_dropout(rng):
    x = rng.standard_normal((4, 6, 4)).astype(np.float32)
    made = [layers.MultiHeadAttention(2, 3, dropout=0.5, seed=seed) for seed in (1, 1, 2)]
    for layer in made:
        layer.build(x.shape, x.shape)
        layer.set_weights(made[0].get_weights())
    first, again, other = (layer(x, x, training=True).detach().numpy() for layer in made)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(made[0](x, x), made[1](x, x))
    free = layers.MultiHeadAttention(2, 3, dropout=0.5)
    free.build(x.shape, x.shape)
    tinydl.manual_seed(0)
    one = free(x, x, training=True).detach().numpy()
    tinydl.manual_seed(0)
    assert np.array_equal(free(x, x, training=True).detach().numpy(), one)


def test_in_models_and_files(rng, tmp_path):
    q, v = tinydl.keras.Input((T, 4)), tinydl.keras.Input((S, 6))
    out, scores = layers.MultiHeadAttention(2, 3)(q, v, return_attention_scores=True)
    other = layers.Attention()([layers.Dense(6)(q), v])
    model = Model([q, v], [out, scores, other, layers.AdditiveAttention()([layers.Dense(6)(q), v])])
    assert model.output_shape == [(None, T, 4), (None, 2, T, S), (None, T, 6), (None, T, 6)]
    model.save(tmp_path / "m.safetensors")
    again = models.load_model(tmp_path / "m.safetensors")
    data = [rng.standard_normal(shape).astype(np.float32) for shape in ((N, T, 4), (N, S, 6))]
    for a, b in zip(model(data), again(data), strict=True):
        assert np.array_equal(a, b)
    twin = layers.MultiHeadAttention.from_config(layers.MultiHeadAttention(2, 3, kernel_regularizer="l2").get_config())
    assert (twin.num_heads, twin.key_dim) == (2, 3)


# -- One head, without projections ------------------------------------------------------------------------------


def of_scores(scores, v, mask=None):
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return weights @ v, weights


@pytest.mark.parametrize(
    ("make", "score"),
    [
        (lambda: layers.Attention(), lambda q, k: q @ k.swapaxes(1, 2)),
        (lambda: layers.Attention(use_scale=True), lambda q, k, s: s * (q @ k.swapaxes(1, 2))),
        (
            lambda: layers.Attention(score_mode="concat"),
            lambda q, k, c: c * np.tanh(q[:, :, None] + k[:, None]).sum(-1),
        ),
        (lambda: layers.AdditiveAttention(), lambda q, k, s: (s * np.tanh(q[:, :, None] + k[:, None])).sum(-1)),
        (lambda: layers.AdditiveAttention(False), lambda q, k: np.tanh(q[:, :, None] + k[:, None]).sum(-1)),
    ],
)
def test_one_head(rng, make, score):
    q, v, k = (rng.standard_normal(shape).astype(np.float32) for shape in ((N, T, 4), (N, S, 6), (N, S, 4)))
    layer = make()
    layer.build([q.shape, v.shape, k.shape])
    unsettle(layer, rng)
    scores = score(q.astype(np.float64), k.astype(np.float64), *[w.astype(np.float64) for w in layer.get_weights()])
    query_mask, value_mask = rng.random((N, T)) > 0.5, np.array([[True, False, True, True, False], [True] * S])
    for beside, mask in (
        ({}, None),
        ({"use_causal_mask": True}, np.tri(T, S, dtype=bool)),
        ({"mask": [None, value_mask]}, value_mask[:, None]),
    ):
        got, weights = layer([q, v, k], return_attention_scores=True, **beside)
        wanted = of_scores(scores, v, mask)
        assert_close(got, wanted[0], "gradient", length=20, scale=4.0)
        assert_close(weights, wanted[1], "gradient", length=20, scale=1.0)
    hidden = layer([q, v, k], mask=[query_mask, None])
    assert np.array_equal(hidden, layer([q, v, k]).numpy() * query_mask[..., None])


ARGUMENTS = "num_heads key_dim value_dim dropout use_bias output_shape attention_axes sliding_window flash_attention "
ARGUMENTS += "kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer "
ARGUMENTS += "kernel_constraint bias_constraint use_gate seed options"


def test_arguments_are_those_of_keras():
    assert " ".join(inspect.signature(layers.MultiHeadAttention).parameters) == ARGUMENTS
    assert list(inspect.signature(layers.Attention).parameters)[:4] == ["use_scale", "score_mode", "dropout", "seed"]


X = np.zeros((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 3), "MultiHeadAttention: got num_heads=0, wanted a positive integer"),
        (lambda: layers.MultiHeadAttention(2, 3, dropout=1.0), "got dropout=1.0, wanted 0 to 1, and less than 1"),
        (lambda: layers.MultiHeadAttention(2, 3).build((None, 3, 4)), "the shape of the value is missing"),
        (lambda: layers.MultiHeadAttention(2, 3)(X, X, X[:, :2]), "must have equally many steps"),
        (lambda: layers.MultiHeadAttention(2, 3)(X[0], X), "expected ndim=3 (N, T, features), found shape=(3, 4)"),
        (lambda: layers.Attention(score_mode="sum"), "got score_mode='sum', wanted 'dot' or 'concat'"),
        (lambda: layers.Attention()(X), "wanted a list [query, value] or [query, value, key], got a tuple"),
        (lambda: layers.Attention()([X]), "got a list of 1"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError) as found:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(found.value)
