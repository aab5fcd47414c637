"""Elements and slices chosen, replaced or added to by int64 indices.

On a GPU, indices that no kernel looks at are checked first, which waits for it.
"""

from __future__ import annotations

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import cast
from .indexing import Take, check_range, take, take_backward
from .reduce import axes_of, sum_to
from .view import expand, reshape

_WHOLE = slice(None)


def index_of(op: str, index: Tensor, only_int64: bool = False) -> Array:
    """The index's array; TypeError unless it holds int64 (or int32) numbers."""
    if not isinstance(index, Tensor):
        raise TypeError(f"{op}: got an index of type {type(index).__name__}, wanted a tensor")
    dtype = index._data.dtype
    if dtype != dtypes.int64 and (only_int64 or dtype != dtypes.int32):
        raise TypeError(f"{op}: got an index of dtype {dtype}, wanted int64")
    return index._data


def vector_of(op: str, index: Tensor, only_int64: bool = False) -> Array:
    """The index's array with one axis; ValueError where it has more."""
    array = index_of(op, index, only_int64)
    if array.ndim > 1:
        raise ValueError(f"{op}: got an index of shape {array.shape}, wanted one axis")
    return array.reshape(-1)


# -- Element by element along an axis -------------------------------------------------------------------------------


class Gather(Function):
    """y[p] = x[p, but index[p] along the axis]; an element gets the sum of its copies' gradients."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def apply(self, x: Tensor, index: Tensor) -> Tensor:  # type: ignore[override]
        """Record x alone: the index has no gradient."""
        self.index = index._data
        return super().apply(x)  # type: ignore[no-any-return]

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        index = self.index
        if self.needs[0]:
            self.index = index.copy()
        return gather_arrays(x, index, self.axis) if index.size else backend.empty(index.shape, x)

    def backward(self, grad: Array) -> Array:
        if not grad.size:
            return backend.zeros(self.shape, grad)
        return add_at(backend.zeros(self.shape, grad), self.index, grad, self.axis)


def part_of(x: Array, index: Array, axis: int | None = None) -> Array:
    """x cut to the index's shape, except along `axis`: a view."""
    return x[tuple([_WHOLE if d == axis else slice(n) for d, n in enumerate(index.shape)])]


def gather_arrays(x: Array, index: Array, axis: int) -> Array:
    """y[p] = x[p, but index[p] along the axis]; IndexError where an index is out of range."""
    if backend.takes(x):
        return backend.of(x).gather(x, index, axis)  # type: ignore[no-any-return]
    return np.take_along_axis(part_of(x, index, axis), check_range("gather", index, x.shape[axis]), axis)


def add_at(x: Array, index: Array, src: Array, axis: int) -> Array:
    """A copy of x with src[p] added to [p, but index[p] along the axis]; IndexError where an index is out of range."""
    if backend.takes(x):
        return backend.of(x).scatter_add(x, index, src, axis)  # type: ignore[no-any-return]
    y = x.copy(order="K")
    places = anywhere.open_grid(index.shape, x)
    at = (*places[:axis], check_range("scatter_add", index, x.shape[axis]), *places[axis + 1 :])
    anywhere.add_at(y, at, part_of(src, index))
    return y


