"""Which kernels an array gets, and the settings of the CPU runtime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np


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
    "check_device",
    "conversion",
    "detected_isa",
    "empty_cache",
    "float32_matmul_precision",
    "isa",
    "memory_stats",
    "num_threads",
    "of",
    "reset_peak_memory",
    "set_cache_limit",
    "set_float32_matmul_precision",
    "set_isa",
    "set_num_threads",
    "set_tile_threshold",
    "start_trace",
    "stop_trace",
    "tile_threshold",
    "use_isa",
    "use_threads",
]

Array = np.ndarray[Any, Any]
ISAS = ("portable", "avx2", "avx512", "amx")


def of(array: Array) -> ModuleType:
    """The extension module whose kernels take `array`: so far always the CPU's."""
    return _cpu


def check_device(device: str | None) -> None:
    """ValueError unless the device is there."""
    if device is not None and device not in ("cpu", "cpu:0"):
        raise ValueError(f"device '{device}' is not available; this build has 'cpu'")


def conversion(args: tuple[Any, ...], dtype: Any = None, device: Any = None) -> np.dtype[Any] | None:
    """The dtype that `to(*args, dtype=..., device=...)` asks for, if any; an argument is a dtype or a device.

    ValueError for a device that is missing, TypeError for what is neither.
    """
    for arg in args:
        if isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda"):
            device = arg
        else:
            dtype = arg
    check_device(device)
    try:
        return None if dtype is None else np.dtype(dtype)
    except TypeError:
        raise TypeError(f"to: got {dtype!r}, wanted a dtype or a device") from None


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
