"""Errors for a GPU's memory that has run out, and the memory of CUDA graphs."""

from __future__ import annotations

import functools
import weakref
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


class _Blocks:
    """A pool of CuPy's from which captures allocate, on a stream of their own, to which it gives back what they free.

    Where memory runs out, CuPy gives a pool's unused blocks back to the GPU and tries again. What a capture has freed
    is used by its launches all the same: each block is held here.
    """

    def __init__(self, cupy: Any, stream: Any) -> None:
        self.device = cupy.cuda.runtime.getDevice()
        self.stream = stream
        self.held: list[Any] = []
        self.pool = cupy.cuda.MemoryPool(self._allocate)
        self._cupy = cupy

    def _allocate(self, size: int) -> Any:
        self.held.append(self._cupy.cuda.MemoryPointer(self._cupy.cuda.Memory(size), 0))
        return self.held[-1]

    def give_back(self) -> None:
        """What no array lies in."""
        self.held.clear()
        self.pool.free_all_blocks()


_unused: list[_Blocks] = []  # those whose graphs are gone; a pool that is dropped would never give its blocks back


class GraphMemory:
    """The memory of graphs that share it; once the last of them is gone, the next capture's."""

    def __init__(self, cupy: Any, make_stream: Callable[[], Any]) -> None:
        here = cupy.cuda.runtime.getDevice()
        found = next((blocks for blocks in _unused if blocks.device == here), None)
        if found is not None:
            _unused.remove(found)
        self._blocks = found or _Blocks(cupy, make_stream())
        weakref.finalize(self, _unused.append, self._blocks).atexit = False

    @property
    def stream(self) -> Any:
        """The stream of the captures."""
        return self._blocks.stream

    def malloc(self, size: int) -> Any:
        """A piece of it, as CuPy's allocators give it."""
        return self._blocks.pool.malloc(size)


def give_back_unused(cupy: Any) -> None:
    """Give what no array and no graph uses back to the GPU."""
    cupy.get_default_memory_pool().free_all_blocks()
    for blocks in _unused:
        blocks.give_back()
