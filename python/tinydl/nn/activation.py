"""Activation functions as layers."""

from __future__ import annotations

from ..ops import activation
from ..tensor import Tensor
from .module import Module


class ReLU(Module):
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The rectified input."""
        return input.relu_() if self.inplace else activation.relu(input)

    def extra_repr(self) -> str:
        """Whether the input is overwritten."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """y = 1/(1 + e^-x), elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The logistic function of the input."""
        return activation.sigmoid(input)


class Tanh(Module):
    """y = tanh x, elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The hyperbolic tangent of the input."""
        return activation.tanh(input)
