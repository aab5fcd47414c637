"""Penalties on weights and outputs, by name or as objects; the model adds them to its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import as_tensor, eye
from ..nn.functional import normalize
from ..tensor import Tensor
from .config import Configured, made
from .config import serialize as serialize


class Regularizer(Configured):
    """A function of a weight in Keras's shape, or of a layer's output, that returns one number on the tape."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


class L1L2(Regularizer):
    """l1 Σ |x| + l2 Σ x².

    >>> L1L2(l1=0.5, l2=0.25)(as_tensor([1.0, -2.0])).item()
    2.75
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor(type(self).__name__, "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor(type(self).__name__, "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        x = as_tensor(x)
        if not self.l2:
            return x.abs().sum() * self.l1
        squares = (x * x).sum() * self.l2
        return squares + x.abs().sum() * self.l1 if self.l1 else squares


class L1(L1L2):
    """l1 Σ |x|.

    >>> L1(0.5)(as_tensor([1.0, -2.0])).item()
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)


class L2(L1L2):
    """l2 Σ x².

    >>> L2(0.5)(as_tensor([1.0, -2.0])).item()
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between the pairs of rows, or of columns, of a matrix.

    >>> OrthogonalRegularizer(1.0)(as_tensor([[1.0, 0.0], [3.0, 4.0]])).item()
    0.6000000238418579
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: got mode={mode!r}, wanted 'rows' or 'columns'")
        self.factor = _factor("OrthogonalRegularizer", "factor", factor)
        self.mode = mode

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        x = as_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: got a tensor of shape {x.shape}, wanted a matrix")
        rows = normalize(x if self.mode == "rows" else x.permute(1, 0), dim=1)
        size = rows.shape[0]
        cosines = (rows @ rows.permute(1, 0)).abs() * (1.0 - eye(size, dtype=x.dtype))
        return cosines.sum() * (self.factor / (size * (size - 1.0) or 1.0))


def _factor(owner: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{owner}: got {name}={value!r}, wanted a number of at least 0")
    return float(value)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

KNOWN: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
}


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """The regulariser of a name, of a class, of settings, or of an object; None is none.

    >>> get("l2").l2
    0.01
    """
    return None if identifier is None else made("regularizer", Regularizer, identifier, KNOWN)


deserialize = get
