"""NVIDIA GPUs: whether there is one, its memory, streams and graphs; with PyTorch's names where PyTorch has the thing.

Tensors on a GPU hold CuPy arrays (extra `[cuda]`) and run the project's own kernels, `tinydl._cuda`, which a build from
the checkout with nvcc has. "cuda-emulated" is the same code without a GPU, slow and for tests alone.
"""

from __future__ import annotations

import contextlib
import functools
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from . import backend, capture, devices, dtypes, gpu_memory
from .gpu_memory import OutOfMemoryError
from .graphs import CUDAGraph, graph, make_graphed_step
from .streams import (
    Event,
    Stream,
    current_device,
    current_stream,
    default_stream,
    device,
    set_device,
    stream,
)

__all__ = [
    "CUDAGraph",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "graph",
    "is_available",
    "make_graphed_step",
    "memory_allocated",
    "memory_reserved",
    "set_device",
    "stream",
    "synchronize",
]

Array = np.ndarray[Any, Any]
LEAST_CAPABILITY = 80  # compute capability 8.0: Ampere


@functools.cache
def _missing() -> str | None:
    """What stands in the way of the GPU, or None."""
    if find_spec("cupy") is None:
        return "CuPy is not installed: pip install 'tinydl[cuda]'"
    if find_spec("tinydl._cuda") is None:
        return "this build has no CUDA kernels: build from the checkout with nvcc and -DTINYDL_CUDA=ON"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is installed but does not load: {error}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA does not start; is NVIDIA's driver installed? ({error})"
    if not count:
        return "the machine has no GPU that CUDA can use"
    try:
        import_module("tinydl._cuda")
    except ImportError as error:
        return f"this build's CUDA kernels do not load: {error}"
    return None


def load(wanted: devices.device) -> None:
    """Make a GPU's arrays usable; ValueError where there is none, which says what is missing."""
    if wanted.type == "cuda-emulated":
        _load_emulated()
        return
    missing = _missing()
    if missing is not None:
        raise ValueError(f"device '{wanted}' is not available: {missing}")
    count = device_count()
    if wanted.index is not None and wanted.index >= count:
        raise ValueError(f"device '{wanted}' is not available: the machine has {count} GPU(s), numbered from 0")
    _check_gpu(wanted)
    _load_cuda()


def _check_gpu(wanted: devices.device) -> None:
    """ValueError unless there are kernels for a GPU."""
    import cupy

    number = int(cupy.cuda.runtime.getDevice()) if wanted.index is None else wanted.index
    reason = _unfit(number)
    if reason is not None:
        raise ValueError(f"device '{wanted}' is not available: {reason}")


@functools.cache
def _unfit(number: int) -> str | None:
    """Why the kernels do not run on a GPU, or None."""
    import cupy

    capability = int(cupy.cuda.Device(number).compute_capability)
    has = f"GPU {number} has compute capability {capability // 10}.{capability % 10}"
    if capability < LEAST_CAPABILITY:
        return f"{has}, the kernels want {LEAST_CAPABILITY // 10}.{LEAST_CAPABILITY % 10} (Ampere) or later"
    built = import_module("tinydl._cuda").architectures
    if not compiled_for(capability, built):
        return f"{has}, and this build has kernels for {built}: build with -DCMAKE_CUDA_ARCHITECTURES=native"
    return None


def compiled_for(capability: int, architectures: str) -> bool:
    """Whether kernels compiled for CMake's CUDA architectures run on a GPU of some compute capability.

    Code for N.M ("NM-real") runs on GPUs N.M and later ones of the same N, code that the driver compiles ("NM-virtual")
    on all later ones; with the suffix a on that capability alone. A plain number stands for both kinds.

    >>> compiled_for(86, "80-real;90a-real;90-virtual"), compiled_for(86, "90-virtual")
    (True, False)
    """
    for name in architectures.replace(",", ";").split(";"):
        number, _, kind = name.strip().partition("-")
        if not number[:2].isdecimal():
            return True  # "native", "all": the build knew what it did
        least = int(number.rstrip("af"))
        if number.endswith("a"):
            fits = capability == least
        else:
            same = capability // 10 == least // 10
            fits = capability >= least and (same or (kind != "real" and not number.endswith("f")))
        if fits:
            return True
    return False


@functools.cache
def _load_cuda() -> None:
    import cupy

    kernels = import_module("tinydl._cuda")
    with contextlib.suppress(ValueError):  # within somebody's using_allocator, which then stays as it is
        cupy.cuda.set_allocator(gpu_memory.explaining(cupy.cuda.get_allocator(), cupy))

    def allocate(shape: Any, strides: Any, dtype: Any, size: int) -> Any:
        return cupy.ndarray(shape, dtype, cupy.cuda.alloc(size), strides)

    here = devices.device("cuda")
    kernels.use_arrays(
        cupy.ndarray,
        allocate,
        cupy.cuda.alloc,
        lambda: cupy.cuda.get_current_stream().ptr,
        lambda number: constant(number.item(), number.dtype, here),
    )
    backend.add_home(cupy.ndarray, backend.Home(kernels, cupy, "cuda"))


