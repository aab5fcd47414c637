"""Norms and limits of many arrays at once against NumPy."""

import numpy as np
import pytest

from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]
SHAPES = [(3, 5, 7, 2), (1,), (), (0, 4), (20_011,), (33, 17), (15,)]
NORMS = {"sum": 1, "euclidean": 2, "maximum": np.inf}


def flat(arrays):
    return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NORMS)
def test_norms(kernels, isa, name, dtype, rng):
    arrays = [normal(rng, shape, dtype) for shape in SHAPES]
    expected = np.linalg.norm(flat(arrays), NORMS[name])
    assert_close(np.float64(kernels.total_norm(arrays, name)), expected, "optimizer", dtype=dtype)


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_every_layout(kernels, name, rng):
    array = normal(rng, (3, 5, 7, 2))
    expected = np.linalg.norm(flat([array, array]), NORMS[name])
    for _, view in [*layouts(array), ("broadcast", np.broadcast_to(array, array.shape))]:
        got = np.float64(kernels.total_norm([array, view], name))
        assert_close(got, expected, "optimizer", dtype=np.float32)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("at", [0, 5, 8191, 8192, 19_999])
def test_one_special_number_decides(kernels, isa, name, at):
    array = np.ones(20_000, np.float32)
    for special in (np.nan, np.inf, -np.inf):
        array[at] = special
        assert np.isnan(special) == np.isnan(kernels.total_norm([array], name))
        assert np.isfinite(special) == np.isfinite(kernels.total_norm([array], name))


@pytest.mark.parametrize("name", NORMS)
def test_norms_have_the_same_bits_for_any_number_of_threads(isa, name, rng):
    arrays = [normal(rng, (50_001,)), normal(rng, (70_003,))]
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            results.add(_cpu.total_norm(arrays, name))
    assert len(results) == 1


@pytest.mark.parametrize("name", NORMS)
def test_nothing_has_a_norm_of_zero(kernels, name):
    assert kernels.total_norm([], name) == 0
    assert kernels.total_norm([np.zeros((0, 3), np.float32)], name) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_scale_and_clamp(kernels, isa, dtype, rng):
    arrays = [normal(rng, shape, dtype) for shape in SHAPES]
    arrays[4][[7, 9]] = np.nan, -np.inf
    scaled, clamped = [a.copy() for a in arrays], [a.copy() for a in arrays]
    kernels.scale_all(scaled, 0.3)
    kernels.clamp_all(clamped, 0.5)
    for a, b, c in zip(arrays, scaled, clamped, strict=True):
        assert np.array_equal(b, a * dtype(0.3), equal_nan=True)
        assert np.array_equal(c, np.clip(a, -0.5, 0.5), equal_nan=True)


def test_dense_layouts_are_changed_in_place(kernels, rng):
    for name, view in layouts(normal(rng, (3, 5, 7, 2))):
        expected = view * np.float32(0.5)
        if name in ("strided", "reversed"):
            with pytest.raises(ValueError, match=r"scale_all: arrays\[0\] is not dense"):
                kernels.scale_all([view], 0.5)
            continue
        kernels.scale_all([view], 0.5)
        assert np.array_equal(view, expected)


def test_wrong_calls():
    one = np.ones(3, np.float32)
    with pytest.raises(ValueError, match='total_norm: got norm "largest", wanted "sum", "euclidean" or "maximum"'):
        _cpu.total_norm([one], "largest")
    with pytest.raises(TypeError, match="total_norm: "):
        _cpu.total_norm([one, np.ones(3)], "sum")
    with pytest.raises(TypeError, match="total_norm: got dtype int64, wanted float32"):
        _cpu.total_norm([np.ones(3, np.int64)], "sum")
    with pytest.raises(TypeError, match=r"clamp_all: arrays\[0\] is a list, wanted an array"):
        _cpu.clamp_all([[1.0]], 1.0)
    with pytest.raises(ValueError, match="scale_all: two arrays share memory, and one is updated"):
        _cpu.scale_all([one, one], 2.0)
    frozen = one.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"scale_all: arrays\[0\] is read-only"):
        _cpu.scale_all([frozen], 2.0)
    assert np.all(one == 1)
