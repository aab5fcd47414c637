"""Padding of the last axes with a value, or with what the tensor itself holds."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .indexing import Take

Sides = list[tuple[int, int]]


class ConstantPad(Function):
    """y = x with a value around it; negative paddings cut. The gradient is that of x's part of y."""

    def __init__(self, sides: Sides, value: float) -> None:
        self.sides = sides
        self.value = value

    def forward(self, x: Array) -> Array:
        return pad_array(x, self.sides, self.value)

    def backward(self, grad: Array) -> Array:
        return pad_array(grad, [(-before, -after) for before, after in self.sides], 0)


def pad_array(x: Array, sides: Sides, value: float) -> Array:
    """x with `value` around it; `sides` has the paddings before and after each axis, which cut if negative."""
    if backend.takes(x):
        before, after = [side[0] for side in sides], [side[1] for side in sides]
        return backend.of(x).pad(x, before, after, value)  # type: ignore[no-any-return]
    kept = x[tuple([slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, sides, strict=True)])]
    wide = [(max(a, 0), max(b, 0)) for a, b in sides]
    return np.pad(kept, wide, constant_values=np.asarray(value).astype(x.dtype).item())


def _source(mode: str, size: int, before: int, after: int, like: Array) -> Array:
    """The index that each place of a padded axis is copied from, where `like` lies."""
    at: Array = backend.numpy_of(like).arange(-before, size + after)
    if mode == "replicate":
        return at.clip(0, size - 1)
    if mode == "circular":
        return at % size
    period = max(2 * (size - 1), 1)
    mirrored: Array = (size - 1) - np.abs((size - 1) - at % period)
    return mirrored


def _check_mode(op: str, mode: str, shape: tuple[int, ...], axes: int, sides: Sides) -> None:
    """Refuse what PyTorch refuses for the modes that copy."""
    if len(shape) not in (axes + 1, axes + 2) or axes > 3:
        raise ValueError(
            f"{op}: {mode} padding of {axes} axes takes tensors of {axes + 1} or {axes + 2} axes (at most 3 of them "
            f"padded), got shape {shape}"
        )
    for size, (before, after) in zip(shape[-axes:], sides, strict=True):
        if mode == "reflect" and max(before, after) >= size:
            raise ValueError(f"{op}: reflect padding {(before, after)} must be smaller than the axis's size {size}")
        if mode == "circular" and max(before, after) > size:
            raise ValueError(f"{op}: circular padding {(before, after)} must not exceed the axis's size {size}")
        if size + before + after < (0 if mode == "circular" else 1) or size == 0:
            raise ValueError(f"{op}: {mode} padding {(before, after)} of an axis of size {size} leaves nothing")
        if mode == "circular" and min(before, after) < 0 and max(-before, -after) > size:
            raise ValueError(f"{op}: circular padding {(before, after)} cuts more than the axis's size {size}")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """The tensor with more places around its last axes.

    Args:
        input: a tensor of any shape; "reflect", "replicate" and "circular" pad the last 1, 2 or 3 axes of a tensor
            that has one or two more.
        pad: the places before and after the last axis, then the last but one, ...; negative numbers cut.
        mode: what they hold: "constant" the value; "reflect" the elements mirrored at the edge's (fewer than the
            axis has); "replicate" the edge's element; "circular" the elements of the other end.
        value: for "constant", 0 by default.

    Raises:
        ValueError: `pad` has an odd length or names more axes than there are, a mode's limits are broken, or less than
            nothing is left of an axis.

    >>> import tinydl
    >>> from tinydl.nn.functional import pad
    >>> pad(tinydl.tensor([[1, 2, 3]]), (1, 2))
    tensor([[0, 1, 2, 3, 0, 0]])
    >>> pad(tinydl.tensor([[1.0, 2.0, 3.0]]), (2, 0), mode="reflect")
    tensor([[3., 2., 1., 2., 3.]])
    """
    sizes = _numbers(pad)
    axes = len(sizes) // 2
    if len(sizes) % 2 or axes > input.ndim:
        raise ValueError(
            f"pad: got {len(sizes)} paddings for shape {input.shape}, wanted two for each of its last axes"
        )
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: got mode {mode!r}, wanted 'constant', 'reflect', 'replicate' or 'circular'")
    sides = [(sizes[2 * i], sizes[2 * i + 1]) for i in reversed(range(axes))]
    if mode == "constant":
        return _constant(input, [(0, 0)] * (input.ndim - axes) + sides, 0 if value is None else value)
    if value not in (None, 0):
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    _check_mode("pad", mode, input.shape, axes, sides)
    for axis, (before, after) in enumerate(sides, input.ndim - axes):
        if before or after:
            source = _source(mode, input.shape[axis], before, after, input._data)
            input = Take(axis, source, False).apply(input)
    return input if any(sizes) else input.clone()


def _numbers(pad: Sequence[int]) -> list[int]:
    try:
        return [operator.index(n) for n in pad]
    except TypeError:
        raise TypeError(f"pad: got paddings {pad!r}, wanted integers") from None


def _constant(input: Tensor, sides: Sides, value: float) -> Tensor:
    for size, (before, after) in zip(input.shape, sides, strict=True):
        if (before < 0 or after < 0) and size + min(before, 0) + min(after, 0) < 0:
            raise ValueError(f"pad: paddings {(before, after)} cut more than there is of an axis of size {size}")
    if not sides:
        return input.clone()
    return ConstantPad(sides, value).apply(input)  # type: ignore[no-any-return]
