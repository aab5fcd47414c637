"""Maximum and average pooling of images and signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import sizes

Pair = tuple[int, ...]
Size = int | Sequence[int]
Windows = tuple[Pair, Pair, Pair, Pair, bool]  # kernel, stride, padding, dilation, ceil_mode


def batched(op: str, input: Tensor) -> Tensor:
    """(N, C, H, W) from that or from (C, H, W)."""
    if autocast.on:
        (input,) = autocast.inputs(op, input)
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    if input.ndim not in (3, 4):
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (N, C, H, W) or (C, H, W)")
    return input if input.ndim == 4 else input.unsqueeze(0)


def batched_signals(op: str, input: Tensor) -> Tensor:
    """(N, C, L) from that or from (C, L), float32 or float64."""
    if autocast.on:
        (input,) = autocast.inputs(op, input)
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    if input.ndim not in (2, 3):
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (N, C, L) or (C, L)")
    if not backend.takes(input._data):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")
    return input if input.ndim == 3 else input.unsqueeze(0)


def _windows(op: str, length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> None:
    """ValueError unless at least one window fits into a signal."""
    if min(kernel, stride, dilation) < 1:
        raise ValueError(f"{op}: got kernel_size {kernel}, stride {stride} and dilation {dilation}, wanted at least 1")
    if not 0 <= padding <= kernel // 2:
        raise ValueError(f"{op}: got padding {padding}, wanted from 0 to half of the kernel_size {kernel}")
    extent = (kernel - 1) * dilation + 1
    if length < 1 or length + 2 * padding - extent + (stride - 1 if ceil_mode else 0) < 0:
        raise ValueError(f"{op}: windows that span {extent} do not fit into {length} with padding {padding}")


class _OfSignals(Function):
    """A pooling of images, before which this comes, of signals, which are images of height 1."""

    def forward(self, x: Array) -> Array:
        return super().forward(x[:, :, None])[:, :, 0]  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        return super().backward(grad[:, :, None])[:, :, 0]  # type: ignore[no-any-return]


# -- Maximum ----------------------------------------------------------------------------------------------------


class MaxPool2d(Function):
    """y = max of x over each window; the gradient goes to the pixel that won, known by its place in the window."""

    def __init__(self, geometry: Windows, record: bool) -> None:
        self.geometry = geometry
        self.record = record

    def forward(self, x: Array) -> Array:
        self.size = x.shape[2:]
        y, taps = backend.of(x).max_pool2d(x, *self.geometry, self.record or self.needs[0])
        self.save(taps)
        return y  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).max_pool2d_backward(  # type: ignore[no-any-return]
            grad, self.saved[0], self.size, *self.geometry
        )

    def indices(self) -> Array:
        """h W + w of the pixels that won."""
        (taps,) = self.saved
        kernel, stride, padding, dilation, _ = self.geometry
        tap = np.divmod(taps.astype(np.int64), kernel[1])
        h, w = (
            backend.numpy_of(taps).arange(taps.shape[2 + d]).reshape((-1, 1) if d == 0 else (-1,)) * stride[d]
            - padding[d]
            + tap[d] * dilation[d]
            for d in range(2)
        )
        return backend.asarray(h * self.size[1] + w)


class MaxPool1d(_OfSignals, MaxPool2d):
    """The same of signals."""


def max_windows(kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool) -> Windows:
    """The arguments of `max_pool2d` as its kernels take them."""
    op = "max_pool2d"
    kernel = sizes(op, "kernel_size", kernel_size)
    step = kernel if stride is None or stride in ((), []) else sizes(op, "stride", stride)
    return kernel, step, sizes(op, "padding", padding), sizes(op, "dilation", dilation), bool(ceil_mode)


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum over windows of a signal, channel by channel: `max_pool2d` of images of height 1.

    y[n, c, a] = max over i < K of x[n, c, a S - P + i D]. Shapes: x (N, C, L) or (C, L). The arguments and errors are
    those of `max_pool2d`, the indices count from the signal's start.

    >>> import tinydl
    >>> tinydl.max_pool1d(tinydl.tensor([[[1.0, 5.0, 2.0, 3.0]]]), 2, return_indices=True)
    (tensor([[[5., 3.]]]), tensor([[[1, 3]]]))
    """
    op = "max_pool1d"
    (kernel,) = sizes(op, "kernel_size", kernel_size, 1)
    step = kernel if stride is None or stride in ((), []) else sizes(op, "stride", stride, 1)[0]
    (around,), (between,) = sizes(op, "padding", padding, 1), sizes(op, "dilation", dilation, 1)
    signals = batched_signals(op, input)
    _windows(op, signals.shape[2], kernel, step, around, between, ceil_mode)
    function = MaxPool1d(((1, kernel), (1, step), (0, around), (1, between), bool(ceil_mode)), return_indices)
    out = function.apply(signals)
    out = out if input.ndim == 3 else out.squeeze(0)
    if not return_indices:
        return out
    indices = function.indices()[:, :, 0]
    return out, Tensor(indices if input.ndim == 3 else indices[0])


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum over windows of an image, channel by channel.

    y[n, c, a, b] = max over i < KH, j < KW of x[n, c, a SH - PH + i DH, b SW - PW + j DW], over pixels of the image
    only. A NaN wins. The gradient goes to the first of equal maxima.

    The output has floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1 rows and likewise columns; with `ceil_mode`, ceil in
    place of floor, but no window starts in the padding after the image.

    Args:
        input: images of shape (N, C, H, W) or (C, H, W), float32 or float64.
        kernel_size: KH and KW, an integer for both or a pair; so for `stride`, `padding` and `dilation`.
        stride: SH and SW, by default the kernel's size.
        padding: PH and PW, at most half of the kernel (undilated).
        dilation: DH and DW, the steps between the taps of a window.
        ceil_mode: whether a window may reach beyond the padding.
        return_indices: also return where the maxima are: h W + w as int64.

    Returns:
        The maxima or, with `return_indices`, (maxima, indices); stored channels-last.

    Raises:
        ValueError: the input has another number of axes or no pixels, or a size or padding is out of range.
        TypeError: a wrong dtype, or a size that is not one integer or two.

    >>> import tinydl
    >>> x = tinydl.arange(16.0).reshape(1, 4, 4)
    >>> tinydl.max_pool2d(x, 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    images = batched("max_pool2d", input)
    function = MaxPool2d(max_windows(kernel_size, stride, padding, dilation, ceil_mode), return_indices)
    out = function.apply(images)
    out = out if input.ndim == 4 else out.squeeze(0)
    if not return_indices:
        return out
    indices = function.indices()
    return out, Tensor(indices if input.ndim == 4 else indices[0])


# -- Average ----------------------------------------------------------------------------------------------------


class AvgPool2d(Function):
    """y = (sum of x over each window) / divisor; a pixel gets its windows' gradients, each over its divisor."""

    def __init__(self, geometry: tuple[Pair, Pair, Pair, bool, bool, int]) -> None:
        self.geometry = geometry

    def forward(self, x: Array) -> Array:
        self.size = x.shape[2:]
        return backend.of(x).avg_pool2d(x, *self.geometry)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).avg_pool2d_backward(grad, self.size, *self.geometry)  # type: ignore[no-any-return]


