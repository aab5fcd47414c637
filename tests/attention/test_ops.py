"""scaled_dot_product_attention beside PyTorch's and beside its equation, and the positions."""

import inspect
import math

import numpy as np
import pytest

import tinydl
from tests.attention import reference
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend
from tinydl.autograd import gradcheck
from tinydl.nn.functional import scaled_dot_product_attention as attention
from tinydl.ops.position import rotary, sinusoidal_positions

BOUNDS = {np.float32: 1e-5, np.float64: 1e-10}  # relative to the largest value
CASES = [
    # shapes of query, key and value; of the mask, or None; its dtype; more arguments
    ((2, 3, 17, 8), (2, 3, 17, 8), (2, 3, 17, 8), None, None, {}),
    ((2, 3, 17, 8), (2, 3, 65, 8), (2, 3, 65, 5), None, None, {"scale": 0.7}),
    ((1, 2, 129, 64), (1, 2, 65, 64), (1, 2, 65, 64), None, None, {"is_causal": True}),
    ((1, 2, 65, 64), (1, 2, 129, 64), (1, 2, 129, 64), None, None, {"is_causal": True}),
    ((2, 3, 17, 8), (2, 3, 65, 8), (2, 3, 65, 8), (17, 65), bool, {}),
    ((2, 3, 17, 8), (2, 3, 65, 8), (2, 3, 65, 8), (2, 1, 1, 65), bool, {}),
    ((2, 3, 17, 8), (2, 3, 65, 8), (2, 3, 65, 8), (3, 17, 65), float, {}),
    ((2, 3, 17, 8), (2, 3, 65, 8), (2, 3, 65, 8), (2, 3, 17, 1), float, {}),
    ((2, 6, 17, 8), (2, 2, 33, 8), (2, 2, 33, 8), None, None, {"enable_gqa": True}),
    ((2, 6, 17, 8), (2, 3, 33, 8), (2, 2, 33, 8), None, None, {"enable_gqa": True, "is_causal": True}),
    ((6, 17, 8), (2, 33, 8), (2, 33, 8), None, None, {"enable_gqa": True}),
    ((17, 8), (33, 8), (33, 9), None, None, {}),
    ((3, 17, 8), (3, 33, 8), (3, 33, 9), (3, 17, 33), bool, {}),
    ((2, 2, 3, 7, 8), (2, 2, 3, 9, 8), (2, 2, 3, 9, 8), (2, 1, 3, 7, 9), float, {}),
    ((2, 3, 7, 8), (1, 3, 9, 8), (3, 9, 8), None, None, {}),
    ((2, 3, 7, 8), (2, 1, 9, 8), (2, 1, 9, 8), None, None, {}),
    ((2, 3, 1, 8), (2, 3, 33, 8), (2, 3, 33, 8), None, None, {}),
    ((2, 3, 5, 8), (2, 3, 0, 8), (2, 3, 0, 8), None, None, {}),
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 0), None, None, {}),
    ((2, 3, 0, 8), (2, 3, 4, 8), (2, 3, 4, 8), None, None, {}),
]


def mask_of(rng, shape, kind, dtype):
    if shape is None:
        return None
    if kind is bool:
        mask = rng.random(shape) < 0.7
        mask[..., 0, :] &= rng.random() < 0.5  # a row that may see nothing
        return mask
    return normal(rng, shape, dtype)


