"""Changes in place: the storage is overwritten, its version counted up, and the change recorded on the tape.

A change is computed as an operation like any other, whose value is then copied into the storage and whose place on the
tape the tensor takes over. Other tensors that share the storage would keep a history that no longer explains their
values: where the tape is concerned, such a change is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, is_grad_enabled
from ..autograd.function import order
from ..tensor import Tensor
from .elementwise import cast, move


def bump(target: Tensor) -> None:
    """Tell the tape that the storage has changed."""
    target._version[0] += 1


def check_writable(op: str, target: Tensor, recorded: bool) -> None:
    """Refuse a change that the tape could not follow; `recorded` says whether the new value is on the tape.

    ValueError where the memory is read-only, or an element stands in several places (`expand`).
    """
    if not backend.is_writeable(target._data):
        raise ValueError(
            f"{op}: the tensor of shape {target.shape} cannot be changed in place: its memory is read-only, or its "
            "elements are repeated by expand(); change a clone()"
        )
    if not is_grad_enabled():
        return
    if target.requires_grad and target.grad_fn is None:
        raise RuntimeError(f"{op}: a leaf that requires a gradient cannot be changed in place; use no_grad()")
    others = target._aliases()
    if others and (recorded or target.requires_grad or any(t.requires_grad for t in others)):
        raise RuntimeError(
            f"{op}: a tensor that shares its memory with a view cannot be changed in place while it is recorded; "
            "change a copy, or use no_grad()"
        )


def replace(op: str, target: Tensor, result: Tensor) -> Tensor:
    """Give `target` the value and the history of `result`, in target's storage."""
    if target is result:
        return target
    if result.shape != target.shape:
        raise ValueError(f"{op}: the result has shape {result.shape}, the tensor changed in place {target.shape}")
    if result._data.dtype is not target._data.dtype and not np.can_cast(
        result.dtype, target.dtype, casting="same_kind"
    ):
        raise TypeError(f"{op}: a result of dtype {result.dtype} does not fit in place into {target.dtype}")
    result = cast(result, target.dtype)
    check_writable(op, target, result.requires_grad)
    if type(result._data) is not type(target._data):
        backend.check_together(op, target._data, result._data)
    np.copyto(target._data, result._data)
    bump(target)
    if is_grad_enabled():
        target.requires_grad = result.requires_grad
        target.grad_fn = result.grad_fn
        target._output_index = result._output_index
    return target


def _keep_what_was_saved(result: Tensor, target: Tensor, since: int) -> None:
    """Give the operations recorded after `since` copies of what they saved of target's memory, which will change."""
    waiting = [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Function) or node._order < since:
            continue
        kind = type(target._data)
        shared = [type(array) is kind and np.may_share_memory(array, target._data) for array in node.saved]
        if any(shared):
            pairs = zip(node.saved, shared, strict=True)
            node.saved = tuple([array.copy(order="K") if copy else array for array, copy in pairs])
            node._guards = [guard for guard in node._guards if guard[0] is not target._version]
        waiting += [edge[0] for edge in node._edges if edge is not None and isinstance(edge[0], Function)]


def change(op: str, target: Tensor, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """Replace `target` by function(target, ...), whose backward pass reads the elements as they were before."""
    since = next(order)
    result = function(target, *args, **kwargs)
    if result.grad_fn is not None:
        _keep_what_was_saved(result, target, since)
    return replace(op, target, result)


def in_place(op: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """The in-place form of an operation whose first argument is the tensor to change."""

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return change(name, self, op, *args, **kwargs)

    changed.__name__ = name
    changed.__wrapped__ = op  # type: ignore[attr-defined]  # whose signature it has
    changed.__doc__ = f"`{op.__name__}` in place."
    return changed


def turn_in_place(op: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """The in-place form of a view: the tensor gets the view's shape and strides, and its history."""

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if is_grad_enabled() and self.requires_grad and self.grad_fn is None:
            raise RuntimeError(f"{name}: a leaf that requires a gradient cannot be changed in place; use no_grad()")
        result = op(self, *args, **kwargs)
        self._data = result._data
        if is_grad_enabled():
            self.grad_fn, self._output_index = result.grad_fn, result._output_index
        return self

    changed.__name__ = name
    changed.__doc__ = f"`{op.__name__}` in place: other views of the memory stay as they are."
    changed.__wrapped__ = op  # type: ignore[attr-defined]  # whose signature it has
    return changed


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element x by callable(x), in place: slow, and off the tape.

    >>> import tinydl
    >>> tinydl.tensor([1.0, 2.0]).apply_(lambda x: x * 10)
    tensor([10., 20.])
    """
    if self.requires_grad:
        raise RuntimeError("apply_: the tensor requires a gradient; use detach()")
    values = [callable(x) for x in self._data.ravel().tolist()]
    return replace("apply_", self, Tensor(backend.beside(values, self._data, self.dtype).reshape(self.shape)))


def map_(self: Tensor, other: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element x by callable(x, y) with the element y of `other`, in place: slow, and off the tape."""
    if self.requires_grad or other.requires_grad:
        raise RuntimeError("map_: a tensor requires a gradient; use detach()")
    pairs = zip(self._data.ravel().tolist(), other.expand(self.shape)._data.ravel().tolist(), strict=True)
    values = [callable(x, y) for x, y in pairs]
    return replace("map_", self, Tensor(backend.beside(values, self._data, self.dtype).reshape(self.shape)))


def zero_(target: Tensor) -> Tensor:
    """Set every element to 0, in place; a gradient does not flow further back."""
    return replace("zero_", target, Tensor(backend.scalar(0, target._data)).expand(target.shape))


def fill_(target: Tensor, value: float) -> Tensor:
    """Set every element to `value`, in place; a gradient does not flow further back."""
    if isinstance(value, Tensor) and not value.requires_grad:
        value = value._data
    try:
        filled = backend.asarray(value, target.dtype)
    except OverflowError:
        raise ValueError(f"fill_: the dtype {target.dtype} does not hold {value}") from None
    if type(filled) is not type(target._data) and not filled.ndim:  # a number, or a tensor of another device
        filled = backend.scalar(backend.to_host(filled), target._data)
    return replace("fill_", target, Tensor(filled).expand(target.shape))


def copy_(target: Tensor, other: Tensor, non_blocking: bool = False) -> Tensor:
    """Take over the elements of `other` (broadcast to the shape, in the tensor's dtype, from any device), in place.

    `non_blocking` has no effect: a copy from or to the CPU always waits.
    """
    if not isinstance(other, Tensor):
        other = Tensor(np.asarray(other))
    try:
        wide = other.expand(target.shape)
    except ValueError:
        raise ValueError(f"copy_: shape {other.shape} does not broadcast to {target.shape}") from None
    return replace("copy_", target, move(cast(wide, target.dtype), target.device))
