"""Elements chosen by a condition: masks, what is not zero, triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import cast, move
from .reduce import sum_to


def _mask_of(op: str, mask: Tensor) -> Array:
    if not isinstance(mask, Tensor):
        raise TypeError(f"{op}: got a mask of type {type(mask).__name__}, wanted a tensor")
    if mask.dtype != dtypes.bool:
        raise TypeError(f"{op}: got a mask of dtype {mask.dtype}, wanted bool")
    return mask._data


def _common(op: str, x: Array, mask: Array) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(x.shape, mask.shape)
    except ValueError:
        raise ValueError(f"{op}: a mask of shape {mask.shape} does not broadcast with shape {x.shape}") from None


def fill(x: Array, mask: Array, value: float) -> Array:
    """x with `value` where the mask, broadcast with it, is true."""
    if backend.takes(x):
        return backend.of(x).masked_fill(x, mask, value)  # type: ignore[no-any-return]
    return np.where(mask, backend.scalar(np.asarray(value).astype(x.dtype), x), x)


class MaskedFill(Function):
    """y = a number where the mask is true, else x."""

    def __init__(self, mask: Array, value: float) -> None:
        self.mask = mask
        self.value = value

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        if True in self.needs:
            self.mask = self.mask.copy()
        return fill(x, self.mask, self.value)

    def backward(self, grad: Array) -> Array:
        return sum_to(fill(grad, self.mask, 0), self.shape)


class MaskedFillTensor(Function):
    """y = a tensor without axes where the mask is true, else x; it gets the sum of the gradients there."""

    def __init__(self, mask: Array) -> None:
        self.mask = mask.copy()

    def forward(self, x: Array, value: Array) -> Array:
        self.shape = x.shape
        if backend.is_on_host(x):
            return fill(x, self.mask, value.item())
        return backend.of(x).where(self.mask, value, x) if backend.takes(x) else np.where(self.mask, value, x)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        dx = sum_to(fill(grad, self.mask, 0), self.shape) if self.needs[0] else None
        return dx, sum_to(fill(grad, ~self.mask, 0), ()) if self.needs[1] else None


class MaskedSelect(Function):
    """y = the elements of x where the mask is true, in row-major order."""

    def __init__(self, mask: Array) -> None:
        self.mask = mask

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return np.broadcast_to(x, self.mask.shape)[self.mask]

    def backward(self, grad: Array) -> Array:
        out = backend.zeros(self.mask.shape, grad)
        out[self.mask] = grad
        return sum_to(out, self.shape)


class MaskedScatter(Function):
    """y = x with the source's first elements where the mask is true, in row-major order."""

    def __init__(self, mask: Array) -> None:
        self.mask = mask

    def forward(self, x: Array, source: Array) -> Array:
        self.shape, self.source_shape = x.shape, source.shape
        y = np.broadcast_to(x, self.mask.shape).copy(order="K")
        y[self.mask] = source.reshape(-1)[: int(self.mask.sum())]
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        dx = sum_to(fill(grad, self.mask, 0), self.shape) if self.needs[0] else None
        source_grad = None
        if self.needs[1]:
            used = grad[self.mask]
            source_grad = backend.zeros(int(np.prod(self.source_shape, dtype=np.int64)), grad)
            source_grad[: used.size] = used
            source_grad = source_grad.reshape(self.source_shape)
        return dx, source_grad


