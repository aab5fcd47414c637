"""Comparisons: bool tensors, which have no gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor


def _compare(ufunc: Any, input: Tensor, other: Any) -> Tensor:
    right = other._data if isinstance(other, Tensor) else other
    return Tensor(np.asarray(ufunc(input._data, right)))


def eq(input: Tensor, other: Any) -> Tensor:
    """Whether input = other, elementwise with broadcasting; NaN equals nothing.

    >>> import tinydl
    >>> tinydl.tensor([1.0, 2.0]) == 2
    tensor([False,  True])
    """
    return _compare(np.equal, input, other)


def ne(input: Tensor, other: Any) -> Tensor:
    """Whether input ≠ other, elementwise with broadcasting."""
    return _compare(np.not_equal, input, other)


def lt(input: Tensor, other: Any) -> Tensor:
    """Whether input < other, elementwise with broadcasting."""
    return _compare(np.less, input, other)


def le(input: Tensor, other: Any) -> Tensor:
    """Whether input ≤ other, elementwise with broadcasting."""
    return _compare(np.less_equal, input, other)


def gt(input: Tensor, other: Any) -> Tensor:
    """Whether input > other, elementwise with broadcasting."""
    return _compare(np.greater, input, other)


def ge(input: Tensor, other: Any) -> Tensor:
    """Whether input ≥ other, elementwise with broadcasting."""
    return _compare(np.greater_equal, input, other)
