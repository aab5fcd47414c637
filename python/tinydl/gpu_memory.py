"""Errors for a GPU's memory that has run out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class OutOfMemoryError(RuntimeError, MemoryError):
    """A GPU's memory did not suffice; the message says what was asked for, what there is, and what helps.

    >>> import tinydl
    >>> issubclass(tinydl.cuda.OutOfMemoryError, MemoryError)
    True
    """

    __module__ = "tinydl.cuda"


def explaining(allocate: Callable[[int], Any], cupy: Any) -> Callable[[int], Any]:
    """An allocator of CuPy's whose failures are `OutOfMemoryError`s, and still what CuPy calls by that name."""
    theirs = cupy.cuda.memory.OutOfMemoryError
    found = type("OutOfMemoryError", (OutOfMemoryError, theirs), {"__module__": "tinydl.cuda"})

    @functools.wraps(allocate, assigned=())
    def allocate_or_explain(size: int) -> Any:
        try:
            return allocate(size)
        except theirs as error:
            if isinstance(error, OutOfMemoryError):
                raise
            raise found(_message(size, cupy)) from error

    return allocate_or_explain


def _message(size: int, cupy: Any) -> str:
    free, total = cupy.cuda.runtime.memGetInfo()
    pool = cupy.get_default_memory_pool()
    held, used = pool.total_bytes(), pool.used_bytes()
    return (
        f"CUDA out of memory: {_readable(size)} were asked for on 'cuda:{cupy.cuda.runtime.getDevice()}', which has "
        f"{_readable(total)}, {_readable(free)} of them free; CuPy's pool holds {_readable(held)}, {_readable(used)} "
        "of them in arrays. Smaller batches, 16-bit numbers and no_grad() need less; tinydl.cuda.empty_cache() gives "
        "back what the pool holds unused"
    )


def _readable(size: int) -> str:
    """Bytes in the largest unit that leaves a number over 1."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{size} bytes" if units[0] == "bytes" else f"{value:.1f} {units[0]}"
