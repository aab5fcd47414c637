"""Every reduction, scan and norm against PyTorch: values, dtypes, gradients and refusals, over inputs of every kind."""

import numpy as np
import pytest

from tests.support.agreement import agree

EXTREMES = [
    f"m.{name}(x{arguments})"
    for name in ("amax", "amin")
    for arguments in ("", ", 0", ", -1", ", (0, 2)", ", dim=(2, 1), keepdim=True", ", (0, -3)", ", 3", ", ()", ", 1.0")
] + [
    f"m.{name}(x{arguments})"
    for name in ("max", "min")
    for arguments in ("", ", 0", ", -1, True", ", dim=1, keepdim=True", ", (0,)", ", 3", ", 'a'")
]
PLACES = [
    f"m.{name}(x{arguments})"
    for name in ("argmax", "argmin")
    for arguments in ("", ", 0", ", -1, True", ", keepdim=True", ", 3", ", (0,)")
] + ["m.aminmax(x)", "m.aminmax(x, dim=1)", "m.aminmax(x, dim=-1, keepdim=True)", "m.aminmax(x, dim=5)"]
ORDER = [
    f"m.{name}(x{arguments})" for name in ("median", "nanmedian") for arguments in ("", ", 0", ", -1, True", ", 3")
] + [
    "m.mode(x)",
    "m.mode(x, 0, True)",
]
QUANTILES = [
    f"m.{name}(x, {arguments})"
    for name in ("quantile", "nanquantile")
    for arguments in (
        "0.3",
        "0.5, 0",
        "m.tensor([0.0, 0.1, 1.0]).to(x.dtype), -1",
        "m.tensor([0.2]).to(x.dtype), 1, True",
        "0.77, keepdim=True",
        "0.25, 1, interpolation='lower'",
        "0.25, 1, interpolation='higher'",
        "0.3, 1, interpolation='nearest'",
        "0.3, 1, interpolation='midpoint'",
        "1.5",
        "0.3, 4",
        "0.3, interpolation='cubic'",
        "m.tensor([[0.5]]).to(x.dtype)",
    )
]
SUMS = [
    f"m.{name}(x{arguments})"
    for name in ("sum", "mean", "nansum", "nanmean")
    for arguments in ("", ", 0", ", (0, -1), True", ", ()", ", dtype=m.float64", ", 3", ", 1, dtype=m.float32", ", 'a'")
] + ["m.mean(x, dtype=m.int64)", "m.sum(x, (0, 0))"]
COUNTS = [
    f"m.{name}(x{arguments})"
    for name in ("any", "all")
    for arguments in ("", ", 0", ", (0, 2)", ", -1, True", ", ()", ", 3")
] + ["m.count_nonzero(x)", "m.count_nonzero(x, 1)", "m.count_nonzero(x, (0, 1))", "m.count_nonzero(x, 3)"]
PRODUCTS = [
    "m.prod(x)",
    "m.prod(x, 0)",
    "m.prod(x, -1, True)",
    "m.prod(x, 1, dtype=m.float64)",
    "m.prod(x, (0, 1))",
    "m.prod(x, 3)",
]
MOMENTS = [
    f"m.{name}(x{arguments})"
    for name in ("var", "std", "var_mean", "std_mean")
    for arguments in (
        "",
        ", 0",
        ", (0, 2)",
        ", False",
        ", 1, False",
        ", 1, True, True",
        ", dim=-1, unbiased=False, keepdim=True",
        ", dim=(0, 1), correction=0, keepdim=True",
        ", correction=0.5",
        ", 2, correction=1.5",
        ", unbiased=True",
        ", 3",
        ", 0, unbiased=True, correction=1",
    )
] + ["x.var(0)", "x.std(1, False)", "m.logsumexp(x, 0)", "m.logsumexp(x, (0, -1), True)", "m.logsumexp(x, 3)"]
SCANS = [
    f"m.{name}(x, {arguments})"
    for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
    for arguments in ("0", "dim=-1", "1", "3", "None")
] + ["m.cumsum(x, 0, dtype=m.float64)", "x.cumsum(1)"]
DIFFERENCES = [
    "m.diff(x)",
    "m.diff(x, 2, 0)",
    "m.diff(x, n=0)",
    "m.diff(x, n=9)",
    "m.diff(x, n=-1)",
    "m.diff(x, dim=3)",
    "m.diff(x, prepend=x)",
    "m.diff(x, dim=1, prepend=x[:, :1], append=x)",
    "m.diff(x, append=x[0])",
]
NORMS = [
    f"m.norm(x{arguments})"
    for arguments in (
        "",
        ", 1",
        ", 2, 0",
        ", 3, -1, True",
        ", 1.5, 0",
        ", 0.5, 1",
        ", 0",
        ", float('inf')",
        ", -float('inf'), (0, 1)",
        ", -2, 1",
        ", p='fro', dim=(0, 2)",
        ", dim=1",
        ", dtype=m.float64",
        ", 2, 3",
        ", 'frog'",
    )
] + [
    "m.linalg.vector_norm(x)",
    "m.linalg.vector_norm(x, 3, (0, 1), keepdim=True)",
    "m.linalg.norm(x)",
    "m.linalg.norm(x, 1, (0, 1))",
    "m.linalg.norm(x, float('inf'), (1, 2))",
    "m.linalg.norm(x, -1, (0, -1), True)",
    "m.linalg.norm(x, 'fro', (0, 1))",
    "m.linalg.norm(x, 3)",
    "m.linalg.matrix_norm(x)",
    "m.linalg.matrix_norm(x, -float('inf'), keepdim=True)",
    "m.linalg.matrix_norm(x, 'a')",
]
CASES = EXTREMES + PLACES + SUMS + COUNTS + PRODUCTS + MOMENTS + SCANS + DIFFERENCES + NORMS + ORDER + QUANTILES
INTEGERS = ["m.sum(x, dtype=m.int32)", "m.prod(x, dtype=m.int32)", "m.cumprod(x, 0, dtype=m.int64)"]
# Which of equal elements these name, and give the gradient to, is not specified.
TIES_MAY_DIFFER = [case for case in ORDER + QUANTILES if not case.startswith("m.mode")]
# PyTorch forgets to check the axis of an empty tensor.
UNCHECKED = ("m.cummax", "m.cummin")


