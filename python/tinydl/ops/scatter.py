"""Values put, added, multiplied or compared into a tensor at the places that an index names along an axis."""

from __future__ import annotations

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import quiet
from .index import add_at, fits, gather_arrays, index_of, part_of
from .indexing import check_range
from .view import reshape

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def put(x: Array, index: Array, src: Array, axis: int) -> Array:
    """A copy of x with src at the index's places along the axis."""
    y = x.copy(order="K")
    np.put_along_axis(part_of(y, index, axis), index, part_of(src, index) if src.ndim else src, axis)
    return y


class Scatter(Function):
    """y = x with src at the index's places."""

    def __init__(self, axis: int, index: Array) -> None:
        self.axis = axis
        self.index = index

    def forward(self, x: Array, src: Array) -> Array:
        self.shape = src.shape
        return put(x, self.index, src, self.axis)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        dx = put(grad, self.index, backend.scalar(0, grad), self.axis) if self.needs[0] else None
        return dx, self.src_grad(grad) if self.needs[1] else None

    def src_grad(self, grad: Array) -> Array:
        """What the source gets: the gradient at the places it was put to, 0 where it was not used."""
        out = backend.zeros(self.shape, grad)
        part_of(out, self.index)[...] = gather_arrays(grad, self.index, self.axis)
        return out


class ScatterAdd(Scatter):
    """y = x with src added at the index's places, in order."""

    def forward(self, x: Array, src: Array) -> Array:
        self.shape = src.shape
        return add_at(x, self.index, src, self.axis)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        return grad, self.src_grad(grad) if self.needs[1] else None


class ScatterReduce(Scatter):
    """y = the product, mean, maximum or minimum of x and what src has for each place; x is left out without `include`.

    Equal maxima share the gradient. A mean's gradient is shared by those it counts.
    """

    def __init__(self, axis: int, index: Array, reduce: str, include: bool) -> None:
        super().__init__(axis, index)
        self.reduce = reduce
        self.include = include

    def at(self) -> tuple[Array, ...]:
        """The index's places, as arrays of indices."""
        places = anywhere.open_grid(self.index.shape, self.index)
        return (*places[: self.axis], self.index, *places[self.axis + 1 :])

    def start(self, x: Array) -> Array:
        """x, or without `include` the reduction of nothing at the index's places."""
        if self.include:
            return x.copy(order="K")
        top, bottom = (np.inf, -np.inf) if x.dtype.kind not in "iu" else (np.iinfo(x.dtype).max, np.iinfo(x.dtype).min)
        nothing = {"sum": 0, "mean": 0, "prod": 1, "amax": bottom, "amin": top}[self.reduce]
        return put(x, self.index, backend.scalar(nothing, x), self.axis)

    def combined(self, x: Array, src: Array) -> Array:
        """The reduction, before a mean's division."""
        y, at, used = self.start(x), self.at(), part_of(src, self.index)
        if self.reduce in ("sum", "mean"):
            anywhere.add_at(y, at, used)
            return y
        ufunc = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[self.reduce]

        def combine(y: Array, used: Array, *at: Array) -> Array:
            ufunc.at(y, at, used)
            return y

        if self.reduce == "prod" or y.dtype.char not in "fd":  # no such atomic operations on a GPU
            return anywhere.through_host(combine, y, used, *at)  # type: ignore[no-any-return]
        return combine(y, used, *at)

    def counts(self, shape: tuple[int, ...]) -> Array:
        """How many elements a mean has at each place, at least 1."""
        count: Array = backend.numpy_of(self.index).full(shape, int(self.include), np.int64)
        anywhere.add_at(count, self.at(), 1)
        return np.maximum(count, 1)

    def forward(self, x: Array, src: Array) -> Array:
        self.shape = src.shape
        y = self.combined(x, src)
        if self.reduce == "mean":
            count = self.counts(x.shape)
            y = y // count if y.dtype.kind in "iu" else quiet(np.divide, y, count.astype(y.dtype))
        if self.reduce not in ("sum", "mean"):
            self.save(x, src, y)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        if self.reduce == "prod":
            dx, dsrc = self.product_grads(grad, *self.saved)
        elif self.reduce in ("amax", "amin"):
            dx, dsrc = self.extreme_grads(grad, *self.saved)
        else:
            dx = grad / self.counts(grad.shape).astype(grad.dtype) if self.reduce == "mean" else grad
            dsrc = self.src_grad(dx)
        if not self.include:
            dx = put(dx, self.index, backend.scalar(0, grad), self.axis)
        return dx if self.needs[0] else None, dsrc if self.needs[1] else None

    def product_grads(self, grad: Array, x: Array, src: Array, y: Array) -> tuple[Array, Array]:
        """Each factor's gradient is the product of the others: y over it, unless it is zero."""
        filled = np.where(x == 0, 1, x).astype(x.dtype)
        dx = grad * self.combined(filled, src) / filled
        used = part_of(src, self.index)
        zeros = backend.numpy_of(x).zeros(x.shape, np.int64)
        anywhere.add_at(zeros, self.at(), (used == 0).astype(np.int64))
        alone = (used == 0) & (zeros[self.at()] == 1)
        others = self.combined(x, np.where(alone, 1, used).astype(x.dtype))
        quotient = (grad * y)[self.at()] / np.where(used == 0, 1, used)
        dsrc = backend.zeros(self.shape, grad)
        part_of(dsrc, self.index)[...] = np.where(alone, (grad * others)[self.at()], quotient)
        return dx, dsrc

    def extreme_grads(self, grad: Array, x: Array, src: Array, y: Array) -> tuple[Array, Array]:
        """Those equal to the extreme share the gradient."""
        mine, theirs = x == y, part_of(src, self.index) == y[self.at()]
        sharers = mine.astype(grad.dtype)
        anywhere.add_at(sharers, self.at(), theirs.astype(grad.dtype))
        share = quiet(np.divide, grad, sharers)
        dsrc = backend.zeros(self.shape, grad)
        part_of(dsrc, self.index)[...] = np.where(theirs, share[self.at()], 0)
        return np.where(mine, share, grad.dtype.type(0)), dsrc


