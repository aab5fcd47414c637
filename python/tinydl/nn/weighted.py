"""What linear and convolution layers share."""

from __future__ import annotations

from .. import backend
from ..tensor import Array
from . import init
from .module import Module
from .parameter import Parameter


class Weighted(Module):
    """A layer with a weight, and a bias or None."""

    weight: Parameter
    bias: Parameter | None

    def _make(self, weight: Array, size: int, bias: bool) -> None:
        """The weight in an array's memory, and a bias of some size if there is to be one; drawn."""
        self.weight = Parameter(weight)
        self.register_parameter("bias", Parameter(backend.empty(size, weight)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.default_(self.weight, self.bias)
