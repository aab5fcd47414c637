"""Pooling to a given size: the windows follow from the input's size.

Along an axis, window i of OUT covers the positions from floor(i IN / OUT) to ceil((i + 1) IN / OUT) - 1. Where OUT
divides IN, these are the windows of an ordinary pooling, whose kernels do the work; uneven windows are NumPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .pool import AvgPool2d, MaxPool2d, batched, batched_signals

Pair = tuple[int, ...]
OutputSize = int | Sequence[int | None] | None


def _bins(size: int, count: int) -> list[tuple[int, int]]:
    """Where each window starts and ends."""
    return [(i * size // count, -((i + 1) * size // -count)) for i in range(count)]


def _sizes(op: str, output_size: OutputSize, input: tuple[int, ...]) -> Pair:
    """The output's sizes; None keeps the input's."""
    if type(output_size) is int and output_size > 0 and 0 not in input:  # the usual case, quickly
        return (output_size,) * len(input)
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size,) * len(input)
    if len(wanted) != len(input) or not all([n is None or isinstance(n, int | np.integer) for n in wanted]):
        raise (TypeError if len(wanted) == len(input) else ValueError)(
            f"{op}: got output_size={output_size!r}, wanted {len(input)} integers or None"
        )
    if min(input) < 1:
        raise ValueError(f"{op}: an input of sizes {input} has no elements")
    found = tuple([n if m is None else int(m) for m, n in zip(wanted, input, strict=True)])
    if min(found) < 0:
        raise ValueError(f"{op}: got output_size={output_size!r}, wanted at least 0")
    return found


def _divides(size: Pair, input: Pair) -> bool:
    return all([m > 0 and n % m == 0 for m, n in zip(size, input, strict=True)])


def _images(op: str, input: Tensor) -> Tensor:
    """A batch of images of float32 or float64 with at least one channel."""
    images = batched(op, input)
    if not backend.takes(images._data):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")
    if images.shape[1] < 1:
        raise ValueError(f"{op}: an input of shape {input.shape} has no channels")
    return images


def _empty(n: int, channels: int, size: Pair, like: Array) -> Array:
    """Images stored channels-last."""
    return backend.empty((n, *size, channels), like).transpose(0, 3, 1, 2)


# -- Average ----------------------------------------------------------------------------------------------------


class GlobalAvgPool2d(AvgPool2d):
    """y = mean of x over the whole image, on all threads even for one image."""

    def forward(self, x: Array) -> Array:
        self.size = x.shape[2:]
        return backend.of(x).mean(x, (2, 3), True)  # type: ignore[no-any-return]


class AdaptiveAvgPool2d(Function):
    """y = mean of x over uneven windows, one axis after the other."""

    def __init__(self, size: Pair) -> None:
        self.size = size

    def forward(self, x: Array) -> Array:
        n, channels, *self.input = x.shape
        rows = _empty(n, channels, (self.size[0], self.input[1]), x)
        for i, (start, end) in enumerate(_bins(self.input[0], self.size[0])):
            rows[:, :, i] = x[:, :, start:end].mean(2)
        y = _empty(n, channels, self.size, x)
        for j, (start, end) in enumerate(_bins(self.input[1], self.size[1])):
            y[:, :, :, j] = rows[:, :, :, start:end].mean(3)
        return y

    def backward(self, grad: Array) -> Array:
        n, channels = grad.shape[:2]
        rows = _empty(n, channels, (self.size[0], self.input[1]), grad)
        rows[...] = 0
        for j, (start, end) in enumerate(_bins(self.input[1], self.size[1])):
            rows[:, :, :, start:end] += grad[:, :, :, j, None] / (end - start)
        dx = _empty(n, channels, tuple(self.input), grad)
        dx[...] = 0
        for i, (start, end) in enumerate(_bins(self.input[0], self.size[0])):
            dx[:, :, start:end] += rows[:, :, i, None] / (end - start)
        return dx


def _tiling(height: int, width: int) -> tuple[Pair, Pair, Pair, bool, bool, int]:
    """The geometry of an AvgPool2d whose windows of that size touch."""
    return (height, width), (height, width), (0, 0), False, True, 0


def _average(images: Tensor, size: Pair) -> Tensor:
    height, width = images.shape[2:]
    if size == (1, 1):
        return GlobalAvgPool2d(_tiling(height, width)).apply(images)  # type: ignore[no-any-return]
    if not _divides(size, (height, width)):
        return AdaptiveAvgPool2d(size).apply(images)  # type: ignore[no-any-return]
    return AvgPool2d(_tiling(height // size[0], width // size[1])).apply(images)  # type: ignore[no-any-return]


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The average over as many windows as the output shall have pixels.

    y[n, c, a, b] = mean of x[n, c, h, w] over floor(a H / OH) <= h < ceil((a + 1) H / OH), and w likewise.

    Args:
        input: images of shape (N, C, H, W) or (C, H, W), float32 or float64.
        output_size: (OH, OW) or one number for both; None keeps the input's. With 1 the pooling is global.

    Raises:
        ValueError: the input has another number of axes, no channels or no pixels, or a size is negative.
        TypeError: a wrong dtype, or a size that is no integer.

    >>> import tinydl
    >>> adaptive_avg_pool2d(tinydl.arange(12.0).reshape(1, 3, 4), (2, 2))
    tensor([[[2.5, 4.5],
             [6.5, 8.5]]])
    """
    images = _images("adaptive_avg_pool2d", input)
    out = _average(images, _sizes("adaptive_avg_pool2d", output_size, images.shape[2:]))
    return out if input.ndim == 4 else out.squeeze(0)


