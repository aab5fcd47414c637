"""Memory shared with other libraries: DLPack, the CUDA array interface and the buffer protocol, both ways."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import _cpu, backend, cuda, dtypes
from .creation import DTypeLike, _array, shape_from
from .tensor import Tensor

_CPU, _CUDA, _CUDA_MANAGED = 1, 2, 13  # DLPack's numbers for kinds of memory


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """DLPack's (device type, device number) of the memory: (1, 0) for the CPU's, (2, n) for GPU n's."""
    array = self._data
    if backend.is_on_host(array):
        return _CPU, 0
    kind, number = _shareable(array).__dlpack_device__()
    return int(kind), int(number)


def dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule over the tensor's memory (or, with `copy`, over a copy), for `from_dlpack` of any library.

    Args:
        stream: of a GPU, where the consumer works, as CUDA numbers them: work that is queued there later sees the
            tensor's elements. None stands for the default stream; -1 asks for no order.
        max_version: the latest version of the protocol that the consumer knows.
        dl_device: where the memory shall be; (1, 0) copies a GPU's tensor to the CPU.
        copy: True for memory of the consumer's own, False to refuse where a copy is needed.

    Raises:
        BufferError: the tensor requires a gradient, another device is wanted, a copy is needed but forbidden, or the
            memory is read-only and the consumer asks for no version from 1 on, which alone can say so.
    """
    if self.requires_grad:
        raise BufferError("__dlpack__: the tensor requires a gradient; use detach()")
    versioned = max_version is not None and max_version[0] >= 1
    wanted = None if dl_device is None else (int(dl_device[0]), int(dl_device[1]))
    array = self._data
    if not backend.is_on_host(array):
        if wanted != (_CPU, 0):
            return _gpu_capsule(array, stream, max_version, wanted, copy)
        if copy is False:
            raise BufferError(f"__dlpack__: the tensor is on '{self.device}', and copy=False forbids a copy to the CPU")
        return _cpu.to_dlpack(backend.to_host(array), versioned, True)
    if stream not in (None, -1):
        raise ValueError(f"__dlpack__: got stream {stream!r}, wanted None for memory of the CPU")
    if wanted not in (None, (_CPU, 0)):
        raise BufferError(f"__dlpack__: the memory is the CPU's, device {wanted} is wanted")
    return _cpu.to_dlpack(array.copy(order="K") if copy else array, versioned, bool(copy))


def _gpu_capsule(array: Any, stream: Any, max_version: Any, wanted: tuple[int, int] | None, copy: bool | None) -> Any:
    """The capsule that CuPy makes, which orders the consumer's stream behind the current one."""
    here = _shareable(array).__dlpack_device__()
    if wanted not in (None, tuple(here)):
        raise BufferError(f"__dlpack__: the memory is on device {tuple(here)}, device {wanted} is wanted")
    version = None if max_version is None else tuple(max_version)
    return array.__dlpack__(stream=stream, max_version=version, copy=copy)


def _shareable(array: Any) -> Any:
    """The array, of a device whose memory other libraries can use."""
    if not hasattr(array, "__dlpack__"):
        name = backend.device_of(array)
        raise BufferError(f"__dlpack__: other libraries cannot use the memory of device '{name}'; call cpu() first")
    return array


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """The CUDA array interface, version 3: pointer, shape, strides, dtype and stream of a tensor on a GPU.

    Raises:
        AttributeError: the tensor is not on a GPU, so that `hasattr` says no.
        RuntimeError: it requires a gradient.
    """
    interface = getattr(type(self._data), "__cuda_array_interface__", None)
    if interface is None:
        raise AttributeError(f"__cuda_array_interface__: the tensor is on '{self.device}', wanted one on 'cuda'")
    if self.requires_grad:
        raise RuntimeError("__cuda_array_interface__: the tensor requires a gradient; use detach()")
    return self._data.__cuda_array_interface__  # type: ignore[attr-defined, no-any-return]


def from_dlpack(ext_tensor: Any, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array, of any object with `__dlpack__`, or of a capsule.

    The memory, the CPU's or a GPU's, stays alive as long as the tensor or any view of it. Read-only memory of the CPU
    gives a read-only tensor, which refuses changes in place; a GPU's cannot be protected so. Memory that is not
    aligned to its dtype is copied. A capsule must be of the CPU's memory.

    Args:
        device: where the tensor shall be; elsewhere than the memory it is a copy. "cpu" lets the producer of a GPU's
            memory make that copy, which needs no CuPy.
        copy: True for memory of the tensor's own, False to refuse where a copy is needed.

    Raises:
        BufferError: the memory is on a device that is not available, the producer refuses, or a copy is needed but
            forbidden.
        TypeError: an object without DLPack, a capsule that was used before, or a dtype that tensors do not have.

    >>> import numpy as np
    >>> array = np.zeros(2, np.float32)
    >>> x = from_dlpack(array)
    >>> array[0] = 5
    >>> x
    tensor([5., 0.])
    """
    backend.check_device(device)
    array = _array(_from_producer(ext_tensor, device, copy), None, copy=bool(copy))
    if copy is False and not backend.lies_on(array, device):
        here = backend.device_of(array)
        raise BufferError(f"from_dlpack: the memory is on '{here}', and copy=False forbids moving it")
    return Tensor(backend.place(array, device))


def _from_producer(ext_tensor: Any, device: str | None, copy: bool | None) -> Any:
    """An array over the memory of an object with DLPack or of a capsule, or over a copy on the CPU."""
    if not hasattr(ext_tensor, "__dlpack__"):
        return _cpu.from_dlpack(ext_tensor)
    kind, number = (int(n) for n in ext_tensor.__dlpack_device__())
    if kind == _CPU:
        return _cpu.from_dlpack(_capsule_of(ext_tensor))
    if device is not None and device.partition(":")[0] == "cpu":
        return _cpu.from_dlpack(ext_tensor.__dlpack__(max_version=(1, 0), dl_device=(_CPU, 0), copy=copy))
    if kind not in (_CUDA, _CUDA_MANAGED):
        raise BufferError(
            f"from_dlpack: the memory is on a device of type {kind}, wanted the CPU's ({_CPU}) or CUDA's ({_CUDA})"
        )
    try:
        return cuda.array_over(ext_tensor, number)
    except ValueError as error:
        raise BufferError(f"from_dlpack: the memory is on a device of type {kind}, CUDA's, and {error}") from None


def _capsule_of(producer: Any) -> Any:
    try:
        return producer.__dlpack__(max_version=(1, 0))
    except TypeError:  # a producer of the protocol before version 1
        return producer.__dlpack__()


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

    Buffers (bytes and the like) are read as elements of `dtype`, float32 by default. Memory of a GPU (CuPy's arrays,
    objects with DLPack or the CUDA array interface) stays there unless `device` says otherwise.

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
    if copy is False and not backend.lies_on(shared._data, device):  # type: ignore[union-attr]
        raise ValueError(f"asarray: data on '{shared.device}' cannot be shared on '{device}'")  # type: ignore[union-attr]
    out = Tensor(_array(obj, dtype, copy=False)) if shared is None else shared
    out = out if device is None else out.to(device)
    before = out._data
    if dtype is not None:
        out = out.to(np.dtype(dtype))
    if device is not None:
        out = out.to(device)
    if copy and type(before) is type(out._data) and np.shares_memory(out._data, before):
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
    if not backend.is_on_host(obj) or hasattr(obj, "__cuda_array_interface__"):
        return Tensor(_array(obj, None, copy=False))
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
