"""Running sums, products and extremes along one axis, and differences of neighbours. NumPy computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import return_types
from .elementwise import apply_float, cast, operands
from .extremes import choose
from .reduce import axis_of


def _running(ufunc: Any, x: Array, axis: int, backwards: bool = False) -> Array:
    """ufunc.accumulate along an axis, from its end if `backwards`; computed in float64."""
    wide = x.astype(np.float64) if x.dtype.kind == "f" else x
    if backwards:
        wide = np.flip(wide, axis)
    with np.errstate(all="ignore"):
        out = anywhere.accumulate(ufunc, wide, axis)
    return backend.asarray(np.flip(out, axis) if backwards else out)


class Cumsum(Function):
    """y_i = sum over j <= i of x_j; dx_j = sum over i >= j of dy_i."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return _running(np.add, x, self.axis).astype(x.dtype)

    def backward(self, grad: Array) -> Array:
        return _running(np.add, grad, self.axis, backwards=True).astype(grad.dtype)


class Cumprod(Function):
    """y_i = product over j <= i of x_j; dx_j = sum over i >= j of dy_i times the product of the others.

    Without zeros that is (sum over i >= j of dy_i y_i) / x_j. Up to the first zero the same holds, for y is 0 from
    there on; at it, the products with 1 in its place; behind it, 0.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        y = _running(np.multiply, x, self.axis).astype(x.dtype)
        self.save(x, y)
        return y

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        zeros = np.cumsum(x == 0, axis=self.axis)
        first = (zeros == 1) & (x == 0)
        others = np.where(first, x.dtype.type(1), x)
        rest = _running(np.multiply, others, self.axis)
        with np.errstate(all="ignore"):
            before = _running(np.add, grad * y, self.axis, backwards=True) / others
            at = _running(np.add, grad * rest, self.axis, backwards=True)
        out = np.where(zeros == 0, before, np.where(first, at, 0))
        return out.astype(grad.dtype)


class LogCumsumExp(Function):
    """y_i = ln sum over j <= i of e^(x_j); dx_j = sum over i >= j of dy_i e^(x_j - y_i), in logarithms."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        y = _running(np.logaddexp, x, self.axis).astype(x.dtype)
        self.save(x, y)
        return y

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        parts = []
        for part in (np.maximum(grad, 0), np.maximum(-grad, 0)):
            with np.errstate(all="ignore"):
                log = np.log(part.astype(np.float64)) - y
                parts.append(np.exp(_running(np.logaddexp, log, self.axis, backwards=True) + x))
        return backend.asarray(parts[0] - parts[1], grad.dtype)


class Diff(Function):
    """The n-th differences y_i = x_(i+1) - x_i of `before`, x and `after`, one behind the other along an axis."""

    def __init__(self, n: int, axis: int) -> None:
        self.n = n
        self.axis = axis

    def forward(self, x: Array, before: Array | None, after: Array | None) -> Array:
        parts = [part for part in (before, x, after) if part is not None]
        self.lengths = [0 if part is None else part.shape[self.axis] for part in (before, x, after)]
        whole = np.concatenate(parts, axis=self.axis) if len(parts) > 1 else x
        with np.errstate(invalid="ignore"):
            return np.diff(whole, self.n, self.axis) if self.n else whole.copy()

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        length = grad.shape[self.axis] + self.n
        if length > sum(self.lengths):  # more differences than elements: nothing came out
            shape = list(grad.shape)
            shape[self.axis] = sum(self.lengths)
            grad = backend.zeros(shape, grad)
        else:
            edge = [(0, 0)] * grad.ndim
            edge[self.axis] = (1, 1)
            for _ in range(self.n):
                grad = -np.diff(np.pad(grad, edge), axis=self.axis)
        a, b = self.lengths[0], self.lengths[0] + self.lengths[1]
        before, x, after = np.split(grad, [a, b], axis=self.axis)
        return x, before if self.needs[1] else None, after if self.needs[2] else None


