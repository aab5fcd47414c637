"""What a tensor is, asked in PyTorch's words: its element type, its bytes, its device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, creation, dtypes
from ..dtypes import finfo, iinfo
from ..tensor import Tensor
from .elementwise import cast, move

__all__ = ["finfo", "iinfo", "is_complex", "is_floating_point", "is_nonzero", "is_same_size", "is_tensor", "numel"]

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


def is_complex(input: Tensor) -> bool:
    """False: there are no complex tensors."""
    creation.require_tensor("is_complex", input)
    return False


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    creation.require_tensor("is_signed", input)
    return input._data.dtype.kind not in "ub"


def can_cast(from_: Any, to: Any) -> bool:
    """Whether PyTorch's rules let a dtype pass for another: not floats for integers, nor anything else for bools."""
    source: np.dtype[Any] = np.dtype(from_)
    target: np.dtype[Any] = np.dtype(to)
    if dtypes.is_floating_point(source) and not dtypes.is_floating_point(target):
        return False
    return bool(source == target or target != dtypes.bool)


def promote_types(type1: Any, type2: Any) -> np.dtype[Any]:
    """The smallest dtype that both can be cast to, by PyTorch's rules.

    >>> import tinydl
    >>> tinydl.promote_types(tinydl.int64, tinydl.float32)
    dtype('float32')
    """
    return dtypes.promote(np.dtype(type1), np.dtype(type2))


def result_type(tensor: Any, other: Any) -> np.dtype[Any]:
    """The dtype of an operation between two tensors, or a tensor and a number."""
    a, b = (x._data if isinstance(x, Tensor) else x for x in (tensor, other))
    return dtypes.result_type(a, b)


def detach(input: Tensor) -> Tensor:
    """The same storage as a tensor that is not on the tape."""
    return input.detach()


def clone(input: Tensor) -> Tensor:
    """A copy, recorded."""
    return input.clone()


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
    """The address of the first element, in the memory of its device."""
    data: Any = self._data
    return data.ctypes.data if backend.is_on_host(data) else int(data.data.ptr)


def is_cuda(self: Tensor) -> bool:
    """Whether the elements live on a GPU."""
    return not backend.is_on_host(self._data)


def is_cpu(self: Tensor) -> bool:
    """Whether the elements live on the CPU."""
    return backend.is_on_host(self._data)


def get_device(self: Tensor) -> int:
    """The GPU's number; -1 stands for the CPU."""
    return -1 if backend.is_on_host(self._data) else backend.device_of(self._data).index or 0


def cpu(self: Tensor) -> Tensor:
    """The tensor on the CPU, itself where it is there."""
    return move(self, "cpu")


def cuda(self: Tensor, device: Any = None) -> Tensor:
    """The tensor on a GPU ("cuda", or its number); ValueError where there is none."""
    name = backend.located("cuda" if device is None else device)
    backend.check_device(name)
    return move(self, name)


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