@functools.cache
def _load_emulated() -> None:
    if find_spec("tinydl._cuda_emulated") is None:
        raise ValueError("device 'cuda-emulated' is for builds with -DTINYDL_CUDA_EMULATE=ON, to test them")
    from . import emulated

    kernels = import_module("tinydl._cuda_emulated")
    emulated.use_for(kernels)
    backend.add_home(emulated.ndarray, backend.Home(kernels, emulated, "cuda-emulated"))


def on_device(host: Array, where: devices.device) -> Any:
    """A copy of a NumPy array on a GPU, its axes in the same order in memory."""
    capture.refuse("a copy from the CPU", "make it before, or run the block once before the capture if caches make it")
    order, back = backend.memory_order(host)
    dense = np.array(host.transpose(order), order="C")
    if where.type == "cuda-emulated":
        from . import emulated

        return emulated.asarray(dense).transpose(back)
    import cupy

    with cupy.cuda.Device(where.index if where.index is not None else cupy.cuda.runtime.getDevice()):
        return cupy.asarray(dense).transpose(back)


def array_over(producer: Any, number: int | None = None) -> Any:
    """A CuPy array over the memory of an object with DLPack or the CUDA array interface; itself where it is one.

    Work that the producer has queued is waited for on the current stream, as either protocol says.
    """
    load(devices.device("cuda", number))
    import cupy

    if isinstance(producer, cupy.ndarray):
        return producer
    return cupy.from_dlpack(producer) if hasattr(producer, "__dlpack__") else cupy.asarray(producer)


def constant(value: Any, dtype: np.dtype[Any], where: devices.device) -> Any:
    """A number on a GPU, copied there once."""
    if where.type == "cuda" and where.index is None:
        where = devices.device("cuda", current_device())
    return capture.keep(_constant(dtypes.rounded(value, dtype).tobytes(), dtype, where))


@functools.lru_cache(maxsize=1024)
def _constant(value: bytes, dtype: np.dtype[Any], where: devices.device) -> Any:
    """By its bytes, which tell 0 from -0."""
    return arrived(on_device(np.frombuffer(value, dtype).reshape(()), where))


def arrived(array: Any) -> Any:
    """An array for a cache, from which other streams take it: its copy was only queued in this one, and is waited for.

    But within a capture, which cannot wait: what is captured ran before, and filled the caches.
    """
    if backend.kind_of(array) == "cuda" and capture.active is None:
        import cupy

        cupy.cuda.get_current_stream().synchronize()
    return array


# -- PyTorch's names --------------------------------------------------------------------------------------------


def is_available() -> bool:
    """Whether tensors can be put on "cuda".

    >>> import tinydl
    >>> device = "cuda" if tinydl.cuda.is_available() else "cpu"
    """
    if _missing() is not None:
        return False
    import cupy

    return _unfit(int(cupy.cuda.runtime.getDevice())) is None


def device_count() -> int:
    """How many GPUs there are; 0 where CUDA cannot be used."""
    if _missing() is not None:
        return 0
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


def synchronize() -> None:
    """Wait until the current GPU has done all that was asked of it.

    Raises:
        IndexError: a kernel that ran before met a label or an index out of range.
    """
    if is_available():
        import cupy

        cupy.cuda.Device().synchronize()
        import_module("tinydl._cuda").raise_reported()


def get_device_name(number: int | None = None) -> str:
    """The GPU's name, such as "NVIDIA H200"."""
    number = current_device() if number is None else number
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(number)["name"]
    return str(name.decode())


def get_device_capability(number: int | None = None) -> tuple[int, int]:
    """The compute capability as (major, minor)."""
    load(devices.device("cuda"))
    import cupy

    text = cupy.cuda.Device(current_device() if number is None else number).compute_capability
    return int(text[:-1]), int(text[-1])


def describe() -> str:
    """The GPUs, in words, or what stands in the way of using them."""
    reason = _missing()
    if reason is not None:
        return f"none: {reason}"
    return ", ".join(f"{get_device_name(n)}{_described_unfit(n)}" for n in range(device_count()))


def _described_unfit(number: int) -> str:
    reason = _unfit(number)
    return "" if reason is None else f" (unusable: {reason})"


def memory_allocated() -> int:
    """The bytes that arrays hold, from CuPy's pool."""
    load(devices.device("cuda"))
    import cupy

    return int(cupy.get_default_memory_pool().used_bytes())


def memory_reserved() -> int:
    """The bytes that CuPy's pool has from the GPU, in use or kept for reuse."""
    load(devices.device("cuda"))
    import cupy

    return int(cupy.get_default_memory_pool().total_bytes())


def empty_cache() -> None:
    """Give what CuPy's pool, and those of graphs that are gone, keep for reuse back to the GPU."""
    if is_available():
        import cupy

        gpu_memory.give_back_unused(cupy)
