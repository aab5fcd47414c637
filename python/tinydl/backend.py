"""Which kernels an array gets, where arrays lie and how they move, and the settings of the CPU runtime."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .devices import CPU, device


@contextmanager
def _bounded_spinning() -> Iterator[None]:
    """Let libgomp, if the block loads it, give up a wait after about half a millisecond of spinning.

    Its default of some 20 ms suits a machine of one's own. With as many busy processes as cores, each parallel region
    then waits for a worker that the waiting thread itself keeps off the core: a training of 18 s took 132 s.
    A choice of the user (OMP_WAIT_POLICY, GOMP_SPINCOUNT) stands, and the environment is left as it was.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "10000"
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


with _bounded_spinning():
    _cpu = import_module("tinydl._cpu")

from ._cpu import (  # noqa: E402 - after the extension was loaded with bounded spinning
    detected_isa,
    empty_cache,
    float32_matmul_precision,
    isa,
    memory_stats,
    num_threads,
    reset_peak_memory,
    set_cache_limit,
    set_float32_matmul_precision,
    set_isa,
    set_num_threads,
    set_tile_threshold,
    start_trace,
    stop_trace,
    tile_threshold,
)

__all__ = [
    "Array",
    "add_home",
    "asarray",
    "beside",
    "check_device",
    "check_together",
    "conversion",
    "detected_isa",
    "device_of",
    "empty",
    "empty_cache",
    "empty_on",
    "float32_matmul_precision",
    "home_of",
    "is_array",
    "is_on_host",
    "is_writeable",
    "isa",
    "kernels_of",
    "lies_on",
    "located",
    "memory_order",
    "memory_stats",
    "num_threads",
    "numpy_of",
    "of",
    "ones",
    "place",
    "reset_peak_memory",
    "scalar",
    "set_cache_limit",
    "set_float32_matmul_precision",
    "set_isa",
    "set_num_threads",
    "set_tile_threshold",
    "start_trace",
    "stop_trace",
    "takes",
    "tile_threshold",
    "to_host",
    "together",
    "use_isa",
    "use_threads",
    "zeros",
]

Array = np.ndarray[Any, Any]
ISAS = ("portable", "avx2", "avx512", "amx")


# -- Where arrays lie -------------------------------------------------------------------------------------------


class Home(NamedTuple):
    """What a kind of device gives the arrays that lie there."""

    kernels: ModuleType  # the extension module that takes them
    numpy: Any  # NumPy's functions that make them: zeros, arange, asarray, ...
    kind: str  # the device's kind


_CPU_HOME = Home(_cpu, np, "cpu")
_homes: dict[type, Home] = {np.ndarray: _CPU_HOME}  # by the arrays' type


def of(array: Array) -> ModuleType:
    """The extension module whose kernels take `array`."""
    return _homes.get(type(array), _CPU_HOME).kernels


def takes(array: Array) -> bool:
    """Whether kernels compute in the array's dtype: float32 and float64, on a GPU float16 and bfloat16 too."""
    char = array.dtype.char
    return char in "fd" or (char in "eE" and not is_on_host(array) and array.dtype.itemsize == 2)


def kernels_of(array_type: type) -> ModuleType:
    """The extension module whose kernels take arrays of a type."""
    return _homes[array_type].kernels


def numpy_of(array: Array) -> Any:
    """The module whose `zeros`, `arange` and their kind make arrays where `array` lies: NumPy, or CuPy."""
    return _homes.get(type(array), _CPU_HOME).numpy


def is_array(value: Any) -> bool:
    """Whether a value is an array, NumPy's or a GPU's."""
    return type(value) in _homes or isinstance(value, np.ndarray)


def is_on_host(array: Any) -> bool:
    """Whether the CPU's kernels take the array."""
    return _homes.get(type(array), _CPU_HOME) is _CPU_HOME


def kind_of(array: Any) -> str:
    """The kind of device on which an array lies: "cpu", "cuda"."""
    return _homes.get(type(array), _CPU_HOME).kind


def device_of(array: Any) -> device:
    """The device on which an array lies."""
    kind = _homes.get(type(array), _CPU_HOME).kind
    return CPU if kind == "cpu" else device(kind) if kind != "cuda" else device(kind, array.device.id)


def together(op: str, *arrays: Any) -> tuple[Any, ...]:
    """The arrays on one device: those of the CPU without axes are copied to the others' GPU; numbers stay.

    RuntimeError, which names the devices, where arrays with axes lie on two.
    """
    there = next((a for a in arrays if is_array(a) and not is_on_host(a)), None)
    if there is None:
        return arrays
    moved = [scalar(a, there, a.dtype) if is_array(a) and is_on_host(a) and not a.ndim else a for a in arrays]
    check_together(op, *moved)
    return tuple(moved)


def check_together(op: str, *arrays: Any) -> None:
    """RuntimeError, which names the devices, where arrays lie on two."""
    devices = sorted({f"'{device_of(a)}'" for a in arrays if is_array(a)})
    if len(devices) > 1:
        raise RuntimeError(f"{op}: got tensors on {' and '.join(devices)}, wanted one device; move them with to()")


def located(name: Any) -> Any:
    """A device's name, or None, from one of them or a GPU's number."""
    return f"cuda:{name}" if type(name) is int else name