def near(got, expected, dtype):
    a, b = got.detach().numpy(), expected.detach().numpy()
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert np.abs(a - b).max(initial=0) <= BOUNDS[dtype] * max(np.abs(b).max(initial=0), 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_as_in_pytorch(case, dtype, torch, rng):
    *shapes, mask_shape, kind, more = case
    arrays = [normal(rng, shape, dtype) for shape in shapes]
    mask = mask_of(rng, mask_shape, kind, dtype)
    ours = [tinydl.tensor(x).requires_grad_() for x in arrays]
    theirs = [torch.tensor(x).requires_grad_() for x in arrays]
    got = attention(*ours, None if mask is None else tinydl.tensor(mask), **more)
    torch_mask = None if mask is None else torch.tensor(mask)
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, torch_mask, **more)
    near(got, expected, dtype)
    up = normal(rng, got.shape, dtype)
    got.backward(tinydl.tensor(up))
    expected.backward(torch.tensor(up))
    for a, b in zip(ours, theirs, strict=True):
        near(a.grad, b.grad if b.grad is not None else torch.zeros_like(b), dtype)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("shape", [(5, 7), (2, 1, 1, 7), (3, 5, 1), (1, 1), (2, 3, 5, 7)])
def test_the_gradient_of_a_mask_as_in_pytorch(shape, hidden, torch, rng):
    arrays = [normal(rng, s, np.float64) for s in ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), shape)]
    if hidden:
        arrays[3][..., 0, :] = -np.inf
    ours = [tinydl.tensor(x).requires_grad_() for x in arrays]
    theirs = [torch.tensor(x).requires_grad_() for x in arrays]
    got, expected = attention(*ours), torch.nn.functional.scaled_dot_product_attention(*theirs)
    near(got, expected, np.float64)
    up = normal(rng, got.shape, np.float64)
    got.backward(tinydl.tensor(up))
    expected.backward(torch.tensor(up))
    for a, b in zip(ours, theirs, strict=True):
        near(a.grad, b.grad, np.float64)


def test_its_arguments_are_pytorchs():
    names = ["query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa"]
    parameters = inspect.signature(attention).parameters
    assert list(parameters) == names
    assert [p.default for p in parameters.values()][3:] == [None, 0.0, False, None, False]


@pytest.mark.parametrize("mask", [None, bool, float])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_gradients(mask, causal, p, rng):
    inputs = [tinydl.tensor(normal(rng, s, np.float64)).requires_grad_() for s in ((1, 4, 5, 3), *2 * ((1, 2, 6, 3),))]
    if mask is bool:
        extra = tinydl.tensor(rng.random((5, 6)) < 0.7)
    elif mask is float:
        inputs.append(tinydl.tensor(normal(rng, (4, 1, 6), np.float64)).requires_grad_())

    def function(q, k, v, *more):
        tinydl.manual_seed(5)
        given = extra if mask is bool else more[0] if more else None
        return attention(q, k, v, given, p, causal, enable_gqa=True)

    assert gradcheck(function, inputs)


def test_the_equation(rng):
    q, k, v = (tinydl.tensor(normal(rng, (2, 3, 11, 8), np.float64)) for _ in range(3))
    weights = tinydl.softmax(q @ k.transpose(-1, -2) / math.sqrt(8), dim=-1)
    assert_close(attention(q, k, v), weights @ v, "attention", length=11, scale=1)


def test_dropout_is_drawn_from_the_generator(rng):
    q, k, v, grad = (normal(rng, (2, 3, 9, 6), np.float64) for _ in range(4))
    tinydl.manual_seed(3)
    seed, offset = tinydl.random.default_generator.state()
    a, b = (attention(*map(tinydl.tensor, (q, k, v)), dropout_p=0.4).numpy() for _ in range(2))
    assert not np.array_equal(a, b)
    factors = _cpu.dropout(np.ones((2, 3, 9, 12)), 0.4, seed, offset)[0][..., :9]
    expected = reference.run(q, k, v, grad, None, 6**-0.5, False, factors)[0]
    assert_close(a, expected, "attention", length=9, scale=1)
    tinydl.manual_seed(3)
    assert np.array_equal(attention(*map(tinydl.tensor, (q, k, v)), dropout_p=0.4).numpy(), a)


