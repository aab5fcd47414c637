"""Recurrent products on the matrix tiles: as accurate as multiply-adds, which take over where they would not be."""

import numpy as np
import pytest

import tinydl
from tests.conftest import TIERS
from tests.recurrent import reference
from tests.recurrent.test_kernels import GATES, operands, run, states_and_kept
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

pytestmark = pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")

STEPS, BATCH, HIDDEN = 12, 37, 83  # enough for tiles at the tests' threshold; multiples of none of their sizes
CELLS = ["rnn_tanh", "lstm", "gru"]


def notes(call):
    backend.start_trace()
    call()
    return backend.stop_trace()


def backward(cell, o, kept, dh, **more):
    gates, h, c, candidate = kept
    return _cpu.recurrent_backward(cell, dh, None, None, gates, o["weight"], h, c, candidate, o["h0"], o["c0"], **more)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_agrees_with_float64(cell, reverse, rng):
    o = operands(rng, cell, STEPS, BATCH, HIDDEN, np.float32)
    dh = normal(rng, (STEPS, BATCH, HIDDEN))
    valid, mask = rng.random((STEPS, BATCH)) < 0.8, rng.random((BATCH, HIDDEN)).astype(np.float32)
    wide = {name: x.astype(np.float64) for name, x in o.items()}
    for more in ({}, {"valid": valid, "mask": mask}):
        more = {**more, "reverse": reverse}
        exact = {**more, **({"mask": mask.astype(np.float64)} if "mask" in more else {})}
        with backend.use_isa("amx"):
            assert "six products" in notes(lambda more=more: states_and_kept(_cpu, cell, o, **more))
            kept = states_and_kept(_cpu, cell, o, **more)
            assert "six products" in notes(lambda kept=kept, more=more: backward(cell, o, kept, dh, **more))
            grads = backward(cell, o, kept, dh, **more)
        wanted = states_and_kept(_cpu, cell, wide, **exact)
        assert_close(kept[1], wanted[1], "recurrent", length=HIDDEN, scale=1 + np.abs(wanted[1]))
        for got, want in zip(grads, backward(cell, wide, wanted, dh.astype(np.float64), **exact), strict=True):
            if got is not None:
                assert_close(got, want, "recurrent", length=4 * HIDDEN, scale=1 + np.abs(want))


EXCEEDED = "some steps by fused multiply-adds"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("weight", np.inf, "range is too wide"),
        ("weight", np.nan, "range is too wide"),
        ("weight", 1e-36, "range is too wide"),
        ("h0", np.inf, EXCEEDED),
        ("h0", np.finfo(np.float32).max, EXCEEDED),
        ("h0", 1e30, "six products"),
        ("h0", 1e-33, EXCEEDED),
        ("gates", np.nan, EXCEEDED),
        ("gates", np.inf, "six products"),
    ],
)
@pytest.mark.parametrize("cell", ["rnn_relu", *CELLS])
def test_hard_operands(cell, name, value, said, rng):
    o = operands(rng, cell, STEPS, BATCH, HIDDEN, np.float32)
    o["weight"] *= np.float32(1e-2)
    place = {"weight": (3, 5), "h0": (3, 5), "gates": (0, 3, 5)}[name]
    o[name][place] = value
    with backend.use_isa("amx"):
        assert said in notes(lambda: run(_cpu, cell, o))
        tiles = run(_cpu, cell, o)[0]
    with backend.use_isa("avx512"):
        plain = run(_cpu, cell, o)[0]
    assert np.array_equal(np.isnan(tiles), np.isnan(plain))
    finite = np.isfinite(plain)
    assert np.array_equal(tiles[~finite], plain[~finite], equal_nan=True)
    tiles, plain = np.where(finite, tiles, 0), np.where(finite, plain, 0)
    assert (np.abs(tiles - plain) <= 1e-5 * np.abs(plain).max(axis=-1, keepdims=True)).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-32, 1e-34])
def test_states_that_are_all_tiny(scale, rng):
    """Nothing is lost beside larger values: there are none."""
    o = operands(rng, "rnn_tanh", STEPS, BATCH, HIDDEN, np.float32)
    o = {name: x * np.float32(1 if name == "weight" else scale) for name, x in o.items()}
    exact = run(_cpu, "rnn_tanh", {name: x.astype(np.float64) for name, x in o.items()})[0]
    with backend.use_isa("amx"):
        tiles = run(_cpu, "rnn_tanh", o)[0]
    assert np.abs(tiles - exact).max() <= 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize("mask", [1e-33, 3.0, 3e38])
