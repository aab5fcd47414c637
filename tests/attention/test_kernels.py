"""The attention kernel against the formulas in float64, with the whole matrix of scores."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.attention import reference
from tests.support import devices
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

# (B, H, G, L, S, E, Ev): around the vectors, tiles and blocks of every tier
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 4, 2, 17, 65, 5, 7),
    (1, 2, 2, 129, 257, 64, 80),
    (2, 3, 1, 65, 129, 80, 64),
    (1, 1, 1, 300, 130, 33, 1),
    (1, 4, 2, 1, 300, 64, 64),
    (2, 2, 1, 4, 150, 19, 37),
    (2, 2, 2, 5, 0, 3, 4),
    (2, 2, 2, 0, 5, 3, 4),
    (2, 2, 1, 5, 4, 0, 4),
    (2, 2, 1, 5, 4, 3, 0),
    (0, 2, 1, 5, 4, 3, 2),
]
# What the emulation has time for: several tiles of both sides, groups, and heads of more than one part
FEW_SHAPES = [(2, 2, 1, 17, 65, 5, 7), (1, 1, 1, 67, 70, 40, 68), *SHAPES[7:]]
HALVES = [np.float16, ml_dtypes.bfloat16]
# Heads of every size of fragments, and beyond them; in packs of 8 and one by one
HALF_SHAPES = [
    (1, 2, 1, 70, 130, 16, 32),
    (2, 1, 1, 3, 66, 33, 50),
    (1, 1, 1, 65, 20, 96, 72),
    (1, 2, 1, 20, 65, 128, 8),
    (1, 1, 1, 9, 67, 40, 136),
    (1, 1, 1, 5, 0, 8, 8),
    (1, 1, 1, 4, 5, 0, 3),
]
MASKS = ["none", "bool", "float", "padding", "rows", "heads"]


def operands(rng, shape, dtype=np.float32):
    b, h, g, queries, keys, e, ev = shape
    sizes = (b, h, queries, e), (b, g, keys, e), (b, g, keys, ev), (b, h, queries, ev)
    return [normal(rng, size, dtype) for size in sizes]


def mask_of(rng, kind, shape, dtype):
    """A mask that broadcasts as its name says, or not at all; some rows see nothing."""
    b, h, _, queries, keys, _, _ = shape
    if kind == "none":
        return None
    if kind == "float":
        mask = normal(rng, (b, h, queries, keys), dtype)
        mask[rng.random(mask.shape) < 0.3] = -np.inf
        return mask
    if kind == "heads":
        return normal(rng, (h, queries, keys), dtype)
    size = {"bool": (b, h, queries, keys), "padding": (b, 1, 1, keys), "rows": (queries, 1)}[kind]
    return rng.random(size) < 0.6


def run(kernels, q, k, v, grad, mask=None, scale=None, causal=False, **dropout):
    scale = (q.shape[3] or 1) ** -0.5 if scale is None else scale
    o, lse = kernels.attention(q, k, v, mask, scale, causal, **dropout)
    return o, *kernels.attention_backward(grad, q, k, v, mask, o, lse, scale, causal, **dropout)


def check(kernels, given, *formula, **stream):
    """Against the formulas with the mask, scale, causality and factors of dropout that `formula` holds."""
    mask, scale, causal, *_ = formula
    expected = reference.run(*given, *formula)[:4]
    for got, want, size in zip(
        run(kernels, *given, mask, scale, causal, **stream),
        expected,
        reference.magnitudes(*given, *formula),
        strict=True,
    ):
        assert_close(got, want, "attention", length=max(given[0].shape[2:] + given[1].shape[2:]), scale=size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_values_and_gradients(kernels, kind, causal, dtype, isa, rng):
    for shape in FEW_SHAPES if isinstance(kernels, devices.Emulated) else SHAPES:
        given = operands(rng, shape, dtype)
        mask = mask_of(rng, kind, shape, dtype)
        check(kernels, given, mask, (shape[5] or 1) ** -0.5, causal)


@given(
    shape=st.tuples(*(st.integers(0, n) for n in (2, 2, 0, 140, 140, 20, 20))),
    group=st.integers(1, 3),
    causal=st.booleans(),
    kind=st.sampled_from(MASKS),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(shape, group, causal, kind, seed):
    b, heads, _, *rest = shape
    shape = (b, (heads + 1) * group, heads + 1, *rest)
    rng = np.random.default_rng(seed)
    given = operands(rng, shape)
    mask = mask_of(rng, kind, shape, np.float32)
    check(_cpu, given, mask, 0.3, causal)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("p", [0.25, 1.0])
def test_dropout_follows_the_generator(kernels, p, causal, isa, rng):
    """The dropped elements are those of the dropout kernel over rows of whole counters."""
    shape = (1, 4, 2, 35, 75, 16, 8) if isinstance(kernels, devices.Emulated) else (2, 4, 2, 140, 150, 16, 8)
    given = operands(rng, shape, np.float64)
    stream = {"p": p, "seed": 7, "offset": 11}
    b, h, _, queries, keys, *_ = shape
    factors = _cpu.dropout(np.ones((b, h, queries, (keys + 3) // 4 * 4)), p, 7, 11)[0][..., :keys]
    assert abs((factors == 0).mean() - p) < 0.02
    check(kernels, given, None, 0.2, causal, factors, **stream)


def check_halves(kernels, given, *formula, **stream):
    """Weights are rounded before they meet values: errors are relative to the largest result."""
    mask, scale, causal, *_ = formula
    expected = reference.run(*given, *formula)[:4]
    for got, want in zip(run(kernels, *given, mask, scale, causal, **stream), expected, strict=True):
        assert got.dtype == given[0].dtype
        assert_close(got, want, "elementwise", scale=np.abs(want).max(initial=0))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("kind", "causal"), [("none", True), ("float", False), ("padding", True)])
def test_halves(gpu_kernels, kind, causal, dtype, rng):
    for shape in HALF_SHAPES:
        given = operands(rng, shape, dtype)
        check_halves(gpu_kernels, given, mask_of(rng, kind, shape, dtype), (shape[5] or 1) ** -0.5, causal)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("p", [0.25, 1.0])
def test_halves_are_dropped_alike(gpu_kernels, p, causal, rng):
    """On every path the elements are those that float32 drops."""
    for features in (24, 136):
        shape = (1, 2, 1, 35, 75, features, 16)
        given = operands(rng, shape, np.float16)
        factors = _cpu.dropout(np.ones((1, 2, 35, 76)), p, 7, 11)[0][..., :75]
        check_halves(gpu_kernels, given, None, 0.2, causal, factors, p=p, seed=7, offset=11)


@pytest.mark.parametrize("dtype", HALVES)
def test_halves_that_see_nothing_or_one_key(gpu_kernels, dtype, rng):
    q, k, v, grad = operands(rng, (1, 1, 1, 20, 70, 32, 32), dtype)
    allowed = np.zeros((20, 70), bool)
    allowed[np.arange(1, 20), np.arange(1, 20) * 3] = True
    q *= dtype(100)
    o, lse = gpu_kernels.attention(q, k, v, allowed, 1.0)
    assert lse.dtype == np.float32
    assert lse[0, 0, 0] == np.inf
    dq, dk, dv = gpu_kernels.attention_backward(grad, q, k, v, allowed, o, lse, 1.0)
    assert not o[0, 0, 0].any()
    assert o[0, 0, 1:].tobytes() == v[0, 0, 3:58:3].tobytes()
    assert dv[0, 0, 3:58:3].tobytes() == grad[0, 0, 1:].tobytes()
    assert not dv[0, 0, 58:].any()
    for got in (dq, dk):
        assert np.isfinite(got.astype(np.float32)).all()


def test_large_scores(kernels, isa, rng):
    """Running maxima: exponentials neither overflow nor vanish, whichever block holds the largest score."""
    shape = (1, 1, 1, 20, 300, 8, 8)
    q, k, v, grad = operands(rng, shape, np.float64)
    for place in (0, 150, 299):
        far = k.copy()
        far[:, :, place] *= 3000
        check(kernels, (q, far, v, grad), None, 1.0, False)
        mask = np.zeros((20, 300), np.float64)
        mask[:, place] = 1e4
        check(kernels, (q, k, v, grad), mask, 1.0, False)


@pytest.mark.parametrize("scale", [1e3, 1e5, 1e9])
@pytest.mark.parametrize("more", [{}, {"causal": True}, {"mask": True}, {"p": 0.5, "seed": 3}])
def test_rows_that_see_one_key(kernels, more, scale, isa, rng):
    """Probabilities are 1 and 0 backward too, though rounding moves scores of this size by far more than 1."""
    heads, n = (1, 72) if isinstance(kernels, devices.Emulated) else (2, 160)
    _, k, v, grad = operands(rng, (1, heads, heads, n, n, 64, 40))
    q = np.float32(scale) * k
    options = {**more, "mask": rng.random((n, n)) < 0.7 if "mask" in more else None}
    if options["mask"] is not None:
        np.fill_diagonal(options["mask"], True)
    o, lse = kernels.attention(q, k, v, scale=1.0, **options)
    dq, dk, dv = kernels.attention_backward(grad, q, k, v, o=o, lse=lse, scale=1.0, **options)
    kept = _cpu.dropout(np.ones((1, heads, n, n), np.float32), options.get("p", 0), options.get("seed", 0), 0)[0]
    kept = np.diagonal(kept, axis1=2, axis2=3)[..., None]
    assert_close(o, kept * v, "attention")
    assert_close(dv, kept * grad, "attention")
    size = np.sum(np.abs(v * grad), -1).max() / (1 - options.get("p", 0))
    for got, factor in ((dq, k), (dk, q)):
        assert_close(got, np.zeros_like(got), "attention", length=64, scale=size * np.abs(factor).max())


def test_rows_that_see_nothing(kernels, isa, rng):
    shape = (1, 2, 1, 9, 140, 6, 6)
    given = operands(rng, shape)
    for mask in (np.ones((9, 140), bool), np.zeros((9, 140), np.float32)):
        mask[3] = False if mask.dtype == np.bool_ else -np.inf
        o, dq, dk, dv = run(kernels, *given, mask)
        assert not o[:, :, 3].any()
        assert not dq[:, :, 3].any()
        assert all(np.isfinite(x).all() for x in (o, dq, dk, dv))
        assert o[:, :, 4].any()


def test_what_is_not_a_number_stays_in_its_row(kernels, isa, rng):
    q, k, v, _ = operands(rng, (1, 1, 1, 140, 150, 8, 8))
    q[0, 0, 130, 3] = np.nan
    o, _ = kernels.attention(q, k, v, None, 1.0)
    assert np.isnan(o[0, 0, 130]).all()
    assert np.isfinite(np.delete(o, 130, 2)).all()


@pytest.mark.parametrize("scales", [(1e-18, 1e18, 1e-30), (1e-30, 1e30, 1e30), (1.0, 1.0, 0.0)])
def test_operands_of_any_scale(scales, isa, rng):
    """Matrix tiles must leave to fused multiply-adds what bfloat16 parts cannot hold."""
    q, k, v, _ = operands(rng, (1, 1, 1, 160, 170, 64, 40))
    q, k, v = (x * np.float32(scale) for x, scale in zip((q, k, v), scales, strict=True))
    got, _ = _cpu.attention(q, k, v, None, 0.1)
    given = (q, k, v, np.zeros_like(got))
    size = reference.magnitudes(*given, None, 0.1)[0]
    assert_close(got, reference.run(*given, None, 0.1)[0], "attention", length=170, scale=size)


def test_no_keys_with_tiles_for_all_sizes(isa, rng):
    before = backend.tile_threshold()
    backend.set_tile_threshold(0, 0)
    try:
        run(_cpu, *operands(rng, (1, 1, 1, 40, 40, 32, 32)))  # leaves memory in use
        for got in run(_cpu, *operands(rng, (1, 1, 1, 40, 0, 32, 32))):
            assert not got.any()
    finally:
        backend.set_tile_threshold(*before)


def test_infinities_and_nans_beside_matrix_tiles(kernels, isa, rng):
    q, k, v, _ = operands(rng, (1, 1, 1, 160, 170, 64, 40))
    v[0, 0, 7, 3] = np.inf
    q[0, 0, 5, 2] = np.nan
    o, _ = kernels.attention(q, k, v, None, 0.1)
    assert np.isnan(o[0, 0, 5]).all()
    rest = np.delete(o[0, 0], 5, 0)
    assert np.isposinf(rest[:, 3]).all()
    assert np.isfinite(np.delete(rest, 3, 1)).all()


def test_fewer_products_at_lower_precision(rng):
    """Errors fall as more products of bfloat16 parts are summed; without tiles all are the same."""
    q, k, v, grad = operands(rng, (1, 2, 2, 160, 170, 64, 64))
    expected = reference.run(q, k, v, grad, None, 0.1)[0]
    errors = []
    for precision, count in (("highest", "six"), ("high", "three"), ("medium", "one")):
        before = backend.float32_matmul_precision()
        backend.set_float32_matmul_precision(precision)
        try:
            backend.start_trace()
            errors.append(np.abs(_cpu.attention(q, k, v, None, 0.1)[0] - expected).max())
            assert (f"matrix tiles, {count} product" in backend.stop_trace()) == (backend.isa() == "amx")
        finally:
            backend.set_float32_matmul_precision(before)
    assert errors[0] < 2e-6
    assert errors[0] <= errors[1] <= errors[2] < 3e-2


def test_gradients_stay_finite_at_lower_precision(isa, rng):
    """Masked scores are larger backward, without tiles, than the sums of their exponentials were forward."""
    _, k, v, grad = operands(rng, (1, 1, 1, 160, 160, 64, 40))
    k[:] = 16.06  # bfloat16: 16
    before = backend.float32_matmul_precision()
    backend.set_float32_matmul_precision("medium")
    try:
        for got in run(_cpu, k, k, v, grad, np.tri(160, dtype=bool), 1.0):
            assert np.isfinite(got).all()
    finally:
        backend.set_float32_matmul_precision(before)


@pytest.mark.parametrize("shape", [(1, 1, 1, 700, 600, 40, 24), (2, 6, 3, 140, 130, 16, 16), (1, 2, 2, 1, 500, 32, 32)])
def test_bits_do_not_depend_on_the_threads(shape, isa, rng):
    given = operands(rng, shape)
    mask = mask_of(rng, "bool", shape, np.float32)
    for more in ({}, {"causal": True}, {"mask": mask, "p": 0.2, "seed": 3}):
        results = set()
        for threads in (1, 2, 3, 5, 2):
            with backend.use_threads(threads):
                results.add(b"".join(x.tobytes() for x in run(_cpu, *given, **more)))
        assert len(results) == 1, more


def test_queries_do_not_depend_on_their_neighbours(kernels, isa, rng):
    """Calls of up to four queries have a way of their own."""
    q, k, v, _ = operands(rng, (2, 2, 2, 150, 140, 17, 9))
    whole, _ = kernels.attention(q, k, v, None, 0.3)
    for part in (slice(3, 8), slice(7, 140)):
        some, _ = kernels.attention(q[1:, :, part], k[1:], v[1:], None, 0.3)
        assert some.tobytes() == np.ascontiguousarray(whole[1:, :, part]).tobytes()


def test_only_the_gradients_that_are_wanted(rng):
    given = operands(rng, (1, 2, 2, 130, 140, 8, 8))
    for threads in (1, 3):
        with backend.use_threads(threads):
            check_wanted(_cpu, given)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_only_the_gradients_that_are_wanted_of_a_gpu(gpu_kernels, dtype, rng):
    check_wanted(gpu_kernels, operands(rng, (1, 1, 1, 20, 70, 8, 8), dtype))


def check_wanted(kernels, given):
    """Each gradient has the bits that it has beside the others."""
    q, k, v, grad = given
    o, lse = kernels.attention(q, k, v, None, 0.3)
    whole = kernels.attention_backward(grad, q, k, v, None, o, lse, 0.3)
    for wanted in np.ndindex(2, 2, 2):
        flags = [bool(w) for w in wanted]
        names = dict(zip(("want_dq", "want_dk", "want_dv"), flags, strict=True))
        some = kernels.attention_backward(grad, q, k, v, None, o, lse, 0.3, **names)
        for got, full, flag in zip(some, whole, flags, strict=True):
            assert (got is not None) == flag
            assert got is None or got.tobytes() == full.tobytes()


def test_layouts(kernels, rng):
    given = operands(rng, (2, 2, 1, 6, 7, 5, 4))
    mask = normal(rng, (2, 1, 6, 7))
    wanted = [x.copy() for x in run(kernels, *given, mask)]
    for i in range(5):
        for name, array in layouts([*given, mask][i]):
            arrays = [*given, mask]
            arrays[i] = array
            for got, want in zip(run(kernels, *arrays), wanted, strict=True):
                assert np.array_equal(got, want), (i, name)
    for few in (1, 6):
        q, grad = given[0][:, :, :few], given[3][:, :, :few]
        repeated = [np.broadcast_to(x[:1, :, :1], x.shape) for x in given[1:3]]
        for got, want in zip(
            run(kernels, q, *repeated, grad), run(kernels, q, *(x.copy() for x in repeated), grad), strict=True
        ):
            assert np.array_equal(got, want), few


def test_the_output_lies_as_the_query(kernels, rng):
    """(B, L, H, E) in memory, as a layer's projection has it: the layer then needs no copy behind."""
    q, k, v, grad = (x.transpose(0, 2, 1, 3) for x in normal(rng, (4, 2, 6, 3, 5)))
    for got in run(kernels, q, k, v, grad):
        assert got.transpose(0, 2, 1, 3).flags.c_contiguous


