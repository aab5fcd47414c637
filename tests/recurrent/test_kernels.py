"""The recurrent kernel against the cells' equations in float64."""

import ml_dtypes
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
HALVES = [np.float16, ml_dtypes.bfloat16]
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


def run(kernels, cell, o, **more):
    return kernels.recurrent(cell, o["gates"].copy(), o["weight"], o["bias"], o["h0"], o["c0"], **more)


def expected(cell, o, **more):
    """The reference's states; the input's part stands in for x, with the unit matrix as weights."""
    wide = o["gates"].shape[2]
    zero = np.zeros(wide)
    u, bias = o["weight"].astype(np.float64), o["bias"].astype(np.float64)
    return reference.run(cell, o["gates"], np.eye(wide), u, zero, bias, o["h0"], o["c0"], **more)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_forward(kernels, cell, shape, dtype, isa, rng):
    o = operands(rng, cell, *shape, dtype)
    for reverse in (False, True):
        h, c, candidate = run(kernels, cell, o, reverse=reverse)
        hs, cs = expected(cell, o, reverse=reverse)
        assert_close(h, hs, "recurrent", length=shape[2], scale=1 + np.abs(hs))
        assert (c is not None) == (cell == "lstm")
        assert (candidate is not None) == (cell == "gru")
        if c is not None:
            assert_close(c, cs, "recurrent", length=shape[2], scale=1 + np.abs(cs))


@pytest.mark.parametrize("cell", CELLS)
def test_masks(kernels, cell, isa, rng):
    o = operands(rng, cell, 5, 9, 20, np.float64)
    mask = rng.random((9, 20)) * (rng.random((9, 20)) < 0.7)
    valid = rng.random((5, 9)) < 0.6
    for reverse in (False, True):
        h, _, _ = run(kernels, cell, o, mask=mask, valid=valid, reverse=reverse)
        hs, _ = expected(cell, o, mask=mask, valid=valid, reverse=reverse)
        assert_close(h, hs, "recurrent", length=20, scale=1 + np.abs(hs))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_of_any_size(kernels, dtype, isa):
    """Saturated gates are exactly 0, 1 or -1; neither an infinity nor a NaN upsets a neighbour."""
    x = np.array([0, -0.0, 1e-45, -1e-38, 1e-20, 100, -100, 1e38, -1e38, np.inf, -np.inf, np.nan, 1], dtype)
    size = x.size
    none = np.zeros((3 * size, size), dtype)
    for cell in ("rnn_tanh", "gru"):
        gates = np.tile(x, GATES[cell])[None, None]
        kernels.recurrent(cell, gates, none[: gates.size], None, None, None)
        got = gates.reshape(-1, size)
        assert_close(got[-1], np.tanh(x.astype(np.float64)), "recurrent")
        far = np.abs(x) >= 100
        assert np.array_equal(got[-1][far], np.sign(x[far]))
        for gate in got[:-1]:
            assert dtype == np.float64 or np.array_equal(gate[far], x[far] > 0)  # e^-100 is no float32
            with np.errstate(over="ignore"):
                assert_close(gate, 1 / (1 + np.exp(-x.astype(np.float64))), "recurrent")


def states_and_kept(kernels, cell, o, **more):
    gates = o["gates"].copy()
    h, c, candidate = kernels.recurrent(cell, gates, o["weight"], o["bias"], o["h0"], o["c0"], **more)
    return gates, h, c, candidate


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_backward(kernels, cell, masked, reverse, isa, rng):
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

    gates, h, c, candidate = states_and_kept(kernels, cell, o, **more)
    da, dr, dh0, dc0 = kernels.recurrent_backward(
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
def test_any_shape(kernels, cell, steps, batch, hidden, seed):
    o = operands(np.random.default_rng(seed), cell, steps, batch, hidden, np.float32)
    hs, _ = expected(cell, o)
    assert_close(run(kernels, cell, o)[0], hs, "recurrent", length=hidden, scale=1 + np.abs(hs))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("cell", CELLS)
def test_halves_are_computed_as_float32_step_by_step(gpu_kernels, cell, dtype, rng):
    for steps, batch, hidden in [
        (3, 17, 40),
        (2, 5, 33),
        (1, 50, 40),
        (2, 2, 144),
    ]:  # in packs of 8 and one by one, in chunks
        o = {name: x.astype(dtype) for name, x in operands(rng, cell, steps, batch, hidden, np.float32).items()}
        more = {"mask": rng.random((batch, hidden)).astype(dtype), "valid": rng.random((steps, batch)) < 0.8}
        gates, h, c, candidate = states_and_kept(gpu_kernels, cell, o, **more)
        before = {"h0": o["h0"], "c0": o["c0"]}
        for t in range(steps):
            one = {name: x.astype(np.float32) for name, x in {**o, **before, "gates": o["gates"][t : t + 1]}.items()}
            now = {"mask": more["mask"].astype(np.float32), "valid": more["valid"][t : t + 1]}
            wanted = states_and_kept(gpu_kernels, cell, one, **now)
            for got, want in zip((gates, h, c, candidate), wanted, strict=True):
                assert (got is None) == (want is None)
                if got is not None:
                    assert got.dtype == dtype
                    assert_close(got[t], want[0], "elementwise", scale=0.25 + np.abs(want[0]))
            before = {"h0": h[t], "c0": o["c0"] if c is None else c[t]}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_halves(gpu_kernels, cell, dtype, rng):
    for steps, batch, hidden in [(3, 17, 40), (2, 5, 33), (2, 50, 40), (1, 2, 144)]:
        o = {name: x.astype(dtype) for name, x in operands(rng, cell, steps, batch, hidden, np.float32).items()}
        valid, mask = rng.random((steps, batch)) < 0.8, rng.random((batch, hidden)).astype(dtype)
        kept = states_and_kept(gpu_kernels, cell, o, valid=valid, mask=mask)
        dh, dh_last, dc_last = (normal(rng, s, dtype) for s in ((steps, batch, hidden), *2 * ((batch, hidden),)))
        results = []
        for d in (dtype, np.float32):
            gates, h, c, candidate = (x if x is None else x.astype(d) for x in kept)
            given = [x.astype(d) for x in (dh, dh_last, dc_last)]
            results.append(
                gpu_kernels.recurrent_backward(
                    cell,
                    *given,
                    gates,
                    o["weight"].astype(d),
                    h,
                    c,
                    candidate,
                    o["h0"].astype(d),
                    o["c0"].astype(d),
                    mask.astype(d),
                    valid,
                )
            )
        for got, want in zip(*results, strict=True):
            assert (got is None) == (want is None)
            if got is not None:
                assert got.dtype == dtype
                assert_close(got, want, "elementwise", scale=0.5 + np.abs(want))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("steps", "batch", "hidden"), [(3, 18, 70), (2, 50, 40)])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_the_cpu(gpu_kernels, cell, steps, batch, hidden, dtype, rng):
    """Over several tiles of 16 or 32 sequences, of units, and chunks of the product."""
    o = operands(rng, cell, steps, batch, hidden, np.float64)
    more = {"mask": rng.random((batch, hidden)), "valid": rng.random((steps, batch)) < 0.8, "reverse": True}
    o |= {"mask": more["mask"], "dh": normal(rng, (steps, batch, hidden)), "dc_last": normal(rng, (batch, hidden))}
    results = []
    for kernels, d in ((gpu_kernels, dtype), (_cpu, np.float64)):
        x = {name: x.astype(d) for name, x in o.items()}
        more["mask"] = x["mask"]
        gates, h, c, candidate = states_and_kept(kernels, cell, x, **more)
        given = (x["dh"], None, x["dc_last"], gates, x["weight"], h, c, candidate, x["h0"], x["c0"])
        results.append(kernels.recurrent_backward(cell, *given, **more))
    for got, want in zip(*results, strict=True):
        assert (got is None) == (want is None)
        if got is not None:
            assert_close(got, want, "recurrent", length=hidden * GATES[cell], scale=1 + np.abs(want))


