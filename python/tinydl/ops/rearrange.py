"""The same elements at other places: flipped, rolled, repeated, combined."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function
from ..creation import shape_from
from ..tensor import Array, Tensor
from . import view as views
from .reduce import axes_of

Shape = tuple[int, ...]


# -- Flipped and rolled -----------------------------------------------------------------------------------------


class Flip(Function):
    """The elements of some axes in reverse order; so are their gradients."""

    def __init__(self, axes: Shape) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return backend.asarray(np.flip(x, self.axes)).copy(order="K")  # of a 0-d array, flip makes a scalar

    def backward(self, grad: Array) -> Array:
        return backend.asarray(np.flip(grad, self.axes))


class Roll(Function):
    """The elements shifted along axes, those beyond the end to the start; None rolls the flattened tensor."""

    def __init__(self, shifts: Shape, axes: Shape | None) -> None:
        self.shifts = shifts
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return np.roll(x, self.shifts, self.axes)

    def backward(self, grad: Array) -> Array:
        return np.roll(grad, tuple(-s for s in self.shifts), self.axes)


def flip(input: Tensor, *dims: Any) -> Tensor:
    """A copy with the elements of the given axes in reverse order.

    >>> import tinydl
    >>> tinydl.flip(tinydl.tensor([[1, 2], [3, 4]]), (0,))
    tensor([[3, 4],
            [1, 2]])
    """
    wanted = shape_from("flip", dims)
    return Flip(axes_of("flip", wanted, input.ndim) if wanted else ()).apply(input)  # type: ignore[no-any-return]


def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns (axis 1) in reverse order."""
    if input.ndim < 2:
        raise ValueError(f"fliplr: got a tensor of shape {input.shape}, wanted at least two axes")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """A copy with the rows (axis 0) in reverse order."""
    if input.ndim < 1:
        raise ValueError("flipud: got a tensor without axes")
    return flip(input, 0)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved by `shifts` along `dims`, those that leave at the end to the start; flattened without dims.

    >>> import tinydl
    >>> tinydl.roll(tinydl.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """
    moves = shape_from("roll", (shifts,))
    if dims is None or dims == ():
        if len(moves) != 1:
            raise ValueError(f"roll: got shifts {moves} without dims, wanted one shift")
        return Roll(moves, None).apply(input)  # type: ignore[no-any-return]
    names = shape_from("roll", (dims,))
    if len(names) != len(moves):
        raise ValueError(f"roll: got {len(moves)} shifts for {len(names)} dims")
    axes = tuple(axis for name in names for axis in axes_of("roll", name, input.ndim))
    if not axes:
        return Flip(()).apply(input)  # type: ignore[no-any-return]
    return Roll(moves, axes).apply(input)  # type: ignore[no-any-return]


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The tensor turned by k right angles in the plane of two axes, from the first towards the second.

    >>> import tinydl
    >>> tinydl.rot90(tinydl.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise ValueError(f"rot90: got dims {tuple(dims)}, wanted two axes")
    first, second = axes_of("rot90", dims, input.ndim)
    turns = k % 4
    if turns == 0:
        return flip(input, ())
    if turns == 2:
        return flip(input, (first, second))
    return flip(views.transpose(input, first, second), first if turns == 1 else second)


# -- Repeated ---------------------------------------------------------------------------------------------------


class Repeat(Function):
    """The whole tensor several times along each axis; elements get the sum of their copies' gradients."""

    def __init__(self, counts: Shape) -> None:
        self.counts = counts

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return np.tile(x, self.counts)

    def backward(self, grad: Array) -> Array:
        sizes = (1,) * (len(self.counts) - len(self.shape)) + self.shape
        pairs = grad.reshape([n for pair in zip(self.counts, sizes, strict=True) for n in pair])
        axes = tuple(range(0, pairs.ndim, 2))
        if backend.takes(grad) and pairs.ndim <= 16:  # what the kernels' layouts hold
            total: Array = backend.of(grad).sum(pairs, axes, False)
        else:
            total = backend.asarray(pairs.sum(axis=axes))
        return total.reshape(self.shape)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """A copy with the whole tensor several times along each axis; further counts in front make new axes.

    >>> import tinydl
    >>> tinydl.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = shape_from("repeat", repeats)
    if len(counts) < input.ndim or min(counts, default=0) < 0:
        raise ValueError(f"repeat: got counts {counts} for a tensor of shape {input.shape}, wanted one for each axis")
    return Repeat(counts).apply(input)  # type: ignore[no-any-return]


def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat` where counts may be missing in front: those axes are taken once."""
    counts = shape_from("tile", dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


# -- Combined ---------------------------------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: from vectors of lengths n1, ..., nk, k views of shape (n1, ..., nk).

    With indexing="xy" the first two axes are exchanged, as for images addressed by x and y.

    >>> import tinydl
    >>> rows, columns = tinydl.meshgrid(tinydl.arange(2), tinydl.arange(3))
    >>> columns
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: got indexing {indexing!r}, wanted 'ij' or 'xy'")
    _check_vectors("meshgrid", given)
    shape = tuple(t.numel() for t in given)
    grids = []
    for d, t in enumerate(given):
        line = views.reshape(t, (1,) * d + (shape[d],) + (1,) * (len(shape) - d - 1))
        grid = views.expand(line, shape)
        grids.append(views.transpose(grid, 0, 1) if indexing == "xy" and len(shape) > 1 else grid)
    return tuple(grids)


def _check_vectors(op: str, tensors: Sequence[Any]) -> None:
    if not tensors or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(f"{op}: wanted one tensor or several")
    if any(t.ndim > 1 for t in tensors):
        raise ValueError(f"{op}: got tensors of shapes {[t.shape for t in tensors]}, wanted vectors or scalars")
    if len({t.dtype for t in tensors}) > 1:
        raise TypeError(f"{op}: got dtypes {sorted({str(t.dtype) for t in tensors})}, wanted one")


class Columns(Function):
    """Vectors side by side: y[..., k] = x_k."""

    def forward(self, *columns: Array) -> Array:
        return np.stack(columns, axis=-1)

    def backward(self, grad: Array) -> tuple[Array, ...]:
        return tuple(grad[..., k] for k in range(grad.shape[-1]))


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, a row for each; of one vector, the vector itself.

    >>> import tinydl
    >>> tinydl.cartesian_prod(tinydl.tensor([1, 2]), tinydl.tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    _check_vectors("cartesian_prod", tensors)
    if len(tensors) == 1:
        return views.reshape(tensors[0], tensors[0].numel())
    rows = int(np.prod([t.numel() for t in tensors], dtype=np.int64))
    return Columns().apply(*[views.reshape(grid, rows) for grid in meshgrid(*tensors)])  # type: ignore[no-any-return]


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """The choices of r elements of a vector, as rows in the order of itertools.combinations.

    >>> import tinydl
    >>> tinydl.combinations(tinydl.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1 or r < 0:
        raise ValueError(f"combinations: got shape {input.shape} and r={r}, wanted a vector and r >= 0")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    if r == 0:
        return Tensor(np.zeros(0, input.dtype))
    return input[np.array(list(choose(range(len(input)), r)), np.int64).reshape(-1, r)]
