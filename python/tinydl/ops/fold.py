"""Patches of images as columns and back, and pixels exchanged with channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import sizes
from .pool import batched

Size = int | Sequence[int]
Pair = tuple[int, ...]
Geometry = tuple[Pair, Pair, Pair, Pair]  # kernel, dilation, padding, stride


# -- Patches ----------------------------------------------------------------------------------------------------


def _patches(op: str, size: Pair, geometry: Geometry) -> Pair:
    """How many patches lie along each axis; ValueError where there is none."""
    counts = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, *geometry, strict=True)])
    if min(counts) < 1:
        kernel, dilation, padding, _ = geometry
        raise ValueError(
            f"{op}: patches of {kernel}, dilation {dilation}, do not fit into {size} with {padding} around"
        )
    return counts


def _padded_taps(padded: Array, counts: Pair, geometry: Geometry) -> Array:
    """Every patch of padded images (N, C, H, W) as a view (N, C, KH, KW, rows, columns)."""
    kernel, dilation, _, stride = geometry
    n, c, h, w = padded.strides
    strides = (n, c, h * dilation[0], w * dilation[1], h * stride[0], w * stride[1])
    return anywhere.as_strided(padded, (*padded.shape[:2], *kernel, *counts), strides)


def _to_columns(x: Array, geometry: Geometry) -> Array:
    """(N, C KH KW, L) from images (N, C, H, W)."""
    counts = _patches("unfold", x.shape[2:], geometry)
    down, across = geometry[2]
    padded = np.pad(x, ((0, 0), (0, 0), (down, down), (across, across)))
    columns = x.shape[1] * geometry[0][0] * geometry[0][1]
    return _padded_taps(padded, counts, geometry).reshape(x.shape[0], columns, counts[0] * counts[1])


def _to_images(columns: Array, size: Pair, geometry: Geometry) -> Array:
    """The sum of patches (N, C KH KW, L) where they lie in images of `size`."""
    kernel, dilation, (down, across), stride = geometry
    counts = _patches("fold", size, geometry)
    n, channels = columns.shape[0], columns.shape[1] // (kernel[0] * kernel[1])
    patches = columns.reshape(n, channels, *kernel, *counts)
    padded = backend.zeros((n, channels, size[0] + 2 * down, size[1] + 2 * across), columns)
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            rows = slice(r * dilation[0], r * dilation[0] + (counts[0] - 1) * stride[0] + 1, stride[0])
            cols = slice(s * dilation[1], s * dilation[1] + (counts[1] - 1) * stride[1] + 1, stride[1])
            padded[:, :, rows, cols] += patches[:, :, r, s]
    return padded[:, :, down : down + size[0], across : across + size[1]]


class Unfold(Function):
    """Patches as columns; a pixel's gradient is the sum over the patches that hold it."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry

    def forward(self, x: Array) -> Array:
        self.size = x.shape[2:]
        return _to_columns(x, self.geometry)

    def backward(self, grad: Array) -> Array:
        return _to_images(grad, self.size, self.geometry)


class Fold(Function):
    """The sum of patches; each gets the gradient of the pixels where it lies."""

    def __init__(self, size: Pair, geometry: Geometry) -> None:
        self.size = size
        self.geometry = geometry

    def forward(self, columns: Array) -> Array:
        return _to_images(columns, self.size, self.geometry)

    def backward(self, grad: Array) -> Array:
        return _to_columns(grad, self.geometry)


def _geometry(op: str, kernel_size: Size, dilation: Size, padding: Size, stride: Size) -> Geometry:
    return (
        sizes(op, "kernel_size", kernel_size, least=1),
        sizes(op, "dilation", dilation, least=1),
        sizes(op, "padding", padding, least=0),
        sizes(op, "stride", stride, least=1),
    )


def _check_float(op: str, input: Tensor) -> None:
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    if not backend.takes(input._data):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """The patches of images as columns.

    y[n, (c KH + r) KW + s, i OW + j] = x[n, c, i stride - padding + r dilation, j and s alike], zero outside of x.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C KH KW, L) with L = OH OW and
    OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1.

    Raises:
        ValueError: the input has another number of axes, no patch fits, or a number is out of range.
        TypeError: a wrong dtype, or sizes that are no integers.

    >>> import tinydl
    >>> unfold(tinydl.arange(6.0).reshape(1, 1, 2, 3), (2, 2))
    tensor([[[0., 1.],
             [1., 2.],
             [3., 4.],
             [4., 5.]]])
    """
    if autocast.on:
        (input,) = autocast.inputs("unfold", input)
    _check_float("unfold", input)
    out: Tensor = Unfold(_geometry("unfold", kernel_size, dilation, padding, stride)).apply(batched("unfold", input))
    return out if input.ndim == 4 else out.squeeze(0)