def distinct(rng, shape, dtype):
    """Numbers without ties, negative ones among them."""
    count = int(np.prod(shape, dtype=np.int64))
    return ((rng.permutation(count) - count // 2) / 8).reshape(shape).astype(dtype)


def few(rng, shape, dtype):
    """Numbers with many ties and zeros."""
    return rng.integers(-1, 2, shape).astype(dtype)


@pytest.mark.parametrize("case", CASES)
def test_floats(case, torch, rng):
    shape = (3, 4, 5)
    for dtype in (np.float32, np.float64):
        agree(torch, case, {"x": distinct(rng, shape, dtype)}, rng, length=60)
        if case not in TIES_MAY_DIFFER:
            agree(torch, case, {"x": few(rng, shape, dtype)}, rng, length=60)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 0, 3), (1, 1, 1)], ids=str)
def test_small_shapes(case, shape, torch, rng):
    if not (0 in shape and case.startswith(UNCHECKED)):
        agree(torch, case, {"x": few(rng, shape, np.float64)}, rng)


@pytest.mark.parametrize("case", CASES + INTEGERS)
def test_integers_and_bools(case, torch, rng):
    for dtype in (np.int64, np.int32, np.uint8, bool):
        agree(torch, case, {"x": np.abs(distinct(rng, (2, 3, 4), np.float64) * 8).astype(dtype)}, rng)


# PyTorch's var_mean has NaN for the mean of infinities, its quantile for infinities themselves.
@pytest.mark.parametrize("case", [case for case in CASES if "_mean(" not in case and "1.0])" not in case])
def test_infinities_and_nan(case, torch, rng):
    x = distinct(rng, (3, 4, 5), np.float64)
    x[0, 0, 0], x[1, 2, 3], x[2, :, 0] = np.inf, np.nan, -np.inf
    agree(torch, case, {"x": x}, rng, length=60)


HALVES = ["amax(x, 1)", "max(x)", "sum(x, 0)", "mean(x)", "var(x, 1)", "std_mean(x)", "norm(x, dim=0)", "cumsum(x, 0)"]
HALVES += ["prod(x, 1)", "logsumexp(x, 1)", "nansum(x)", "cumprod(x, 1)", "argmax(x, 1)"]


@pytest.mark.parametrize("case", HALVES)
def test_half_precision(case, torch, rng):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for dtype in (np.float16, bfloat16):
        agree(torch, f"m.{case}", {"x": distinct(rng, (3, 4), dtype)}, rng)
