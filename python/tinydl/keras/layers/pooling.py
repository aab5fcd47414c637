"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ops.arguments import sizes
from ...ops.pool import avg_pool2d, max_pool2d
from ...tensor import Tensor
from .arguments import check_data_format, output_size, padding_name, same_sides
from .base import Layer, Shape


class _Pooling(Layer):
    """Windows over images: (N, H, W, C) to (N, H', W', C), with H' as for `Conv2D`."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pool_size = sizes(type(self).__name__, "pool_size", pool_size, least=1)
        self.strides = self.pool_size if strides is None else sizes(type(self).__name__, "strides", strides, least=1)
        self.padding = padding_name(self, padding)
        check_data_format(self, data_format)

    def make(self, input_shape: Shape) -> Shape:
        """Choose the padding. The ops pad alike on both sides, or (ceil_mode) let windows reach over the end.

        That covers "same" but for stride 1 and an odd number of rows: there a row more is padded, and the output's
        first dropped.
        """
        self.need_images(input_shape)
        size = output_size(self, input_shape, self.pool_size)
        sides = same_sides(self, input_shape, self.pool_size) if self.padding == "same" else ((0, 0), (0, 0))
        drop = [int(s == 1 and low != high) for s, (low, high) in zip(self.strides, sides, strict=True)]
        self._pads = (sides[0][0] + drop[0], sides[1][0] + drop[1])
        self._drop = (slice(None), slice(None), slice(drop[0], None), slice(drop[1], None)) if any(drop) else None
        return (*size, input_shape[-1])

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The pooled images."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """The maxima or means."""
        out = self.pool(x, self.padding == "same")
        return out if self._drop is None else out[self._drop]


class MaxPooling2D(_Pooling):
    """The maximum over windows: (N, H, W, C) to (N, H', W', C), with H' as for `Conv2D`."""

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The maxima."""
        return max_pool2d(x, self.pool_size, self.strides, self._pads, 1, ceil_mode)  # type: ignore[no-any-return]


class AveragePooling2D(_Pooling):
    """The mean over windows, of the pixels in the image only: (N, H, W, C) to (N, H', W', C), H' as for `Conv2D`."""

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The means."""
        return avg_pool2d(x, self.pool_size, self.strides, self._pads, ceil_mode, count_include_pad=False)
