"""Limits that weights are kept within after each step of the optimiser, by name or as objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..creation import as_tensor
from ..tensor import Tensor
from .config import Configured, made, serialize

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

EPSILON = 1e-7


class Constraint(Configured):
    """A function of a weight in Keras's shape that returns what takes its place."""

    def __call__(self, w: Tensor) -> Tensor:
        """The weight within the limits."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


class _Norms(Constraint):
    """What limits the norms n = √(Σ w²) along some axes: w times wanted(n)/(n + 1e-7)."""

    axis: int | Sequence[int]

    def wanted(self, norms: Tensor) -> Tensor | float:
        """The norms that the weight is to have."""
        raise NotImplementedError(f"{type(self).__name__} does not define wanted")

    def __call__(self, w: Tensor) -> Tensor:
        """The weight within the limits."""
        w = as_tensor(w)
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        norms = (w * w).sum(axis, keepdim=True).sqrt()
        return w * (self.wanted(norms) / (norms + EPSILON))


class MaxNorm(_Norms):
    """Norms of at most `max_value` along `axis`: 0 for the columns of a dense layer's kernel, one for each unit;
    [0, 1, 2] for the filters of an image convolution.

    >>> MaxNorm(1.0)(as_tensor([[3.0, 0.0], [4.0, 0.0]]))
    tensor([[0.6, 0. ],
            [0.8, 0. ]])
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value = _number("MaxNorm", "max_value", max_value)
        self.axis = axis

    def wanted(self, norms: Tensor) -> Tensor:
        """min(n, max_value)."""
        return norms.clamp(0.0, self.max_value)


class NonNeg(Constraint):
    """max(w, 0).

    >>> NonNeg()(as_tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __call__(self, w: Tensor) -> Tensor:
        """The weight without what is negative."""
        return as_tensor(w).clamp(min=0.0)


class UnitNorm(_Norms):
    """Norms of 1 along `axis`, as for `MaxNorm`.

    >>> UnitNorm()(as_tensor([[3.0], [4.0]]))
    tensor([[0.6],
            [0.8]])
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def wanted(self, norms: Tensor) -> float:
        """1."""
        return 1.0


class MinMaxNorm(_Norms):
    """Norms that come nearer to [min_value, max_value]: rate min(max(n, min_value), max_value) + (1 - rate) n.

    `axis` is as for `MaxNorm`.

    >>> MinMaxNorm(0.5, 1.0, rate=0.5)(as_tensor([[3.0]]))
    tensor([[2.]])
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        self.min_value = _number("MinMaxNorm", "min_value", min_value)
        self.max_value = _number("MinMaxNorm", "max_value", max_value)
        self.rate = _number("MinMaxNorm", "rate", rate)
        self.axis = axis

    def wanted(self, norms: Tensor) -> Tensor:
        """The norms after a step towards the interval."""
        return norms.clamp(self.min_value, self.max_value) * self.rate + norms * (1 - self.rate)


def _number(owner: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{owner}: got {name}={value!r}, wanted a number of at least 0")
    return value


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

KNOWN: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
}


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """The constraint of a name, of a class, of settings, or of an object or function; None is none.

    >>> get("max_norm").max_value
    2
    """
    return None if identifier is None else made("constraint", Constraint, identifier, KNOWN)


deserialize = get
