"""Changes of dtype and device, which the gradient makes backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor


class To(Function):
    """A change of dtype; the gradient changes back."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        self.before = x.dtype
        return x.astype(self.dtype, order="K")

    def backward(self, grad: Array) -> Array:
        return grad.astype(self.before, order="K")


def cast(input: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """The tensor in another dtype; the tensor itself where it has that dtype already."""
    if input._data.dtype == dtype:
        return input
    out: Tensor = To(np.dtype(dtype).newbyteorder("=")).apply(input)
    if not dtypes.is_floating_point(out.dtype):
        return out.detach()
    return out


class Move(Function):
    """A copy on another device; the gradient moves back."""

    def __init__(self, device: str) -> None:
        self.device = device

    def forward(self, x: Array) -> Array:
        self.before = backend.device_of(x)
        return backend.place(x, self.device)

    def backward(self, grad: Array) -> Array:
        return backend.place(grad, self.before)


def move(input: Tensor, device: str) -> Tensor:
    """The tensor on another device; the tensor itself where it is there already."""
    if backend.lies_on(input._data, device):
        return input
    return Move(device).apply(input)  # type: ignore[no-any-return]
