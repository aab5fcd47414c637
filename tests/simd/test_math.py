"""Vector exp, expm1, log, log1p, tanh, sigmoid and erf against float64, in ulp of float32, on every tier.

The exhaustive test takes every one of the 2^32 floats: ``python -m pytest tests/simd -m slow --slow -s``.
"""

import numpy as np
import pytest
import scipy.special

from tinydl import _cpu, backend

MAX_ULP = 2.0
CHUNK = 2**20  # of the exhaustive test: its float64 arrays stay in the cache


def stable_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


REFERENCE = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": stable_sigmoid,
    "erf": scipy.special.erf,
    "expm1": np.expm1,
    "log1p": np.log1p,
}
EXACT64 = [name for name in REFERENCE if name != "erf"]  # with a reference in more than float64

# Where a function leaves its normal range or its implementation changes course.
THRESHOLDS = {
    "exp": [88.72284, -87.33655, -103.27893, -103.97208, 89.0, -104.0, 0.34657],
    "log": [1.0, 0.75, 1.5, 2.0, 2.0**-126, 2.0**-149],
    "tanh": [0.6, 0.17329, 9.010913, 10.0, 2.0**-126],
    "sigmoid": [-87.33655, -88.72284, -103.27893, -103.97208, -104.0, 16.635532, 17.32868, -0.34657],
    "erf": [0.84375, 3.92, 4.0, 2.0**-126],
    "expm1": [1.0, 0.34657, 88.72284, 89.0, -17.0, -104.0, 2.0**-126],
    "log1p": [1.0, 0.25, 0.5, 2.0**-24, 2.0**24, 2.0**64, 2.0**-126],
}

INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": ([0.0, -0.0, INF, -INF, NAN, 89.0, -104.0], [1.0, 1.0, INF, 0.0, NAN, INF, 0.0]),
    "log": ([1.0, 0.0, -0.0, INF, -INF, NAN, -1.0, -1e-45], [0.0, -INF, -INF, INF, NAN, NAN, NAN, NAN]),
    "tanh": ([0.0, -0.0, INF, -INF, NAN, 1e-45, -1e-45], [0.0, -0.0, 1.0, -1.0, NAN, 1e-45, -1e-45]),
    "sigmoid": ([0.0, -0.0, INF, -INF, NAN, 20.0, -200.0], [0.5, 0.5, 1.0, 0.0, NAN, 1.0, 0.0]),
    "expm1": ([0.0, INF, -INF, NAN, 89.0, -104.0, 1e-45], [0.0, INF, -1.0, NAN, INF, -1.0, 1e-45]),
    "log1p": ([0.0, INF, -1.0, NAN, -2.0, -INF, 1e-45], [0.0, INF, -INF, NAN, NAN, NAN, 1e-45]),
    "erf": ([0.0, -0.0, INF, -INF, NAN, 1e-45, -1e-45], [0.0, -0.0, 1.0, -1.0, NAN, 1e-45, -1e-45]),
}


def ulp_error(got, exact):
    """|got - exact| in units of the distance of the float32 numbers around `exact`, a float64 array.

    That distance is 2^-149 below 2^-125. NaN agrees with NaN alone, an infinity with itself alone; but an
    infinite `got` counts as 2^128, the number after the largest float, where `exact` is finite.
    """
    got = np.asarray(got, np.float32).astype(np.float64)
    exact = np.asarray(exact, np.float64)
    exponent = exact.view(np.int64) & 0x7FF0_0000_0000_0000
    spacing = (np.maximum(exponent, (1023 - 126) << 52) - (23 << 52)).view(np.float64)
    error = np.abs(got - exact) / spacing
    if not np.isfinite(error).all():
        limit = np.copysign(np.maximum(2.0**128, np.abs(exact)), got)
        error = np.where(np.isinf(got) & np.isfinite(exact), np.abs(limit - exact) / spacing, error)
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        error = np.where(same, 0, np.where(np.isfinite(error), error, np.inf))
    return error


def check(name, x):
    """The largest error over x, which must be within MAX_ULP."""
    with np.errstate(all="ignore"):
        error = ulp_error(getattr(_cpu, name)(x), REFERENCE[name](x.astype(np.float64)))
    worst = int(error.argmax())
    beyond = int((error > MAX_ULP).sum())
    assert beyond == 0, f"{name}({x[worst]!r}) is {error[worst]} ulp off; {beyond} beyond {MAX_ULP} ulp"
    return float(error[worst])


def floats(bits):
    return np.ascontiguousarray(bits, np.uint32).view(np.float32)


def neighbours(value, count=2000):
    """The floats around `value` and -`value`."""
    around = np.arange(-count, count + 1) + int(np.float32(abs(value)).view(np.uint32))
    return np.concatenate([floats(np.maximum(around, 0)), -floats(np.maximum(around, 0))])


