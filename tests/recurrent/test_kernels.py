"""The recurrent kernel against the cells' equations in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recurrent import reference
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
CELLS = list(GATES)
# (steps, batch, hidden): around the vectors, tiles and blocks of units of every tier
SHAPES = [(1, 1, 1), (3, 2, 5), (4, 7, 16), (2, 9, 17), (3, 13, 33), (5, 6, 64), (2, 4, 300), (0, 3, 4), (3, 0, 4)]


def operands(rng, cell, steps, batch, hidden, dtype):
    wide = GATES[cell] * hidden
    scale = np.asarray(1 / np.sqrt(max(hidden, 1)), dtype)
    return {
        "gates": normal(rng, (steps, batch, wide), dtype),
        "weight": normal(rng, (wide, hidden), dtype) * scale,
        "bias": normal(rng, (wide,), dtype),
        "h0": normal(rng, (batch, hidden), dtype),
        "c0": normal(rng, (batch, hidden), dtype),
    }


def run(cell, o, **more):
    return _cpu.recurrent(cell, o["gates"].copy(), o["weight"], o["bias"], o["h0"], o["c0"], **more)


def expected(cell, o, **more):
    """The reference's states; the input's part stands in for x, with the unit matrix as weights."""
    wide = o["gates"].shape[2]
    zero = np.zeros(wide)
    u, bias = o["weight"].astype(np.float64), o["bias"].astype(np.float64)
    return reference.run(cell, o["gates"], np.eye(wide), u, zero, bias, o["h0"], o["c0"], **more)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_forward(cell, shape, dtype, isa, rng):
    o = operands(rng, cell, *shape, dtype)
    for reverse in (False, True):
        h, c, candidate = run(cell, o, reverse=reverse)
        hs, cs = expected(cell, o, reverse=reverse)
        assert_close(h, hs, "recurrent", length=shape[2], scale=1 + np.abs(hs))
        assert (c is not None) == (cell == "lstm")
        assert (candidate is not None) == (cell == "gru")
        if c is not None:
            assert_close(c, cs, "recurrent", length=shape[2], scale=1 + np.abs(cs))


@pytest.mark.parametrize("cell", CELLS)
def test_masks(cell, isa, rng):
    o = operands(rng, cell, 5, 9, 20, np.float64)
    mask = rng.random((9, 20)) * (rng.random((9, 20)) < 0.7)
    valid = rng.random((5, 9)) < 0.6
    for reverse in (False, True):
        h, _, _ = run(cell, o, mask=mask, valid=valid, reverse=reverse)
        hs, _ = expected(cell, o, mask=mask, valid=valid, reverse=reverse)
        assert_close(h, hs, "recurrent", length=20, scale=1 + np.abs(hs))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_of_any_size(dtype, isa):
    """Saturated gates are exactly 0, 1 or -1; neither an infinity nor a NaN upsets a neighbour."""
    x = np.array([0, -0.0, 1e-45, -1e-38, 1e-20, 100, -100, 1e38, -1e38, np.inf, -np.inf, np.nan, 1], dtype)
    size = x.size
    none = np.zeros((3 * size, size), dtype)
    for cell in ("rnn_tanh", "gru"):
        gates = np.tile(x, GATES[cell])[None, None]
        _cpu.recurrent(cell, gates, none[: gates.size], None, None, None)
        got = gates.reshape(-1, size)
        assert_close(got[-1], np.tanh(x.astype(np.float64)), "recurrent")
        far = np.abs(x) >= 100
        assert np.array_equal(got[-1][far], np.sign(x[far]))
        for gate in got[:-1]:
            assert dtype == np.float64 or np.array_equal(gate[far], x[far] > 0)  # e^-100 is no float32
            with np.errstate(over="ignore"):
                assert_close(gate, 1 / (1 + np.exp(-x.astype(np.float64))), "recurrent")


def states_and_kept(cell, o, **more):
    gates = o["gates"].copy()
    h, c, candidate = _cpu.recurrent(cell, gates, o["weight"], o["bias"], o["h0"], o["c0"], **more)
    return gates, h, c, candidate


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_backward(cell, masked, reverse, isa, rng):
    """Against central differences of the reference: dL/da, dL/dh0, dL/dc0, and dL/dr through the bias."""
    steps, batch, hidden = 3, 7, 5
    o = operands(rng, cell, steps, batch, hidden, np.float64)
    more = {"reverse": reverse}
    if masked:
        more |= {"mask": rng.random((batch, hidden)) * 1.5, "valid": rng.random((steps, batch)) < 0.7}
    dh, dh_last, dc_last = (rng.standard_normal(s) for s in ((steps, batch, hidden), *2 * ((batch, hidden),)))
    last = 0 if reverse else -1

    def loss():
        hs, cs = expected(cell, o, **more)
        return (hs * dh).sum() + (hs[last] * dh_last).sum() + (cs[last] * dc_last).sum() * (cell == "lstm")

    gates, h, c, candidate = states_and_kept(cell, o, **more)
    da, dr, dh0, dc0 = _cpu.recurrent_backward(
        cell, dh, dh_last, dc_last, gates, o["weight"], h, c, candidate, o["h0"], o["c0"], **more
    )
    wanted = {"gates": da, "h0": dh0, "bias": dr.sum((0, 1)), **({"c0": dc0} if cell == "lstm" else {})}
    for name, got in wanted.items():
        flat = o[name].reshape(-1)
        for place in rng.choice(flat.size, min(flat.size, 12), replace=False):
            before, slope = flat[place], 0.0
            for sign in (1, -1):
                flat[place] = before + sign * 1e-6
                slope += sign * loss() / 2e-6
            flat[place] = before
            assert abs(got.reshape(-1)[place] - slope) < 1e-6 * (1 + abs(slope)), name


@given(
    cell=st.sampled_from(CELLS),
    steps=st.integers(1, 4),
    batch=st.integers(0, 12),
    hidden=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(cell, steps, batch, hidden, seed):
    o = operands(np.random.default_rng(seed), cell, steps, batch, hidden, np.float32)
    hs, _ = expected(cell, o)
    assert_close(run(cell, o)[0], hs, "recurrent", length=hidden, scale=1 + np.abs(hs))


def test_masks_meet_denormals_alike_on_any_thread(isa):
    """A denormal state counts as zero before the mask that would raise it to a normal number."""
    steps, batch, hidden = 4, 4, 300  # so that several workers share out units
    gates = np.zeros((steps, batch, 3 * hidden), np.float32)
    gates[:, :, hidden : 2 * hidden] = 100  # z = 1: h = h'
    h0 = np.full((batch, hidden), 1.06e-38, np.float32)
    mask = np.full((batch, hidden), 1.25, np.float32)
    for threads in (1, 3):
        with backend.use_threads(threads):
            weight = np.zeros((3 * hidden, hidden), np.float32)
            h, _, _ = _cpu.recurrent("gru", gates.copy(), weight, None, h0, None, mask)
        assert not h.any(), threads


# Workers share out sequences, or units where sequences are few.
@pytest.mark.parametrize(("batch", "hidden"), [(50, 70), (4, 300)])
@pytest.mark.parametrize("cell", CELLS)
def test_bits_do_not_depend_on_the_threads(cell, batch, hidden, isa, rng):
    o = operands(rng, cell, 4, batch, hidden, np.float32)
    dh = normal(rng, (4, batch, hidden))
    more = {"mask": normal(rng, (batch, hidden)), "valid": rng.random((4, batch)) < 0.7, "reverse": True}
    results = set()
    for threads in (1, 2, 3, 5, 2):
        with backend.use_threads(threads):
            gates = o["gates"].copy()
            h, c, candidate = _cpu.recurrent(cell, gates, o["weight"], o["bias"], o["h0"], o["c0"], **more)
            kept = (gates, o["weight"], h, c, candidate, o["h0"], o["c0"])
            grads = _cpu.recurrent_backward(cell, dh, None, None, *kept, **more)
            results.add(b"".join(x.tobytes() for x in (h, *grads) if x is not None))
    assert len(results) == 1


@pytest.mark.parametrize("cell", CELLS)
def test_sequences_do_not_depend_on_their_neighbours(cell, isa, rng):
    o = operands(rng, cell, 3, 11, 19, np.float32)
    whole = run(cell, o)[0]
    part = {**o, "gates": np.ascontiguousarray(o["gates"][:, 4:]), "h0": o["h0"][4:], "c0": o["c0"][4:]}
    assert run(cell, part)[0].tobytes() == np.ascontiguousarray(whole[:, 4:]).tobytes()


def test_layouts(rng):
    o = operands(rng, "lstm", 3, 5, 6, np.float32)
    wanted = run("lstm", o)[0].tobytes()
    for name in ("weight", "bias", "h0", "c0"):
        for layout, array in layouts(o[name]):
            assert run("lstm", {**o, name: array})[0].tobytes() == wanted, (name, layout)


def test_what_is_not_a_number_stays(isa, rng):
    o = operands(rng, "rnn_relu", 2, 3, 4, np.float32)
    o["gates"][0, 1, 2] = np.nan
    h = run("rnn_relu", o)[0]
    assert np.isnan(h[0, 1, 2])
    assert np.isnan(h[1, 1]).all()
    assert np.isfinite(h[:, [0, 2]]).all()


def test_wrong_calls(rng):
    o = operands(rng, "gru", 3, 2, 4, np.float32)
    with pytest.raises(ValueError, match="got cell 'elman', wanted rnn_tanh, rnn_relu, lstm or gru"):
        run("elman", o)
    with pytest.raises(ValueError, match=r"got a weight of shape \(12, 4\), wanted \(4 hidden, hidden\)"):
        run("lstm", o)
    for name, bad in (("h0", np.zeros((2, 5), np.float32)), ("bias", np.zeros(11, np.float32))):
        with pytest.raises(ValueError, match=f"{name} of shape"):
            run("gru", {**o, name: bad})
    with pytest.raises(TypeError, match="got h0 of float64"):
        run("gru", {**o, "h0": o["h0"].astype(np.float64)})
    with pytest.raises(TypeError, match="got valid of int64"):
        run("gru", o, valid=np.ones((3, 2), np.int64))
    with pytest.raises(ValueError, match=r"got valid of shape \(2, 3\), wanted \(3, 2\)"):
        run("gru", o, valid=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="must be dense and writeable"):
        _cpu.recurrent("gru", o["gates"][:, ::-1], o["weight"])
    with pytest.raises(TypeError, match="float32 or float64"):
        _cpu.recurrent("gru", o["gates"].astype(np.int64), o["weight"].astype(np.int64))
