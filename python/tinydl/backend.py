"""Which kernels an array gets, and the settings of the CPU runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from . import _cpu
from ._cpu import (
    detected_isa,
    empty_cache,
    isa,
    memory_stats,
    num_threads,
    reset_peak_memory,
    set_cache_limit,
    set_isa,
    set_num_threads,
)

__all__ = [
    "Array",
    "detected_isa",
    "empty_cache",
    "isa",
    "memory_stats",
    "num_threads",
    "of",
    "reset_peak_memory",
    "set_cache_limit",
    "set_isa",
    "set_num_threads",
    "use_isa",
    "use_threads",
]

Array = np.ndarray[Any, Any]
ISAS = ("portable", "avx2", "avx512")


def of(array: Array) -> ModuleType:
    """The extension module whose kernels take `array`: so far always the CPU's."""
    return _cpu


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Run a block on one instruction-set tier: "portable", "avx2" or "avx512".

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