@pytest.mark.parametrize("name", REFERENCE)
def test_samples(isa, name, rng):
    signs_and_exponents = np.arange(512, dtype=np.uint32)[:, None] << 23
    check(name, floats(signs_and_exponents | np.linspace(0, 2**23 - 1, 257).astype(np.uint32)).ravel())
    check(name, floats(rng.integers(0, 2**32, 2**21, np.uint32)))
    check(name, rng.uniform(-110, 110, 2**18).astype(np.float32))
    for value in [*THRESHOLDS[name], 0.0, 2.0**-126, 1.0, np.finfo(np.float32).max]:
        check(name, neighbours(value))


@pytest.mark.parametrize("name", REFERENCE)
def test_special_values(isa, name):
    x, y = (np.array(values, np.float32) for values in SPECIAL[name])
    got = getattr(_cpu, name)(x)
    np.testing.assert_array_equal(got, y)
    numbers = ~np.isnan(y)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(y[numbers]))


@pytest.mark.parametrize("name", REFERENCE)
def test_every_payload_of_nan_stays_nan(isa, name, rng):
    bits = rng.integers(1, 2**23, 10007, np.uint32) | np.uint32(0x7F80_0000)
    assert np.isnan(getattr(_cpu, name)(floats(bits))).all()
    assert np.isnan(getattr(_cpu, name)(floats(bits | np.uint32(0x8000_0000)))).all()


@pytest.mark.parametrize("name", REFERENCE)
def test_lanes_agree(isa, name, rng):
    x = floats(rng.integers(0, 2**32, 10007, np.uint32))
    whole = getattr(_cpu, name)(x)
    for start in range(1, 33):
        assert getattr(_cpu, name)(x[start:]).tobytes() == whole[start:].tobytes()
    assert getattr(_cpu, name)(x[::3]).tobytes() == whole[::3].tobytes()


@pytest.mark.parametrize("name", EXACT64)
def test_float64(isa, name, rng):
    special = [0.0, -0.0, INF, -INF, NAN]
    x = np.concatenate([rng.uniform(-750, 720, 30011), rng.standard_normal(30011), special])
    with np.errstate(all="ignore"):
        exact = REFERENCE[name](x.astype(np.longdouble))
        got = getattr(_cpu, name)(x)
        error = np.abs(got - exact) / np.spacing(np.abs(exact.astype(np.float64)))
        same = (got == exact.astype(np.float64)) | (np.isnan(got) & np.isnan(exact))
    # The C library's tanh is good to 2.2 ulp; three roundings add up in sigmoid near 0, one far below it.
    near = np.abs(x) < 40
    assert (same | (error <= np.where(near, 3, 2))).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCE)
def test_every_float(isa, name):
    worst = 0.0
    with backend.use_threads(1):
        for start in range(0, 2**32, CHUNK):
            worst = max(worst, check(name, floats(np.arange(start, start + CHUNK, dtype=np.uint32))))
    print(f"\n{name} on {isa}: at most {worst:.4f} ulp over all 2^32 floats")


TINY = 2.0**-149  # the smallest denormal
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("got", "exact", "ulp"),
    [
        (1.0, 1.0, 0.0),
        (1.0 + 2.0**-23, 1.0, 1.0),
        (1.0, 1.0 + 2.0**-24, 0.5),
        (-1.0, -1.0 - 2.0**-24, 0.5),
        (1.0 - 2.0**-24, 1.0, 0.5),
        (-5.0, -3.0, 2.0**23),
        (3.0, -3.0, 6 * 2.0**22),
        (0.0, -0.0, 0.0),
        (TINY, 0.0, 1.0),
        (-TINY, TINY, 2.0),
        (0.0, 0.25 * TINY, 0.25),
        (2.0**-126, 2.0**-126 - 3 * TINY, 3.0),
        (2.0**-126 + TINY, 2.0**-126, 1.0),
        (0.0, 2.0**-126, 2.0**23),
        (NAN, NAN, 0.0),
        (NAN, 1.0, INF),
        (1.0, NAN, INF),
        (INF, NAN, INF),
        (INF, INF, 0.0),
        (-INF, -INF, 0.0),
        (INF, -INF, INF),
        (LARGEST, INF, INF),
        (INF, LARGEST, 1.0),
        (-INF, LARGEST, 2.0**25 - 1),
        (INF, 2.0**129, 0.0),
        (LARGEST, 2.0**129, (2.0**129 - LARGEST) / 2.0**106),
        (-INF, 2.0**129, 2.0**24),
    ],
)
def test_ulp_error(got, exact, ulp):
    with np.errstate(all="ignore"):
        assert ulp_error([got], [exact])[0] == ulp
        assert ulp_error([0.0, got], [0.0, exact])[1] == ulp
