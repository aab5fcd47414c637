"""The loops that measure the machine: what they count and copy."""

import numpy as np
import pytest

from tests.support.arrays import layouts, normal
from tinydl import _cpu, backend

LANES = {"portable": 4, "avx2": 8, "avx512": 16, "amx": 16}


@pytest.mark.parametrize("loop", [_cpu.limit_fma, _cpu.limit_fma_load])
def test_operations_of_multiply_adds(isa, loop):
    for threads in (1, 3):
        with backend.use_threads(threads):
            assert loop(0) == 0
            assert loop(10) == threads * 10 * 12 * LANES[isa] * 2


def test_tiles_are_counted_where_there_are_tiles(isa):
    with backend.use_threads(2):
        assert _cpu.limit_tile_product(5) == (2 * 5 * 4 * 2 * 16 * 16 * 32 if isa == "amx" else 0)
        assert _cpu.limit_tile_load(5) == (2 * 5 * 4 * 1024 if isa == "amx" else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (15,), (37, 53), (3, 16384), (2, 3, 5, 7001)])
def test_copy(isa, dtype, shape, rng):
    x = normal(rng, shape, dtype)
    for _, same in layouts(x):
        assert np.array_equal(_cpu.limit_copy(same), x)


def test_wrong_calls():
    with pytest.raises(ValueError, match="limit_fma: got -1 repeats"):
        _cpu.limit_fma(-1)
    with pytest.raises(TypeError, match="float32 or float64"):
        _cpu.limit_copy(np.ones(3, np.int64))
