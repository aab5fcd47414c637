"""Sums, means, products and counts over any axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast

Dim = int | Sequence[int] | None


def axes_of(op: str, dim: Dim, ndim: int) -> tuple[int, ...]:
    """The axes that `dim` names, counted from 0; None and () name all. IndexError where one is out of range."""
    if dim is None:
        return tuple(range(ndim))
    if type(dim) is int and -ndim <= dim < ndim:
        return (dim % ndim,)
    try:
        wanted = (dim,) if isinstance(dim, int) else tuple([operator.index(d) for d in dim])
    except TypeError:
        raise TypeError(f"{op}: got dim {dim!r}, wanted an integer or several") from None
    if not wanted:
        return tuple(range(ndim))
    out = []
    for d in wanted:
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(f"{op}: dim {d} is out of range for a tensor of {ndim} axes")
        out.append(d % (ndim or 1))
    if len(set(out)) != len(out):
        raise ValueError(f"{op}: dim {wanted} names an axis twice")
    return tuple(out) if ndim else ()


def axis_of(op: str, dim: Any, ndim: int) -> int:
    """The one axis that `dim` names, counted from 0; 0 for a tensor without axes too."""
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"{op}: got dim {dim!r}, wanted one integer") from None
    size = ndim or 1
    if not -size <= d < size:
        raise IndexError(f"{op}: dim {dim} is out of range for a tensor of {ndim} axes")
    return d % size


def sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    """`array` summed over the axes along which `shape` was broadcast to array.shape; has the shape `shape`."""
    if array.shape == shape:
        return array
    extra = array.ndim - len(shape)
    axes = tuple(d for d in range(array.ndim) if d < extra or (shape[d - extra] == 1 and array.shape[d] != 1))
    if not backend.takes(array):  # float16 and bfloat16
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
        return self.spread(backend.of(grad).div(grad, backend.scalar(count, grad)))


class NanSum(Sum):
    """y = sum of the x that are numbers; the others get no gradient."""

    def forward(self, x: Array) -> Array:
        self.numbers = ~np.isnan(x)
        return super().forward(np.where(self.numbers, x, x.dtype.type(0)))

    def backward(self, grad: Array) -> Array:
        return np.where(self.numbers, self.spread(grad), grad.dtype.type(0))


class Prod(_Reduction):
    """y = product of x over one axis or all; dx_i = dy times the product of the others: y / x_i where no x is 0."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        with np.errstate(all="ignore"):
            y = backend.asarray(np.prod(x, axis=self.axes, keepdims=self.keepdim, dtype=x.dtype))
        self.save(x, y)
        return y

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        with np.errstate(all="ignore"):
            quotient = backend.is_on_host(x) and np.all(x)  # a GPU would be waited for
            others = self.spread(y) / x if quotient else self.products_of_others(x)
            return backend.asarray(self.spread(grad) * others)

    def products_of_others(self, x: Array) -> Array:
        """For each element the product of those before it and of those behind it."""
        whole = len(self.axes) == x.ndim
        rows = x.reshape(1, -1) if whole else np.moveaxis(x, self.axes[0], -1)
        ones = backend.ones((*rows.shape[:-1], 1), x)
        before = np.cumprod(np.concatenate([ones, rows[..., :-1]], -1), -1, dtype=x.dtype)
        behind = np.cumprod(np.concatenate([ones, rows[..., :0:-1]], -1), -1, dtype=x.dtype)[..., ::-1]
        out = before * behind
        return out.reshape(x.shape) if whole else np.moveaxis(out, -1, self.axes[0])


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over one axis, several, or (by default) all; integers and bools sum to int64.

    The input is converted to `dtype` first, where one is given. The result does not depend on the number of threads.
    Raises IndexError where `dim` is out of range.

    >>> import tinydl
    >>> tinydl.sum(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    if autocast.on and dtype is None:
        (input,) = autocast.inputs("sum", input)
    if dtype is not None:
        input = input.to(dtype)
    axes = axes_of("sum", dim, input.ndim)
    if backend.takes(input._data):
        return Sum(axes, keepdim).apply(input)  # type: ignore[no-any-return]
    if not dtypes.is_floating_point(input.dtype):
        kind = np.int64 if dtype is None else input.dtype
        return Tensor(backend.asarray(np.sum(input._data, axis=axes, keepdims=keepdim, dtype=kind)))
    return sum(input.to(dtypes.float32), dim, keepdim).to(input.dtype)  # float16 and bfloat16 are summed in float32


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over one axis, several, or (by default) all; NaN over no elements.

    The input is converted to `dtype` first, where one is given. Raises IndexError where `dim` is out of range,
    TypeError for integers.

    >>> import tinydl
    >>> tinydl.mean(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(2.5)
    """
    if dtype is not None:
        if not dtypes.is_floating_point(dtypes.wanted("mean", dtype)):
            raise TypeError(f"mean: got dtype={dtype}, wanted a floating-point dtype")
        input = input.to(dtype)
    if backend.takes(input._data):
        return Mean(axes_of("mean", dim, input.ndim), keepdim).apply(input)  # type: ignore[no-any-return]
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"mean: got dtype {input.dtype}, wanted a floating-point dtype")
    return mean(input.to(dtypes.float32), dim, keepdim).to(input.dtype)


def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not NaN, as `sum` takes it.

    >>> import tinydl
    >>> tinydl.nansum(tinydl.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    if autocast.on and dtype is None:
        (input,) = autocast.inputs("nansum", input)
    if dtype is not None:
        input = input.to(dtype)
    if not dtypes.is_floating_point(input.dtype):
        return sum(input, dim, keepdim, dtype=dtype)
    if input._data.dtype not in dtypes.FLOATS:
        return nansum(input.to(dtypes.float32), dim, keepdim).to(input.dtype)
    return NanSum(axes_of("nansum", dim, input.ndim), keepdim).apply(input)  # type: ignore[no-any-return]


def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not NaN; NaN where there are none. TypeError for integers.

    >>> import tinydl
    >>> tinydl.nanmean(tinydl.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5)
    """
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"nanmean: got dtype {input.dtype}, wanted a floating-point dtype")
    if dtype is not None:
        input = input.to(dtype)
    axes = axes_of("nanmean", dim, input.ndim)
    count = anywhere.count_nonzero(~np.isnan(input._data), axes, keepdim)
    return nansum(input, axes, keepdim) / Tensor(backend.asarray(count, input.dtype))


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over one axis or (by default) all; integers and bools multiply to int64.

    >>> import tinydl
    >>> tinydl.prod(tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([ 2., 12.])
    """
    if autocast.on and dtype is None:
        (input,) = autocast.inputs("prod", input)
    if dtype is not None:
        input = input.to(dtype)
    if input.ndim == 0:
        keepdim = False
    axes = tuple(range(input.ndim)) if dim is None else (axis_of("prod", dim, input.ndim),)[: input.ndim]
    if not dtypes.is_floating_point(input.dtype):
        kind = np.int64 if dtype is None else input.dtype
        return Tensor(backend.asarray(np.prod(input._data, axis=axes, keepdims=keepdim, dtype=kind)))
    if input._data.dtype not in dtypes.FLOATS:
        return prod(input.to(dtypes.float32), dim, keepdim).to(input.dtype)
    return Prod(axes, keepdim).apply(input)  # type: ignore[no-any-return]


def _truth(op: str, ufunc: Any, input: Tensor, dim: Dim, keepdim: bool) -> Tensor:
    axes = () if dim == () else axes_of(op, dim, input.ndim)
    out = backend.asarray(ufunc(input._data.astype(bool), axis=axes, keepdims=keepdim and bool(input.ndim)))
    return Tensor(out.astype(np.uint8) if input._data.dtype == np.uint8 else out)


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not 0, over one axis, several, or (by default) all; NaN is not 0.

    The result is bool; uint8 for uint8. `dim=()` asks each element, as in PyTorch.
    """
    return _truth("any", np.any, input, dim, keepdim)


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0, over one axis, several, or (by default) all; True over none.

    The result is bool; uint8 for uint8. `dim=()` asks each element, as in PyTorch.
    """
    return _truth("all", np.all, input, dim, keepdim)


def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are not 0 (int64), over one axis, several, or (by default) all.

    >>> import tinydl
    >>> tinydl.count_nonzero(tinydl.tensor([[0, 1], [2, 3]]), dim=0)
    tensor([1, 2])
    """
    axes = axes_of("count_nonzero", dim, input.ndim)
    return Tensor(backend.asarray(np.count_nonzero(input._data, axis=axes), dtype=np.int64))
