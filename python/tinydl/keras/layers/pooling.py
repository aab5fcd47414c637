"""Pooling over windows of sequences and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ...ops.arguments import sizes
from ...ops.pool import Windows, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d, max_windows
from ...tensor import Tensor
from .arguments import check_data_format, output_size, padding_name, padding_sides
from .base import Layer, Shape, as_float


class _Pooling(Layer):
    axes: ClassVar[int] = 2

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        owner = type(self).__name__
        self.pool_size = sizes(owner, "pool_size", pool_size, self.axes, least=1)
        self.strides = self.pool_size if strides is None else sizes(owner, "strides", strides, self.axes, least=1)
        self.padding = padding_name(self, padding)
        check_data_format(self, data_format)

    def make(self, input_shape: Shape) -> Shape:
        """Choose the padding. The ops pad alike on both sides, or (ceil_mode) let windows reach over the end.

        That covers "same" but for stride 1 and an odd number of rows: there a row more is padded, and the output's
        first dropped.
        """
        self.need_images(input_shape) if self.axes == 2 else self.need_signals(input_shape)
        size = output_size(self, input_shape, self.pool_size)
        sides = padding_sides(self, input_shape, self.pool_size)
        drop = [int(s == 1 and low != high) for s, (low, high) in zip(self.strides, sides, strict=True)]
        self._pads = tuple([low + more for (low, _), more in zip(sides, drop, strict=True)])
        ends = [slice(n, None) for n in drop]
        self._drop = (slice(None), slice(None), *ends) if any(drop) else None
        return (*size, input_shape[-1])

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The pooled (N, C, ...)."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """The maxima or means."""
        out = self.pool(x if self.axes == 2 else x.permute(0, 2, 1), self.padding == "same")
        out = out if self._drop is None else out[self._drop]
        return out if self.axes == 2 else out.permute(0, 2, 1)


class MaxPooling1D(_Pooling):
    """The maximum over windows: (N, L, C) to (N, L', C), with L' as for `Conv1D`.

    >>> MaxPooling1D(2)([[[1.0], [3.0], [2.0], [0.0]]]).tolist()
    [[[3.0], [2.0]]]
    """

    axes = 1

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The maxima."""
        return max_pool1d(x, self.pool_size, self.strides, self._pads, 1, ceil_mode)  # type: ignore[no-any-return]


class MaxPooling2D(_Pooling):
    """The maximum over windows: (N, H, W, C) to (N, H', W', C), with H' as for `Conv2D`.

    >>> MaxPooling2D().compute_output_shape((None, 7, 6, 3))
    (None, 3, 3, 3)
    """

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The maxima."""
        return max_pool2d(x, self.pool_size, self.strides, self._pads, 1, ceil_mode)  # type: ignore[no-any-return]

    @property
    def _pool_windows(self) -> Windows | None:
        """What a convolution before has to know to do this layer's work, or None where it cannot."""
        if type(self) is not MaxPooling2D or self._drop is not None or self.activity_regularizer is not None:
            return None
        return max_windows(self.pool_size, self.strides, self._pads, 1, self.padding == "same")


class AveragePooling1D(_Pooling):
    """The mean over windows, of what lies in the sequence only: (N, L, C) to (N, L', C), with L' as for `Conv1D`.

    >>> AveragePooling1D(2)([[[1.0], [3.0], [2.0], [0.0]]]).tolist()
    [[[2.0], [1.0]]]
    """

    axes = 1

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The means."""
        return avg_pool1d(x, self.pool_size, self.strides, self._pads, ceil_mode, count_include_pad=False)


class AveragePooling2D(_Pooling):
    """The mean over windows, of the pixels in the image only: (N, H, W, C) to (N, H', W', C), H' as for `Conv2D`.

    >>> AveragePooling2D(padding="same").compute_output_shape((None, 7, 6, 3))
    (None, 4, 3, 3)
    """

    def pool(self, x: Tensor, ceil_mode: bool) -> Tensor:
        """The means."""
        return avg_pool2d(x, self.pool_size, self.strides, self._pads, ceil_mode, count_include_pad=False)


# -- Over everything --------------------------------------------------------------------------------------------


class _Global(Layer):
    axes: ClassVar[int] = 2

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        check_data_format(self, data_format)
        self.keepdims = bool(keepdims)

    def make(self, input_shape: Shape) -> Shape:
        """The channels, with axes of size 1 before them where they are kept."""
        self.need_images(input_shape) if self.axes == 2 else self.need_signals(input_shape)
        return ((1,) * self.axes if self.keepdims else ()) + input_shape[-1:]


class GlobalAveragePooling1D(_Global):
    """The mean over each sequence: (N, L, C) to (N, C), or (N, 1, C) with `keepdims`.

    >>> GlobalAveragePooling1D()([[[1.0, 0.0], [3.0, 4.0]]])
    tensor([[2., 2.]])
    """

    _steps_from = 3
    axes = 1
    _takes_mask = True
    _makes_masks = False

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: no steps remain."""

    def forward(self, x: Tensor, mask: Any = None) -> Any:
        """The means, of the steps that the mask (N, L) does not hide."""
        if mask is None:
            return super().forward(x)
        weight = as_float(mask).unsqueeze(-1)
        return super().forward(x * (weight * (x.shape[1] / weight.sum(1, keepdim=True))))

    def logits(self, x: Tensor) -> Tensor:
        """The means."""
        return x.mean(1, keepdim=self.keepdims)


class GlobalMaxPooling1D(_Global):
    """The maximum over each sequence: (N, L, C) to (N, C), or (N, 1, C) with `keepdims`.

    >>> GlobalMaxPooling1D()([[[1.0, 0.0], [3.0, -4.0]]])
    tensor([[3., 0.]])
    """

    _steps_from = 3
    axes = 1

    def logits(self, x: Tensor) -> Tensor:
        """The maxima."""
        return x.amax(1, keepdim=self.keepdims)


class GlobalAveragePooling2D(_Global):
    """The mean over each image: (N, H, W, C) to (N, C), or (N, 1, 1, C) with `keepdims`.

    >>> GlobalAveragePooling2D()([[[[1.0], [3.0]], [[0.0], [4.0]]]])
    tensor([[2.]])
    """

    def logits(self, x: Tensor) -> Tensor:
        """The means."""
        return x.mean((2, 3), keepdim=self.keepdims)


class GlobalMaxPooling2D(_Global):
    """The maximum over each image: (N, H, W, C) to (N, C), or (N, 1, 1, C) with `keepdims`.

    >>> GlobalMaxPooling2D()([[[[1.0], [3.0]], [[0.0], [4.0]]]])
    tensor([[4.]])
    """

    def logits(self, x: Tensor) -> Tensor:
        """The maxima."""
        return x.amax((2, 3), keepdim=self.keepdims)
