"""One call run by tinydl and by PyTorch: equal values, gradients, dtypes, and both refuse what either refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinydl

from .compare import assert_close

Call = Callable[..., Any]


def flat(result: Any) -> list[Any]:
    """The tensors of a result, which may be a tuple of them."""
    return [t for part in result for t in flat(part)] if isinstance(result, tuple | list) else [result]


def leaves(module: Any, arrays: Any) -> list[Any]:
    """Tensors with copies of the arrays; floating-point ones want a gradient."""
    out = [module.tensor(np.array(a)) for a in arrays]
    for t, a in zip(out, arrays, strict=True):
        t.requires_grad_(np.asarray(a).dtype.kind == "f")
    return out


def same_as_torch(torch: Any, family: str, call: Call, *arrays: Any, length: int = 1) -> None:
    """Assert that call(module, *tensors) has PyTorch's values, dtypes and gradients (of a random upstream)."""
    ours, theirs = leaves(tinydl, arrays), leaves(torch, arrays)
    got, expected = flat(call(tinydl, *ours)), flat(call(torch, *theirs))
    assert len(got) == len(expected)
    rng = np.random.default_rng(1)
    mine: list[Any] = []
    peer: list[Any] = []
    for a, b in zip(got, expected, strict=True):
        values = b.detach().numpy()
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        assert a.requires_grad == b.requires_grad
        if values.dtype.kind != "f":
            assert a.shape == values.shape
            assert a.tolist() == values.tolist()
            continue
        assert_close(a, values, family, length=length, scale=np.abs(values) + 1)
        if b.requires_grad:
            upstream = rng.standard_normal(values.shape).astype(np.promote_types(values.dtype, np.float32))
            mine.append((a * tinydl.tensor(upstream)).sum())
            peer.append((b * torch.tensor(upstream)).sum())
    if not peer:
        return
    sum(mine).backward()
    sum(peer).backward()
    for a, b in zip(ours, theirs, strict=True):
        if b.requires_grad:
            grad = np.zeros(b.shape) if b.grad is None else b.grad.numpy()
            found = np.zeros(b.shape, b.detach().numpy().dtype) if a.grad is None else a.grad.numpy()
            assert_close(found, grad, family, length=length, scale=np.abs(grad) + 10)


def both_refuse(torch: Any, call: Call, *arrays: Any) -> None:
    """Assert that PyTorch refuses the call, and that we do with ValueError, TypeError or IndexError and a message."""
    for module, errors in ((torch, Exception), (tinydl, (ValueError, TypeError, IndexError))):
        try:
            out = call(module, *[module.tensor(np.array(a)) for a in arrays])
        except errors as error:
            if len(str(error)) <= 10:
                raise AssertionError(f"{module.__name__} does not say why") from error
            continue
        raise AssertionError(f"{module.__name__} accepts the call: {out}")
