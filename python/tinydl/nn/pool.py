"""Pooling layers: the maximum or the mean over windows of an image or a signal."""

from __future__ import annotations

from collections.abc import Sequence

from ..ops import pool, unpool
from ..ops.arguments import sizes
from ..tensor import Tensor
from .module import Module

Size = int | tuple[int, ...]


class _MaxPool(Module):
    """What they share: the windows."""

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

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum over windows: (N, C, L) to (N, C, L'), L' = floor((L + 2p - d (k - 1) - 1) / s) + 1.

    The arguments are those of `MaxPool2d`, with one number or a tuple of one number.

    >>> import tinydl
    >>> MaxPool1d(2)(tinydl.zeros(1, 3, 5)).shape
    (1, 3, 2)
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The maxima (and their positions)."""
        out: Tensor | tuple[Tensor, Tensor] = pool.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )
        return out


class MaxPool2d(_MaxPool):
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

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The maxima (and their positions)."""
        out: Tensor | tuple[Tensor, Tensor] = pool.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )
        return out


class AvgPool1d(Module):
    """The mean over windows: (N, C, L) to (N, C, L'), L' = floor((L + 2p - k) / s) + 1.

    The arguments are those of `AvgPool2d` but the last, with one number or a tuple of one number.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = sizes("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else sizes("AvgPool1d", "stride", stride, 1)
        self.padding = sizes("AvgPool1d", "padding", padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        return pool.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


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


class MaxUnpool2d(Module):
    """The maxima of `MaxPool2d(..., return_indices=True)` back where they were, zeros elsewhere.

    Args:
        kernel_size: the pooling's, one number or one for each axis; so for `stride` and `padding`.
        stride: None is the kernel size.
        padding: how many rows and columns the pooling added on each side.

    >>> import tinydl
    >>> y, indices = MaxPool2d(2, return_indices=True)(tinydl.zeros(1, 3, 5, 5))
    >>> MaxUnpool2d(2)(y, indices, output_size=(5, 5)).shape
    (1, 3, 5, 5)
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size = sizes("MaxUnpool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else sizes("MaxUnpool2d", "stride", stride)
        self.padding = sizes("MaxUnpool2d", "padding", padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The maxima `input` at `indices`, in an image of `output_size` (by default the smallest that fits)."""
        return unpool.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
