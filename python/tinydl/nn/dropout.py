"""Dropout."""

from __future__ import annotations

from ..ops import random
from ..tensor import Tensor
from .module import Module


class Dropout(Module):
    """In training, each element is 0 with probability p and otherwise divided by 1 - p (Srivastava et al. 2014).

    In evaluation the input passes through. The draws come from `tinydl.random`'s default generator.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: the probability must lie in [0, 1], got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"
