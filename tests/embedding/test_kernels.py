"""The embedding kernels against NumPy loops in float64."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import SIZES, layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend


def gradient(grad, index, rows, padding, by_frequency):
    """dw and the sum of the magnitudes, in float64."""
    width = grad.shape[-1]
    total, scale = np.zeros((rows, width)), np.zeros((rows, width))
    flat = index.reshape(-1)
    for row, dy in zip(flat, grad.reshape(flat.size, width).astype(np.float64), strict=True):
        if row != padding:
            share = np.count_nonzero(flat == row) if by_frequency else 1
            total[row] += dy / share
            scale[row] += np.abs(dy) / share
    return total, scale


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    rows=st.sampled_from([1, 2, 7, 40]),
    width=st.sampled_from([*SIZES, 130, 257]),
    shape=st.lists(st.sampled_from([0, 1, 2, 5, 9]), max_size=3),
    seed=st.integers(0, 2**32 - 1),
)
def test_forward_and_backward(kernels, dtype, rows, width, shape, seed):
    rng = np.random.default_rng(seed)
    weight, index = normal(rng, (rows, width), dtype), rng.integers(0, rows, shape)
    grad = normal(rng, (*index.shape, width), dtype)
    padding, by_frequency = int(rng.integers(-1, rows)), bool(rng.integers(2))
    expected, scale = gradient(grad, index, rows, padding, by_frequency)
    for _, view in layouts(weight):
        assert kernels.embedding(view, index).tobytes() == weight[index].tobytes()
    for (_, view), (_, grad_view) in zip(layouts(index), layouts(grad), strict=False):
        got = kernels.embedding_backward(grad_view, view.astype(np.int32), rows, padding, by_frequency)
        assert_close(got, expected, "embedding", length=index.size + 1, scale=scale)


def test_tiers_and_threads(isa, rng):
    index = np.where(rng.random((64, 100)) < 0.7, 2, rng.integers(0, 500, (64, 100)))
    weight, grad = normal(rng, (500, 48)), normal(rng, (64, 100, 48))
    expected, scale = gradient(grad, index, 500, 4, False)
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            assert np.array_equal(_cpu.embedding(weight, index), weight[index])
            got = _cpu.embedding_backward(grad, index, 500, 4, False)
            results.add(got.tobytes() + _cpu.embedding_backward(grad, index, 500, -1, True).tobytes())
    assert len(results) == 1
    assert_close(got, expected, "embedding", length=index.size, scale=scale)
    assert not got[4].any()


@pytest.mark.parametrize("width", [8, 13])
def test_sums_are_added_in_order(kernels, width, rng):
    index, grad = rng.integers(0, 50, 200), normal(rng, (200, width))
    expected = np.zeros((50, width), np.float32)
    for row, dy in zip(index, grad, strict=True):
        expected[row] += dy
    assert np.array_equal(kernels.embedding_backward(grad, index, 50, -1, False), expected)
    expected[7] = 0
    assert np.array_equal(kernels.embedding_backward(grad, index, 50, 7, False), expected)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("count", "width"), [(20, 16), (90, 16), (90, 5)])
def test_halves_are_copied_whole_and_summed_as_float32(gpu_kernels, dtype, count, width, rng):
    weight, grad = normal(rng, (11, width)).astype(dtype), normal(rng, (count, width)).astype(dtype)
    index = rng.integers(0, 11, count)
    assert gpu_kernels.embedding(weight, index).tobytes() == weight[index].tobytes()
    for options in ((-1, False), (3, True)):
        expected = gpu_kernels.embedding_backward(grad.astype(np.float32), index, 11, *options)
        got = gpu_kernels.embedding_backward(grad, index, 11, *options)
        assert got.tobytes() == expected.astype(dtype).tobytes()


def test_wrong_calls(kernels):
    weight = np.ones((5, 3), np.float32)
    grad = np.ones((2, 3), np.float32)
    for bad in (5, -1, 2**63 - 1, -(2**63)):
        index = np.array([0, bad])
        with pytest.raises(IndexError, match=f"embedding: index {bad} is out of range for size 5"):
            kernels.embedding(weight, index)
        with pytest.raises(IndexError, match=f"index {bad} is out of range"):
            kernels.embedding_backward(grad, index, 5, -1, False)
    wrong = [
        (ValueError, "num_embeddings", lambda: kernels.embedding(weight[0], np.array([0]))),
        (TypeError, "integer indices", lambda: kernels.embedding(weight, np.array([0.0]))),
        (TypeError, "wanted float32", lambda: kernels.embedding(weight.astype(np.int64), np.array([0]))),
        (ValueError, "axes", lambda: kernels.embedding_backward(grad[0], np.array([0, 1]), 5, -1, False)),
        (ValueError, "padding 5", lambda: kernels.embedding_backward(grad, np.array([0, 1]), 5, 5, False)),
        (ValueError, "axis 0 is not 1", lambda: kernels.embedding_backward(grad, np.array([0]), 5, -1, False)),
    ]
    for error, message, call in wrong:
        with pytest.raises(error, match=message):
            call()
