"""Sums, means and index reductions over any axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor

Dim = int | Sequence[int] | None


def axes_of(op: str, dim: Dim, ndim: int) -> tuple[int, ...]:
    """The axes that `dim` names, counted from 0; None and () name all. IndexError where one is out of range."""
    if dim is None:
        return tuple(range(ndim))
    wanted = (dim,) if isinstance(dim, int) else tuple(dim)
    if not wanted:
        return tuple(range(ndim))
    out = []
    for d in wanted:
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(f"{op}: dim {d} is out of range for a tensor of {ndim} axes")
        if ndim:
            out.append(d % ndim)
    if len(set(out)) != len(out):
        raise ValueError(f"{op}: dim {wanted} names an axis twice")
    return tuple(out)


def sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    """`array` summed over the axes along which `shape` was broadcast to array.shape; has the shape `shape`."""
    if array.shape == shape:
        return array
    extra = array.ndim - len(shape)
    axes = tuple(d for d in range(array.ndim) if d < extra or (shape[d - extra] == 1 and array.shape[d] != 1))
    if array.dtype.char not in "fd":  # float16 and bfloat16
        return array.sum(axes, np.float32, keepdims=True).astype(array.dtype).reshape(shape)  # type: ignore[no-any-return]
    return backend.of(array).sum(array, axes, True).reshape(shape)  # type: ignore[no-any-return]


class _Reduction(Function):
    shape: tuple[int, ...]  # of the input

    def __init__(self, axes: tuple[int, ...], keepdim: bool) -> None:
        self.axes = axes
        self.keepdim = keepdim

    def spread(self, grad: Array) -> Array:
        """The gradient, one value for each reduced group, as a broadcast view of the input's shape."""
        if not self.keepdim:
            grad = np.expand_dims(grad, self.axes)
        return np.broadcast_to(grad, self.shape)


class Sum(_Reduction):
    """y = sum of x over axes; every element's gradient is its sum's."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return backend.of(x).sum(x, self.axes, self.keepdim)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        return self.spread(grad)


class Mean(_Reduction):
    """y = (1/n) sum of x over axes; every element's gradient is 1/n of its mean's."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return backend.of(x).mean(x, self.axes, self.keepdim)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        count = int(np.prod([self.shape[d] for d in self.axes], dtype=np.int64))
        return self.spread(backend.of(grad).div(grad, np.asarray(count, grad.dtype)))


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum over one axis, several, or (by default) all; integers and bools sum to int64.

    The result does not depend on the number of threads. Raises IndexError where `dim` is out of range.

    >>> import tinydl
    >>> tinydl.sum(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    axes = axes_of("sum", dim, input.ndim)
    if not dtypes.is_floating_point(input.dtype):
        return Tensor(np.asarray(np.sum(input._data, axis=axes, keepdims=keepdim, dtype=np.int64)))
    if input._data.dtype not in dtypes.FLOATS:  # float16 and bfloat16 are summed in float32
        return sum(input.to(dtypes.float32), dim, keepdim).to(input.dtype)
    return Sum(axes, keepdim).apply(input)  # type: ignore[no-any-return]


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The mean over one axis, several, or (by default) all; NaN over no elements.

    Raises IndexError where `dim` is out of range, TypeError for integers.

    >>> import tinydl
    >>> tinydl.mean(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(2.5)
    """
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"mean: got dtype {input.dtype}, wanted a floating-point dtype")
    if input._data.dtype not in dtypes.FLOATS:
        return mean(input.to(dtypes.float32), dim, keepdim).to(input.dtype)
    return Mean(axes_of("mean", dim, input.ndim), keepdim).apply(input)  # type: ignore[no-any-return]


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the largest element along an axis, or of the flattened tensor; the first of equals.

    >>> import tinydl
    >>> tinydl.argmax(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    if dim is not None:
        (dim,) = axes_of("argmax", dim, input.ndim) or (None,)
    if (input.numel() if dim is None else input.shape[dim]) == 0:
        raise IndexError(f"argmax: nothing to choose from in shape {input.shape} along dim {dim}")
    return Tensor(np.asarray(np.argmax(input._data, axis=dim, keepdims=keepdim), dtype=np.int64))
