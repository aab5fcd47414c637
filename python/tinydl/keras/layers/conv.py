"""Convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import nn
from ...ops.arguments import sizes
from ...ops.conv import conv2d
from ...tensor import Tensor
from .. import activations, initializers
from .arguments import check_data_format, initialize, output_size, padding_name, positive, same_sides
from .base import Layer, Shape


class Conv2D(Layer):
    """y = f(x * W + b): (N, H, W, in) to (N, H', W', filters).

    With padding "valid", H' = ceil((H - d (k - 1)) / s); with "same", H' = ceil(H / s), and of an odd number of rows of
    zeros the larger half comes last.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filters = positive(self, "filters", filters)
        self.kernel_size = sizes(type(self).__name__, "kernel_size", kernel_size, least=1)
        self.strides = sizes(type(self).__name__, "strides", strides, least=1)
        self.padding = padding_name(self, padding)
        self.dilation_rate = sizes(type(self).__name__, "dilation_rate", dilation_rate, least=1)
        self.groups = positive(self, "groups", groups)
        self.activation = activations.name_of(activation)
        self.use_bias = use_bias
        self._initializers = initializers.get(kernel_initializer), initializers.get(bias_initializer)
        check_data_format(self, data_format)

    def make(self, input_shape: Shape) -> Shape:
        """W (filters, in / groups, k, k) and b."""
        self.need_images(input_shape)
        channels = input_shape[-1]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f'Layer "{self.name}": {channels} input channels and {self.filters} filters must be multiples of '
                f"groups={self.groups}"
            )
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        size = output_size(self, input_shape, spans)
        self._fused = self.activation if self.activation in activations.FUSED else None
        sides = same_sides(self, input_shape, spans) if self.padding == "same" else ((0, 0), (0, 0))
        self._sides = (*sides[0], *sides[1])
        inner = nn.Conv2d(channels, self.filters, self.kernel_size, groups=self.groups, bias=self.use_bias)
        initialize(inner, self._initializers)
        self.inner = inner
        return (*size, self.filters)

    def logits(self, x: Tensor) -> Tensor:
        """f(x * W + b), without a softmax."""
        inner: Any = self.inner
        return conv2d(
            x, inner.weight, inner.bias, self.strides, self._sides, self.dilation_rate, self.groups, self._fused
        )
