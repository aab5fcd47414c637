"""Convolutions that treat every channel by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import nn
from ...ops.conv import conv2d
from ...tensor import Tensor
from .arguments import positive
from .base import Shape
from .conv import Windows, kernel_2d


def _by_channel(channels: int, multiplier: int) -> Callable[[Tensor], Tensor]:
    """Gives (H, W, in, multiplier) from (in multiplier, 1, H, W)."""

    def turn(weight: Tensor) -> Tensor:
        return weight.reshape(channels, multiplier, *weight.shape[2:]).permute(2, 3, 0, 1)

    return turn


class DepthwiseConv2D(Windows):
    """y = f(x * W + b), where output channel `c multiplier + m` sees input channel c alone: (N, H, W, in) to
    (N, H', W', in depth_multiplier), with H' as for `Conv2D`.

    Weights: kernel (k, k, in, depth_multiplier), bias (in depth_multiplier,).

    >>> layer = DepthwiseConv2D(3, depth_multiplier=2, padding="same")
    >>> layer.compute_output_shape((None, 8, 8, 3)), layer.kernel.shape
    ((None, 8, 8, 6), (3, 3, 3, 2))
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.use_bias = use_bias
        self.take_windows(kernel_size, strides, padding, data_format, dilation_rate, activation)
        self.choose("kernel", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self.choose("bias", bias_initializer, bias_regularizer, bias_constraint)

    def make(self, input_shape: Shape) -> Shape:
        """W (in multiplier, 1, k, k) and b."""
        size, channels = self.place_windows(input_shape), input_shape[-1]
        out = channels * self.depth_multiplier
        self.inner = inner = nn.Conv2d(channels, out, self.kernel_size, groups=channels, bias=self.use_bias)
        self.hold("kernel", inner.weight, _by_channel(channels, self.depth_multiplier))
        if inner.bias is not None:
            self.hold("bias", inner.bias)
        return (*size, out)

    def logits(self, x: Tensor) -> Tensor:
        """f(x * W + b), without a softmax."""
        inner: Any = self.inner
        groups = x.shape[1]
        out = conv2d(x, inner.weight, inner.bias, self.strides, self._sides, self.dilation_rate, groups, self.fused)
        return self.finish(out)


class _Separable(nn.Module):
    def __init__(self, channels: int, between: int, filters: int, kernel_size: Any, bias: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, between, kernel_size, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(between, filters, 1, bias=bias)


class SeparableConv2D(Windows):
    """A depthwise convolution, then one of 1 x 1 pixels across the channels, f of which is the output:
    (N, H, W, in) to (N, H', W', filters), with H' as for `Conv2D`.

    Weights: depthwise_kernel (k, k, in, depth_multiplier), pointwise_kernel (1, 1, in depth_multiplier, filters),
    bias (filters,).

    >>> layer = SeparableConv2D(5, 3)
    >>> layer.compute_output_shape((None, 8, 8, 4)), layer.count_params()
    ((None, 6, 6, 5), 61)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.filters = positive(self, "filters", filters)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self.use_bias = use_bias
        self.take_windows(kernel_size, strides, padding, data_format, dilation_rate, activation)
        self.choose("depthwise_kernel", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self.choose("pointwise_kernel", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self.choose("bias", bias_initializer, bias_regularizer, bias_constraint)

    def make(self, input_shape: Shape) -> Shape:
        """The two kernels and b."""
        size, channels = self.place_windows(input_shape), input_shape[-1]
        between = channels * self.depth_multiplier
        self.inner = inner = _Separable(channels, between, self.filters, self.kernel_size, self.use_bias)
        self.hold("depthwise_kernel", inner.depthwise.weight, _by_channel(channels, self.depth_multiplier))
        self.hold("pointwise_kernel", inner.pointwise.weight, kernel_2d)
        if inner.pointwise.bias is not None:
            self.hold("bias", inner.pointwise.bias)
        return (*size, self.filters)

    def logits(self, x: Tensor) -> Tensor:
        """f of the two convolutions, without a softmax."""
        inner: Any = self.inner
        weight, pointwise = inner.depthwise.weight, inner.pointwise
        between = conv2d(x, weight, None, self.strides, self._sides, self.dilation_rate, x.shape[1])
        return self.finish(conv2d(between, pointwise.weight, pointwise.bias, activation=self.fused))