class AvgPool1d(_OfSignals, AvgPool2d):
    """The same of signals."""


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The average over windows of a signal, channel by channel: `avg_pool2d` of images of height 1.

    y[n, c, a] = (1/d) sum over i < K of x[n, c, a S - P + i]. Shapes: x (N, C, L) or (C, L). The arguments and errors
    are those of `avg_pool2d`.

    >>> import tinydl
    >>> tinydl.avg_pool1d(tinydl.tensor([[[1.0, 5.0, 2.0, 4.0]]]), 2)
    tensor([[[3., 3.]]])
    """
    op = "avg_pool1d"
    (kernel,) = sizes(op, "kernel_size", kernel_size, 1)
    step = kernel if stride is None or stride in ((), []) else sizes(op, "stride", stride, 1)[0]
    (around,) = sizes(op, "padding", padding, 1)
    signals = batched_signals(op, input)
    _windows(op, signals.shape[2], kernel, step, around, 1, ceil_mode)
    geometry = (1, kernel), (1, step), (0, around), bool(ceil_mode), bool(count_include_pad)
    out = AvgPool1d((*geometry, 0)).apply(signals)
    return out if input.ndim == 3 else out.squeeze(0)  # type: ignore[no-any-return]


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average over windows of an image, channel by channel.

    y[n, c, a, b] = (1/d) sum over i < KH, j < KW of x[n, c, a SH - PH + i, b SW - PW + j], where the padding is zero
    and d counts the taps of the window in the image and, with `count_include_pad`, in the padding. The output's size
    is that of `max_pool2d` without dilation.

    Args:
        input: images of shape (N, C, H, W) or (C, H, W), float32 or float64.
        kernel_size: KH and KW, an integer for both or a pair; so for `stride` and `padding`.
        stride: SH and SW, by default the kernel's size.
        padding: PH and PW, at most half of the kernel.
        ceil_mode: whether a window may reach beyond the padding (taps there never count).
        count_include_pad: whether the padding counts in d.
        divisor_override: d itself.

    Raises:
        ValueError: the input has another number of axes or no pixels, or a size, padding or divisor is out of range.
        TypeError: a wrong dtype, or a size that is not one integer or two.

    >>> import tinydl
    >>> from tinydl.ops.pool import avg_pool2d
    >>> avg_pool2d(tinydl.arange(16.0).reshape(1, 4, 4), 2)
    tensor([[[ 2.5,  4.5],
             [10.5, 12.5]]])
    """
    op = "avg_pool2d"
    kernel = sizes(op, "kernel_size", kernel_size)
    step = kernel if stride is None or stride in ((), []) else sizes(op, "stride", stride)
    if divisor_override == 0:
        raise ValueError(f"{op}: got divisor_override 0, wanted another integer")
    geometry = kernel, step, sizes(op, "padding", padding), bool(ceil_mode), bool(count_include_pad)
    out = AvgPool2d((*geometry, divisor_override or 0)).apply(batched(op, input))
    return out if input.ndim == 4 else out.squeeze(0)  # type: ignore[no-any-return]