def test_a_float32_mask_in_float64(rng):
    """PyTorch 2.13 takes it too, but reads it wrongly where it is broadcast over the keys."""
    q, k, v, grad = (normal(rng, (2, 3, 9, 6), np.float64) for _ in range(4))
    for shape in ((9, 9), (9, 1)):
        mask = normal(rng, shape)
        got = attention(*map(tinydl.tensor, (q, k, v)), tinydl.tensor(mask))
        expected = reference.run(q, k, v, grad, mask.astype(np.float64), 6**-0.5)[0]
        assert_close(got, expected, "attention", length=9, scale=1)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision(name, torch, rng):
    arrays = [normal(rng, (2, 3, 9, 6)) for _ in range(3)]
    ours = [getattr(tinydl.tensor(x), "half" if name == "float16" else name)().requires_grad_() for x in arrays]
    out = attention(*ours, tinydl.tensor(np.zeros((9, 9), np.float32)), is_causal=True)
    assert out.dtype == getattr(tinydl, name)
    wide = [torch.tensor(t.float().detach().numpy()) for t in ours]
    expected = torch.nn.functional.scaled_dot_product_attention(*wide, is_causal=True).numpy()
    assert np.abs(out.float().detach().numpy() - expected).max() < 2**-6
    out.sum().backward()
    assert ours[0].grad.dtype == out.dtype


def peak(length):
    """The most memory in use while attention goes forward and backward, beyond that of the operands."""
    operands = [tinydl.randn(1, 1, length, 16).requires_grad_() for _ in range(3)]
    before = tinydl.memory_stats()["allocated"]
    tinydl.reset_peak_memory()
    attention(*operands, is_causal=True).sum().backward()
    return tinydl.memory_stats()["peak"] - before


def test_memory_grows_with_the_length():
    with backend.use_threads(2):
        small, large = peak(4096), peak(16384)
    assert large < 5 * small
    assert large < 16384**2 * 4 / 50


def test_wrong_calls(rng):
    q, k = tinydl.zeros(2, 4, 5, 6), tinydl.zeros(2, 4, 7, 6)
    for call, said in [
        (lambda: attention(tinydl.zeros(3), k, k), r"got shapes \(3,\), .* wanted \(..., length, features\)"),
        (lambda: attention(q, tinydl.zeros(2, 4, 7, 5), k), "got 6 features of the query and 5 of the key"),
        (lambda: attention(q, k, k[:, :, 1:]), "got 7 keys and 6 values"),
        (lambda: attention(q, k[:, :2], k[:, :2]), "do not broadcast; enable_gqa=True shares heads of keys"),
        (lambda: attention(q, k[:, :3], k[:, :3], enable_gqa=True), r"got \[4, 3, 3\] heads of query, key and value"),
        (lambda: attention(q[0, 0], k[0, 0], k[0, 0], enable_gqa=True), "wanted .* with enable_gqa"),
        (lambda: attention(q, k, k, dropout_p=1.5), "got dropout_p = 1.5, wanted a probability from 0 to 1"),
        (lambda: attention(q, k, k, tinydl.ones(7)), r"attn_mask of shape \(7,\), wanted \(..., queries, keys\)"),
        (lambda: attention(q, k, k, tinydl.ones(7, 5)), r"wanted one that broadcasts to \(2, 4, 5, 7\)"),
        (lambda: attention(q, k, k, tinydl.ones(3, 1, 5, 7)), r"wanted one that broadcasts to \(2, 4, 5, 7\)"),
        (lambda: attention(q, k, k, tinydl.ones(1, 2, 4, 5, 7)), r"wanted one that broadcasts to \(2, 4, 5, 7\)"),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
    for call, said in [
        (lambda: attention(q, k.double(), k), "got dtypes float32 and float64, wanted one"),
        (lambda: attention(q.long(), k.long(), k.long()), "got dtype int64, wanted a floating-point dtype"),
        (lambda: attention(q, k, k, tinydl.ones(5, 7).long()), "got an attn_mask of int64, wanted bool, float32"),
        (lambda: attention(q, k, k, tinydl.ones(5, 7).double()), "got an attn_mask of float64"),
        (lambda: attention(q, k, k, np.ones((5, 7))), "got an attn_mask of ndarray, wanted a tensor"),
        (lambda: attention(q.numpy(), k, k), "got ndarray, wanted a tensor"),
    ]:
        with pytest.raises(TypeError, match=said):
            call()


# -- Positions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "dim"), [(0, 4), (1, 2), (7, 6), (3, 0), (2000, 64)])
def test_sinusoidal_positions(length, dim):
    table = sinusoidal_positions(length, dim).numpy()
    assert table.shape == (length, dim)
    for t in range(0, length, 97):
        for i in range(dim // 2):
            angle = t / 10000 ** (2 * i / dim)
            assert abs(table[t, 2 * i] - math.sin(angle)) < 1e-6
            assert abs(table[t, 2 * i + 1] - math.cos(angle)) < 1e-6


def turned(x, t, base):
    """A pair of features is a complex number; position t turns it by t / base^(2 i / E)."""
    pairs = x[..., 0::2] + 1j * x[..., 1::2]
    i = np.arange(pairs.shape[-1])
    pairs = pairs * np.exp(1j * t[..., None] / base ** (2 * i / x.shape[-1]))
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 5, 2), (2, 0, 4), (1, 5, 0)])
def test_rotary(shape, dtype, rng):
    x = normal(rng, shape, dtype)
    positions = rng.integers(0, 1000, shape[-2])
    got = rotary(tinydl.tensor(x), tinydl.tensor(positions), base=500.0)
    assert_close(got, turned(x.astype(np.float64), positions, 500.0), "attention", scale=4, dtype=dtype)


