"""Batches from samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...creation import as_tensor
from ...tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch from a list of samples, by PyTorch's rules.

    Tensors and arrays are stacked along a new first axis, numbers become a tensor (bool, int64, or float64), strings
    stay a list; tuples, lists and mappings of these are collated element by element (a tuple becomes a list).
    ValueError where shapes or lengths differ, TypeError for other samples.

    >>> default_collate([(np.zeros(2), 1), (np.ones(2), 0)])
    [tensor([[0., 0.],
            [1., 1.]], dtype=float64), tensor([1, 0])]
    """
    if not batch:
        raise ValueError("default_collate: got no samples")
    first = batch[0]
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple | list):
        return _columns(first, batch)
    if isinstance(first, Tensor | bool | int | float) or hasattr(first, "__array__"):
        return _stack(batch)
    raise TypeError(
        f"default_collate: got a sample of type {type(first).__name__}, wanted tensors, arrays, numbers, strings, "
        "or tuples, lists or mappings of these"
    )


def _columns(first: Sequence[Any], batch: Sequence[Any]) -> Any:
    if len({len(sample) for sample in batch}) > 1:
        raise ValueError(
            f"default_collate: the samples have {sorted({len(s) for s in batch})} elements, wanted equally many"
        )
    columns = [default_collate(column) for column in zip(*batch, strict=True)]
    return type(first)(*columns) if hasattr(first, "_fields") else columns


def _stack(batch: Sequence[Any]) -> Tensor:
    arrays = [sample._data if isinstance(sample, Tensor) else np.asarray(sample) for sample in batch]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"default_collate: the samples have shapes {sorted(shapes)}, wanted equal ones")
    return as_tensor(np.stack(arrays))
