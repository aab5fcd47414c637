"""Softmax and its relatives as layers."""

from __future__ import annotations

from ..ops import softmax
from ..tensor import Tensor
from . import functional
from .module import Module


class _AlongDim(Module):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """y_i = e^(x_i) / Σ_j e^(x_j) along the axis `dim`.

    Without `dim`, as in PyTorch, a warning is given and the axis is 0 for inputs of 0, 1 or 3 axes, else 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The probabilities."""
        return functional.softmax(input, self.dim)


class LogSoftmax(_AlongDim):
    """y_i = x_i - ln Σ_j e^(x_j) along the axis `dim`; without it, as `Softmax`."""

    def forward(self, input: Tensor) -> Tensor:
        """The logarithms of the probabilities."""
        return functional.log_softmax(input, self.dim)


class Softmin(_AlongDim):
    """y_i = e^(-x_i) / Σ_j e^(-x_j) along the axis `dim`; without it, as `Softmax`."""

    def forward(self, input: Tensor) -> Tensor:
        """The probabilities."""
        return functional.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of images (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The probabilities; ValueError for another number of axes."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: got an input of shape {input.shape}, wanted (N, C, H, W) or (C, H, W)")
        return softmax.softmax(input, -3)
