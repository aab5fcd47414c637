"""Tensors put together along an axis, and cut apart again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import cast
from .reduce import axes_of
from .view import reshape

Tensors = Sequence[Tensor]


def join(arrays: tuple[Array, ...], axis: int) -> Array:
    """The arrays one after the other along an axis."""
    if backend.takes(arrays[0]):
        return backend.of(arrays[0]).cat(arrays, axis)  # type: ignore[no-any-return]
    return np.concatenate(arrays, axis)


class Cat(Function):
    """y = the inputs one after the other along an axis; each gets its part of the gradient."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        self.sizes = [a.shape[self.axis] for a in arrays]
        return join(arrays, self.axis)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        before = (slice(None),) * self.axis
        out: list[Array | None] = []
        at = 0
        for size, need in zip(self.sizes, self.needs, strict=True):
            out.append(grad[(*before, slice(at, at + size))] if need else None)
            at += size
        return tuple(out)


class Stack(Function):
    """y = the inputs along a new axis; each gets its slice of the gradient."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        shape = arrays[0].shape
        wide = (*shape[: self.axis], 1, *shape[self.axis :])
        return join(tuple([a.reshape(wide) for a in arrays]), self.axis)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        slices = np.moveaxis(grad, self.axis, 0)
        return tuple([slices[i, ...] if need else None for i, need in enumerate(self.needs)])


class Cut(Function):
    """Views of x, one after the other along an axis; x gets their gradients put together, zeros where there is none."""

    def __init__(self, axis: int, sizes: Sequence[int]) -> None:
        self.axis = axis
        self.sizes = sizes

    def forward(self, x: Array) -> tuple[Array, ...]:
        self.before = x.shape
        self.dtype = x.dtype
        before = (slice(None),) * self.axis
        pieces = []
        at = 0
        for size in self.sizes:
            pieces.append(x[(*before, slice(at, at + size))])
            at += size
        return tuple(pieces)

    def backward(self, *grads: Array | None) -> Array:
        shape = list(self.before)
        zeros = next(backend.numpy_of(grad) for grad in grads if grad is not None).zeros
        parts = []
        for size, grad in zip(self.sizes, grads, strict=True):
            shape[self.axis] = size
            parts.append(zeros(shape, self.dtype) if grad is None else grad)
        return join(tuple(parts), self.axis)


def _listed(op: str, tensors: Tensors) -> tuple[Tensor, ...]:
    """At least one tensor, all of the dtype that PyTorch's promotion gives them."""
    if not isinstance(tensors, tuple | list):
        raise TypeError(f"{op}: got {type(tensors).__name__}, wanted a tuple or list of tensors")
    if not tensors:
        raise ValueError(f"{op}: got no tensors")
    dtype = getattr(tensors[0], "dtype", None)
    same = True
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"{op}: got {type(t).__name__} among the tensors, wanted tensors only")
        same = same and t._data.dtype is dtype
    if same:
        return tuple(tensors)
    ranks = [[t._data for t in tensors if bool(t.ndim) is axes] for axes in (True, False)]
    winners = [np.empty(rank[0].shape[:1], reduce(dtypes.promote, [a.dtype for a in rank])) for rank in ranks if rank]
    dtype = dtypes.result_type(winners[0], winners[-1])
    return tuple([cast(t, dtype) for t in tensors])


def cat(tensors: Tensors, dim: int = 0) -> Tensor:
    """The tensors one after the other along an axis; their shapes may differ only there.

    Dtypes are promoted; empty tensors of shape (0,) are left out.

    Raises:
        ValueError: no tensors, one without axes, or shapes that do not fit.
        TypeError: no tuple or list of tensors. IndexError: `dim` is out of range.

    >>> import tinydl
    >>> tinydl.cat([tinydl.ones(1, 2), tinydl.zeros(2, 2)])
    tensor([[1., 1.],
            [0., 0.],
            [0., 0.]])
    """
    listed = _listed("cat", tensors)
    axes = listed[0]._data.ndim
    for t in listed:
        ndim = t._data.ndim
        if not ndim:
            raise ValueError("cat: got a tensor without axes, wanted at least one axis; use stack")
        if ndim != axes:
            kept = tuple([t for t in listed if t.shape != (0,)])
            if len(kept) == len(listed):
                raise ValueError(f"cat: got shapes {listed[0].shape} and {t.shape}, wanted the same number of axes")
            return cat(kept, dim)
    axis = dim if type(dim) is int and 0 <= dim < axes else axes_of("cat", dim, axes)[0]
    return Cat(axis).apply(*listed)  # type: ignore[no-any-return]


