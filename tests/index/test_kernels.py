"""The index kernels against NumPy: copies are exact, sums within the table; hostile indices; threads and tiers."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

SEEDS = st.integers(0, 2**32 - 1)
HALVES = [np.float16, ml_dtypes.bfloat16]
FAR = (2**63 - 1, -(2**63), 2**32, -1)


def same(got, expected):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert got.tobytes("C") == expected.tobytes("C")


def drawn(seed, shape, dtype=np.float32):
    """An array, an axis and indices along it."""
    rng = np.random.default_rng(seed)
    axis = int(rng.integers(len(shape)))
    count = int(rng.choice([0, 1, 2, 5, 33])) if shape[axis] else 0
    return rng, normal(rng, shape, dtype), axis, rng.integers(0, max(shape[axis], 1), count)


def added(x, index, src, axis):
    """scatter_add in float64, and the sum of the magnitudes."""
    total, scale = x.astype(np.float64), np.abs(x.astype(np.float64))
    for at in np.ndindex(index.shape):
        to = (*at[:axis], index[at], *at[axis + 1 :])
        total[to] += src[at]
        scale[to] += abs(src[at])
    return total, scale


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=3000).filter(len), seed=SEEDS)
def test_take_and_its_gradient(kernels, dtype, shape, seed):
    rng, x, axis, index = drawn(seed, shape, dtype)
    grad = normal(rng, (*shape[:axis], index.size, *shape[axis + 1 :]), dtype)
    zeros = np.zeros(shape, np.float64)
    wide = np.broadcast_to(np.expand_dims(index, [d for d in range(len(shape)) if d != axis]), grad.shape)
    expected, scale = added(zeros, wide, grad, axis)
    signed = np.where(rng.random(index.size) < 0.5, index, index - shape[axis])
    for (_, view), (_, grad_view) in zip(layouts(x), layouts(grad), strict=True):
        same(kernels.take(view, index, axis, False), np.take(x, index, axis))
        same(kernels.take(view, signed, axis, True), np.take(x, index, axis))
        got = kernels.take_backward(grad_view, signed, axis, shape[axis], True)
        assert_close(got, expected, "index", length=index.size + 1, scale=scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=2000).filter(len), seed=SEEDS)
def test_gather_and_scatter_add(kernels, dtype, shape, seed):
    rng, x, axis, _ = drawn(seed, shape, dtype)
    smaller = [int(rng.integers(0, n + 1)) for n in shape]
    smaller[axis] = int(rng.integers(0, 9)) if shape[axis] else 0
    index = rng.integers(0, max(shape[axis], 1), smaller)
    part = x[tuple(slice(None) if d == axis else slice(n) for d, n in enumerate(smaller))]
    src = normal(rng, [n + 1 for n in smaller], dtype)
    expected, scale = added(x, index, src, axis)
    for (_, view), (_, places), (_, source) in zip(layouts(x), layouts(index), layouts(src), strict=True):
        same(kernels.gather(view, places, axis), np.take_along_axis(part, index, axis))
        got = kernels.scatter_add(view, places, source, axis)
        assert_close(got, expected, "index", length=index.size + 1, scale=scale)


@given(shape=shapes(max_elements=2000).filter(len), seed=SEEDS)
def test_cat(kernels, shape, seed):
    rng, x, axis, _ = drawn(seed, shape)
    others = [normal(rng, (*shape[:axis], n, *shape[axis + 1 :])) for n in rng.integers(0, 20, 3)]
    for name, view in layouts(x):
        parts = (view, *[dict(layouts(a))[name] for a in others], view)
        same(kernels.cat(parts, axis), np.concatenate(parts, axis))
        same(kernels.cat(parts[1:], axis), np.concatenate(parts[1:], axis))


def test_layouts_are_kept(kernels, rng):
    x = normal(rng, (2, 3, 5, 7)).transpose(0, 3, 1, 2)  # channels-last
    for got in (
        kernels.cat((x, x[:, :2]), 1),
        kernels.take(x, np.arange(3), 1, False),
        kernels.pad(x, [0, 0, 1, 1], [0, 0, 2, 0], 0.0),
        kernels.masked_fill(x, x > 0, 1.0),
    ):
        assert got.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=shapes(max_elements=2000).filter(len), seed=SEEDS)
def test_pad(kernels, dtype, shape, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, shape, dtype)
    sides = [(int(a), int(b)) for a, b in rng.integers(-2, 4, (len(shape), 2)) * rng.integers(0, 2, (len(shape), 1))]
    sides = [(max(a, -n), max(b, -n - max(a, -n))) for n, (a, b) in zip(shape, sides, strict=True)]
    kept = x[tuple(slice(max(-a, 0), n + min(b, 0)) for n, (a, b) in zip(shape, sides, strict=True))]
    expected = np.full([n + a + b for n, (a, b) in zip(shape, sides, strict=True)], 7.0, dtype)
    inner = tuple(slice(max(a, 0), max(a, 0) + n) for n, (a, _) in zip(kept.shape, sides, strict=True))
    if 0 not in expected.shape and 0 not in kept.shape:
        expected[inner] = kept
    for _, view in layouts(x):
        same(kernels.pad(view, [a for a, _ in sides], [b for _, b in sides], 7.0), expected)


@given(shape=shapes(max_elements=2000), seed=SEEDS)
def test_masked_fill(kernels, shape, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, shape)
    mask = normal(rng, [1 if rng.random() < 0.3 else n for n in shape[int(rng.integers(len(shape) + 1)) :]]) < 0
    mask = np.asarray(mask)
    for (_, view), (_, hidden) in zip(layouts(x), layouts(np.broadcast_to(mask, shape)), strict=True):
        same(kernels.masked_fill(view, hidden, -np.inf), np.where(mask, np.float32(-np.inf), x))
        same(kernels.masked_fill(view, mask, -np.inf), np.where(mask, np.float32(-np.inf), x))


def large_calls(rng):
    """Each kernel on a problem large enough for every thread."""
    x, rows = normal(rng, (300, 40, 17)), rng.integers(0, 300, 700)
    skewed = np.where(rng.random(5000) < 0.8, 3, rng.integers(0, 50, 5000))
    wide, long = normal(rng, (5000, 96)), normal(rng, (5000, 300))
    index = rng.integers(0, 40, (300, 900, 17))
    more = normal(rng, (300, 900, 17))
    return {
        "take": lambda: _cpu.take(x, rows, 0, False),
        "take inner": lambda: _cpu.take(x, rows % 17, 2, False),
        "take_backward": lambda: _cpu.take_backward(wide, skewed, 0, 60, False),
        "take_backward wide": lambda: _cpu.take_backward(long, skewed, 0, 60, False),
        "take_backward inner": lambda: _cpu.take_backward(x, np.arange(17) % 5, 2, 9, False),
        "gather": lambda: _cpu.gather(x, index, 1),
        "scatter_add": lambda: _cpu.scatter_add(x, index, more, 1),
        "gather inner": lambda: _cpu.gather(x, index[:, :40] % 17, 2),
        "scatter_add inner": lambda: _cpu.scatter_add(x, index[:, :40] % 17, more, 2),
        "cat": lambda: _cpu.cat((x, x, x[:, :3]), 1),
        "pad": lambda: _cpu.pad(x, [1, 2, 0], [0, 1, 5], 1.5),
        "masked_fill": lambda: _cpu.masked_fill(x, x > 0, 1.5),
    }


def test_bits_do_not_depend_on_threads_or_tiers(rng):
    calls = large_calls(rng)
    expected = {}
    for isa in backend.ISAS[: backend.ISAS.index(backend.detected_isa()) + 1]:
        with backend.use_isa(isa):
            for threads in (1, 2, 3, 5):
                with backend.use_threads(threads):
                    for name, call in calls.items():
                        bits = call().tobytes()
                        assert expected.setdefault(name, bits) == bits, (name, isa, threads)


def test_tiers(kernels, isa, rng):
    x, index = normal(rng, (7, 5, 33)), rng.integers(0, 7, 40)
    src = normal(rng, (40, 5, 33))
    wide = np.broadcast_to(index[:, None, None], src.shape)
    same(kernels.take(x, index, 0, False), x[index])
    expected, scale = added(np.zeros((7, 5, 33), np.float32), wide, src, 0)
    assert_close(kernels.take_backward(src, index, 0, 7, False), expected, "index", length=40, scale=scale)
    expected, scale = added(x, wide, src, 0)
    assert_close(kernels.scatter_add(x, wide, src, 0), expected, "index", length=40, scale=scale)
    same(kernels.gather(x, wide, 0), np.take_along_axis(x, wide, 0))
    same(kernels.cat((x, src), 0), np.concatenate((x, src)))
    same(kernels.pad(x, [1, 0, 2], [0, 3, 1], 2.0), np.pad(x, ((1, 0), (0, 3), (2, 1)), constant_values=2))
    same(kernels.masked_fill(x, x > 0, 2.0), np.where(x > 0, np.float32(2), x))


def in_order(x, index, src):
    """scatter_add along axis 0 of two, in the order of src and in the precision of x."""
    total = x.copy()
    for k in range(len(index)):
        for i in range(x.shape[1]):
            total[index[k, i], i] += src[k, i]
    return total


@pytest.mark.parametrize(("size", "count"), [(3, 65), (300, 500), (70_000, 100), (5, 2500)])
def test_sums_are_added_in_order(kernels, size, count, rng):
    """Lists that take one tile or several, and one digit of the sort or three."""
    index = rng.integers(0, size, count)
    index[: count // 3] = size // 2  # which many share
    for inner in (1, 8):
        src, x = normal(rng, (count, inner)), normal(rng, (size, inner))
        wide = np.repeat(index[:, None], inner, 1)
        got = kernels.take_backward(src, index, 0, size, False)
        assert np.array_equal(got, in_order(np.zeros_like(x), wide, src))
        assert np.array_equal(kernels.scatter_add(x, wide, src, 0), in_order(x, wide, src))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("shape", [(7, 64), (5, 3, 33)])
def test_halves_are_copied_whole_and_summed_as_float32(gpu_kernels, dtype, shape, rng):
    x, index = normal(rng, shape).astype(dtype), rng.integers(0, shape[0], 90)
    src = normal(rng, (90, *shape[1:])).astype(dtype)
    wide = np.broadcast_to(index.reshape(-1, *[1] * (len(shape) - 1)), src.shape)
    same(gpu_kernels.take(x, index, 0, False), x[index])
    same(gpu_kernels.gather(x, wide, 0), np.take_along_axis(x, wide, 0))
    same(gpu_kernels.cat((x, src, x[:1]), 0), np.concatenate((x, src, x[:1])))
    same(gpu_kernels.cat((x, x[..., :8]), -1 + len(shape)), np.concatenate((x, x[..., :8]), -1))
    none = [0] * (len(shape) - 1)
    for sides in ((1, 2), (8, 0), (-8, 16)):
        got = gpu_kernels.pad(x, [*none, sides[0]], [*none, sides[1]], 2.0)
        same(got, gpu_kernels.pad(x.astype(np.float32), [*none, sides[0]], [*none, sides[1]], 2.0).astype(dtype))
    same(gpu_kernels.masked_fill(x, x > 0, -np.inf), np.where(x > 0, dtype(-np.inf), x))
    for count in (9, 90):
        part, grad, at = wide[:count], src[:count], index[:count]
        expected = gpu_kernels.take_backward(grad.astype(np.float32), at, 0, shape[0], False)
        same(gpu_kernels.take_backward(grad, at, 0, shape[0], False), expected.astype(dtype))
        expected = gpu_kernels.scatter_add(x.astype(np.float32), part, grad.astype(np.float32), 0)
        same(gpu_kernels.scatter_add(x, part, grad, 0), expected.astype(dtype))


@pytest.mark.parametrize("bad", [5, *FAR])
def test_indices_out_of_range(kernels, bad):
    x, index = np.ones((5, 3), np.float32), np.array([0, 4, bad])
    square = np.array([[0, 4, 0], [0, 0, bad]])
    for call in (
        lambda: kernels.take(x, index, 0, False),
        lambda: kernels.take_backward(np.ones((3, 3), np.float32), index, 0, 5, False),
        lambda: kernels.gather(x, square, 0),
        lambda: kernels.scatter_add(x, square, x, 0),
    ):
        with pytest.raises(IndexError, match=f"index {bad} is out of range for size 5"):
            call()
    with pytest.raises(IndexError, match="index -6 is out of range for size 5"):
        kernels.take(x, np.array([-6]), 0, True)
    with pytest.raises(IndexError, match="size 0"):
        kernels.take(x[:0], np.array([0]), 0, True)
    assert x.tolist() == [[1.0] * 3] * 5


@pytest.mark.parametrize("axis", [0, 1])
def test_the_first_index_out_of_range_is_named(axis, isa):
    x = np.ones((300, 400), np.float32)
    for at in ((0, 0), (150, 17), (299, 399)):
        index = np.zeros(x.shape, np.int64)
        index[at], index[299, 399] = -7, -7 if at == (299, 399) else 400
        for call in (lambda: _cpu.gather(x, index, axis), lambda: _cpu.scatter_add(x, index, x, axis)):  # noqa: B023
            for threads in (1, 3):
                with backend.use_threads(threads), pytest.raises(IndexError, match=f"index -7.* {x.shape[axis]}$"):
                    call()
    empty = x[:0] if axis == 0 else x[:, :0]
    for call in (lambda: _cpu.gather(empty, index[:1, :1], axis), lambda: _cpu.scatter_add(empty, index, x, axis)):
        with pytest.raises(IndexError, match=r"size 0$"):
            call()


def test_indices_of_every_kind(kernels, rng):
    x = normal(rng, (5, 3))
    for dtype in (np.int8, np.uint8, np.int32, np.int64, np.uint64, np.longlong):
        assert np.array_equal(kernels.take(x, np.array([4, 0, 2], dtype), 0, False), x[[4, 0, 2]])


def test_too_much_memory():
    with pytest.raises(MemoryError, match="alloc"):
        _cpu.pad(np.ones((2, 3), np.float32), [2**61, 0], [0, 0], 0.0)


def test_indices_of_foreign_bytes_or_alignment(rng):
    x = normal(rng, (5, 3))
    assert np.array_equal(_cpu.take(x, np.array([4, 0, 2], ">i8"), 0, False), x[[4, 0, 2]])
    packed = np.zeros(3, np.dtype([("a", "u1"), ("b", "<i8")]))["b"]
    assert np.array_equal(_cpu.take(x, packed, 0, False), x[[0, 0, 0]])


def test_wrong_calls(kernels):
    x = np.ones((2, 3), np.float32)
    one = np.zeros((1, 1), np.int64)
    wrong = [
        (TypeError, "integer indices", lambda: kernels.take(x, np.array([0.5]), 0, False)),
        (TypeError, "wanted float32", lambda: kernels.take(x.astype(np.int32), np.array([0]), 0, False)),
        (ValueError, "axis 2 is out of range", lambda: kernels.take(x, np.array([0]), 2, False)),
        (ValueError, "axis -1 is out of range", lambda: kernels.gather(x, one, -1)),
        (ValueError, "got 2 indices", lambda: kernels.take_backward(x, np.array([0, 1]), 1, 5, False)),
        (ValueError, "index of 1 axes", lambda: kernels.gather(x, np.zeros(1, np.int64), 0)),
        (ValueError, "larger than", lambda: kernels.gather(x, np.zeros((1, 4), np.int64), 0)),
        (ValueError, "larger than the source", lambda: kernels.scatter_add(x, np.zeros((2, 3), np.int64), x[:1], 0)),
        (TypeError, "wanted one", lambda: kernels.scatter_add(x, one, x.astype(np.float64), 0)),
        (TypeError, "something else than arrays", lambda: kernels.cat((x, [1.0]), 0)),
        (ValueError, "no tensors", lambda: kernels.cat((), 0)),
        (ValueError, "may differ only along axis 0", lambda: kernels.cat((x, x[:, :2]), 0)),
        (ValueError, "may differ only", lambda: kernels.cat((x, x[0]), 0)),
        (TypeError, "wanted one", lambda: kernels.cat((x, x.astype(np.float64)), 0)),
        (ValueError, "paddings -2 and -1 of axis 0", lambda: kernels.pad(x, [-2, 0], [-1, 0], 0.0)),
        (ValueError, "out of range for shape", lambda: kernels.pad(x, [2**63 - 1, 0], [0, 0], 0.0)),
        (ValueError, "got 1 and 2 paddings", lambda: kernels.pad(x, [1], [0, 0], 0.0)),
        (TypeError, "bool", lambda: kernels.masked_fill(x, one, 0.0)),
        (ValueError, "do not broadcast", lambda: kernels.masked_fill(x, np.ones(2, bool), 0.0)),
    ]
    for error, message, call in wrong:
        with pytest.raises(error, match=message):
            call()