def fits(op: str, input: Tensor, dim: int, index: Array, src: Tensor | None = None) -> int:
    """The axis; ValueError where the index is larger than the input (but along the axis) or the source."""
    axes = input._data.ndim
    axis = dim if type(dim) is int and 0 <= dim < axes else axes_of(op, dim, axes)[0]
    if not index.size:
        return axis
    if index.ndim != input.ndim or (src is not None and src.ndim != input.ndim):
        source = "" if src is None else f" and a source of shape {src.shape}"
        raise ValueError(
            f"{op}: got an index of shape {index.shape}{source} for a tensor of shape {input.shape}, wanted the same "
            "number of axes"
        )
    for d, n in enumerate(index.shape):
        if (d != axis and n > input.shape[d]) or (src is not None and n > src.shape[d]):
            source = "" if src is None else f" or the source of shape {src.shape}"
            raise ValueError(
                f"{op}: an index of shape {index.shape} is larger than the tensor of shape {input.shape} apart from "
                f"axis {axis}{source}"
            )
    return axis


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """y[i, j, ...] = input[index[i, j, ...], j, ...] for dim = 0, and likewise along the other axes.

    Args:
        input: a tensor of n axes.
        dim: the axis that the indices count along.
        index: int64, n axes, not longer than the input along the other axes. Negative indices are refused.
        sparse_grad: not available.

    Raises:
        IndexError: an index or `dim` is out of range. ValueError: the shapes do not fit. TypeError: a wrong dtype.

    >>> import tinydl
    >>> tinydl.gather(tinydl.tensor([[1, 2], [3, 4]]), 1, tinydl.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    if sparse_grad:
        raise ValueError("gather: sparse gradients are not available; leave out sparse_grad")
    array = index_of("gather", index)
    if not input.ndim or not index.ndim:
        wide = gather(_vector(input), dim, _vector(index))
        return reshape(wide, index.shape)
    axis = fits("gather", input, dim, array)
    return Gather(axis).apply(input, index)


def _vector(input: Tensor) -> Tensor:
    return input if input.ndim else reshape(input, 1)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with the shapes broadcast against each other, except along `dim`; without it, of the flattened input.

    Negative indices count from the end.

    >>> import tinydl
    >>> x = tinydl.tensor([[3, 1, 2]])
    >>> tinydl.take_along_dim(x, tinydl.argsort(x, 1), 1)
    tensor([[1, 2, 3]])
    """
    op = "take_along_dim"
    array = index_of(op, indices, only_int64=True)
    if dim is None:
        return take_flat(input, Tensor(array.reshape(-1)))
    (axis,) = axes_of(op, dim, input.ndim)
    if array.ndim != input.ndim:
        raise ValueError(f"{op}: got indices of shape {array.shape} for shape {input.shape}, wanted as many axes")
    shape = list(input.shape)
    try:
        for d, n in enumerate(array.shape):
            shape[d] = 1 if d == axis else np.broadcast_shapes((n,), (shape[d],))[0]
    except ValueError:
        raise ValueError(f"{op}: indices of shape {array.shape} do not broadcast with {input.shape}") from None
    wide = expand(input, [input.shape[d] if d == axis else n for d, n in enumerate(shape)])
    places = np.broadcast_to(array, [array.shape[d] if d == axis else n for d, n in enumerate(shape)])
    return Gather(axis).apply(wide, Tensor(check_range(op, places, input.shape[axis], wrap=True)))


def take_flat(input: Tensor, index: Tensor) -> Tensor:
    """The elements of the flattened input at the indices, in the index's shape; negative ones count from the end.

    >>> import tinydl
    >>> tinydl.take(tinydl.tensor([[1, 2], [3, 4]]), tinydl.tensor([0, -1]))
    tensor([1, 4])
    """
    array = index_of("take", index, only_int64=True)
    return Take(0, array, True).apply(reshape(input, -1))  # type: ignore[no-any-return]


# -- Slice by slice -------------------------------------------------------------------------------------------------


class IndexAdd(Function):
    """y = x with alpha times the source's slices added at the indices, in order."""

    def __init__(self, axis: int, index: Array, alpha: float) -> None:
        self.axis = axis
        self.index = index
        self.alpha = alpha

    def forward(self, x: Array, source: Array) -> Array:
        added = take_backward(self.scaled(source), self.index, self.axis, x.shape[self.axis], False)
        return backend.of(x).add(x, added) if backend.takes(x) else x + added

    def scaled(self, array: Array) -> Array:
        return array if self.alpha == 1 else array * backend.scalar(self.alpha, array)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        return grad, self.scaled(take(grad, self.index, self.axis, False)) if self.needs[1] else None


