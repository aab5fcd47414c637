"""The short names of the kernels that a row used."""

import numpy as np
import pytest

from bench.choice import Choice, Part, choice_of, read_notes
from bench.harness import Result, Row, Timing, format_row
from tinydl import _cpu

FMA = "product of (512, 512) and (512, 512): fused multiply-adds; no matrix tiles: a reason"
SMALL = "product of (16, 16) and (16, 16): fused multiply-adds; too small to be packed or split"
NARROW = "convolution in narrow groups: fused multiply-adds over vectors of channels, tap by tap; no product"


def tiles(count, m=512):
    return f"product of ({m}, 512) and (512, 512): matrix tiles, {count} products of bfloat16 parts"


@pytest.mark.parametrize(
    ("lines", "short", "products"),
    [
        ([], "-", []),
        ([FMA], "fma", [0]),
        ([SMALL, SMALL], "small", [0]),
        ([tiles("six")], "tiles x6", [6]),
        ([tiles("three") + " (precision high)"], "tiles x3", [3]),
        ([tiles("one").replace("products", "product")], "tiles x1", [1]),
        (["product of (2, 3) and (3, 4): matrix tiles"], "tiles x1", [1]),
        (["product of (2, 3) and (3, 4): another loop, quicker; a reason"], "another loop", [0]),
        ([NARROW], "narrow groups", [0]),
        ([FMA, tiles("six", m=1536)], "tiles x6 75%, fma 25%", [6, 0]),
        ([FMA, FMA, FMA, tiles("six")], "fma 75%, tiles x6 25%", [0, 6]),
        ([NARROW, FMA], "fma", [0, 0]),
    ],
)
def test_short_names(lines, short, products):
    choice = read_notes(lines)
    assert str(choice) == short
    assert [part.tile_products for part in choice.parts] == products
    if lines:
        assert sum(part.share for part in choice.parts) == pytest.approx(1)


def test_repeated_notes_are_counted():
    assert read_notes([SMALL, FMA, SMALL]).notes == f"2 times: {SMALL}\n{FMA}"


def test_the_choice_of_a_call():
    small = np.ones((8, 8), np.float32)
    assert str(choice_of(lambda: _cpu.matmul(small, small))) == "small"
    assert "(8, 8)" in choice_of(lambda: _cpu.matmul(small, small)).notes
    assert choice_of(lambda: _cpu.relu(small)) == Choice()


def test_it_is_shown_and_written():
    row, part = Row("a row", lambda: None, flops=1.0), Part("tiles x6", 1.0, 6)
    result = Result(row, Timing(1.0, 0.0), {}, {}, None, Choice("the notes", (part,)))
    assert "tiles x6" in format_row(result)
    assert result.as_json()["kernel"] == "tiles x6"
    assert result.as_json()["notes"] == "the notes"
