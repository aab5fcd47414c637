"""Several axes as one, and one as several."""

from __future__ import annotations

from ..ops.shape import unflatten
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


class Unflatten(Module):
    """One axis as several: (N, 12) to (N, 3, 4) with `Unflatten(1, (3, 4))`; one of the sizes may be -1.

    >>> import tinydl
    >>> Unflatten(1, (3, -1))(tinydl.zeros(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        sizes = isinstance(unflattened_size, tuple | list) and all(isinstance(n, int) for n in unflattened_size)
        if not isinstance(dim, int) or not sizes:
            raise TypeError(f"Unflatten: got dim={dim!r} and sizes {unflattened_size!r}, wanted integers")
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        """The input with more axes."""
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The axis and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