class IndexCopy(Function):
    """y = x with the source's slices at the indices; of several for one index, the last."""

    def __init__(self, axis: int, index: Array) -> None:
        self.key = (_WHOLE,) * axis + (index,)

    def forward(self, x: Array, source: Array) -> Array:
        self.shape = source.shape
        y = x.copy(order="K")
        y[self.key] = source
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        source_grad = sum_to(grad[self.key], self.shape) if self.needs[1] else None
        if not self.needs[0]:
            return None, source_grad
        rest = grad.copy(order="K")
        rest[self.key] = 0
        return rest, source_grad


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of the input at the indices along an axis.

    Args:
        input: a tensor of any shape.
        dim: the axis.
        index: int64 (or int32), one axis; negative indices are refused.

    Raises:
        IndexError: an index or `dim` is out of range. ValueError: the index has several axes. TypeError: a wrong dtype.

    >>> import tinydl
    >>> tinydl.index_select(tinydl.tensor([[1, 2, 3], [4, 5, 6]]), 1, tinydl.tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    array = vector_of("index_select", index)
    if not input.ndim:
        axes_of("index_select", dim, 0)
        picked = index_select(reshape(input, 1), 0, index)
        return reshape(picked, ()) if picked.numel() == 1 else picked
    axes = input._data.ndim
    axis = dim if type(dim) is int and 0 <= dim < axes else axes_of("index_select", dim, axes)[0]
    return Take(axis, array, False).apply(input)  # type: ignore[no-any-return]


def _slices(op: str, input: Tensor, dim: int, index: Array, source: Tensor) -> tuple[int, Tensor]:
    """The axis, and the source with its axes; ValueError or TypeError where it does not fit."""
    if not isinstance(source, Tensor):
        raise TypeError(f"{op}: got a source of type {type(source).__name__}, wanted a tensor")
    if source.dtype != input.dtype:
        raise TypeError(f"{op}: got a source of dtype {source.dtype} for a tensor of {input.dtype}, wanted one dtype")
    (axis,) = axes_of(op, dim, input.ndim)
    wanted = (*input.shape[:axis], index.size, *input.shape[axis + 1 :])
    if source.shape != wanted and not (source.ndim == 0 and wanted == (1,)):
        raise ValueError(
            f"{op}: got a source of shape {source.shape}, wanted {wanted} for {index.size} indices along axis {axis} "
            f"of shape {input.shape}"
        )
    check_range(op, index, input.shape[axis])
    return axis, reshape(source, wanted) if source.shape != wanted else source


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """The input with alpha times the source's slices added to its slices at the indices.

    Each index counts as often as it occurs; the sum's order is that of the indices, for any number of threads.

    Raises:
        IndexError: an index or `dim` is out of range. ValueError: the source's shape does not fit.
        TypeError: a wrong dtype.

    >>> import tinydl
    >>> tinydl.index_add(tinydl.zeros(3), 0, tinydl.tensor([2, 0, 2]), tinydl.tensor([1.0, 2.0, 3.0]))
    tensor([2., 0., 4.])
    """
    array = vector_of("index_add", index).copy()
    if not input.ndim:
        return reshape(index_add(reshape(input, 1), dim, index, _vector(source), alpha=alpha), ())
    axis, source = _slices("index_add", input, dim, array, source)
    return IndexAdd(axis, array, alpha).apply(input, source)  # type: ignore[no-any-return]


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """The input with the source's slices in place of its slices at the indices (int64).

    Raises IndexError, ValueError and TypeError as `index_add`.
    """
    array = vector_of("index_copy", index, only_int64=True).copy()
    if not input.ndim:
        return reshape(index_copy(reshape(input, 1), dim, index, _vector(source)), ())
    axis, source = _slices("index_copy", input, dim, array, source)
    return IndexCopy(axis, array).apply(input, source)  # type: ignore[no-any-return]


def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """The input with a number, or a tensor without axes, in place of its slices at the indices (int64).

    Negative indices count from the end.
    """
    array = vector_of("index_fill", index, only_int64=True)
    if isinstance(value, Tensor) and value.ndim:
        raise ValueError(f"index_fill: got a value of shape {value.shape}, wanted no axes")
    if not input.ndim:
        return reshape(index_fill(reshape(input, 1), dim, index, value), ())
    (axis,) = axes_of("index_fill", dim, input.ndim)
    array = check_range("index_fill", array, input.shape[axis], wrap=True)
    if not isinstance(value, Tensor):
        value = Tensor(backend.scalar(value, input._data, np.asarray(value).dtype))
    filler = cast(value, input.dtype)
    return IndexCopy(axis, array).apply(input, filler)  # type: ignore[no-any-return]


def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each slice along an axis repeated; without `dim`, each element of the flattened input.

    Repeats on a GPU are read by the CPU, which has to know the result's size.

    Args:
        input: the tensor; or, alone, the repeats, of which the result then holds the indices.
        repeats: how often, one number or one for each slice.
        dim: the axis.
        output_size: the size of the result's axis, which is checked.

    >>> import tinydl
    >>> tinydl.repeat_interleave(tinydl.tensor([1, 2]), tinydl.tensor([2, 1]))
    tensor([1, 1, 2])
    >>> tinydl.repeat_interleave(tinydl.tensor([2, 1]))
    tensor([0, 0, 1])
    """
    if repeats is None:
        input, repeats = Tensor(backend.numpy_of(input._data).arange(input._data.size)), input
    if dim is None:
        input, dim = reshape(input, -1), 0
    (axis,) = axes_of("repeat_interleave", dim, input.ndim) or (0,)
    input = _vector(input)
    given = index_of("repeat_interleave", repeats) if isinstance(repeats, Tensor) else np.asarray(repeats)
    times = backend.to_host(given)
    size = input.shape[axis]
    if times.ndim > 1 or times.size not in (1, size):
        raise ValueError(f"repeat_interleave: got repeats of shape {times.shape} for an axis of size {size}")
    if times.size and times.min() < 0:
        raise ValueError(f"repeat_interleave: got a negative number of repeats, {times.min()}")
    index = np.repeat(np.arange(size), times)
    index = backend.beside(index, input._data)
    if output_size not in (None, index.size):
        raise ValueError(f"repeat_interleave: got output_size {output_size}, the repeats add up to {index.size}")
    return Take(axis, index, False).apply(input)  # type: ignore[no-any-return]