@pytest.mark.parametrize("cell", CELLS)
def test_runs_repeat_bit_for_bit(gpu_kernels, cell, rng):
    """The emulation orders the threads of every launch otherwise."""
    o = operands(rng, cell, 4, 20, 35, np.float32)
    more = {"mask": normal(rng, (20, 35)), "valid": rng.random((4, 20)) < 0.7, "reverse": True}
    runs = [states_and_kept(gpu_kernels, cell, o, **more) for _ in range(3)]
    assert len({b"".join(x.tobytes() for x in kept if x is not None) for kept in runs}) == 1


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
def test_sequences_do_not_depend_on_their_neighbours(kernels, cell, isa, rng):
    o = operands(rng, cell, 3, 11, 19, np.float32)
    whole = run(kernels, cell, o)[0]
    part = {**o, "gates": np.ascontiguousarray(o["gates"][:, 4:]), "h0": o["h0"][4:], "c0": o["c0"][4:]}
    assert run(kernels, cell, part)[0].tobytes() == np.ascontiguousarray(whole[:, 4:]).tobytes()


def test_layouts(kernels, rng):
    o = operands(rng, "lstm", 3, 5, 6, np.float32)
    wanted = run(kernels, "lstm", o)[0].tobytes()
    for name in ("weight", "bias", "h0", "c0"):
        for layout, array in layouts(o[name]):
            assert run(kernels, "lstm", {**o, name: array})[0].tobytes() == wanted, (name, layout)


def test_what_is_not_a_number_stays(kernels, isa, rng):
    o = operands(rng, "rnn_relu", 2, 3, 4, np.float32)
    o["gates"][0, 1, 2] = np.nan
    h = run(kernels, "rnn_relu", o)[0]
    assert np.isnan(h[0, 1, 2])
    assert np.isnan(h[1, 1]).all()
    assert np.isfinite(h[:, [0, 2]]).all()


def test_wrong_calls(kernels, rng):
    o = operands(rng, "gru", 3, 2, 4, np.float32)
    with pytest.raises(ValueError, match="got cell 'elman', wanted rnn_tanh, rnn_relu, lstm or gru"):
        run(kernels, "elman", o)
    with pytest.raises(ValueError, match=r"got a weight of shape \(12, 4\), wanted \(4 hidden, hidden\)"):
        run(kernels, "lstm", o)
    for name, bad in (("h0", np.zeros((2, 5), np.float32)), ("bias", np.zeros(11, np.float32))):
        with pytest.raises(ValueError, match=f"{name} of shape"):
            run(kernels, "gru", {**o, name: bad})
    with pytest.raises(TypeError, match="got h0 of float64"):
        run(kernels, "gru", {**o, "h0": o["h0"].astype(np.float64)})
    with pytest.raises(TypeError, match="got valid of int64"):
        run(kernels, "gru", o, valid=np.ones((3, 2), np.int64))
    with pytest.raises(ValueError, match=r"got valid of shape \(2, 3\), wanted \(3, 2\)"):
        run(kernels, "gru", o, valid=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="must be dense and writeable"):
        kernels.recurrent("gru", o["gates"][:, ::-1], o["weight"])
    with pytest.raises(TypeError, match="got dtype int64, wanted float32"):
        kernels.recurrent("gru", o["gates"].astype(np.int64), o["weight"].astype(np.int64))
