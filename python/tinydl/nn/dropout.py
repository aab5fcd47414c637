"""Dropout."""

from __future__ import annotations

from ..ops import random
from ..tensor import Tensor
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: the probability must lie in [0, 1], got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element is 0 with probability p and otherwise divided by 1 - p (Srivastava et al. 2014).

    In evaluation the input passes through. The draws come from `tinydl.random`'s default generator.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """`Dropout` of whole channels of (N, C, L) or (C, L)."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """`Dropout` of whole channels of images, (N, C, H, W) (Tompson et al. 2015)."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """`Dropout` of whole channels of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """In training, elements fall to SELU's negative limit with probability p (Klambauer et al. 2017).

    All are then scaled and shifted so that a mean of 0 and a variance of 1 stay. In evaluation the input passes
    through.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input."""
        return random.feature_alpha_dropout(input, self.p, self.training, self.inplace)