def concat(tensors: Tensors, dim: int = 0) -> Tensor:
    """Another name of `cat`."""
    return cat(tensors, dim)


def concatenate(tensors: Tensors, dim: int = 0) -> Tensor:
    """Another name of `cat`."""
    return cat(tensors, dim)


def stack(tensors: Tensors, dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis `dim`.

    Raises:
        ValueError: no tensors, or shapes that differ. TypeError: no tuple or list of tensors.
        IndexError: `dim` is out of range.

    >>> import tinydl
    >>> tinydl.stack([tinydl.tensor([1, 2]), tinydl.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    listed = _listed("stack", tensors)
    first = listed[0]._data.shape
    for t in listed:
        if t._data.shape != first:
            raise ValueError(f"stack: got tensors of shapes {first} and {t.shape}, wanted equal shapes")
    axis = dim if type(dim) is int and 0 <= dim <= len(first) else axes_of("stack", dim, len(first) + 1)[0]
    return Stack(axis).apply(*listed)  # type: ignore[no-any-return]


def _at_least(tensors: Tensors, axes: int) -> list[Tensor]:
    """Each tensor with leading axes of size 1 (a third axis comes last) until it has `axes`."""
    out = []
    for t in tensors:
        if t.ndim < min(axes, 2):
            t = reshape(t, (1,) * (min(axes, 2) - t.ndim) + t.shape)
        out.append(reshape(t, (*t.shape, 1)) if t.ndim < axes else t)
    return out


def hstack(tensors: Tensors) -> Tensor:
    """The tensors side by side: along the second axis, vectors and scalars along the first.

    >>> import tinydl
    >>> tinydl.hstack([tinydl.tensor([1, 2]), tinydl.tensor([3])])
    tensor([1, 2, 3])
    """
    listed = _at_least(_listed("hstack", tensors), 1)
    return cat(listed, 0 if listed[0].ndim == 1 else 1)


def vstack(tensors: Tensors) -> Tensor:
    """The tensors below each other: along the first axis, vectors as rows."""
    return cat(_at_least(_listed("vstack", tensors), 2), 0)


def dstack(tensors: Tensors) -> Tensor:
    """The tensors behind each other: along the third axis."""
    return cat(_at_least(_listed("dstack", tensors), 3), 2)


def column_stack(tensors: Tensors) -> Tensor:
    """The tensors side by side, vectors as columns."""
    listed = [reshape(t, (t.numel(), 1)) if t.ndim < 2 else t for t in _listed("column_stack", tensors)]
    return cat(listed, 1)


# -- Apart ----------------------------------------------------------------------------------------------------------


def _cut(input: Tensor, axis: int, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    pieces: tuple[Tensor, ...] = Cut(axis, sizes).apply(input)
    for piece in pieces:
        input._share_version(piece)
    return pieces


def _axis(op: str, input: Tensor, dim: int) -> int:
    if not input.ndim:
        raise ValueError(f"{op}: got a tensor without axes")
    (axis,) = axes_of(op, dim, input.ndim)
    return axis


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` along an axis, the last one perhaps smaller; or of the listed sizes.

    Raises ValueError where a size is negative (or 0), or the sizes do not add up to the axis's.

    >>> import tinydl
    >>> tinydl.split(tinydl.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    axis = _axis("split", tensor, dim)
    size = tensor.shape[axis]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step < 0 or (step == 0 and size):
            raise ValueError(f"split: got split_size {step} for an axis of size {size}, wanted a positive number")
        sizes = [min(step, size - at) for at in range(0, size, step or 1)] or [0]
    else:
        sizes = [int(n) for n in split_size_or_sections]
        if sum(sizes) != size or min(sizes, default=0) < 0:
            raise ValueError(f"split: got sizes {sizes}, wanted sizes that add up to {size}, that of axis {axis}")
    return _cut(tensor, axis, sizes)


def split_method(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`split` under the argument name of the method."""
    return split(self, split_size, dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size along an axis, the last one perhaps smaller.

    >>> import tinydl
    >>> tinydl.chunk(tinydl.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if chunks <= 0:
        raise ValueError(f"chunk: got chunks={chunks}, wanted a positive number")
    axis = _axis("chunk", input, dim)
    size = input.shape[axis]
    if size == 0:
        return _cut(input, axis, [0] * chunks)
    return split(input, -(-size // chunks), axis)


def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views along an axis: n of about equal size, the larger ones first; or cut before the listed indices.

    >>> import tinydl
    >>> tinydl.tensor_split(tinydl.arange(5), 2), tinydl.tensor_split(tinydl.arange(5), (1, 4))
    ((tensor([0, 1, 2]), tensor([3, 4])), (tensor([0]), tensor([1, 2, 3]), tensor([4])))
    """
    axis = _axis("tensor_split", input, dim)
    size = input.shape[axis]
    where = indices_or_sections.tolist() if isinstance(indices_or_sections, Tensor) else indices_or_sections
    if isinstance(where, int):
        if where <= 0:
            raise ValueError(f"tensor_split: got {where} sections, wanted a positive number")
        return _cut(input, axis, [size // where + (i < size % where) for i in range(where)])
    before = (slice(None),) * axis
    edges: list[Any] = [0, *where, size]
    return tuple([input[(*before, slice(a, b))] for a, b in itertools.pairwise(edges)])


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, as views without it.

    >>> import tinydl
    >>> tinydl.unbind(tinydl.tensor([[1, 2], [3, 4]]), 1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    axis = _axis("unbind", input, dim)
    rest = input.shape[:axis] + input.shape[axis + 1 :]
    return tuple([reshape(piece, rest) for piece in _cut(input, axis, [1] * input.shape[axis])])


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the given sizes along an axis, which they fill."""
    return split(input, list(split_sizes), dim)


def _split_along(op: str, input: Tensor, dim: int, least: int, where: int | Sequence[int]) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise ValueError(f"{op}: got shape {input.shape}, wanted at least {least} axes")
    if isinstance(where, int) and (where <= 0 or input.shape[dim] % where):
        raise ValueError(f"{op}: the size {input.shape[dim]} of axis {dim} does not divide into {where} sections")
    return tensor_split(input, where, dim)


def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views along the second axis (of a vector, the first): equal sections, or cut before the listed indices.

    >>> import tinydl
    >>> tinydl.hsplit(tinydl.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1],
            [3]]), tensor([[2],
            [4]]))
    """
    return _split_along("hsplit", input, 0 if input.ndim == 1 else 1, 1, indices_or_sections)


def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views along the first axis of two or more: equal sections, or cut before the listed indices."""
    return _split_along("vsplit", input, 0, 2, indices_or_sections)


def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Views along the third axis: equal sections, or cut before the listed indices."""
    return _split_along("dsplit", input, 2, 3, indices_or_sections)


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrix with the given ones (or vectors, as rows) on its diagonal, and 0 elsewhere.

    >>> import tinydl
    >>> tinydl.block_diag(tinydl.tensor([[1, 2]]), tinydl.tensor([3]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    for t in tensors:
        if not isinstance(t, Tensor) or t.ndim > 2:
            raise ValueError("block_diag: wanted tensors of two axes at most")
    blocks = [t.reshape(1, -1) if t.ndim < 2 else t for t in tensors]
    width, before, rows = sum(b.shape[1] for b in blocks), 0, []
    for block in blocks:
        height, own = block.shape
        sides = [backend.zeros((height, n), block._data) for n in (before, width - before - own)]
        rows.append(cat([Tensor(sides[0]), block, Tensor(sides[1])], 1))
        before += own
    return cat(rows, 0) if rows else Tensor(np.zeros((1, 0), np.float32))
