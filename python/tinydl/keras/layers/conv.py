"""Convolution of sequences and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ... import nn
from ...ops import autocast, pool
from ...ops.arguments import sizes
from ...ops.conv import Conv1d, conv2d_max_pool
from ...tensor import Tensor
from .arguments import check_data_format, output_size, padding_name, padding_sides, positive, spans_of
from .base import Layer, Shape


def kernel_2d(weight: Tensor) -> Tensor:
    """(H, W, in, out) from (out, in, H, W)."""
    return weight.permute(2, 3, 1, 0)


def kernel_1d(weight: Tensor) -> Tensor:
    """(L, in, out) from (out, in, L)."""
    return weight.permute(2, 1, 0)


class Windows(Layer):
    """What all convolutions share: the windows' geometry, and the activation."""

    axes: ClassVar[int] = 2
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

    def take_windows(
        self, kernel_size: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any, activation: Any
    ) -> None:
        """Check and keep the arguments."""
        owner = type(self).__name__
        self.kernel_size = sizes(owner, "kernel_size", kernel_size, self.axes, least=1)
        self.strides = sizes(owner, "strides", strides, self.axes, least=1)
        self.padding = padding_name(self, padding, self.paddings)
        self.dilation_rate = sizes(owner, "dilation_rate", dilation_rate, self.axes, least=1)
        self.activate_by(activation)
        check_data_format(self, data_format)

    def place_windows(self, input_shape: Shape) -> Shape:
        """The output's size but for the channels; the padding is in `_sides`, before and after of each axis in turn."""
        self.need_images(input_shape) if self.axes == 2 else self.need_signals(input_shape)
        spans = spans_of(self)
        size = output_size(self, input_shape, spans)
        self._sides = sum(padding_sides(self, input_shape, spans), ())
        return size

    def check_groups(self, channels: int, filters: int, groups: int) -> None:
        """ValueError where the groups do not divide the channels and the filters."""
        if channels % groups or filters % groups:
            raise ValueError(
                f'Layer "{self.name}": {channels} input channels and {filters} filters must be multiples of '
                f"groups={groups}"
            )


class _Convolution(Windows):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.filters = positive(self, "filters", filters)
        self.groups = positive(self, "groups", groups)
        self.use_bias = use_bias
        self.take_windows(kernel_size, strides, padding, data_format, dilation_rate, activation)
        self.choose("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.choose("bias", bias_initializer, bias_regularizer, bias_constraint)

    def make(self, input_shape: Shape) -> Shape:
        """W (filters, in / groups, k, ...) and b."""
        size, channels = self.place_windows(input_shape), input_shape[-1]
        self.check_groups(channels, self.filters, self.groups)
        kind: Any = nn.Conv2d if self.axes == 2 else nn.Conv1d
        self.inner = inner = kind(channels, self.filters, self.kernel_size, groups=self.groups, bias=self.use_bias)
        self.hold("kernel", inner.weight, kernel_2d if self.axes == 2 else kernel_1d)
        if inner.bias is not None:
            self.hold("bias", inner.bias)
        return (*size, self.filters)


class Conv1D(_Convolution):
    """y = f(x * W + b): (N, L, in) to (N, L', filters).

    With padding "valid", L' = ceil((L - d (k - 1)) / s); with "same" and "causal", L' = ceil(L / s). Of an odd number
    of zeros the larger half comes last; "causal" has all before the sequence, so that no output sees what comes later.

    Weights: kernel (k, in / groups, filters), bias (filters,).

    >>> layer = Conv1D(1, 2, padding="causal", kernel_initializer="ones")
    >>> layer([[[1.0], [2.0], [4.0]]]).tolist()
    [[[1.0], [3.0], [6.0]]]
    """

    axes = 1
    paddings = ("valid", "same", "causal")

    def logits(self, x: Tensor) -> Tensor:
        """f(x * W + b), without a softmax."""
        inner: Any = self.inner
        function = Conv1d((1, *self.strides), (0, 0, *self._sides), (1, *self.dilation_rate), self.groups, self.fused)
        operands = x.permute(0, 2, 1), inner.weight, inner.bias
        if autocast.on:
            operands = autocast.inputs("conv1d", *operands)
        return self.finish(function.apply(*operands).permute(0, 2, 1))


class Conv2D(_Convolution):
    """y = f(x * W + b): (N, H, W, in) to (N, H', W', filters).

    With padding "valid", H' = ceil((H - d (k - 1)) / s); with "same", H' = ceil(H / s), and of an odd number of rows of
    zeros the larger half comes last.

    Weights: kernel (k, k, in / groups, filters), bias (filters,).

    >>> layer = Conv2D(8, 3, activation="relu")
    >>> layer.compute_output_shape((None, 28, 28, 1)), layer.count_params()
    ((None, 26, 26, 8), 80)
    """

    def logits(self, x: Tensor) -> Tensor:
        """f(x * W + b), without a softmax."""
        return self.finish(self.pooled(x, None))

    def pooled(self, x: Tensor, windows: pool.Windows | None) -> Tensor:
        """The maxima over windows, if there are any, of f(x * W + b) as far as the kernels take f in."""
        inner: Any = self.inner
        weights = inner.weight, inner.bias
        return conv2d_max_pool(
            x, *weights, self.strides, self._sides, self.dilation_rate, self.groups, self.fused, windows
        )

    @property
    def _takes_pooling(self) -> bool:  # type: ignore[override]
        """Whether the kernels do all that this layer does to its output."""
        return type(self) is Conv2D and self._done and not self.ends_in_softmax and self.activity_regularizer is None