def adaptive_avg_pool1d(input: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """The average over as many windows as the output shall be long: y[n, c, a] = mean of x[n, c, l] over window a.

    Shapes: x (N, C, L) or (C, L). Windows and errors are those of `adaptive_avg_pool2d`.

    >>> import tinydl
    >>> adaptive_avg_pool1d(tinydl.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]]), 2)
    tensor([[[2., 4.]]])
    """
    op = "adaptive_avg_pool1d"
    signals = batched_signals(op, input)
    size = (1, *_sizes(op, _given(op, output_size), signals.shape[2:]))
    out = _average(_images(op, signals.unsqueeze(2)), size).squeeze(2)
    return out if input.ndim == 3 else out.squeeze(0)


def _given(op: str, output_size: Any) -> Any:
    if output_size is None:
        raise TypeError(f"{op}: got output_size=None, wanted an integer")
    return output_size


# -- Maximum ----------------------------------------------------------------------------------------------------


class AdaptiveMaxPool2d(Function):
    """y = max of x over uneven windows; `winners` are h W + w of the pixels that won and get the gradient."""

    def __init__(self, size: Pair) -> None:
        self.size = size

    def forward(self, x: Array) -> Array:
        self.input = x.shape
        y = _empty(x.shape[0], x.shape[1], self.size, x)
        self.winners: Array = backend.numpy_of(x).empty(y.shape, np.int64)
        columns = _bins(x.shape[3], self.size[1])
        for i, (top, bottom) in enumerate(_bins(x.shape[2], self.size[0])):
            for j, (left, right) in enumerate(columns):
                window = x[:, :, top:bottom, left:right].reshape(*x.shape[:2], (bottom - top) * (right - left))
                at = _first_largest(window)
                y[:, :, i, j] = np.take_along_axis(window, at[..., None], -1)[..., 0]
                h, w = np.divmod(at, right - left)
                self.winners[:, :, i, j] = (top + h) * x.shape[3] + left + w
        return y

    def backward(self, grad: Array) -> Array:
        n, channels = self.input[:2]
        planes: Array = backend.zeros((n * channels, self.input[2] * self.input[3]), grad)
        rows: Array = backend.numpy_of(grad).arange(n * channels)[:, None]
        count = self.size[0] * self.size[1]
        winners = self.winners.reshape(n * channels, count)
        anywhere.add_at(planes, (rows, winners), grad.reshape(n * channels, count))
        dx: Array = planes.reshape(self.input)
        return dx

    def indices(self) -> Array:
        """h W + w of the pixels that won."""
        return self.winners


def _first_largest(x: Array) -> Array:
    """The index of the largest element along the last axis: the first of equals, but the last NaN."""
    at = backend.asarray(x.argmax(-1))
    nan = np.isnan(x)
    if backend.is_on_host(x) and not nan.any():
        return at
    return np.where(nan.any(-1), x.shape[-1] - 1 - nan[..., ::-1].argmax(-1), at)


def _maximum(images: Tensor, size: Pair, return_indices: bool) -> tuple[Tensor, Array | None]:
    height, width = images.shape[2:]
    function: Any = AdaptiveMaxPool2d(size)
    if _divides(size, (height, width)):
        kernel = height // size[0], width // size[1]
        function = MaxPool2d((kernel, kernel, (0, 0), (1, 1), False), return_indices)
    out = function.apply(images)
    return out, function.indices() if return_indices else None


def adaptive_max_pool2d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The maximum over as many windows as the output shall have pixels.

    y[n, c, a, b] = max of x[n, c, h, w] over floor(a H / OH) <= h < ceil((a + 1) H / OH), and w likewise. A NaN wins.
    The gradient goes to the first of equal maxima.

    Args:
        input: images of shape (N, C, H, W) or (C, H, W), float32 or float64.
        output_size: (OH, OW) or one number for both; None keeps the input's.
        return_indices: also return where the maxima are: h W + w as int64.

    Raises:
        ValueError: the input has another number of axes, no channels or no pixels, or a size is negative.
        TypeError: a wrong dtype, or a size that is no integer.

    >>> import tinydl
    >>> adaptive_max_pool2d(tinydl.arange(12.0).reshape(1, 3, 4), (2, None))
    tensor([[[ 4.,  5.,  6.,  7.],
             [ 8.,  9., 10., 11.]]])
    """
    op = "adaptive_max_pool2d"
    images = _images(op, input)
    out, indices = _maximum(images, _sizes(op, output_size, images.shape[2:]), return_indices)
    out = out if input.ndim == 4 else out.squeeze(0)
    return out if indices is None else (out, Tensor(indices if input.ndim == 4 else indices[0]))


def adaptive_max_pool1d(input: Tensor, output_size: int | Sequence[int], return_indices: bool = False) -> Any:
    """The maximum over as many windows as the output shall be long: y[n, c, a] = max of x[n, c, l] over window a.

    Shapes: x (N, C, L) or (C, L). Windows, indices and errors are those of `adaptive_max_pool2d`.

    >>> import tinydl
    >>> adaptive_max_pool1d(tinydl.tensor([[[1.0, 9.0, 3.0, 4.0, 5.0]]]), 2, return_indices=True)
    (tensor([[[9., 5.]]]), tensor([[[1, 4]]]))
    """
    op = "adaptive_max_pool1d"
    signals = batched_signals(op, input)
    size = (1, *_sizes(op, _given(op, output_size), signals.shape[2:]))
    out, indices = _maximum(_images(op, signals.unsqueeze(2)), size, return_indices)
    out = out.squeeze(2) if input.ndim == 3 else out.squeeze((0, 2))
    if indices is None:
        return out
    return out, Tensor(indices[:, :, 0] if input.ndim == 3 else indices[0, :, 0])
