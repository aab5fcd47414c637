"""Pooling to a given size."""

from __future__ import annotations

from ..ops import adaptive_pool
from ..ops.adaptive_pool import OutputSize
from ..tensor import Tensor
from .module import Module


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The output's size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The mean over as many windows as the output shall be long: (N, C, L) to (N, C, output_size).

    >>> import tinydl
    >>> AdaptiveAvgPool1d(4)(tinydl.zeros(1, 3, 10)).shape
    (1, 3, 4)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return adaptive_pool.adaptive_avg_pool1d(input, self.output_size)  # type: ignore[arg-type]


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The mean over as many windows as the output shall have pixels: (N, C, H, W) to (N, C, *output_size).

    Args:
        output_size: (H', W') or one number for both; None keeps the input's. 1 is global average pooling.

    >>> import tinydl
    >>> AdaptiveAvgPool2d((1, None))(tinydl.zeros(1, 3, 10, 8)).shape
    (1, 3, 1, 8)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return adaptive_pool.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maximum over as many windows as the output shall be long: (N, C, L) to (N, C, output_size).

    Args:
        output_size: the output's length.
        return_indices: whether to return the positions of the maxima (int64) as well.
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The maxima (and their positions)."""
        out: Tensor | tuple[Tensor, Tensor] = adaptive_pool.adaptive_max_pool1d(
            input,
            self.output_size,  # type: ignore[arg-type]
            self.return_indices,
        )
        return out


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maximum over as many windows as the output shall have pixels: (N, C, H, W) to (N, C, *output_size).

    Args:
        output_size: (H', W') or one number for both; None keeps the input's.
        return_indices: whether to return the positions of the maxima in their planes (int64) as well.
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The maxima (and their positions)."""
        out: Tensor | tuple[Tensor, Tensor] = adaptive_pool.adaptive_max_pool2d(
            input, self.output_size, self.return_indices
        )
        return out