def home_of(name: str | None) -> Home:
    """What a device gives its arrays; None stands for the CPU. ValueError where the device is missing."""
    if name is None or name == "cpu":
        return _CPU_HOME
    check_device(name)
    kind = device(str(located(name))).type
    return next(home for home in _homes.values() if home.kind == kind)


def empty_on(shape: int | Sequence[int], dtype: Any, name: str | None) -> Array:
    """Uninitialised elements on a device; None stands for the CPU."""
    return place(home_of(name).numpy.empty(shape, dtype), name)


def add_home(array_type: type, home: Home) -> None:
    """Let arrays of a type be tensors' storage."""
    _homes[array_type] = home


def check_device(name: str | None) -> None:
    """ValueError, which says what is missing, unless the device is there; loads what it needs."""
    name = located(name)
    if name is None or name == "cpu" or name == "cpu:0":
        return
    if str(name).partition(":")[0] not in ("cuda", "cuda-emulated"):
        raise ValueError(f"device '{name}' is not available; tinydl computes on 'cpu' and 'cuda'")
    from .cuda import load

    load(device(name))


def lies_on(array: Array, name: str | None) -> bool:
    """Whether an array lies on a device; None stands for any, "cuda" for the current GPU."""
    if name is None or (name == "cpu" and type(array) is np.ndarray):
        return True
    here, there = device_of(array), device(str(located(name)))
    if here.type != there.type:
        return False
    index = there.index
    if index is None and here.type == "cuda":
        from .cuda import current_device

        index = current_device()
    return (index or 0) == (here.index or 0)


def place(array: Array, name: str | None) -> Array:
    """The array on a device: itself where it lies there, else a copy of the same memory order."""
    if lies_on(array, name):
        return array
    check_device(name)
    host, there = to_host(array), device(str(located(name)))
    if there.type == "cpu":
        return host
    from .cuda import on_device

    moved: Array = on_device(host, there)
    return moved


def memory_order(array: Array) -> tuple[list[int], list[int]]:
    """The axes from the outermost in memory to the innermost, and the transposition that undoes that order."""
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return order, [order.index(axis) for axis in range(array.ndim)]


def to_host(array: Any) -> Array:
    """The array as NumPy's: itself, or a copy of the same memory order, which waits for the device."""
    if is_on_host(array):
        return np.asarray(array)
    order, back = memory_order(array)
    moved: Array = array.transpose(order).get().transpose(back)
    return moved


def asarray(value: Any, dtype: Any = None) -> Array:
    """`numpy.asarray`, which leaves a GPU's arrays where they are."""
    if is_on_host(value):
        return np.asarray(value, dtype)
    moved: Array = value if dtype is None else value.astype(dtype, copy=False)
    return moved


def beside(values: Any, like: Array, dtype: Any = None) -> Array:
    """NumPy's array or a list as an array where `like` lies."""
    if is_on_host(like):
        return np.asarray(values, dtype)
    moved: Array = numpy_of(like).asarray(values, dtype) if is_on_host(values) else asarray(values, dtype)
    return moved


def is_writeable(array: Array) -> bool:
    """Whether elements can be changed: NumPy's arrays know, those of a GPU always can."""
    return not is_on_host(array) or array.flags.writeable


def zeros(shape: int | Sequence[int], like: Array) -> Array:
    """Zeros of `like`'s dtype, where it lies."""
    return numpy_of(like).zeros(shape, like.dtype)  # type: ignore[no-any-return]


def ones(shape: int | Sequence[int], like: Array) -> Array:
    """Ones of `like`'s dtype, where it lies."""
    return numpy_of(like).ones(shape, like.dtype)  # type: ignore[no-any-return]


def empty(shape: int | Sequence[int], like: Array) -> Array:
    """Uninitialised elements of `like`'s dtype, where it lies."""
    return numpy_of(like).empty(shape, like.dtype)  # type: ignore[no-any-return]


def scalar(value: Any, like: Array, dtype: Any = None) -> Array:
    """A number as an array without axes where `like` lies, of its dtype or of `dtype`; not to be changed in place."""
    wanted = like.dtype if dtype is None else np.dtype(dtype)
    if is_on_host(like):
        return np.asarray(value, wanted)
    from .cuda import constant

    number: Array = constant(value, wanted, device_of(like))
    return number


def conversion(args: tuple[Any, ...], dtype: Any = None, device: Any = None) -> tuple[np.dtype[Any] | None, str | None]:
    """The dtype and the device that `to(*args, dtype=..., device=...)` asks for; an argument is one or the other.

    ValueError for a device that is missing, TypeError for what is neither.
    """
    for arg in args:
        if type(arg) is int or (isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "cuda-emulated")):
            device = located(arg)
        else:
            dtype = arg
    device = located(device)
    check_device(device)
    try:
        return None if dtype is None else np.dtype(dtype), device
    except TypeError:
        raise TypeError(f"to: got {dtype!r}, wanted a dtype or a device") from None


# -- The CPU's runtime ------------------------------------------------------------------------------------------


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Run a block on one instruction-set tier: "portable", "avx2", "avx512" or "amx".

    Raises ValueError where the machine lacks it.

    >>> with use_isa("portable"):
    ...     print(isa())
    portable
    """
    before = isa()
    set_isa(name)
    try:
        yield
    finally:
        set_isa(before)


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Run a block with a team of `threads` threads."""
    before = num_threads()
    set_num_threads(threads)
    try:
        yield
    finally:
        set_num_threads(before)
