"""Matrix products against NumPy in float64."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

SIZES = (0, 1, 2, 3, 5, 6, 7, 8, 16, 17, 31, 33, 63, 64, 65, 97, 130)
ACTIVATIONS = {
    "none": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


def layout_pairs(kernels, a, b):
    """Both operands in every layout, on the CPU in every pair of them."""
    forms_a, forms_b = ([form for _, form in layouts(x)] for x in (a, b))
    if kernels is _cpu:
        return list(itertools.product(forms_a, forms_b))
    if a.size * b.shape[1] > 2**16:
        forms_a, forms_b = forms_a[:2], forms_b[:2]
    return [*zip(forms_a, forms_b, strict=True), (forms_a[0], forms_b[1]), (forms_a[1], forms_b[0])]


def check(kernels, a, b, **options):
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    scale = np.abs(wide_a) @ np.abs(wide_b)
    got = kernels.matmul(a, b, **options)
    assert_close(got, wide_a @ wide_b, "matmul", length=a.shape[-1], scale=scale)
    return got


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(m=st.sampled_from(SIZES), n=st.sampled_from(SIZES), k=st.sampled_from(SIZES), seed=st.integers(0, 2**32 - 1))
def test_sizes_and_layouts(kernels, dtype, m, n, k, seed):
    rng = np.random.default_rng(seed)
    a, b = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)
    results = [check(kernels, *pair) for pair in layout_pairs(kernels, a, b)]
    if m > 4:  # fewer rows are multiplied by contiguous columns in another order
        assert all(np.array_equal(r, results[0]) for r in results), "the layout of the operands changed the bits"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "k", "n"), [(6, 1, 64), (97, 300, 129), (200, 700, 333), (3, 2000, 5), (1, 257, 700)])
def test_several_blocks_on_every_tier(kernels, isa, dtype, m, k, n, rng):
    if kernels is not _cpu and m * k * n > 2**23:
        m, k, n = m // 2, k // 3, n // 3 * 2
    check(kernels, normal(rng, (m, k), dtype), normal(rng, (k, n), dtype))
    check(kernels, normal(rng, (k, m), dtype).T, normal(rng, (n, k), dtype).T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_and_activation(kernels, isa, dtype, activation, rng):
    a, b, bias = normal(rng, (37, 150), dtype), normal(rng, (150, 71), dtype), normal(rng, (71,), dtype)
    z = a.astype(np.float64) @ b.astype(np.float64) + bias
    scale = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(bias)
    got = kernels.matmul(a, b, bias, activation)
    assert_close(got, ACTIVATIONS[activation](z), "matmul", length=150, scale=scale)


FLAT = ((1, 70), (515, 130), (300, 1), (1, 700), (333, 1001))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 2, 4, 5, 12, 13])
def test_flat_products(kernels, isa, dtype, m, rng):
    for k, n in FLAT if kernels is _cpu else FLAT[:3]:
        a, b, bias = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype), normal(rng, (n,), dtype)
        for same in (b, np.asfortranarray(b)):
            check(kernels, a, same)
            exact = np.maximum(a.astype(np.float64) @ b + bias, 0)
            scale = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(bias)
            assert_close(kernels.matmul(a, same, bias, "relu"), exact, "matmul", length=k, scale=scale)


@pytest.mark.parametrize("size", [7, 130])
def test_repeated_rows_and_columns(kernels, isa, size, rng):
    a, row, column = normal(rng, (size, size)), normal(rng, (1, size)), normal(rng, (size, 1))
    for repeated in (
        np.broadcast_to(row, a.shape),
        np.broadcast_to(column, a.shape),
        np.broadcast_to(row[0, 0], a.shape),
    ):
        check(kernels, repeated, a)
        check(kernels, a, repeated)


@pytest.mark.parametrize(
    ("batch_a", "batch_b"), [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 5)), ((), (4,)), ((4,), ()), ((0,), (1,))]
)
def test_batches_broadcast(kernels, isa, batch_a, batch_b, rng):
    check(kernels, normal(rng, (*batch_a, 7, 11)), normal(rng, (*batch_b, 11, 5)))


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        pytest.param(301, 517, 777, id="each worker's panels"),
        pytest.param(100, 200, 700, id="panels packed at use"),
        pytest.param(1500, 300, 70, id="rows"),
        pytest.param(300, 260, 1100, id="copied rows"),
        pytest.param(9, 333, 1000, id="few rows"),
        pytest.param(1, 333, 1000, id="one row"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_threads(isa, m, k, n, dtype, rng):
    results = set()
    a, b = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)
    check(_cpu, a, b)
    for threads in (1, 2, 3, 5, 2):
        with backend.use_threads(threads):
            results.add(_cpu.matmul(a, b).tobytes() + _cpu.matmul(b.T, a.T).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("m", [1, 3, 40])
def test_a_stack_of_matrices_by_one(kernels, isa, m, rng):
    """All rows of A meet the same B: one product, of the same bits as the rows' own."""
    stack, b = normal(rng, (2, 5, m, 90)), normal(rng, (90, 70))
    rows = kernels.matmul(stack.reshape(-1, 90), b)
    assert kernels.matmul(stack, b).tobytes() == rows.tobytes()
    for apart in (stack.repeat(2, axis=1)[:, ::2], np.repeat(stack, 2, axis=2)[:, :, ::2], stack[::-1]):
        check(kernels, apart, b)


