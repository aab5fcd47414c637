"""tinydl.explain tells which loop computes a product, and why no better one."""

import numpy as np
import pytest

import tinydl
from tests.conftest import TIERS
from tests.support.arrays import normal
from tinydl import backend, nn


def test_the_instruction_set_and_the_threads():
    with backend.use_isa("portable"), backend.use_threads(3):
        text = tinydl.explain(tinydl.relu, tinydl.ones(3))
    assert text == "instruction set portable, 3 threads at most"


@pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")
def test_why_no_tiles(rng):
    large, small = (tinydl.from_numpy(normal(rng, (n, n))) for n in (160, 40))
    wide = tinydl.from_numpy(normal(rng, (160, 160)) * np.float32(1e-30))
    cases = [
        (large, "amx", "matrix tiles, six products of bfloat16 parts"),
        (large.double(), "amx", "fused multiply-adds; no matrix tiles: they have no float64"),
        (large, "avx512", "fused multiply-adds; no matrix tiles: the instruction set in use has none"),
        (small, "amx", "fused multiply-adds; too small to be packed or split"),
        (large[:150, :80], "amx", "fused multiply-adds; no matrix tiles: too few multiply-adds to pay for the split"),
        (
            tinydl.ones(31, 1100),
            "amx",
            "fused multiply-adds; no matrix tiles: a side is too short to pay for the split",
        ),
        (wide, "amx", "fused multiply-adds; no matrix tiles: the operands' range is too wide"),
    ]
    for a, isa, expected in cases:
        with backend.use_isa(isa):
            text = tinydl.explain("matmul", a, a.mT.contiguous())
        shape = f"({a.shape[0]}, {a.shape[1]})"
        assert f"product of {shape} and ({a.shape[1]}, {a.shape[0]}): {expected}" in text


def test_layers_and_every_product_of_a_call(rng):
    layer = nn.Conv2d(3, 5, 3, groups=1)
    text = tinydl.explain(layer, tinydl.ones(2, 3, 8, 8))
    assert text.count("product of (72, 27) and (27, 5)") == 1
    text = tinydl.explain(nn.Conv2d(16, 16, 3, groups=16), tinydl.ones(2, 16, 8, 8))
    assert text.count("convolution in narrow groups") == 1
    assert tinydl.explain("matmul", tinydl.ones(2, 200, 200), tinydl.ones(2, 200, 200)).count("product of") == 2


def test_a_call_that_fails_leaves_no_trace():
    with pytest.raises(ValueError, match="do not fit"):
        tinydl.explain("matmul", tinydl.ones(2, 3), tinydl.ones(2, 3))
    assert "product" not in tinydl.explain("relu", tinydl.ones(2))
    with pytest.raises(ValueError, match="no function 'matmull'"):
        tinydl.explain("matmull")