def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """The sum of patches where `unfold` would take them from: what it does to gradients.

    Shapes: x (N, C KH KW, L) or (C KH KW, L), y (N, C, *output_size).

    Raises:
        ValueError: the input's shape does not fit the other arguments, or a number is out of range.
        TypeError: a wrong dtype, or sizes that are no integers.

    >>> import tinydl
    >>> x = tinydl.ones(1, 1, 3, 3)
    >>> fold(unfold(x, 2), (3, 3), 2)
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    if autocast.on:
        (input,) = autocast.inputs("fold", input)
    op = "fold"
    _check_float(op, input)
    size = sizes(op, "output_size", output_size, least=1)
    geometry = _geometry(op, kernel_size, dilation, padding, stride)
    taps, counts = geometry[0][0] * geometry[0][1], _patches(op, size, geometry)
    wanted = counts[0] * counts[1]
    if input.ndim not in (2, 3) or input.shape[-2] % taps or not input.shape[-2] or input.shape[-1] != wanted:
        raise ValueError(
            f"{op}: got an input of shape {input.shape}, wanted (N, C * {taps}, {wanted}) for patches of {geometry[0]} "
            f"in images of {size}"
        )
    out: Tensor = Fold(size, geometry).apply(input if input.ndim == 3 else input.unsqueeze(0))
    return out if input.ndim == 3 else out.squeeze(0)


# -- Pixels and channels ----------------------------------------------------------------------------------------


def _factor(op: str, name: str, value: int) -> int:
    (factor,) = sizes(op, name, value, 1)
    if factor < 1:
        raise ValueError(f"{op}: got {name}={value!r}, wanted at least 1")
    return factor


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels become pixels: (*, C r², H, W) to (*, C, H r, W r) (Shi et al. 2016).

    y[c, h r + a, w r + b] = x[c r² + a r + b, h, w] for a, b < r.

    Raises ValueError for fewer than three axes, or channels that are no multiple of r².

    >>> import tinydl
    >>> pixel_shuffle(tinydl.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    op = "pixel_shuffle"
    r = _factor(op, "upscale_factor", upscale_factor)
    if input.ndim < 3 or input.shape[-3] % (r * r):
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (*, C * {r * r}, H, W)")
    *outer, channels, h, w = input.shape
    k = len(outer)
    parts = input.reshape(*outer, channels // (r * r), r, r, h, w)
    moved = parts.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)
    out = moved.reshape(*outer, channels // (r * r), h * r, w * r)
    return out.clone() if r == 1 else out  # never a view, as in PyTorch


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels become channels: (*, C, H r, W r) to (*, C r², H, W), the inverse of `pixel_shuffle`.

    Raises ValueError for fewer than three axes, or a height or width that is no multiple of r.

    >>> import tinydl
    >>> pixel_unshuffle(tinydl.arange(4.0).reshape(1, 2, 2), 2).shape
    (4, 1, 1)
    """
    op = "pixel_unshuffle"
    r = _factor(op, "downscale_factor", downscale_factor)
    if input.ndim < 3 or input.shape[-2] % r or input.shape[-1] % r:
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (*, C, H * {r}, W * {r})")
    *outer, channels, h, w = input.shape
    k = len(outer)
    parts = input.reshape(*outer, channels, h // r, r, w // r, r)
    moved = parts.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return moved.reshape(*outer, channels * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of several groups interleaved: y[n, i g + j] = x[n, j C/g + i] (Zhang et al. 2017).

    Shapes: (N, C, *). Raises ValueError for fewer than three axes, or channels that are no multiple of `groups`.

    >>> import tinydl
    >>> channel_shuffle(tinydl.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    op = "channel_shuffle"
    g = _factor(op, "groups", groups)
    if input.ndim < 3 or input.shape[1] % g:
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (N, C * {g}, *)")
    n, channels, *rest = input.shape
    parts = input.reshape(n, g, channels // g, *rest)
    out = parts.transpose(1, 2).reshape(n, channels, *rest)
    return out.clone() if groups in (1, channels) else out  # never a view, as in PyTorch