def test_rotary_gradient_and_distance(rng):
    x = tinydl.tensor(normal(rng, (2, 5, 6), np.float64)).requires_grad_()
    positions = tinydl.tensor(rng.integers(0, 50, (2, 5)))
    assert gradcheck(lambda t: rotary(t, positions), [x])
    q, k = (tinydl.tensor(normal(rng, (1, 6), np.float64)) for _ in range(2))
    products = [(rotary(q, tinydl.tensor([t + 7])) * rotary(k, tinydl.tensor([t]))).sum().item() for t in (0, 5, 900)]
    assert max(products) - min(products) < 1e-9


def test_rotary_in_half_precision(rng):
    x = tinydl.tensor(normal(rng, (5, 8))).bfloat16()
    y = rotary(x, tinydl.arange(5))
    assert y.dtype == tinydl.bfloat16
    assert np.abs(y.float().numpy() - turned(x.float().numpy(), np.arange(5), 10000.0)).max() < 2**-6


def test_wrong_positions():
    x = tinydl.zeros(5, 4)
    for call, said in [
        (lambda: sinusoidal_positions(3, 5), "got 5 features, wanted an even number"),
        (lambda: sinusoidal_positions(-1, 4), "got length -1"),
        (lambda: rotary(tinydl.zeros(5, 3), tinydl.arange(5)), "got 3 features, wanted an even number"),
        (lambda: rotary(x, tinydl.arange(4)), r"got positions of shape \(4,\), wanted what broadcasts to \(5,\)"),
        (lambda: rotary(x, tinydl.zeros(2, 5)), "wanted what broadcasts"),
        (lambda: rotary(tinydl.zeros(4), tinydl.arange(4)), r"wanted \(..., length, features\)"),
    ]:
        with pytest.raises(ValueError, match=said):
            call()
    with pytest.raises(TypeError, match="got dtype int64"):
        rotary(x.long(), tinydl.arange(5))
    with pytest.raises(TypeError, match="got positions of bool"):
        rotary(x, tinydl.ones(5).bool())
    with pytest.raises(TypeError, match="got positions of range"):
        rotary(x, range(5))
