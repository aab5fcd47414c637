"""What a tensor is, asked in PyTorch's words: its element type, its bytes, its device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, creation, dtypes
from ..dtypes import finfo, iinfo
from ..tensor import Tensor
from .elementwise import cast

__all__ = ["finfo", "iinfo", "is_floating_point", "is_nonzero", "is_same_size", "is_tensor", "numel"]

_LEGACY = {
    dtypes.float16: "HalfTensor",
    dtypes.float32: "FloatTensor",
    dtypes.float64: "DoubleTensor",
    dtypes.uint8: "ByteTensor",
    dtypes.int8: "CharTensor",
    dtypes.int16: "ShortTensor",
    dtypes.int32: "IntTensor",
    dtypes.int64: "LongTensor",
    dtypes.bool: "BoolTensor",
}


def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements."""
    creation.require_tensor("numel", input)
    return input._data.size


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating-point numbers."""
    creation.require_tensor("is_floating_point", input)
    return dtypes.is_floating_point(input._data.dtype)


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not 0; ValueError where there is not exactly one."""
    creation.require_tensor("is_nonzero", input)
    return input.item() != 0  # type: ignore[no-any-return]


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return bool(input._data.shape == other._data.shape)


def element_size(self: Tensor) -> int:
    """The bytes of one element."""
    return self._data.itemsize


def nbytes(self: Tensor) -> int:
    """The bytes of all elements."""
    return self._data.nbytes


def data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    return self._data.ctypes.data


def is_cuda(self: Tensor) -> bool:
    """False."""
    return False


def cpu(self: Tensor) -> Tensor:
    """The tensor itself, whose elements live on the CPU."""
    return self


def cuda(self: Tensor, device: Any = None) -> Tensor:
    """ValueError: this build has no such device."""
    backend.check_device("cuda")
    return self


def type_(self: Tensor, dtype: Any = None) -> str | Tensor:
    """The name of the tensor's type, such as "torch.FloatTensor"; with a dtype (or such a name), the tensor in it."""
    if dtype is None:
        return f"torch.{_LEGACY[self._data.dtype]}"
    if isinstance(dtype, str) and dtype.endswith("Tensor"):
        found: list[Any] = [k for k, name in _LEGACY.items() if name == dtype.removeprefix("torch.")]
        if not found:
            raise ValueError(f"type: got {dtype!r}, wanted a dtype or a name such as 'torch.LongTensor'")
        return cast(self, found[0])
    wanted: np.dtype[Any] = np.dtype(dtype)
    return cast(self, wanted)


def detach_(self: Tensor) -> Tensor:
    """Take the tensor off the tape, in place: it becomes a leaf that requires no gradient."""
    self.grad_fn = None
    self._output_index = 0
    self.requires_grad = False
    return self