def test_wrong_calls(kernels, rng):
    q, k, v, grad = operands(rng, (2, 4, 2, 5, 6, 3, 7))
    for arrays, said in [
        ((q[0], k, v), r"wanted \(batch, heads, length, features\)"),
        ((q, k[..., :2], v), "wanted equal batch and features"),
        ((q, k[:1], v), "wanted equal batch and features"),
        ((q, k, v[:, :, :5]), "wanted equal batch, heads and length"),
        ((q[:, :3], k, v), "got 3 heads of queries and 2 of keys, wanted a multiple"),
        ((q, k[:, :0], v[:, :0]), "got 4 heads of queries and 0 of keys"),
    ]:
        with pytest.raises(ValueError, match=said):
            kernels.attention(*arrays, None, 1.0)
    for mask in (np.ones((6, 5), bool), np.ones((3, 1, 1, 1), bool), np.ones((1, 2, 4, 5, 6), bool)):
        with pytest.raises(ValueError, match=r"wanted one that broadcasts to \(2, 4, 5, 6\)"):
            kernels.attention(q, k, v, mask, 1.0)
    with pytest.raises(TypeError, match="got a mask of int64, wanted bool or float32"):
        kernels.attention(q, k, v, np.ones((5, 6), np.int64), 1.0)
    with pytest.raises(TypeError, match="float64"):
        kernels.attention(q, k.astype(np.float64), v, None, 1.0)
    with pytest.raises(TypeError, match="got dtype int64, wanted float32"):
        kernels.attention(*(x.astype(np.int64) for x in (q, k, v)), None, 1.0)
    with pytest.raises(ValueError, match=r"got dropout p = 1\.5"):
        kernels.attention(q, k, v, None, 1.0, False, 1.5)
    o, lse = kernels.attention(q, k, v, None, 1.0)
    with pytest.raises(ValueError, match="got a gradient or output of shape"):
        kernels.attention_backward(grad[:, :, 1:], q, k, v, None, o, lse, 1.0)
    with pytest.raises(ValueError, match="got lse of shape"):
        kernels.attention_backward(grad, q, k, v, None, o, lse[..., 1:], 1.0)
    with pytest.raises(TypeError, match="float64"):
        kernels.attention_backward(grad.astype(np.float64), q, k, v, None, o, lse, 1.0)
