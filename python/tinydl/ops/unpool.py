"""The partial inverse of maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import sizes

Size = int | Sequence[int]
Pair = tuple[int, ...]


class MaxUnpool(Function):
    """y[n, c, index] = x, zero elsewhere; each element of x gets the gradient from where it went."""

    def __init__(self, indices: Array, size: Pair) -> None:
        self.indices = indices.reshape(*indices.shape[:2], -1)
        self.size = size

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        y = backend.zeros((*x.shape[:2], int(np.prod(self.size))), x)
        np.put_along_axis(y, self.indices, x.reshape(self.indices.shape), -1)
        return y.reshape(*x.shape[:2], *self.size)

    def backward(self, grad: Array) -> Array:
        planes = grad.reshape(*self.shape[:2], -1)
        return np.take_along_axis(planes, self.indices, -1).reshape(self.shape)


def _unpool(
    op: str,
    axes: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:
    if autocast.on:
        (input,) = autocast.inputs(op, input)
    kernel = sizes(op, "kernel_size", kernel_size, axes, least=1)
    step = kernel if stride is None or stride in ((), []) else sizes(op, "stride", stride, axes, least=1)
    around = sizes(op, "padding", padding, axes, least=0)
    for name, value in (("input", input), ("indices", indices)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: got {name} of type {type(value).__name__}, wanted a tensor")
    if not backend.takes(input._data) or indices.dtype != np.int64:
        raise TypeError(f"{op}: got dtypes {input.dtype} and {indices.dtype}, wanted float32 or float64, and int64")
    if input.ndim not in (axes + 1, axes + 2) or indices.shape != input.shape:
        raise ValueError(
            f"{op}: got an input of shape {input.shape} and indices of shape {indices.shape}, wanted one shape of "
            f"{axes + 1} or {axes + 2} axes"
        )
    size = _output_size(op, input.shape[-axes:], kernel, step, around, output_size)
    places = indices._data.copy()
    if places.size and not (places.min() >= 0 and places.max() < np.prod(size)):
        raise IndexError(f"{op}: indices from {places.min()} to {places.max()} do not fit into an output of {size}")
    batch = input.ndim == axes + 2
    out: Tensor = MaxUnpool(places if batch else places[None], size).apply(input if batch else input.unsqueeze(0))
    return out if batch else out.squeeze(0)


def _output_size(op: str, size: Pair, kernel: Pair, step: Pair, around: Pair, wanted: Sequence[int] | None) -> Pair:
    """The size asked for, less than a stride from the one that the pooling would map to `size` exactly."""
    usual = tuple([(n - 1) * s - 2 * p + k for n, k, s, p in zip(size, kernel, step, around, strict=True)])
    found = usual if wanted is None else tuple(wanted)
    if len(found) == len(usual) + 2:
        found = found[2:]
    if len(found) != len(usual):
        raise ValueError(f"{op}: got output_size={wanted!r}, wanted {len(usual)} or {len(usual) + 2} sizes")
    if any([not u - s < n < u + s for u, n, s in zip(usual, found, step, strict=True)]) and wanted is not None:
        raise ValueError(f"{op}: got output_size={wanted!r}, wanted less than {step} from {usual}")
    if min(found) < 1:
        raise ValueError(f"{op}: an input of {size} would give an output of {found}")
    return found


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of `max_pool1d` where they were in the signal, zeros elsewhere; `max_unpool2d` over one axis."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of `max_pool2d` where they were in the image, zeros elsewhere.

    y[n, c, h, w] = x[n, c, i, j] where indices[n, c, i, j] = h W + w.

    Args:
        input: (N, C, OH, OW) or (C, OH, OW), float32 or float64.
        indices: what `max_pool2d` returned with `return_indices`, of the input's shape.
        kernel_size: the pooling's; so for `stride` and `padding`.
        stride: by default the kernel's size.
        padding: how many rows and columns the pooling added on each side.
        output_size: (H, W), or the whole shape; by default (OH - 1) stride - 2 padding + kernel_size.

    Raises:
        ValueError: the shapes do not fit, or output_size is a stride or more from the default.
        IndexError: an index lies outside of the output.
        TypeError: a wrong dtype.

    >>> import tinydl
    >>> y, indices = tinydl.max_pool2d(tinydl.arange(4.0).reshape(1, 1, 2, 2), 2, return_indices=True)
    >>> max_unpool2d(y, indices, 2)
    tensor([[[[0., 0.],
              [0., 3.]]]])
    """
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)