def _along(op: str, function: Callable[[int], Function], ufunc: Any, input: Tensor, dim: Any, dtype: Any) -> Tensor:
    axis = axis_of(op, dim, input.ndim)
    if dtype is not None:
        input = input.to(dtype)
    if input.ndim == 0:
        return _along(op, function, ufunc, input.reshape(1), 0, dtype).reshape(())
    if dtypes.is_floating_point(input.dtype):
        out = apply_float(op, function(axis), input)
        return out if dtype is None else cast(out, input.dtype)
    kind = np.dtype(np.int64) if dtype is None else input.dtype
    return Tensor(backend.asarray(ufunc.accumulate(input._data, axis=axis, dtype=kind)))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """y_i = sum over j <= i of x_j along an axis; integers and bools sum to int64.

    The input is converted to `dtype` first, where one is given. Raises IndexError where `dim` is out of range.

    >>> import tinydl
    >>> tinydl.cumsum(tinydl.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 3., 6.])
    """
    return _along("cumsum", Cumsum, np.add, input, dim, dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """y_i = product over j <= i of x_j along an axis; integers and bools multiply to int64.

    >>> import tinydl
    >>> tinydl.cumprod(tinydl.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 2., 6.])
    """
    return _along("cumprod", Cumprod, np.multiply, input, dim, dtype)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """y_i = ln sum over j <= i of e^(x_j) along an axis, without overflow. TypeError for integers.

    >>> import tinydl
    >>> tinydl.logcumsumexp(tinydl.tensor([1000.0, 1000.0]), dim=0)
    tensor([1000.    , 1000.6932])
    """
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"logcumsumexp: got dtype {input.dtype}, wanted a floating-point dtype")
    return _along("logcumsumexp", LogCumsumExp, np.logaddexp, input, dim, None)


def _running_extreme(op: str, ufunc: Any, input: Tensor, dim: Any) -> tuple[Tensor, Tensor]:
    axis = axis_of(op, dim, input.ndim)
    if input.ndim == 0:
        values, indices = _running_extreme(op, ufunc, input.reshape(1), 0)
        return values.reshape(()), indices.reshape(())
    x = input._data
    best = anywhere.accumulate(ufunc, x, axis)
    place = anywhere.open_grid(x.shape, x)[axis]
    chosen = np.where((x == best) | (x != x), place, 0)  # of equals, and of NaNs, the latest so far
    return choose(input, axis, anywhere.accumulate(np.maximum, chosen, axis), True)


def cummax(input: Tensor, dim: int) -> return_types.cummax:
    """(values, indices): the largest element so far along an axis; of equals, the latest.

    >>> import tinydl
    >>> tinydl.cummax(tinydl.tensor([1.0, 3.0, 2.0]), dim=0)
    cummax(values=tensor([1., 3., 3.]), indices=tensor([0, 1, 1]))
    """
    return return_types.cummax(*_running_extreme("cummax", np.maximum, input, dim))


def cummin(input: Tensor, dim: int) -> return_types.cummin:
    """(values, indices): the smallest element so far along an axis; of equals, the latest.

    >>> import tinydl
    >>> tinydl.cummin(tinydl.tensor([3.0, 1.0, 2.0]), dim=0)
    cummin(values=tensor([3., 1., 1.]), indices=tensor([0, 1, 1]))
    """
    return return_types.cummin(*_running_extreme("cummin", np.minimum, input, dim))


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The n-th differences of neighbours along an axis: y_i = x_(i+1) - x_i, n times; of bools, whether they differ.

    `prepend` and `append` are put before and behind the input first.

    Raises ValueError for a negative n, a tensor without axes, or shapes that do not fit.

    >>> import tinydl
    >>> tinydl.diff(tinydl.tensor([1.0, 3.0, 2.0]))
    tensor([ 2., -1.])
    """
    if input.ndim == 0 or n < 0:
        raise ValueError(f"diff: got n={n} and shape {input.shape}, wanted n >= 0 and at least one axis")
    axis = axis_of("diff", dim, input.ndim)
    tensors: list[Tensor | None] = [input]
    for name, extra in (("prepend", prepend), ("append", append)):
        if extra is not None:
            sizes = [*input.shape]
            sizes[axis : axis + 1] = extra.shape[axis : axis + 1]
            if list(extra.shape) != sizes:
                raise ValueError(f"diff: {name} of shape {extra.shape} does not fit {input.shape} along dim {dim}")
            tensors[0] = operands(tensors[0], extra)[0]  # type: ignore[arg-type]
        tensors.append(extra)
    dtype = tensors[0].dtype  # type: ignore[union-attr]
    return Diff(n, axis).apply(*[None if t is None else cast(t, dtype) for t in tensors])  # type: ignore[no-any-return]
