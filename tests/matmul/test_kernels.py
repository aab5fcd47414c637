"""Matrix products against NumPy in float64."""

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


def check(a, b, **options):
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    scale = np.abs(wide_a) @ np.abs(wide_b)
    got = _cpu.matmul(a, b, **options)
    assert_close(got, wide_a @ wide_b, "matmul", length=a.shape[-1], scale=scale)
    return got


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(m=st.sampled_from(SIZES), n=st.sampled_from(SIZES), k=st.sampled_from(SIZES), seed=st.integers(0, 2**32 - 1))
def test_sizes_and_layouts(dtype, m, n, k, seed):
    rng = np.random.default_rng(seed)
    a, b = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)
    results = [check(la, lb) for _, la in layouts(a) for _, lb in layouts(b)]
    if m > 4:  # fewer rows are multiplied by contiguous columns in another order
        assert all(np.array_equal(r, results[0]) for r in results), "the layout of the operands changed the bits"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "k", "n"), [(6, 1, 64), (97, 300, 129), (200, 700, 333), (3, 2000, 5), (1, 257, 700)])
def test_several_blocks_on_every_tier(isa, dtype, m, k, n, rng):
    check(normal(rng, (m, k), dtype), normal(rng, (k, n), dtype))
    check(normal(rng, (k, m), dtype).T, normal(rng, (n, k), dtype).T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_and_activation(isa, dtype, activation, rng):
    a, b, bias = normal(rng, (37, 150), dtype), normal(rng, (150, 71), dtype), normal(rng, (71,), dtype)
    z = a.astype(np.float64) @ b.astype(np.float64) + bias
    scale = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(bias)
    got = _cpu.matmul(a, b, bias, activation)
    assert_close(got, ACTIVATIONS[activation](z), "matmul", length=150, scale=scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 2, 4, 5, 12, 13])
def test_flat_products(isa, dtype, m, rng):
    for k, n in ((1, 700), (515, 130), (300, 1), (333, 1001)):
        a, b, bias = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype), normal(rng, (n,), dtype)
        for same in (b, np.asfortranarray(b)):
            check(a, same)
            exact = np.maximum(a.astype(np.float64) @ b + bias, 0)
            scale = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(bias)
            assert_close(_cpu.matmul(a, same, bias, "relu"), exact, "matmul", length=k, scale=scale)


@pytest.mark.parametrize("size", [7, 130])
def test_repeated_rows_and_columns(isa, size, rng):
    a, row, column = normal(rng, (size, size)), normal(rng, (1, size)), normal(rng, (size, 1))
    for repeated in (
        np.broadcast_to(row, a.shape),
        np.broadcast_to(column, a.shape),
        np.broadcast_to(row[0, 0], a.shape),
    ):
        check(repeated, a)
        check(a, repeated)


@pytest.mark.parametrize(
    ("batch_a", "batch_b"), [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 5)), ((), (4,)), ((4,), ()), ((0,), (1,))]
)
def test_batches_broadcast(isa, batch_a, batch_b, rng):
    check(normal(rng, (*batch_a, 7, 11)), normal(rng, (*batch_b, 11, 5)))


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
    check(a, b)
    for threads in (1, 2, 3, 5, 2):
        with backend.use_threads(threads):
            results.add(_cpu.matmul(a, b).tobytes() + _cpu.matmul(b.T, a.T).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("m", [1, 3, 40])
def test_a_stack_of_matrices_by_one(isa, m, rng):
    """All rows of A meet the same B: one product, of the same bits as the rows' own."""
    stack, b = normal(rng, (2, 5, m, 90)), normal(rng, (90, 70))
    rows = _cpu.matmul(stack.reshape(-1, 90), b)
    assert _cpu.matmul(stack, b).tobytes() == rows.tobytes()
    for apart in (stack.repeat(2, axis=1)[:, ::2], np.repeat(stack, 2, axis=2)[:, :, ::2], stack[::-1]):
        check(apart, b)


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


def test_infinities_and_nan_stay_in_their_rows_and_columns(isa, rng):
    a, b = normal(rng, (70, 90)), normal(rng, (90, 80))
    a[3, 5], b[7, 9], a[11, 13] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(np.nan_to_num(a, posinf=0, neginf=0)).astype(np.float64) @ np.abs(np.nan_to_num(b))
    assert_close(_cpu.matmul(a, b), expected, "matmul", length=90, scale=scale)


def test_wrong_calls():
    a = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit"):
        _cpu.matmul(a, a)
    with pytest.raises(ValueError, match="wanted matrices"):
        _cpu.matmul(a[0], a.T)
    with pytest.raises(ValueError, match="do not broadcast"):
        _cpu.matmul(np.ones((2, 1, 3), np.float32), np.ones((3, 3, 1), np.float32))
    with pytest.raises(ValueError, match=r"bias of shape \(3,\), wanted \(2,\)"):
        _cpu.matmul(a, a.T, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="activation 'gelu'"):
        _cpu.matmul(a, a.T, None, "gelu")
    with pytest.raises(TypeError, match="float32 and float64"):
        _cpu.matmul(a, a.T.astype(np.float64))
    with pytest.raises(TypeError, match="float16"):
        _cpu.matmul(a.astype(np.float16), a.T.astype(np.float16))
