"""Transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import nn
from ...ops.arguments import sizes
from ...ops.conv_transpose import conv_transpose1d, conv_transpose2d
from ...tensor import Tensor
from .arguments import Pair, positive, spans_of
from .base import Shape
from .conv import Windows, kernel_1d, kernel_2d


class _Transposed(Windows):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
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
        self.use_bias = use_bias
        self.take_windows(kernel_size, strides, padding, data_format, dilation_rate, activation)
        self.output_padding = self._check_extra(output_padding)
        self.choose("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.choose("bias", bias_initializer, bias_regularizer, bias_constraint)

    def _check_extra(self, given: Any) -> Pair | None:
        if given is None:
            return None
        owner = type(self).__name__
        extra = sizes(owner, "output_padding", given, self.axes, least=0)
        if any(e >= s for e, s in zip(extra, self.strides, strict=True)):
            raise ValueError(f"{owner}: got output_padding={given!r}, wanted less than the strides {self.strides}")
        return extra

    def _lengths(self, input_shape: Shape) -> Pair:
        """The output's size: (n - 1) s + span + extra, or n s with padding "same" unless the extra is given."""
        found = []
        for axis, (n, s, span) in enumerate(zip(input_shape, self.strides, spans_of(self), strict=False)):
            extra = None if self.output_padding is None else self.output_padding[axis]
            if self.padding == "valid":
                found.append((n - 1) * s + span + (max(s - span, 0) if extra is None else extra))
            else:
                found.append(n * s if extra is None else (n - 1) * s + span % 2 + extra)
        return tuple(found)

    def make(self, input_shape: Shape) -> Shape:
        """W (in, filters, k, ...) and b; what is cut off each side, put at the end, and dropped there."""
        self.need_images(input_shape) if self.axes == 2 else self.need_signals(input_shape)
        kind: Any = nn.ConvTranspose2d if self.axes == 2 else nn.ConvTranspose1d
        self.inner = inner = kind(input_shape[-1], self.filters, self.kernel_size, bias=self.use_bias)
        self.hold("kernel", inner.weight, kernel_2d if self.axes == 2 else kernel_1d)
        if inner.bias is not None:
            self.hold("bias", inner.bias)
        lengths = self._lengths(input_shape)
        whole = [(n - 1) * s + span for n, s, span in zip(input_shape, self.strides, spans_of(self), strict=False)]
        cut = [full - length for full, length in zip(whole, lengths, strict=True)]
        self._cut = tuple([max(c, 0) // 2 for c in cut])
        self._extra = tuple([max(-c, 0) for c in cut])
        odd = [max(c, 0) % 2 for c in cut]  # of an odd number of rows to cut, the larger half comes last
        ends = [slice(0, length) for length in lengths]
        self._kept = (slice(None), slice(None), *ends) if any(odd) else None
        return (*lengths, self.filters)

    def logits(self, x: Tensor) -> Tensor:
        """f of the transposed convolution, without a softmax."""
        inner: Any = self.inner
        op = conv_transpose2d if self.axes == 2 else conv_transpose1d
        signals = x if self.axes == 2 else x.permute(0, 2, 1)
        out = op(signals, inner.weight, inner.bias, self.strides, self._cut, self._extra, 1, self.dilation_rate)
        out = out if self._kept is None else out[self._kept]
        out = out if self.axes == 2 else out.permute(0, 2, 1)
        return self.finish(out) if self.fused is None else self.activation(out)


class Conv1DTranspose(_Transposed):
    """`Conv2DTranspose` of sequences: (N, L, in) to (N, L', filters).

    Weights: kernel (k, filters, in), bias (filters,).

    >>> layer = Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
    >>> layer([[[1.0], [2.0]]]).tolist()
    [[[1.0], [1.0], [2.0], [2.0]]]
    """

    axes = 1


class Conv2DTranspose(_Transposed):
    """f(b + the gradient of a convolution with respect to its input): (N, H, W, in) to (N, H', W', filters).

    With padding "valid", H' = (H - 1) s + max(d (k - 1) + 1, s); with "same", H' = H s. With `output_padding`, below
    the strides, H' = (H - 1) s + d (k - 1) + 1 + it, or for "same" (H - 1) s + (k mod 2) + it.

    Weights: kernel (k, k, filters, in), bias (filters,).

    >>> layer = Conv2DTranspose(4, 3, strides=2, padding="same")
    >>> layer.compute_output_shape((None, 7, 7, 8)), layer.kernel.shape
    ((None, 14, 14, 4), (3, 3, 4, 8))
    """