@pytest.mark.parametrize("cell", CELLS)
def test_masks_of_any_size(cell, mask, rng):
    o = operands(rng, cell, STEPS, BATCH, HIDDEN, np.float32)
    o["weight"] *= np.float32(1e-4)
    factors = np.full((BATCH, HIDDEN), mask, np.float32)
    results = []
    for isa in ("amx", "avx512"):
        with backend.use_isa(isa):
            results.append(run(_cpu, cell, o, mask=factors)[0])
    tiles, plain = results
    assert np.array_equal(np.isnan(tiles), np.isnan(plain))
    finite = np.isfinite(plain)
    assert (np.abs(tiles[finite] - plain[finite]) <= 1e-3 * np.maximum(1, np.abs(plain[finite]))).all()


@pytest.mark.parametrize("scale", [1e-33, 1e10, 1e30, np.inf, np.nan])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_any_range(cell, scale, rng):
    """Sequences whose gradients do not fit are computed by multiply-adds, the others on tiles."""
    o = operands(rng, cell, STEPS, BATCH, HIDDEN, np.float32)
    dh = normal(rng, (STEPS, BATCH, HIDDEN))
    dh[:, 4] *= scale
    with np.errstate(all="ignore"), backend.use_isa("avx512"):
        kept = states_and_kept(_cpu, cell, o)
        plain = backward(cell, o, kept, dh)
    with np.errstate(all="ignore"), backend.use_isa("amx"):
        said = notes(lambda: backward(cell, o, kept, dh))
        tiles = backward(cell, o, kept, dh)
    assert (EXCEEDED in said) == (scale not in (1e10, 1e30))
    assert tiles[0][:, 16:].tobytes() != plain[0][:, 16:].tobytes(), "the other sequences left the tiles too"
    for got, want in zip(tiles, plain, strict=True):
        if got is None:
            continue
        assert np.array_equal(np.isnan(got), np.isnan(want))
        finite = np.isfinite(want)
        got, want = np.where(finite, got, 0), np.where(finite, want, 0)
        assert (np.abs(got - want) <= 1e-5 * np.abs(want).max(axis=-1, keepdims=True) + 1e-36).all()


@pytest.mark.parametrize("batch", [90, 16])  # the workers share out sequences or units
@pytest.mark.parametrize("cell", CELLS)
def test_bits_do_not_depend_on_the_threads(cell, batch, rng):
    """Nor where some sequences leave the tiles."""
    o = operands(rng, cell, STEPS, batch, HIDDEN, np.float32)
    o["h0"][61 % batch, 3] = 1e-33
    dh = normal(rng, (STEPS, batch, HIDDEN))
    dh[:, 40 % batch] *= np.float32(1e-33)
    dh[3, 7] = np.nan
    results = set()
    with np.errstate(all="ignore"), backend.use_isa("amx"):
        for threads in (1, 2, 3, 5, 2):
            with backend.use_threads(threads):
                kept = states_and_kept(_cpu, cell, o)
                results.add(b"".join(x.tobytes() for x in (kept[1], *backward(cell, o, kept, dh)) if x is not None))
    assert len(results) == 1


@pytest.mark.parametrize(("precision", "bound"), [("high", 2.0**-15), ("medium", 2.0**-6)])
def test_precisions(precision, bound, rng):
    o = operands(rng, "lstm", STEPS, BATCH, HIDDEN, np.float32)
    wanted = reference.run(
        "lstm", o["gates"], np.eye(GATES["lstm"] * HIDDEN), o["weight"], 0 * o["bias"], o["bias"], o["h0"], o["c0"]
    )[0]
    tinydl.set_float32_matmul_precision(precision)
    try:
        with backend.use_isa("amx"):
            got = run(_cpu, "lstm", o)[0]
    finally:
        tinydl.set_float32_matmul_precision("highest")
    assert bound / 256 < np.abs(got - wanted).max() <= bound


def test_what_stays_on_multiply_adds(rng):
    with backend.use_isa("amx"):
        for cell, batch, hidden, said in (
            ("lstm", 15, HIDDEN, "too few sequences or units"),
            ("lstm", BATCH, 7, "too few sequences or units"),
            ("lstm", BATCH, 520, "exceed the caches"),
        ):
            o = operands(rng, cell, STEPS, batch, hidden, np.float32)
            assert said in notes(lambda cell=cell, o=o: run(_cpu, cell, o))