@pytest.mark.parametrize(
    ("batch", "m", "k", "n"), [(6, 100, 90, 70), (5, 130, 200, 65), (9, 300, 20, 100), (4, 7, 200, 1501)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_products_of_a_batch(isa, batch, m, k, n, dtype, rng):
    a, b, bias = normal(rng, (batch, m, k), dtype), normal(rng, (batch, k, n), dtype), normal(rng, (n,), dtype)
    exact = np.maximum(a.astype(np.float64) @ b + bias, 0)
    scale = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(bias)
    backwards = a[::-1].copy()[::-1], b[:, ::-1].copy()[:, ::-1]
    for same_a, same_b in ((a, b), (a.mT.copy().mT, b.mT.copy().mT), backwards):
        results = set()
        for threads in (1, 2, 3, 5):
            with backend.use_threads(threads):
                got = _cpu.matmul(same_a, same_b, bias, "relu")
            results.add(got.tobytes())
        assert len(results) == 1
        assert_close(got, exact, "matmul", length=k, scale=scale)
        assert np.array_equal(got[2], _cpu.matmul(same_a[2], same_b[2], bias, "relu"))


def test_infinities_and_nan_stay_in_their_rows_and_columns(kernels, isa, rng):
    a, b = normal(rng, (70, 90)), normal(rng, (90, 80))
    a[3, 5], b[7, 9], a[11, 13] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(np.nan_to_num(a, posinf=0, neginf=0)).astype(np.float64) @ np.abs(np.nan_to_num(b))
    assert_close(kernels.matmul(a, b), expected, "matmul", length=90, scale=scale)


HALVES = (np.float16, ml_dtypes.bfloat16)


def assert_rounded_once(got, exact, scale):
    """But for one rounding to got's type and the roundings of float32 sums."""
    unit = float(ml_dtypes.finfo(got.dtype).eps) / 2
    assert got.shape == exact.shape
    assert (np.abs(got.astype(np.float64) - exact) <= 1.01 * unit * np.abs(exact) + 2.0**-20 * scale + 2.0**-24).all()


# Rows of whole packs and not, one tile and several, a sum in one slice and in several.
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(1, 1, 1), (5, 7, 3), (64, 32, 64), (40, 72, 24), (65, 70, 97), (130, 96, 264), (7, 1000, 16), (33, 2001, 5)],
)
def test_16_bit_products(gpu_kernels, dtype, m, k, n, rng):
    a, b = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    results = [gpu_kernels.matmul(*pair) for pair in layout_pairs(gpu_kernels, a, b)]
    assert results[0].dtype == dtype
    assert len({result.tobytes() for result in results}) == 1, "the layout of the operands changed the bits"
    assert_rounded_once(results[0], wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("m", "k", "n"), [(37, 150, 71), (20, 1100, 24)])
def test_16_bit_bias_and_activation(gpu_kernels, dtype, activation, m, k, n, rng):
    a, b, bias = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype), normal(rng, (n,), dtype)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    exact = ACTIVATIONS[activation](wide_a @ wide_b + bias.astype(np.float64))
    scale = np.abs(wide_a) @ np.abs(wide_b) + np.abs(bias.astype(np.float64))
    assert_rounded_once(gpu_kernels.matmul(a, b, bias, activation), exact, scale)


@pytest.mark.parametrize("dtype", HALVES)
def test_16_bit_batches_and_slices(gpu_kernels, dtype, rng):
    """Matrices whose rows start anywhere, batches in both operands, and gaps between them."""
    a, b = normal(rng, (3, 2, 50, 45), dtype), normal(rng, (2, 44, 60), dtype)
    for left, right in (
        (a[..., :40], b[:, :40, 4:44]),
        (a[..., 3:43], b[:, :40, 1:]),
        (a[:, ::-1, 1::2, 1:], b[:, ::-1]),
        (a[:, :1].mT, normal(rng, (50, 9), dtype)),
    ):
        wide = left.astype(np.float64), right.astype(np.float64)
        assert_rounded_once(gpu_kernels.matmul(left, right), wide[0] @ wide[1], np.abs(wide[0]) @ np.abs(wide[1]))


def test_wrong_calls(kernels):
    a = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit"):
        kernels.matmul(a, a)
    with pytest.raises(ValueError, match="wanted matrices"):
        kernels.matmul(a[0], a.T)
    with pytest.raises(ValueError, match="do not broadcast"):
        kernels.matmul(np.ones((2, 1, 3), np.float32), np.ones((3, 3, 1), np.float32))
    with pytest.raises(ValueError, match=r"bias of shape \(3,\), wanted \(2,\)"):
        kernels.matmul(a, a.T, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="activation 'gelu'"):
        kernels.matmul(a, a.T, None, "gelu")
    with pytest.raises(TypeError, match="float32 and float64"):
        kernels.matmul(a, a.T.astype(np.float64))
    with pytest.raises(TypeError, match="wanted float32"):
        kernels.matmul(a.astype(np.int16), a.T.astype(np.int16))