def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """y = value where the mask is true, else input; the shapes are broadcast.

    Args:
        input: a tensor.
        mask: bool.
        value: a number, or a tensor without axes, which gets the sum of the gradients.

    Raises:
        TypeError: the mask is not bool. ValueError: the shapes do not broadcast, or the value has axes.

    >>> import tinydl
    >>> tinydl.masked_fill(tinydl.tensor([1.0, 2.0]), tinydl.tensor([True, False]), -float("inf"))
    tensor([-inf,   2.])
    """
    array = _mask_of("masked_fill", mask)
    if not isinstance(value, Tensor):
        return MaskedFill(array, value).apply(input)  # type: ignore[no-any-return]
    if value.ndim:
        raise ValueError(f"masked_fill: got a value of shape {value.shape}, wanted a number or a tensor without axes")
    value = move(cast(value, input.dtype), input.device)
    return MaskedFillTensor(array).apply(input, value)  # type: ignore[no-any-return]


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask, broadcast with the input, is true: a vector, in row-major order.

    A GPU's result waits for it: its size depends on the mask.

    >>> import tinydl
    >>> x = tinydl.arange(4)
    >>> tinydl.masked_select(x, x > 1)
    tensor([2, 3])
    """
    array = _mask_of("masked_select", mask)
    shape = _common("masked_select", input._data, array)
    return MaskedSelect(np.broadcast_to(array, shape).copy()).apply(input)  # type: ignore[no-any-return]


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The input with the source's elements, one after the other, where the mask is true.

    ValueError where the source has too few, TypeError where its dtype is another.
    """
    array = _mask_of("masked_scatter", mask)
    shape = _common("masked_scatter", input._data, array)
    if not isinstance(source, Tensor) or source.dtype != input.dtype:
        got = getattr(source, "dtype", type(source).__name__)
        raise TypeError(f"masked_scatter: got a source of {got}, wanted a tensor of dtype {input.dtype}")
    wide = np.broadcast_to(array, shape).copy()
    if source.numel() < wide.sum():
        raise ValueError(f"masked_scatter: got a source of {source.numel()} elements for {wide.sum()} places")
    return MaskedScatter(wide).apply(input, source)  # type: ignore[no-any-return]


# -- What is not zero -----------------------------------------------------------------------------------------------


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices (int64) of the elements that are not zero: (number, axes), or with `as_tuple` a vector for each axis.

    >>> import tinydl
    >>> tinydl.nonzero(tinydl.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    x = input._data
    if as_tuple:
        return tuple([Tensor(backend.asarray(a, np.int64)) for a in np.nonzero(x if x.ndim else x.reshape(1))])
    return Tensor(backend.asarray(np.argwhere(x), np.int64))


def argwhere(input: Tensor) -> Tensor:
    """The indices (int64) of the elements that are not zero: (number, axes)."""
    return nonzero(input)  # type: ignore[no-any-return]


# -- Triangles ------------------------------------------------------------------------------------------------------


class Triangle(Function):
    """y = x inside a triangle of its last two axes, 0 outside."""

    def __init__(self, outside: Array) -> None:
        self.outside = outside

    def forward(self, x: Array) -> Array:
        return fill(x, self.outside, 0)

    def backward(self, grad: Array) -> Array:
        return fill(grad, self.outside, 0)


def _triangle(op: str, input: Tensor, diagonal: int, lower: bool) -> Tensor:
    if input.ndim < 2:
        raise ValueError(f"{op}: got a tensor of shape {input.shape}, wanted at least two axes")
    rows, columns = input.shape[-2:]
    diagonal = max(-rows - 1, min(diagonal, columns + 1))
    inside = backend.numpy_of(input._data).tri(rows, columns, diagonal if lower else diagonal - 1, dtype=bool)
    return Triangle(~inside if lower else inside).apply(input)  # type: ignore[no-any-return]


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two axes: y[i, j] = x[i, j] where j - i <= diagonal, else 0.

    >>> import tinydl
    >>> tinydl.tril(tinydl.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return _triangle("tril", input, diagonal, lower=True)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two axes: y[i, j] = x[i, j] where j - i >= diagonal, else 0."""
    return _triangle("triu", input, diagonal, lower=False)


def _triangle_indices(op: str, row: int, col: int, offset: int, lower: bool, dtype: Any, device: Any) -> Tensor:
    if row < 0 or col < 0:
        raise ValueError(f"{op}: got {row} rows and {col} columns")
    offset = max(-row - 1, min(offset, col + 1))
    inside = np.tri(row, col, offset if lower else offset - 1, dtype=bool)
    return Tensor(backend.place(np.stack(np.nonzero(inside if lower else ~inside)).astype(dtype), device))


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: str | None = None
) -> Tensor:
    """The indices of the lower triangle of a (row, col) matrix, row by row: (2, number).

    >>> import tinydl
    >>> tinydl.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle_indices("tril_indices", row, col, offset, True, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: str | None = None
) -> Tensor:
    """The indices of the upper triangle of a (row, col) matrix, row by row: (2, number)."""
    return _triangle_indices("triu_indices", row, col, offset, False, dtype, device)
