"""The comparison of results with references, and the one table of tolerances."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import tinydl

Array = np.ndarray[Any, Any]

# The error allowed, in units of eps(dtype) * scale: `base` for the rounding of a few operations, and `growth` for each
# sqrt(length), where a result sums `length` products (rounding errors of a sum add up like a random walk; the factors
# leave a margin of about four over the largest error seen).
TOLERANCES = {
    #                (base, growth)
    "elementwise": (4.0, 0.0),
    "function": (32.0, 0.0),  # functions against PyTorch's, which has errors of its own
    "reduce": (4.0, 0.5),
    "matmul": (4.0, 1.0),
    "conv": (4.0, 1.0),
    "pool": (4.0, 0.5),
    "resample": (4.0, 1.0),
    "norm": (16.0, 1.0),
    "softmax": (16.0, 1.0),
    "loss": (16.0, 1.0),
    "random": (4.0, 0.0),
    "optimizer": (16.0, 0.0),
    "index": (4.0, 0.5),
    "embedding": (4.0, 0.5),
    "recurrent": (32.0, 1.0),  # errors grow from step to step
    "attention": (8.0, 1.0),  # scores, their exponentials, and sums of both
    "gradient": (64.0, 2.0),  # a chain of several operations and their gradients
}


def array_of(value: Any) -> Array:
    return value.detach().numpy() if isinstance(value, tinydl.Tensor) else np.asarray(value)


def assert_close(
    got: Any,
    expected: Any,
    family: str,
    *,
    length: int = 1,
    scale: Any = None,
    dtype: Any = None,
) -> None:
    """Assert |got - expected| <= eps (base + growth sqrt(length)) scale, elementwise, and equal shapes and specials.

    `scale` is what rounding errors are relative to: by default |expected|, for sums the sum of the magnitudes.
    `dtype` is the precision that was computed in (got's by default). NaN equals NaN, infinities equal themselves.
    """
    got, expected = array_of(got), array_of(expected)
    if got.shape != expected.shape:
        raise AssertionError(f"got shape {got.shape}, expected {expected.shape}")
    base, growth = TOLERANCES[family]
    dtype = np.dtype(dtype or got.dtype)
    limits = ml_dtypes.finfo(dtype)
    eps = float(limits.eps)
    got64, expected64 = got.astype(np.float64), expected.astype(np.float64)
    magnitude = np.abs(expected64) if scale is None else np.broadcast_to(np.asarray(scale, np.float64), got.shape)
    allowed = eps * (base + growth * np.sqrt(length)) * magnitude + float(limits.tiny)
    finite = np.isfinite(expected64)
    with np.errstate(invalid="ignore"):
        error = np.abs(got64 - expected64)
        same = (got64 == expected64) | (np.isnan(got64) & np.isnan(expected64))
    wrong = np.where(finite, ~(error <= allowed), ~same)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{family}: {int(wrong.sum())} of {wrong.size} elements differ; at {at} got {got[at]!r}, expected "
            f"{expected[at]!r}, error {error[at]:.3g}, allowed {allowed[at]:.3g}"
        )
