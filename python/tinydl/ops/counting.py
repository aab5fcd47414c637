"""How often values occur; these have no gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..creation import require_tensor
from ..dtypes import FLOATS
from ..tensor import Tensor


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 occurs in a vector; with weights, the sum of the weights of its elements.

    Args:
        input: a vector of whole numbers from 0.
        weights: one number for each element; the result then has their dtype (float64 for integers).
        minlength: the least length of the result, which else ends with the largest number.

    Raises ValueError for negative numbers and wrong shapes, TypeError for numbers that are not whole.

    >>> import tinydl
    >>> tinydl.bincount(tinydl.tensor([0, 2, 2]), minlength=4)
    tensor([1, 0, 2, 0])
    """
    require_tensor("bincount", input)
    if input.dtype.kind not in "iu":
        raise TypeError(f"bincount: got dtype {input.dtype}, wanted integers")
    if input.ndim != 1 or (weights is not None and weights.shape != input.shape):
        shapes = f"{input.shape}" if weights is None else f"{input.shape} and weights {weights.shape}"
        raise ValueError(f"bincount: got shape {shapes}, wanted vectors of one length")
    if input._data.size and input._data.min() < 0:
        raise ValueError(f"bincount: got {input._data.min()}, wanted numbers from 0")
    if minlength < 0:
        raise ValueError(f"bincount: got minlength={minlength}, wanted at least 0")
    labels = input._data.astype(np.int64, copy=False)
    if weights is None:
        return Tensor(np.bincount(labels, minlength=minlength))
    sums = np.bincount(labels, weights._data.astype(np.float64, copy=False), minlength)
    return Tensor(sums.astype(np.float32 if weights.dtype == np.float32 else np.float64, copy=False))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of the equal intervals between min and max; others are left out.

    Where min equals max, the least and the largest element stand for them. The counts have the input's dtype. A GPU's
    elements are counted there, which waits for it.

    >>> import tinydl
    >>> tinydl.histc(tinydl.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    require_tensor("histc", input)
    if input.dtype not in FLOATS:
        raise TypeError(f"histc: got dtype {input.dtype}, wanted float32 or float64")
    if bins <= 0 or not min <= max:
        raise ValueError(f"histc: got bins={bins}, min={min} and max={max}, wanted bins > 0 and min <= max")
    x = input._data.ravel()
    if min == max and x.size:
        min, max = x.min().item(), x.max().item()
    if min == max:
        min, max = min - 1, max + 1
    if not (np.isfinite(min) and np.isfinite(max)):
        raise ValueError(f"histc: the elements range from {min} to {max}, wanted finite numbers")
    low, high = x.dtype.type(min), x.dtype.type(max)
    inside = x[(x >= low) & (x <= high)]
    places = ((inside - low) * x.dtype.type(bins) / (high - low)).astype(np.int64)
    return Tensor(np.bincount(np.minimum(places, bins - 1), minlength=bins).astype(x.dtype))


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The index on each axis of elements that are named by their numbers in row-major order, int64.

    >>> import tinydl
    >>> tinydl.unravel_index(tinydl.tensor([1, 5]), (2, 3))
    (tensor([0, 1]), tensor([1, 2]))
    """
    require_tensor("unravel_index", indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"unravel_index: got dtype {indices.dtype}, wanted integers")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"unravel_index: got shape {sizes}, wanted sizes from 0")
    rest, found = indices._data.astype(np.int64), []
    for size in sizes[::-1]:
        rest, place = np.divmod(rest, size)
        found.append(Tensor(backend.asarray(place)))
    return tuple(found[::-1])


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """For each element, whether it is among the test elements (with `invert`, whether it is not).

    >>> import tinydl
    >>> tinydl.isin(tinydl.tensor([1, 2, 3]), tinydl.tensor([2, 5]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin: got no tensor, wanted one at least")
    like = elements._data if isinstance(elements, Tensor) else test_elements._data
    these, those = (
        x._data if isinstance(x, Tensor) else backend.beside(np.asarray(x), like) for x in (elements, test_elements)
    )
    backend.check_together("isin", these, those)
    return Tensor(backend.asarray(np.isin(these, those, assume_unique, invert)))
