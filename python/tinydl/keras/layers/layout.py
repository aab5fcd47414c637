"""Shapes, and the order of an image's axes: N, H, W, C for the user, N, C, H, W views of it between layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd import no_grad
from ...creation import as_tensor, zeros
from ...tensor import Tensor
from .. import tree

Shape = tuple[int, ...]


def channels_first(x: Tensor) -> Tensor:
    """N, C, H, W from N, H, W, C; tensors that are no images as they are."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def channels_last(x: Tensor) -> Tensor:
    """N, H, W, C from N, C, H, W; tensors that are no images as they are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def all_first(x: Any) -> Any:
    """`channels_first` of a tensor, or of all in a structure of tensors."""
    return channels_first(x) if type(x) is Tensor else tree.map_leaves(_turned_first, x)


def all_last(x: Any) -> Any:
    """`channels_last` of a tensor, or of all in a structure of tensors."""
    return channels_last(x) if type(x) is Tensor else tree.map_leaves(_turned_last, x)


def _turned_first(x: Any) -> Any:
    return channels_first(x) if isinstance(x, Tensor) else x


def _turned_last(x: Any) -> Any:
    return channels_last(x) if isinstance(x, Tensor) else x


def by_channels_last(function: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """function(x), where the function sees images as N, H, W, C and sequences as N, L, C."""
    return channels_first(as_tensor(function(channels_last(x))))


def as_float(x: Any) -> Tensor:
    """A float32 tensor from an array, list or tensor of any numbers."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype == np.float32 else tensor.to("float32")


def batched(shape: Sequence[int]) -> tuple[int | None, ...]:
    """The shape of a batch, as Keras prints it."""
    return (None, *shape)


def shape_after(function: Callable[[Tensor], Any], shape: Shape) -> Shape:
    """The shape of a sample of function(x), found by a batch of zeros."""
    with no_grad():
        return as_tensor(function(zeros(1, *shape))).shape[1:]


def sample_shape(sizes: Any) -> Shape:
    """The sizes as a tuple; ValueError where one is missing or not positive."""
    if isinstance(sizes, int):
        sizes = (sizes,)
    if any(n is None or int(n) < 1 for n in sizes):
        raise ValueError(f"input shape {tuple(sizes)}: wanted a positive size for every axis but the batch's")
    return tuple(int(n) for n in sizes)


def is_shape(shape: Any) -> bool:
    """Whether it is one shape, not a structure of several."""
    if isinstance(shape, Mapping) or not isinstance(shape, Sequence):
        return False
    return all(n is None or isinstance(n, int | np.integer) for n in shape)


def map_shapes(function: Callable[[Any], Any], shapes: Any) -> Any:
    """function(shape), or the same structure with that for each shape in it."""
    if is_shape(shapes):
        return function(shapes)
    if isinstance(shapes, Mapping):
        return {key: map_shapes(function, shape) for key, shape in shapes.items()}
    return [map_shapes(function, shape) for shape in shapes]


def samples_of(shapes: Any) -> Any:
    """The shapes of samples from those of batches."""
    return map_shapes(lambda shape: sample_shape(shape[1:]), shapes)


def batches_of(shapes: Any) -> Any:
    """The shapes of batches from those of samples."""
    return map_shapes(batched, shapes)


def snake(name: str) -> str:
    """`max_pooling2d` from `MaxPooling2D`, by Keras's rule."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()
