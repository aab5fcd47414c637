"""Losses as layers."""

from __future__ import annotations

from ..ops import loss
from ..tensor import Tensor
from .module import Module

REDUCTIONS = ("none", "mean", "sum")


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: reduction '{reduction}' is unknown; known: {', '.join(REDUCTIONS)}"
            )
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """-Σ_c t_c log softmax(x)_c of logits x (N, C, ...) and targets t: class indices (N, ...) or probabilities like x.

    `reduction` is "mean" over the samples, "sum" or "none".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.cross_entropy(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """The squared error (x - t)²; `reduction` is "mean" over all elements, "sum" or "none"."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return loss.mse_loss(input, target, reduction=self.reduction)
