"""Integrals by the trapezoidal rule."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from .arguments import check_tensors
from .elementwise import add, div, mul
from .reduce import axis_of
from .reduce import sum as sum_over
from .scan import cumsum, diff


def _areas(op: str, y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    """Twice the areas between neighbours along an axis."""
    check_tensors(op, y=y)
    axis = axis_of(op, dim, y.ndim)
    if y.dtype == np.bool_:
        raise TypeError(f"{op}: got dtype bool, wanted numbers")
    if x is not None and dx != 1:
        raise TypeError(f"{op}: got both x and dx, wanted one")
    steps = max(y.shape[axis] - 1, 0)
    sums = add(y.narrow(axis, min(1, y.shape[axis]), steps), y.narrow(axis, 0, steps))
    if x is None:
        return sums if isinstance(dx, int) and dx == 1 else mul(sums, dx)
    check_tensors(op, x=x)
    if x.ndim == 1:
        widths = diff(x).reshape([-1 if d == axis else 1 for d in range(y.ndim)])
    else:
        widths = diff(x.reshape([1] * (y.ndim - x.ndim) + list(x.shape)), dim=axis)
    if widths.shape[axis] != steps:
        raise ValueError(f"{op}: x of shape {x.shape} does not fit y of shape {y.shape} along dim {dim}")
    return mul(sums, widths)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral sum of (y_i + y_(i+1)) (x_(i+1) - x_i) / 2 along an axis; without x the steps are dx.

    x is a vector of the axis's points, or broadcasts to y.

    >>> import tinydl
    >>> tinydl.trapezoid(tinydl.tensor([1.0, 5.0, 10.0]), dx=2)
    tensor(21.)
    """
    areas = _areas("trapezoid", y, x, dx, dim)
    return div(sum_over(areas, axis_of("trapezoid", dim, areas.ndim)), 2)


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """`trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integrals from the first point to each later one: see `trapezoid`."""
    areas = _areas("cumulative_trapezoid", y, x, dx, dim)
    return div(cumsum(areas, axis_of("cumulative_trapezoid", dim, areas.ndim)), 2)