def _prepared(op: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[int, Array]:
    """The axis and the checked index, copied: the backward pass reads it again."""
    array = index_of(op, index)
    if not isinstance(src, Tensor):
        raise TypeError(f"{op}: got a source of type {type(src).__name__}, wanted a tensor")
    if src.dtype != input.dtype:
        raise TypeError(f"{op}: got a source of dtype {src.dtype} for a tensor of {input.dtype}, wanted one dtype")
    axis = fits(op, input, dim, array, src)
    return axis, check_range(op, array, input.shape[axis]).copy()


def _flat(input: Tensor) -> Tensor:
    return input if input.ndim else reshape(input, 1)


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | None = None,
    *,
    value: float | None = None,
    reduce: str | None = None,
) -> Tensor:
    """y[index[i, j, ...], j, ...] = src[i, j, ...] for dim = 0, and likewise along the other axes; y starts as input.

    Args:
        input: a tensor of n axes.
        dim: the axis that the indices count along.
        index: int64, n axes, not longer than `src`, nor than the input along the other axes. Negative ones are refused.
        src: the values, of n axes and the input's dtype; or one number. Where an index comes several times, the last
            counts, and each gets the gradient.
        value: the number, under PyTorch's other name.
        reduce: "add" or "multiply" combines instead of replacing.

    Raises:
        IndexError: an index or `dim` is out of range. ValueError: the shapes do not fit, or another `reduce`.
        TypeError: a wrong dtype.

    >>> import tinydl
    >>> tinydl.scatter(tinydl.zeros(2, 3), 1, tinydl.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if (src is None) == (value is None):
        raise TypeError("scatter: wanted a source or a value")
    source = value if src is None else src
    if not isinstance(source, Tensor):
        source = Tensor(backend.numpy_of(index._data).full(index.shape, source).astype(input.dtype))
    if reduce in ("add", "multiply"):
        return scatter_reduce(input, dim, index, source, "sum" if reduce == "add" else "prod")
    if reduce is not None:
        raise ValueError(f"scatter: got reduce={reduce!r}, wanted 'add' or 'multiply'")
    if not input.ndim or not index.ndim:
        return reshape(scatter(_flat(input), dim, _flat(index), _flat(source)), input.shape)
    axis, array = _prepared("scatter", input, dim, index, source)
    return Scatter(axis, array).apply(input, source) if array.size else input.clone()


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """y[index[i, j, ...], j, ...] += src[i, j, ...] for dim = 0, and likewise along the other axes; y starts as input.

    The sum's order is that of the indices, for any number of threads. Arguments and errors are those of `scatter`.

    >>> import tinydl
    >>> tinydl.scatter_add(tinydl.zeros(3), 0, tinydl.tensor([0, 2, 0]), tinydl.ones(3))
    tensor([2., 0., 1.])
    """
    if not input.ndim or not index.ndim:
        return reshape(scatter_add(_flat(input), dim, _flat(index), _flat(src)), input.shape)
    axis, array = _prepared("scatter_add", input, dim, index, src)
    return ScatterAdd(axis, array).apply(input, src) if array.size else input.clone()


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """For each place, the reduction of the input's element and of those elements of src that the index sends there.

    Args:
        input, dim, index, src: as for `scatter`.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the input's own elements count where src has others.

    >>> import tinydl
    >>> x, index = tinydl.zeros(2), tinydl.tensor([0, 0, 1])
    >>> tinydl.scatter_reduce(x, 0, index, tinydl.tensor([1.0, 2.0, 3.0]), "mean", include_self=False)
    tensor([1.5, 3. ])
    """
    if reduce not in REDUCTIONS:
        raise ValueError(f"scatter_reduce: got reduce={reduce!r}, wanted one of {', '.join(REDUCTIONS)}")
    if not input.ndim or not index.ndim:
        flat = scatter_reduce(_flat(input), dim, _flat(index), _flat(src), reduce, include_self=include_self)
        return reshape(flat, input.shape)
    if reduce == "sum" and include_self:
        return scatter_add(input, dim, index, src)
    axis, array = _prepared("scatter_reduce", input, dim, index, src)
    if not array.size:
        return input.clone()
    return ScatterReduce(axis, array, reduce, include_self).apply(input, src)  # type: ignore[no-any-return]
