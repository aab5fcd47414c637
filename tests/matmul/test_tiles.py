"""Float32 products split over bfloat16 matrix tiles: as accurate as a loop of multiply-adds, on hard inputs too."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydl
from tests.conftest import TIERS
from tests.support.arrays import layouts, normal
from tinydl import _cpu, backend

pytestmark = pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")

M, K, N = 150, 170, 130  # large enough for tiles, and a multiple of none of their sizes


def products(a, b):
    """The product on the tiles and by fused multiply-adds."""
    out = []
    for isa in ("amx", "avx512"):
        with backend.use_isa(isa):
            out.append(_cpu.matmul(a, b))
    return out


def worst_error(c, a, b):
    """The largest |C - AB| / |A||B|."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    scale = np.abs(wide_a) @ np.abs(wide_b)
    return float((np.abs(c - wide_a @ wide_b) / np.where(scale > 0, scale, 1)).max())


def one_after_another(a, b):
    """The float32 sums of a loop of fused multiply-adds over k: one rounding for each."""
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total = (total + np.outer(a[:, k].astype(np.float64), b[k])).astype(np.float32)
    return total


def log_uniform(rng, shape, low, high):
    """Of either sign, magnitudes 10^low to 10^high."""
    return (10.0 ** rng.uniform(low, high, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


def cancelling(rng):
    """Rows whose products cancel but for rounding."""
    a, b = normal(rng, (M, K)), normal(rng, (K, N))
    a[:, 1::2], b[1::2] = a[:, ::2], -b[::2] * np.float32(1 + 1e-6)
    return a, b


def with_row(rng, value):
    a, b = normal(rng, (M, K)), normal(rng, (K, N))
    a[7] *= np.float32(value)
    return a, b


# The operands, and whether the tiles must have computed their product (the bits differ from the other loop's).
HARD = {
    "normal": (lambda rng: (normal(rng, (M, K)), normal(rng, (K, N))), True),
    "uniform": (lambda rng: (rng.random((M, K), np.float32), rng.random((K, N), np.float32)), True),
    "both 1e-10": (lambda rng: (normal(rng, (M, K)) * 1e-10, normal(rng, (K, N)) * 1e-10), True),
    "both 1e-14": (lambda rng: (rng.random((M, K), np.float32) * 1e-14, normal(rng, (K, N)) * 1e-14), None),
    "both 1e-16": (lambda rng: (normal(rng, (M, K)) * 1e-16, normal(rng, (K, N)) * 1e-16), False),
    "both 1e-18": (lambda rng: (normal(rng, (M, K)) * 1e-18, normal(rng, (K, N)) * 1e-18), False),
    "1e-20 by 1e15": (lambda rng: (normal(rng, (M, K)) * 1e-20, normal(rng, (K, N)) * 1e15), True),
    "1e-36 by 1e30": (lambda rng: (normal(rng, (M, K)) * 1e-36, normal(rng, (K, N)) * 1e30), False),
    "a huge row": (lambda rng: with_row(rng, 1e30), True),
    "a tiny row": (lambda rng: with_row(rng, 1e-30), False),
    "wide ranges": (lambda rng: (log_uniform(rng, (M, K), -12, 12), log_uniform(rng, (K, N), -12, 12)), True),
    "wider ranges": (lambda rng: (log_uniform(rng, (M, K), -25, 15), log_uniform(rng, (K, N), -25, 15)), False),
    "cancellation": (cancelling, True),
    "near the largest": (lambda rng: (log_uniform(rng, (M, K), 35, 38), log_uniform(rng, (K, N), -12, -10)), True),
    "sums near the largest": (
        lambda rng: (log_uniform(rng, (M, K), 17, 18.2), log_uniform(rng, (K, N), 17, 18)),
        False,
    ),
    "zeros": (lambda rng: (np.zeros((M, K), np.float32), normal(rng, (K, N))), None),
    "mostly zeros": (lambda rng: (np.maximum(normal(rng, (M, K)) - 2, 0), normal(rng, (K, N))), True),
}


@pytest.mark.parametrize("case", HARD)
def test_as_accurate_as_fused_multiply_adds(case, rng):
    operands, tiles_hold = HARD[case]
    a, b = (x.astype(np.float32) for x in operands(rng))
    tiles, plain = products(a, b)
    assert np.isfinite(plain).all()
    # Where one term outweighs the others there is nothing to sum: the loop rounds once, the tiles a little worse.
    # Our own loop adds in blocks and errs less, but flushes denormals as the tiles do.
    allowed = max(worst_error(one_after_another(a, b), a, b), worst_error(plain, a, b))
    assert worst_error(tiles, a, b) <= allowed + 2**-23
    if tiles_hold is not None:
        assert tiles_hold == (not np.array_equal(tiles, plain))


@given(
    scale_a=st.integers(-38, 30),
    scale_b=st.integers(-38, 30),
    spread=st.integers(0, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_scale(scale_a, scale_b, spread, seed):
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        a = np.nan_to_num(log_uniform(rng, (M, K), scale_a - spread, scale_a))
        b = np.nan_to_num(log_uniform(rng, (K, N), scale_b - spread, scale_b))
    tiles, plain = products(a, b)
    assert np.array_equal(np.isfinite(tiles), np.isfinite(plain))
    finite = np.isfinite(plain)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    scale = (np.abs(wide_a) @ np.abs(wide_b))[finite]
    exact = (wide_a @ wide_b)[finite]
    # What both lose: denormal operands and products count as zero.
    lost = K * 2.0**-126 * (1 + np.abs(wide_a).max() + np.abs(wide_b).max())
    bound = 2.0**-20 * scale + lost
    assert (np.abs(tiles[finite] - exact) <= bound).all()


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan, np.float32(3.4e38), np.float32(1e-40)])
@pytest.mark.parametrize("operand", [0, 1])
def test_specials_take_the_other_loop(special, operand, rng):
    pair = [normal(rng, (M, K)), normal(rng, (K, N))]
    pair[operand][5, 9] = special
    tiles, plain = products(*pair)
    if abs(special) < 1e-38:  # a denormal counts as zero on either path
        assert worst_error(tiles, *pair) <= worst_error(plain, *pair)
    else:
        assert np.array_equal(tiles, plain, equal_nan=True)


@pytest.mark.parametrize("zero", [0, 1e-40])
@pytest.mark.parametrize("operand", [0, 1])
def test_zeros_by_values_that_round_to_infinity(zero, operand, rng):
    pair = [np.full((M, K), zero, np.float32), np.full((K, N), zero, np.float32)]
    pair[operand][...] = np.float32(3.4e38)
    tiles, plain = products(*pair)
    assert not plain.any()
    assert not tiles.any(), "a part overflowed"


@pytest.mark.parametrize(
    ("m", "k", "n"), [(128, 128, 128), (33, 2000, 65), (300, 513, 40), (1000, 32, 70), (64, 1024, 1100)]
)
def test_shapes_and_layouts(m, k, n, rng):
    a, b = normal(rng, (m, k)), normal(rng, (k, n))
    expected, _ = products(a, b)
    assert worst_error(expected, a, b) <= worst_error(one_after_another(a, b), a, b)
    with backend.use_isa("amx"):
        assert all(np.array_equal(_cpu.matmul(la, lb), expected) for _, la in layouts(a) for _, lb in layouts(b)), (
            "the layout of the operands changed the bits"
        )


def test_which_products_take_tiles_by_default():
    show = """
import numpy as np, sys
from tinydl import _cpu, backend
for m, n, k in (256, 256, 1024), (255, 512, 1024), (512, 128, 1024), (512, 127, 1024), (256, 256, 512):
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    for a in a, np.asfortranarray(a):
        backend.start_trace()
        _cpu.matmul(a, b)
        print("yes" if "tiles," in backend.stop_trace() else "no")
"""
    command = [sys.executable, "-c", show]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TINYDL_ISA": ""})
    # A as it is and transposed
    assert shown.stdout.split() == ["yes", "yes", "no", "no", "yes", "no", "no", "no", "no", "no"]


def test_the_threshold_follows_the_precision():
    before = backend.tile_threshold()
    tinydl.set_float32_matmul_precision("medium")
    try:
        assert backend.tile_threshold() == tuple(number // 4 for number in before)
    finally:
        tinydl.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match="set_tile_threshold: got -1 and 0, wanted numbers from 0"):
        backend.set_tile_threshold(-1, 0)


def test_rows_do_not_depend_on_their_position(rng):
    a, b = normal(rng, (301, K)), normal(rng, (K, N))
    with backend.use_isa("amx"):
        whole = _cpu.matmul(a, b)
        assert np.array_equal(_cpu.matmul(a[17:], b), whole[17:])
        assert np.array_equal(_cpu.matmul(a, b[:, 5:]), whole[:, 5:])


@pytest.mark.parametrize(("precision", "bound"), [("highest", 2**-23), ("high", 2**-16), ("medium", 2**-7)])
def test_precisions(precision, bound, rng):
    a, b = normal(rng, (M, K)), normal(rng, (K, N))
    tinydl.set_float32_matmul_precision(precision)
    try:
        assert tinydl.get_float32_matmul_precision() == precision
        tiles, plain = products(a, b)
    finally:
        tinydl.set_float32_matmul_precision("highest")
    error = worst_error(tiles, a, b)
    assert bound / 32 < error <= bound  # no worse than promised, and not the precision above it
    assert worst_error(plain, a, b) <= 2**-21, "fused multiply-adds take no notice"


def test_bits_do_not_depend_on_the_threads(rng):
    a, b = normal(rng, (700, 1100)), normal(rng, (1100, 1300))
    results = set()
    with backend.use_isa("amx"):
        for threads in (1, 2, 3, 5, 2):
            with backend.use_threads(threads):
                results.add(_cpu.matmul(a, b).tobytes())
    assert len(results) == 1


def test_wrong_precision():
    with pytest.raises(ValueError, match="got 'low', wanted 'highest', 'high' or 'medium'"):
        tinydl.set_float32_matmul_precision("low")
    with pytest.raises(TypeError, match="got int"):
        tinydl.set_float32_matmul_precision(1)
