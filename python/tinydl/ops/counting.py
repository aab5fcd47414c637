"""How often values occur; these have no gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import require_tensor
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


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """For each element, whether it is among the test elements (with `invert`, whether it is not).

    >>> import tinydl
    >>> tinydl.isin(tinydl.tensor([1, 2, 3]), tinydl.tensor([2, 5]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin: got no tensor, wanted one at least")
    return Tensor(np.asarray(np.isin(np.asarray(elements), np.asarray(test_elements), assume_unique, invert)))
