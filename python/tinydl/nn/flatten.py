"""Several axes as one."""

from __future__ import annotations

from ..ops.view import flatten
from ..tensor import Tensor
from .module import Module


class Flatten(Module):
    """The axes from start_dim to end_dim as one, in row-major order: (N, C, H, W) to (N, C H W) by default.

    >>> import tinydl
    >>> Flatten()(tinydl.zeros(2, 3, 4, 5)).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The input with fewer axes."""
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
