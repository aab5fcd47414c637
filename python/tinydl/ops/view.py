"""Other shapes of the same elements: NumPy's views, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import anywhere
from ..autograd import Function
from ..creation import shape_from as _sizes
from ..tensor import Array, Tensor
from .reduce import axes_of, axis_of, sum_to

Shape = tuple[int, ...]


class Reshape(Function):
    """The elements in row-major order under another shape; a view where the strides allow one."""

    returns_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.before = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Array) -> Array:
        return grad.reshape(self.before)


class Permute(Function):
    """The axes in another order."""

    returns_view = True

    def __init__(self, axes: Shape) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes)

    def backward(self, grad: Array) -> Array:
        return grad.transpose(np.argsort(self.axes).tolist())


class Expand(Function):
    """Axes of size 1 repeated without a copy."""

    returns_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.before = x.shape
        return np.broadcast_to(x, self.shape)

    def backward(self, grad: Array) -> Array:
        return sum_to(grad, self.before)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in row-major order under another shape; one size may be -1.

    A view where the strides allow one, else a copy. ValueError where the number of elements differs.

    >>> import tinydl
    >>> tinydl.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    sizes = _sizes("reshape", shape)
    try:
        return Reshape(sizes).apply(input)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError(f"reshape: a tensor of shape {input.shape} cannot take the shape {sizes}") from None


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one, in row-major order.

    >>> import tinydl
    >>> tinydl.zeros(2, 3, 4).flatten(1).shape
    (2, 12)
    """
    if input.ndim == 0:
        return reshape(input, 1)
    start, end = axis_of("flatten", start_dim, input.ndim), axis_of("flatten", end_dim, input.ndim)
    if end < start:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for shape {input.shape}")
    middle = int(np.prod(input.shape[start : end + 1], dtype=np.int64))
    return reshape(input, (*input.shape[:start], middle, *input.shape[end + 1 :]))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The axes in the order `dims`: a view."""
    wanted = _sizes("permute", dims)
    axes = axes_of("permute", wanted, input.ndim) if wanted else ()
    if len(axes) != input.ndim:
        raise ValueError(f"permute: got {len(axes)} axes for a tensor of shape {input.shape}")
    return Permute(axes).apply(input)  # type: ignore[no-any-return]


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged: a view."""
    axes = list(range(input.ndim))
    a, b = axis_of("transpose", dim0, input.ndim), axis_of("transpose", dim1, input.ndim)
    if axes:
        axes[a], axes[b] = axes[b], axes[a]
    return permute(input, axes)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or scalar as it is."""
    if input.ndim > 2:
        raise ValueError(f"t: got a tensor of shape {input.shape}, wanted at most two axes")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 before axis `dim`: a view."""
    at = axis_of("unsqueeze", dim, input.ndim + 1)
    return reshape_view(input, (*input.shape[:at], 1, *input.shape[at:]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of size 1 (all, or those that `dim` names): a view."""
    named: Sequence[int] = range(input.ndim)
    if dim is not None:
        named = axes_of("squeeze", dim, input.ndim) if isinstance(dim, int) or dim else ()
    return reshape_view(input, tuple(n for d, n in enumerate(input.shape) if n != 1 or d not in named))


def reshape_view(input: Tensor, shape: Shape) -> Tensor:
    """A reshape that adds or drops axes of size 1 only."""
    return Reshape(shape).apply(input)  # type: ignore[no-any-return]


def expand(input: Tensor, *size: Any) -> Tensor:
    """Axes of size 1 repeated to `size` without a copy; -1 keeps a size."""
    wanted = list(_sizes("expand", size))
    extra = len(wanted) - input.ndim
    for d in range(len(wanted)):
        if wanted[d] == -1 and d >= extra:
            wanted[d] = input.shape[d - extra]
    try:
        return Expand(tuple(wanted)).apply(input)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError(f"expand: a tensor of shape {input.shape} cannot take the shape {tuple(wanted)}") from None


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself where its elements lie in row-major order, else a copy that does."""
    if input.is_contiguous():
        return input
    return Contiguous().apply(input)  # type: ignore[no-any-return]


class Contiguous(Function):
    """A row-major copy."""

    def forward(self, x: Array) -> Array:
        return anywhere.contiguous(x)

    def backward(self, grad: Array) -> Array:
        return grad
