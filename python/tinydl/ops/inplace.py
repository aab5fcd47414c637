"""Changes in place: the storage is overwritten, its version counted up, and the change recorded on the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import is_grad_enabled
from ..tensor import Tensor


def bump(target: Tensor) -> None:
    """Tell the tape that the storage has changed."""
    target._version[0] += 1


def check_writable(op: str, target: Tensor) -> None:
    """Refuse a change that the tape could not follow."""
    if not is_grad_enabled() or not target.requires_grad:
        return
    if target.grad_fn is None:
        raise RuntimeError(f"{op}: a leaf that requires a gradient cannot be changed in place; use no_grad()")
    if target._is_view:
        raise RuntimeError(f"{op}: a recorded view cannot be changed in place; change a copy, or use no_grad()")


def replace(op: str, target: Tensor, result: Tensor) -> Tensor:
    """Give `target` the value and the history of `result`, in target's storage."""
    if target is result:
        return target
    if result.requires_grad and target._is_view:
        raise RuntimeError(f"{op}: a view cannot take a recorded value in place; use an operation that copies")
    check_writable(op, target)
    if result.shape != target.shape:
        raise ValueError(f"{op}: the result has shape {result.shape}, the tensor changed in place {target.shape}")
    if not np.can_cast(result.dtype, target.dtype, casting="same_kind"):
        raise TypeError(f"{op}: a result of dtype {result.dtype} does not fit in place into {target.dtype}")
    np.copyto(target._data, result._data, casting="same_kind")
    bump(target)
    if result.requires_grad:
        target.requires_grad = True
        target.grad_fn = result.grad_fn
        target._output_index = result._output_index
    return target


def in_place(op: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """The in-place form of an operation whose first argument is the tensor to change."""

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return replace(name, self, op(self, *args, **kwargs))

    changed.__name__ = name
    changed.__doc__ = f"`{op.__name__}` in place."
    return changed


def zero_(target: Tensor) -> Tensor:
    """Set every element to 0, in place."""
    return fill_(target, 0)


def fill_(target: Tensor, value: float) -> Tensor:
    """Set every element to `value`, in place."""
    check_writable("fill_", target)
    target._data.fill(value)
    bump(target)
    return target


def copy_(target: Tensor, source: Tensor) -> Tensor:
    """Take over the elements of `source` (broadcast to the shape), in place."""
    check_writable("copy_", target)
    try:
        np.copyto(target._data, source._data if isinstance(source, Tensor) else source, casting="unsafe")
    except ValueError:
        raise ValueError(f"copy_: shape {np.shape(source)} does not broadcast to {target.shape}") from None
    bump(target)
    return target
