"""Diagonals: views of them, and matrices made of them."""

from __future__ import annotations

import numpy as np

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .reduce import axis_of
from .reduce import sum as sum_over


def _two_axes(op: str, dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    a, b = axis_of(op, dim1, ndim), axis_of(op, dim2, ndim)
    if a == b:
        raise ValueError(f"{op}: dim1={dim1} and dim2={dim2} are the same axis")
    return a, b


def _diagonal_of(x: Array, offset: int, a: int, b: int) -> Array:
    """A view of the diagonal, as the last axis; writeable where x is."""
    out = np.diagonal(x, offset, a, b)
    if backend.is_on_host(x) and x.flags.writeable:
        out.setflags(write=True)
    return out


class Diagonal(Function):
    """y[..., i] = x[..., i, i + offset] for two axes of x: a view."""

    returns_view = True

    def __init__(self, offset: int, a: int, b: int) -> None:
        self.place = offset, a, b

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return _diagonal_of(x, *self.place)

    def backward(self, grad: Array) -> Array:
        out = backend.zeros(self.shape, grad)
        _diagonal_of(out, *self.place)[...] = grad
        return out


class DiagEmbed(Function):
    """y[..., i, i + offset] = x[..., i] with two new axes; 0 elsewhere."""

    def __init__(self, offset: int, a: int, b: int) -> None:
        self.place = offset, a, b

    def forward(self, x: Array) -> Array:
        n = x.shape[-1] + abs(self.place[0])
        shape = [*x.shape[:-1]]
        for axis in sorted(self.place[1:]):
            shape.insert(axis, n)
        out = backend.zeros(shape, x)
        _diagonal_of(out, *self.place)[...] = x
        return out

    def backward(self, grad: Array) -> Array:
        return _diagonal_of(grad, *self.place)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes, `offset` above the main one, as the last axis: a view.

    >>> import tinydl
    >>> tinydl.diagonal(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    if input.ndim < 2:
        raise ValueError(f"diagonal: got shape {input.shape}, wanted at least two axes")
    return Diagonal(offset, *_two_axes("diagonal", dim1, dim2, input.ndim)).apply(input)  # type: ignore[no-any-return]


def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`diagonal` of the last two axes."""
    return diagonal(A, offset, dim1, dim2)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis on the diagonal, `offset` above the main one; dim1 and dim2 are the new axes."""
    if input.ndim == 0:
        raise ValueError("diag_embed: got a tensor without axes, wanted at least one")
    axes = _two_axes("diag_embed", dim1, dim2, input.ndim + 1)
    return DiagEmbed(offset, *axes).apply(input)  # type: ignore[no-any-return]


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix (a copy).

    >>> import tinydl
    >>> tinydl.diag(tinydl.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise ValueError(f"diag: got shape {input.shape}, wanted a vector or a matrix")
    return Diagonal(diagonal, 0, 1).apply(input).clone()  # type: ignore[no-any-return]


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements, in row-major order, on its diagonal."""
    return diag_embed(input.reshape(-1), offset)


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    >>> import tinydl
    >>> tinydl.trace(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if input.ndim != 2:
        raise ValueError(f"trace: got shape {input.shape}, wanted a matrix")
    return sum_over(diagonal(input))
