"""One expression evaluated with tinydl and with PyTorch: equal values, dtypes and gradients, or both refuse."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close

Array = np.ndarray[Any, Any]
REFUSALS = (ValueError, TypeError, IndexError)


def agree(torch: Any, case: str, arrays: dict[str, Array], rng: np.random.Generator, *, length: int = 1) -> None:
    """Assert that `case`, with m as tinydl or torch and `arrays` as tensors, gives the same with both.

    Floating-point inputs require gradients, and random upstream gradients flow back from every floating-point result.
    The tolerance is the table's for "gradient", relative to the largest magnitude of each result. Where PyTorch
    raises, tinydl must raise ValueError, TypeError or IndexError.
    """
    theirs = {name: torch_tensor(torch, a) for name, a in arrays.items()}
    ours = {name: tinydl.tensor(a, requires_grad=a.dtype.kind in "fV") for name, a in arrays.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = results(eval(case, {"m": torch, "F": torch.nn.functional, **theirs}))
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        with pytest.raises(REFUSALS):
            eval(case, {"m": tinydl, "F": tinydl.nn.functional, **ours})
        return
    got = results(eval(case, {"m": tinydl, "F": tinydl.nn.functional, **ours}))
    assert len(got) == len(expected)
    for mine, other in zip(got, expected, strict=True):
        same(mine, other, length)
    for mine, other in zip(got, expected, strict=True):
        if other.requires_grad:
            upstream = rng.standard_normal(mine.shape)
            mine.backward(tinydl.tensor(upstream).to(mine.dtype), retain_graph=True)
            other.backward(torch.tensor(upstream, dtype=other.dtype), retain_graph=True)
    for name, t in theirs.items():
        mine = ours[name].grad
        if t.grad is None:
            assert mine is None or not mine.numpy().any(), f"the gradient of {name}"
        else:
            same(mine, t.grad, length)


def torch_tensor(torch: Any, array: Array) -> Any:
    if array.dtype.name == "bfloat16":
        return torch.tensor(array.astype(np.float32), dtype=torch.bfloat16, requires_grad=True)
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def results(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def same(got: tinydl.Tensor, expected: Any, length: int) -> None:
    """Equal shapes, dtypes and values, within the tolerance for floating-point numbers."""
    assert got.dtype.name == str(expected.dtype).removeprefix("torch."), "the dtype"
    array = expected.detach().double().numpy() if expected.is_floating_point() else expected.numpy()
    mine = got.detach().numpy()
    if not expected.is_floating_point():
        np.testing.assert_array_equal(mine, array, strict=True)
        return
    finite = np.abs(array[np.isfinite(array)])
    # The results of float16 and bfloat16 are rounded from float32: one unit in the last place may differ.
    precision = mine.dtype if mine.dtype in (np.float32, np.float64) else None
    if precision is None:
        mine = mine.astype(np.float32)
        units = 2.0**-7 if got.dtype.name == "bfloat16" else 2.0**-10
        np.testing.assert_array_equal(np.isfinite(mine), np.isfinite(array))
        assert mine.shape == array.shape
        assert np.all(np.abs(mine - array)[np.isfinite(array)] <= 4 * units * finite.max(initial=1.0))
        return
    assert_close(mine, array, "gradient", length=length, scale=finite.max(initial=1.0), dtype=precision)
