"""Pooling layers: the maximum or the mean over windows of an image."""

from __future__ import annotations

from ..ops import pool
from ..tensor import Tensor
from .module import Module

Size = int | tuple[int, int]


class MaxPool2d(Module):
    """The maximum over windows: (N, C, H, W) to (N, C, H', W'), H' = floor((H + 2p - d (k - 1) - 1) / s) + 1.

    Args:
        kernel_size: k, one number or one for each axis.
        stride: s, likewise; None is the kernel size.
        padding: p, of minus infinity, at most k/2.
        dilation: d.
        return_indices: whether to return the positions of the maxima in their planes (int64) as well.
        ceil_mode: round H' up, with windows that reach over the edge.

    >>> import tinydl
    >>> MaxPool2d(2)(tinydl.zeros(1, 3, 5, 5)).shape
    (1, 3, 2, 2)
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The maxima (and their positions)."""
        out: Tensor | tuple[Tensor, Tensor] = pool.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )
        return out

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean over windows: (N, C, H, W) to (N, C, H', W'), H' = floor((H + 2p - k) / s) + 1.

    Args:
        kernel_size: k, one number or one for each axis.
        stride: s, likewise; None is the kernel size.
        padding: p, of zeros, at most k/2.
        ceil_mode: round H' up, with windows that reach over the edge.
        count_include_pad: whether the padding counts in the means.
        divisor_override: divide the sums by this number instead.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return pool.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
