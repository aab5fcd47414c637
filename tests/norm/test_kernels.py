"""Normalisation kernels against loops in float64, on every tier and layout."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.norm import reference
from tests.support.arrays import layouts_on, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]
EPS = reference.EPS
CASES = [
    # shape, scheme
    ((2, 3), ("batch",)),
    ((7, 17), ("batch",)),
    ((300, 5), ("batch",)),
    ((5, 33, 3), ("batch",)),
    ((3, 16, 5, 7), ("batch",)),
    ((2, 70, 3, 5), ("batch",)),
    ((2, 3, 2, 3, 4), ("batch",)),
    ((2, 6, 5, 3), ("groups", 6)),
    ((2, 6, 5, 3), ("groups", 3)),
    ((3, 8, 17), ("groups", 1)),
    ((2, 130, 4), ("groups", 2)),
    ((4, 6), ("groups", 2)),
    ((3, 1), ("rows", 1)),
    ((5, 7), ("rows", 1)),
    ((40, 33), ("rows", 1)),
    ((2, 3, 64), ("rows", 1)),
    ((2, 3, 5, 4), ("rows", 3)),
    ((4, 5), ("rows", 2)),
]


def run(kernels, scheme, x, w, b, dy, centered=True):
    """y and the three gradients, by the kernels."""
    if scheme[0] == "rows":
        y, stats = kernels.row_norm(x, w, b, scheme[1], EPS, centered)
        return y, *kernels.row_norm_backward(dy, x, w, stats, scheme[1], EPS, centered, True, True)
    groups = scheme[1] if scheme[0] == "groups" else 0
    y, stats = kernels.channel_norm(x, w, b, None, None, groups, EPS)
    return y, *kernels.channel_norm_backward(dy, x, w, stats, groups, EPS, False, True, True)


def parameters(rng, shape, scheme, dtype):
    size = shape[len(shape) - scheme[1] :] if scheme[0] == "rows" else shape[1:2]
    return 1 + normal(rng, size, dtype) / 4, normal(rng, size, dtype)


def check(got, x, w, b, dy, scheme, centered=True):
    y, z, r = reference.forward(x, w, b, scheme, centered)
    length = len(reference.sets_of(x.shape, scheme)[0])
    scale = 1 + np.abs(z) * (1 + np.abs(w).max()) + np.abs(b).max()
    assert_close(got[0], y, "norm", length=length, scale=scale)
    dx, dw, db = reference.backward(dy, x, w, scheme, centered)
    largest = np.abs(dy).max() * np.abs(w).max() * (1 + np.abs(z).max()) ** 2
    assert_close(got[1], dx, "norm", length=length, scale=r * largest)
    shared = x.size // w.size
    sums = reference.gather(np.abs(dy.astype(np.float64)) * (1 + np.abs(z)), scheme)
    assert_close(got[2], dw, "norm", length=shared, scale=sums)
    assert_close(got[3], db, "norm", length=shared, scale=sums)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "scheme"), CASES, ids=str)
def test_tiers_and_layouts(kernels, isa, rng, shape, scheme, dtype):
    x, dy = normal(rng, shape, dtype), normal(rng, shape, dtype)
    w, b = parameters(rng, shape, scheme, dtype)
    for (_, view), (_, grad) in zip(layouts_on(kernels, x, x.size), layouts_on(kernels, dy, x.size), strict=True):
        check(run(kernels, scheme, view, w, b, grad), x, w, b, dy, scheme)
    if scheme[0] == "rows":
        check(run(kernels, scheme, x, w, b, dy, False), x, w, b, dy, scheme, False)


@pytest.mark.parametrize("dtype", FLOATS)
@given(n=st.integers(2, 9), c=st.integers(1, 40), s=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_drawn_shapes(kernels, dtype, n, c, s, seed):
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, (n, c, s), dtype), normal(rng, (n, c, s), dtype)
    for scheme in (("batch",), ("groups", 1), ("groups", c), ("rows", 2)):
        if scheme != ("groups", c) or s > 1:
            w, b = parameters(rng, x.shape, scheme, dtype)
            check(run(kernels, scheme, x, w, b, dy), x, w, b, dy, scheme)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scheme", [("batch",), ("groups", 4), ("rows", 3)], ids=str)
def test_a_large_mean_does_not_cancel(kernels, isa, rng, scheme, dtype):
    x = normal(rng, (8, 8, 31, 29) if kernels is _cpu else (4, 8, 11, 9), dtype) + dtype(1e4)
    w, b, dy = *parameters(rng, x.shape, scheme, dtype), normal(rng, x.shape, dtype)
    y, dx, dw, _ = run(kernels, scheme, x, w, b, dy)
    scale = 8.0 if dtype == np.float32 else 1e4  # a mean of 1e4 rounded to float64 is off by about 1e4 eps
    wide = x.astype(np.float64)
    axes = {"batch": (0, 2, 3), "rows": (1, 2, 3)}.get(scheme[0])
    by = wide if axes else wide.reshape(len(x), 4, -1)
    axes = axes or (2,)
    d = by - by.mean(axes, keepdims=True)
    r = 1 / np.sqrt((d * d).mean(axes, keepdims=True) + EPS)
    z = (d * r).reshape(x.shape)
    spread = reference.spread(w, x.shape, scheme)
    assert_close(y, z * spread + reference.spread(b, x.shape, scheme), "norm", scale=scale)
    g = (dy * spread).reshape(by.shape)
    z_by = z.reshape(by.shape)
    expected = r * (g - g.mean(axes, keepdims=True) - z_by * (g * z_by).mean(axes, keepdims=True))
    assert_close(dx, expected.reshape(x.shape), "norm", scale=scale)
    products = dy.astype(np.float64) * z
    sums = reference.gather(np.abs(products), scheme)
    assert_close(dw, reference.gather(products, scheme), "norm", length=x.size // w.size, scale=sums * scale)


def test_no_parameters_and_fixed_statistics(kernels, isa, rng):
    x, dy = normal(rng, (4, 19, 3, 5)), normal(rng, (4, 19, 3, 5))
    ones, zeros = np.ones(19, np.float32), np.zeros(19, np.float32)
    full, bare = run(kernels, ("batch",), x, ones, zeros, dy), run(kernels, ("batch",), x, None, None, dy)
    assert all(np.array_equal(a, b) for a, b in zip(full, bare, strict=True))
    mean, var = normal(rng, (19,)), np.abs(normal(rng, (19,)))
    w, b = parameters(rng, x.shape, ("batch",), np.float32)
    y, stats = kernels.channel_norm(x, w, b, mean, var, 0, EPS)
    column = (slice(None), None, None)
    r = 1 / np.sqrt(var.astype(np.float64) + EPS)
    z = (x.astype(np.float64) - mean[column]) * r[column]
    assert_close(y, z * w[column] + b[column], "norm", scale=1 + np.abs(z) * 2 + np.abs(mean[column]) * r[column])
    dx, dw, db = kernels.channel_norm_backward(dy, x, w, stats, 0, EPS, True, True, True)
    assert_close(dx, dy * (w * r)[column], "norm")
    sums = reference.gather(np.abs(dy * z) + np.abs(dy), ("batch",)) * (1 + np.abs(mean) * r)
    assert_close(dw, reference.gather(dy * z, ("batch",)), "norm", length=60, scale=sums)
    assert_close(db, reference.gather(dy.astype(np.float64), ("batch",)), "norm", length=60, scale=sums)


@pytest.mark.parametrize("scheme", [("batch",), ("groups", 2), ("rows", 1)], ids=str)
def test_what_nobody_asked_for_is_none(kernels, rng, scheme):
    x, dy = normal(rng, (3, 4, 5)), normal(rng, (3, 4, 5))
    for wanted in ((True, False), (False, True)):
        if scheme[0] == "rows":
            _, stats = kernels.row_norm(x, None, None, 1, EPS, True)
            got = kernels.row_norm_backward(dy, x, None, stats, 1, EPS, True, *wanted)
        else:
            groups = scheme[1] if scheme[0] == "groups" else 0
            _, stats = kernels.channel_norm(x, None, None, None, None, groups, EPS)
            got = kernels.channel_norm_backward(dy, x, None, stats, groups, EPS, False, *wanted)
        assert [a is not None for a in got] == [wanted[0], wanted[1], wanted[1]]
        full = run(kernels, scheme, x, None, None, dy)[1:]
        assert all(a is None or np.array_equal(a, b) for a, b in zip(got, full, strict=True))


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x, dy = normal(rng, (16, 48, 19, 23)), normal(rng, (16, 48, 19, 23))
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            outs = [
                run(_cpu, scheme, x, None, None, dy) for scheme in (("batch",), ("groups", 6), ("rows", 1), ("rows", 3))
            ]
        results.add(b"".join(a.tobytes() for out in outs for a in out))
    assert len(results) == 1


HALF_CASES = [
    ((3, 40, 5, 7), ("batch",)),
    ((700, 6), ("batch",)),
    ((2, 16, 300), ("batch",)),
    ((3, 32, 5), ("groups", 4)),
    ((7, 24), ("rows", 1)),
    ((3, 7, 19), ("rows", 2)),
    ((2, 1024), ("rows", 1)),
    ((5, 1032), ("rows", 1)),
    ((2, 3001), ("rows", 1)),
    ((2, 8200), ("rows", 1)),
    ((2, 8193), ("rows", 1)),
]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
@pytest.mark.parametrize(("shape", "scheme"), HALF_CASES, ids=str)
def test_sizes_and_halves(gpu_kernels, shape, scheme, dtype, rng):
    """Rows of a few lanes, a warp, a block, and too long to hold; columns in one and two stages; rounded once."""
    x, dy = normal(rng, shape).astype(dtype), normal(rng, shape).astype(dtype)
    w, b = (p.astype(dtype) for p in parameters(rng, shape, scheme, np.float32))
    wide = [a.astype(np.float32) for a in (x, w, b, dy)]
    for centered in (True, False) if scheme[0] == "rows" else (True,):
        got = run(gpu_kernels, scheme, x, w, b, dy, centered)
        expected = run(_cpu, scheme, *wide, centered)
        for narrow, exact in zip(got, expected, strict=True):
            assert narrow.dtype == dtype
            rounding = 0 if dtype == np.float32 else 0.51 * float(ml_dtypes.finfo(dtype).eps)
            allowed = rounding * np.abs(exact) + 2e-5 * np.abs(exact).max()
            assert (np.abs(narrow.astype(np.float64) - exact) <= allowed).all()


def test_fixed_and_running_statistics_of_halves(gpu_kernels, rng):
    x, dy = (normal(rng, (4, 16, 5)).astype(np.float16) for _ in range(2))
    mean, var = normal(rng, (16,)).astype(np.float16), (1 + np.abs(normal(rng, (16,)))).astype(np.float16)
    wide = [a.astype(np.float32) for a in (x, mean, var, dy)]
    y, stats = gpu_kernels.channel_norm(x, None, None, mean, var, 0, EPS)
    exact, wide_stats = _cpu.channel_norm(wide[0], None, None, wide[1], wide[2], 0, EPS)
    assert np.array_equal(stats, wide_stats)
    assert_close(y, exact, "norm", scale=1 + np.abs(exact), dtype=np.float16)
    dx = gpu_kernels.channel_norm_backward(dy, x, None, stats, 0, EPS, True, True, False)[0]
    exact = _cpu.channel_norm_backward(wide[3], wide[0], None, stats, 0, EPS, True, True, False)[0]
    assert_close(dx, exact, "norm", dtype=np.float16)
    expected = [a.copy() for a in wide[1:3]]
    _cpu.update_running(*expected, stats + 1, 0.25, 1.5)
    gpu_kernels.update_running(mean, var, stats + 1, 0.25, 1.5)
    assert np.array_equal(mean, expected[0].astype(np.float16))
    assert np.array_equal(var, expected[1].astype(np.float16))


@pytest.mark.parametrize("channels", [64, 65])
@pytest.mark.parametrize("scheme", [("groups", 1), ("rows", 1)], ids=str)
def test_results_too_large_for_the_caches(isa, scheme, channels, rng):
    """The bits of an image are those of a call that is small enough to be stored through the caches."""
    shape = (2, channels, 16, 20) if scheme[0] == "groups" else (2, 20 * 16, channels)
    x, dy = normal(rng, shape), normal(rng, shape)
    w, b = (normal(rng, channels) for _ in range(2))
    many = np.arange(640) % 2
    whole, some = run(_cpu, scheme, x[many], w, b, dy[many]), run(_cpu, scheme, x, w, b, dy)
    for large, small in zip(whole[:2], some[:2], strict=True):
        assert large.nbytes > 48 << 20
        assert np.array_equal(large, small[many])


def test_an_element_does_not_depend_on_its_position(kernels, isa, rng):
    x, dy = normal(rng, (6, 37, 5)), normal(rng, (6, 37, 5))
    whole = run(kernels, ("groups", 37), x, None, None, dy)
    rows = run(kernels, ("rows", 2), x, None, None, dy)
    for n in range(6):
        assert np.array_equal(run(kernels, ("groups", 37), x[n : n + 1], None, None, dy[n : n + 1])[1][0], whole[1][n])
        assert np.array_equal(run(kernels, ("rows", 2), x[n : n + 1], None, None, dy[n : n + 1])[1][0], rows[1][n])
    if kernels is not _cpu:
        return  # fewer channels are folded by other tiles
    last = run(kernels, ("batch",), x[:, 36:], None, None, dy[:, 36:])
    assert np.array_equal(last[1][:, 0], run(kernels, ("batch",), x, None, None, dy)[1][:, 36])


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (2, 0)])
def test_no_elements(kernels, shape):
    x = np.zeros(shape, np.float32)
    for scheme in (("batch",), ("groups", 1), ("rows", 1)):
        y, dx, dw, db = run(kernels, scheme, x, None, None, x)
        assert y.shape == dx.shape == shape
        assert dw.tolist() == db.tolist() == [0] * dw.size


def test_nan_and_infinity_stay_in_their_set(kernels, isa):
    x = np.tile(np.arange(4, dtype=np.float32), (5, 1))[:, :, None] * np.arange(1, 6, dtype=np.float32)[:, None, None]
    x[2, 1] = np.inf
    x[3, 2] = np.nan
    y = kernels.channel_norm(x, None, None, None, None, 0, EPS)[0]
    assert np.isnan(y[:, 1:3]).sum() == 10
    assert np.isfinite(y[:, [0, 3]]).all()
    z = kernels.row_norm(x[:, :, 0], None, None, 1, EPS, True)[0]
    assert np.isnan(z[2:4]).all()
    assert np.isfinite(z[[0, 1, 4]]).all()


def test_running_statistics(kernels, rng):
    x = normal(rng, (5, 3, 4))
    _, stats = kernels.channel_norm(x, None, None, None, None, 3, EPS)
    mean, var = normal(rng, (6,))[::2], np.abs(normal(rng, (3,)))
    expected_mean = 0.75 * mean + 0.25 * x.astype(np.float64).mean((0, 2))
    expected_var = 0.75 * var + 0.25 * x.astype(np.float64).var(2, ddof=1).mean(0)
    kernels.update_running(mean, var, stats, 0.25, 4 / 3)
    assert_close(mean, expected_mean, "norm", scale=1.0)
    assert_close(var, expected_var, "norm", scale=1.0)


X = np.ones((2, 3, 4), np.float32)
STATS = np.zeros((2, 1, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: k.channel_norm(X[0, 0], None, None, None, None, 0, EPS), ValueError, r"wanted \(N, C, ...\)"),
        (lambda k: k.channel_norm(X, None, None, None, None, 2, EPS), ValueError, "3 channels cannot be split into 2"),
        (
            lambda k: k.channel_norm(X, np.ones(4, np.float32), None, None, None, 0, EPS),
            ValueError,
            r"weight of shape \(4",
        ),
        (lambda k: k.channel_norm(X, None, np.ones(3), None, None, 0, EPS), TypeError, "float32 and float64"),
        (lambda k: k.channel_norm(X, None, [1], None, None, 0, EPS), TypeError, "bias must be an array or None"),
        (lambda k: k.channel_norm(X, None, None, X[0, :, 0], None, 0, EPS), ValueError, "come together"),
        (lambda k: k.channel_norm(X.astype(int), None, None, None, None, 0, EPS), TypeError, "got dtype int64"),
        (
            lambda k: k.channel_norm_backward(X[:1], X, None, STATS, 0, EPS, False, True, True),
            ValueError,
            r"gradient of shape \(1, 3, 4\) for an input of shape \(2, 3, 4\)",
        ),
        (
            lambda k: k.channel_norm_backward(X, X, None, STATS[:, :, :2], 0, EPS, False, True, True),
            ValueError,
            r"statistics of shape \(2, 1, 2\), wanted \(2, 1, 3\)",
        ),
        (
            lambda k: k.channel_norm_backward(X, X, None, STATS.astype(np.float32), 0, EPS, False, True, True),
            TypeError,
            "float64 for the statistics",
        ),
        (lambda k: k.row_norm(X, None, None, 4, EPS, True), ValueError, "got 4 axes"),
        (lambda k: k.row_norm(X, None, None, 0, EPS, True), ValueError, "got 0 axes"),
        (lambda k: k.row_norm(X, X, None, 2, EPS, True), ValueError, r"weight of shape \(2, 3, 4\), wanted \(3, 4\)"),
        (
            lambda k: k.row_norm_backward(X, X, None, STATS, 1, EPS, True, True, True),
            ValueError,
            r"wanted \(2, 1, 6\)",
        ),
        (lambda k: k.update_running(X[0, :, 0], X[0, :2, 0], STATS, 0.1, 1.0), ValueError, "running statistics of"),
        (lambda k: k.update_running(X[0, :, 0], X[0, :, 0], STATS[0], 0.1, 1.0), ValueError, r"\(2, outer, groups\)"),
    ],
)
def test_wrong_calls(kernels, call, error, message):
    with pytest.raises(error, match=message):
        call(kernels)
