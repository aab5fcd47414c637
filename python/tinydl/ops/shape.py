"""More views: axes split, moved, cut and broadcast, each by way of the views in `ops.view`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..creation import shape_from
from ..tensor import Array, Tensor
from . import view as views
from .indexing import getitem
from .reduce import axes_of

Shape = tuple[int, ...]


def _axis(op: str, dim: int, ndim: int) -> int:
    """One axis, counted from 0; IndexError for a tensor without axes."""
    if ndim == 0:
        raise IndexError(f"{op}: a tensor without axes has no dim {dim}")
    return axes_of(op, operator.index(dim), ndim)[0]


# -- Split and moved --------------------------------------------------------------------------------------------


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The axis `dim` as several axes of the given sizes, one of which may be -1.

    >>> import tinydl
    >>> tinydl.zeros(2, 6).unflatten(1, (3, -1)).shape
    (2, 3, 2)
    """
    wanted = shape_from("unflatten", (sizes,))
    at = _axis("unflatten", dim, input.ndim)
    length = input.shape[at]
    known = int(np.prod([n for n in wanted if n != -1], dtype=np.int64))
    fits = known == length if -1 not in wanted else known > 0 and length % known == 0
    if not wanted or min(wanted) < -1 or wanted.count(-1) > 1 or not fits:
        raise ValueError(f"unflatten: sizes {wanted} do not multiply up to the {length} elements of dim {dim}")
    filled = tuple(length // known if n == -1 else n for n in wanted)
    return views.reshape(input, (*input.shape[:at], *filled, *input.shape[at + 1 :]))


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """The axes `source` moved to the places `destination`; the others keep their order. A view.

    >>> import tinydl
    >>> tinydl.movedim(tinydl.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    if isinstance(source, int) != isinstance(destination, int):
        raise TypeError(f"movedim: got source={source} and destination={destination}, wanted two integers or two lists")
    start, end = (_named("movedim", dim, input.ndim) for dim in (source, destination))
    if len(start) != len(end):
        raise ValueError(f"movedim: got {len(start)} sources for {len(end)} destinations")
    order = [d for d in range(input.ndim) if d not in start]
    for to, d in sorted(zip(end, start, strict=True)):
        order.insert(to, d)
    return views.permute(input, order) if order else input


def _named(op: str, dim: int | Sequence[int], ndim: int) -> Shape:
    """The axes that `dim` names; none for an empty list."""
    if not isinstance(dim, int) and len(dim) == 0:
        return ()
    return axes_of(op, dim, ndim)


moveaxis = movedim


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two axes exchanged: a view, `transpose` by NumPy's name."""
    return views.transpose(input, axis0, axis1)


def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged: a view, `transpose` by another name."""
    return views.transpose(input, dim0, dim1)


def reversed_axes(input: Tensor) -> Tensor:
    """All axes in reverse order: a view, the tensor's `T`."""
    return input if input.ndim < 2 else views.permute(input, tuple(range(input.ndim))[::-1])


def matrix_transpose(input: Tensor) -> Tensor:
    """The last two axes exchanged: a view, the tensor's `mT`."""
    if input.ndim < 2:
        raise ValueError(f"mT: got a tensor of shape {input.shape}, wanted a matrix or a batch of them")
    return views.transpose(input, -2, -1)


def adjoint(input: Tensor) -> Tensor:
    """The last two axes exchanged: a view."""
    return matrix_transpose(input)


def hermitian(input: Tensor) -> Tensor:
    """A matrix transposed, the tensor's `H` (there are no complex numbers to conjugate)."""
    if input.ndim not in (0, 2):
        raise ValueError(f"H: got a tensor of shape {input.shape}, wanted a matrix")
    return views.transpose(input, 0, 1) if input.ndim else input


def ravel(input: Tensor) -> Tensor:
    """All axes as one, in row-major order."""
    return views.reshape(input, -1) if input.numel() else views.reshape(input, 0)


def _atleast(op: str, tensors: tuple[Any, ...], widen: Callable[[Tensor], Tensor]) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return widen(tensors[0])
    several = tensors[0] if len(tensors) == 1 else tensors
    if not isinstance(several, list | tuple) or not all(isinstance(t, Tensor) for t in several):
        raise TypeError(f"{op}: wanted tensors")
    return tuple(widen(t) for t in several)


def atleast_1d(*tensors: Any) -> Any:
    """A scalar as (1,); others as they are. Several tensors, or a list, give a tuple."""
    return _atleast("atleast_1d", tensors, lambda t: t if t.ndim else views.reshape(t, 1))


def atleast_2d(*tensors: Any) -> Any:
    """A scalar as (1, 1), a vector as (1, n); others as they are. Several tensors, or a list, give a tuple."""
    return _atleast("atleast_2d", tensors, lambda t: t if t.ndim > 1 else views.reshape(t, (1, t.numel())))


def atleast_3d(*tensors: Any) -> Any:
    """A scalar as (1, 1, 1), a vector as (1, n, 1), a matrix as (m, n, 1). Several tensors, or a list, give a tuple."""

    def widen(t: Tensor) -> Tensor:
        return t if t.ndim > 2 else views.reshape(t, ((1, 1, 1), (1, t.numel(), 1), (*t.shape, 1))[t.ndim])

    return _atleast("atleast_3d", tensors, widen)


# -- Cut --------------------------------------------------------------------------------------------------------


def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """`length` elements of an axis from `start` on: a view.

    >>> import tinydl
    >>> tinydl.arange(5).narrow(0, 1, 3)
    tensor([1, 2, 3])
    """
    at = _axis("narrow", dim, input.ndim)
    size, first = input.shape[at], operator.index(start)
    if not -size <= first <= size:
        raise IndexError(f"narrow: start {first} is out of range for {size} elements")
    first += size if first < 0 else 0
    if length < 0 or first + length > size:
        raise ValueError(f"narrow: {length} elements from {first} on do not lie within the {size} of dim {dim}")
    return getitem(input, (slice(None),) * at + (slice(first, first + length),))


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at `index` of an axis, without the axis: a view."""
    at = _axis("select", dim, input.ndim)
    size, place = input.shape[at], operator.index(index)
    if not -size <= place < size:
        raise IndexError(f"select: index {place} is out of range for the {size} elements of dim {dim}")
    return getitem(input, (*(slice(None),) * at, place, ...))


class Unfold(Function):
    """All windows of an axis, along a new last axis; elements get the sum of their windows' gradients."""

    def __init__(self, axis: int, size: int, step: int) -> None:
        self.window = axis, size, step

    def forward(self, x: Array) -> Array:
        axis, size, step = self.window
        self.shape = x.shape
        shape, strides = [*x.shape, size], [*x.strides, x.strides[axis]]
        shape[axis] = (x.shape[axis] - size) // step + 1
        strides[axis] *= step
        return anywhere.contiguous(anywhere.as_strided(x, shape, strides))

    def backward(self, grad: Array) -> Array:
        axis, size, step = self.window
        out = backend.zeros(self.shape, grad)
        reach = (grad.shape[axis] - 1) * step + 1
        for k in range(size):
            out[(slice(None),) * axis + (slice(k, k + reach, step),)] += grad[..., k]
        return out


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements, `step` apart, of an axis, each along a new last axis: a copy.

    >>> import tinydl
    >>> tinydl.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    if input.ndim == 0:
        raise ValueError("unfold: got a tensor without axes")
    at = _axis("unfold", dimension, input.ndim)
    if not 0 < size <= input.shape[at] or step < 1:
        raise ValueError(
            f"unfold: got size {size} and step {step} for the {input.shape[at]} elements of dim {dimension}"
        )
    return Unfold(at, size, step).apply(input)  # type: ignore[no-any-return]


# -- Broadcast and given another tensor's shape -----------------------------------------------------------------


def broadcast_to(input: Tensor, *size: Any) -> Tensor:
    """Axes of size 1, and missing ones in front, repeated to `size` without a copy."""
    return views.expand(input, *size)


def broadcast_shapes(*shapes: int | Sequence[int]) -> Shape:
    """The shape that the given ones broadcast to; ValueError where they do not fit."""
    wanted = [shape_from("broadcast_shapes", (shape,)) for shape in shapes]
    try:
        return np.broadcast_shapes(*wanted)
    except ValueError:
        raise ValueError(f"broadcast_shapes: the shapes {wanted} do not fit") from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors in their common shape, without copies.

    >>> import tinydl
    >>> [t.shape for t in tinydl.broadcast_tensors(tinydl.zeros(3, 1), tinydl.zeros(2))]
    [(3, 2), (3, 2)]
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    if not all(isinstance(t, Tensor) for t in given):
        raise TypeError("broadcast_tensors: wanted tensors")
    shape = broadcast_shapes(*[t.shape for t in given])
    return tuple(views.expand(t, shape) for t in given)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor broadcast to the shape of another, without a copy."""
    return views.expand(input, other.shape)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in row-major order under the shape of another tensor."""
    return views.reshape(input, other.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in row-major order under the shape of another tensor."""
    return views.reshape(input, other.shape)


# -- Another dtype for the same bytes ---------------------------------------------------------------------------


def view(input: Tensor, *size: Any) -> Tensor:
    """The elements in row-major order under another shape, as `reshape`; or, given a dtype, the same bytes read as it.

    >>> import tinydl
    >>> tinydl.tensor([1.0]).view(tinydl.int32)
    tensor([1065353216], dtype=int32)
    """
    if len(size) != 1 or not isinstance(size[0], np.dtype | type | str):
        return views.reshape(input, *size)
    dtype, _ = backend.conversion((size[0],))
    try:
        out = Tensor(input._data.view(dtype))
    except ValueError:
        raise ValueError(
            f"view: a tensor of shape {input.shape}, strides {input.stride()} and dtype {input.dtype} cannot be read "
            f"as {dtype}"
        ) from None
    input._share_version(out)
    return out


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sums over the axes along which the shape `size` would be broadcast to the tensor's."""
    shape = shape_from("sum_to_size", size)
    lead = input.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, input.shape[lead:], strict=True)):
        raise ValueError(f"sum_to_size: shape {shape} does not broadcast to {input.shape}")
    axes = [*range(lead), *[lead + i for i, n in enumerate(shape) if n == 1 and input.shape[lead + i] != 1]]
    return input.sum(axes).reshape(shape) if axes else input
