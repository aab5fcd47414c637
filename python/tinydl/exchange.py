"""Memory shared with other libraries: DLPack and the buffer protocol, both ways."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import _cpu, backend, dtypes
from .creation import DTypeLike, _array, shape_from
from .tensor import Tensor

_CPU = 1  # DLPack's number for the CPU's memory


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """DLPack's (device type, device number) of the memory."""
    return _CPU, 0


def dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule over the tensor's memory (or, with `copy`, over a copy), for `from_dlpack` of any library.

    Raises:
        BufferError: the tensor requires a gradient, another device is wanted, or the memory is read-only and the
            consumer asks for no version from 1 on, which alone can say so.
    """
    if self.requires_grad:
        raise BufferError("__dlpack__: the tensor requires a gradient; use detach()")
    if stream not in (None, -1):
        raise ValueError(f"__dlpack__: got stream {stream!r}, wanted None for memory of the CPU")
    if dl_device is not None and tuple(dl_device) != (_CPU, 0):
        raise BufferError(f"__dlpack__: the memory is the CPU's, device {tuple(dl_device)} is wanted")
    array = self._data.copy(order="K") if copy else self._data
    return _cpu.to_dlpack(array, max_version is not None and max_version[0] >= 1, bool(copy))


def from_dlpack(ext_tensor: Any, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array, of any object with `__dlpack__`, or of a capsule.

    The memory stays alive as long as the tensor or any view of it. Read-only memory gives a read-only tensor, which
    refuses changes in place. Memory that is not aligned to its dtype is copied.

    Raises:
        BufferError: the memory is not the CPU's, or the producer refuses.
        TypeError: an object without DLPack, a capsule that was used before, or a dtype that tensors do not have.

    >>> import numpy as np
    >>> array = np.zeros(2, np.float32)
    >>> x = from_dlpack(array)
    >>> array[0] = 5
    >>> x
    tensor([5., 0.])
    """
    backend.check_device(device)
    capsule = ext_tensor
    if hasattr(ext_tensor, "__dlpack__"):
        kind = int(ext_tensor.__dlpack_device__()[0])
        if kind != _CPU:
            raise BufferError(f"from_dlpack: the memory is on a device of type {kind}, wanted the CPU's ({_CPU})")
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0))
        except TypeError:  # a producer of the protocol before version 1
            capsule = ext_tensor.__dlpack__()
    return Tensor(_array(_cpu.from_dlpack(capsule), None, copy=bool(copy)))


def frombuffer(
    buffer: Any, *, dtype: DTypeLike, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A vector that shares the memory of an object with the buffer protocol, read as `dtype`; misaligned, it is copied.

    Args:
        buffer: bytes, a bytearray, a memoryview, an mmap, ...
        count: how many elements, -1 for all.
        offset: how many bytes to skip.

    Raises:
        ValueError: no elements, or the bytes are no whole number of elements, or too few.

    >>> frombuffer(bytearray([1, 0, 2, 0]), dtype="int16")
    tensor([1, 2], dtype=int16)
    """
    wanted = np.dtype(dtype)
    (length,), (skip,), (size,) = (shape_from("frombuffer", (n,)) for n in (count, offset, memoryview(buffer).nbytes))
    rest = size - skip
    fits = rest % wanted.itemsize == 0 if length < 0 else length * wanted.itemsize <= rest
    if not 0 <= skip < size or length == 0 or not fits:
        raise ValueError(
            f"frombuffer: {size} bytes do not hold {'elements' if length < 0 else length} of dtype {wanted} from byte "
            f"{skip} on"
        )
    return Tensor(_array(np.frombuffer(buffer, wanted, length, skip), None, copy=False), requires_grad)


def asarray(
    obj: Any,
    *,
    dtype: DTypeLike = None,
    device: str | None = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """A tensor from numbers, lists, arrays, tensors, DLPack objects or buffers, sharing their memory where that can be.

    Buffers (bytes and the like) are read as elements of `dtype`, float32 by default.

    Args:
        copy: True for memory of the tensor's own; False refuses what cannot share, by default it is copied.
        requires_grad: by default as it is for a tensor, else False.

    Raises:
        ValueError: `copy` is False and the data cannot be shared.
    """
    backend.check_device(device)
    shared = _shared(obj, dtype)
    if copy is False and (shared is None or (dtype is not None and shared.dtype != np.dtype(dtype))):
        raise ValueError(f"asarray: data of type {type(obj).__name__} cannot be shared with dtype {dtype}")
    out = Tensor(_array(obj, dtype, copy=False)) if shared is None else shared
    out = out if device is None else out.to(device)
    before = out._data
    if dtype is not None:
        out = out.to(np.dtype(dtype))
    if copy and np.shares_memory(out._data, before):
        out = out.clone()
    if requires_grad is not None and requires_grad != out.requires_grad:
        out = out.detach().requires_grad_(requires_grad)
    return out


def _shared(obj: Any, dtype: DTypeLike) -> Tensor | None:
    """A tensor over the object's memory, None where it has none to share."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, np.ndarray):
        array = _array(obj, None, copy=False)
        return Tensor(array) if array.size == 0 or np.may_share_memory(array, obj) else None
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj)
    if isinstance(obj, np.generic | int | float | list | tuple):
        return None
    try:
        memoryview(obj)
    except TypeError:
        return None
    return frombuffer(obj, dtype=dtypes.float32 if dtype is None else dtype)


def buffer(self: Tensor, flags: int) -> memoryview:
    """The tensor's memory for the buffer protocol (Python calls this from 3.12 on)."""
    if self.requires_grad:
        raise BufferError("buffer: the tensor requires a gradient; call detach() before sharing it")
    return memoryview(self._data)  # type: ignore[arg-type]


if sys.version_info < (3, 12):  # before, only code in C could offer it
    _cpu.export_buffer(Tensor)
