"""Distances and similarities as layers."""

from __future__ import annotations

from ..ops import distance
from ..tensor import Tensor
from .module import Module


class CosineSimilarity(Module):
    """sum of x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along the axis `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The similarities."""
        return distance.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis, which is kept with size 1 if `keepdim`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The distances."""
        return distance.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
