"""The machine that a result must be read with: what it is, and how fast it can be at most.

The limits are loops of `_cpu` that do nothing else: fused multiply-adds on registers and with one load each, products
of bfloat16 matrix tiles and loads of tiles, a copy with stores past the caches. They run on the same threads as the
rows. On cores that are shared with other machines they vary by a factor of two or more over seconds, so the harness
times the limit of each row beside it, in turn with the contenders.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tinydl
from tinydl import _cpu, backend

COPIED = np.ones(1 << 25, np.float32)  # 128 MB: beyond the caches of most machines


@dataclass(frozen=True)
class Limit:
    """A loop that does nothing but `what`; a call returns the work it did, in `unit`."""

    what: str
    unit: str
    call: Callable[[], float]

    def rate(self, seconds: float = 0.02, samples: int = 5) -> float:
        """Work a second, the best of a few samples of at least `seconds`."""
        best = 0.0
        for _ in range(samples):
            start, work = time.perf_counter(), 0.0
            while (took := time.perf_counter() - start) < seconds:
                work += self.call()
            best = max(best, work / took)
        return best


FMA = Limit("multiply-adds on registers", "FLOP", lambda: _cpu.limit_fma(20_000))
FMA_LOAD = Limit("multiply-adds with a load each", "FLOP", lambda: _cpu.limit_fma_load(20_000))
TILE_PRODUCT = Limit("products of bfloat16 tiles", "FLOP", lambda: _cpu.limit_tile_product(5_000))
TILE_LOAD = Limit("loads of tiles", "B", lambda: _cpu.limit_tile_load(5_000))


def copy_limit(moved: float) -> Limit:
    """A copy that moves as many bytes as a row does, reads and writes, so that the caches help both alike."""
    part = COPIED[: max(1, int(moved / 8))]

    def copy() -> float:
        _cpu.limit_copy(part)
        return 2.0 * part.nbytes

    return Limit(f"copy of {round(part.nbytes / 2**20)} MB", "B", copy)


COPY = copy_limit(2.0 * COPIED.nbytes)


def limits() -> list[tuple[str, Limit]]:
    """Every limit that this machine has, with the instruction set that it is measured on."""
    tiers = backend.ISAS[: backend.ISAS.index(backend.detected_isa()) + 1]
    vector = [(isa, limit) for isa in tiers if isa != "amx" for limit in (FMA, FMA_LOAD)]
    tiles = [("amx", limit) for limit in (TILE_PRODUCT, TILE_LOAD)] if "amx" in tiers else []
    return [*vector, *tiles, (backend.isa(), COPY)]


def measure_limits() -> dict[str, float]:
    """The rate of each limit in units a second, by "instruction set: what"."""
    out = {}
    for isa, limit in limits():
        with backend.use_isa(isa):
            out[f"{isa}: {limit.what}"] = limit.rate()
    return out


def processor() -> str:
    """The processor's name, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    names = [line for line in path.read_text().splitlines() if line.startswith("model name")] if path.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def openmp_libraries() -> list[str]:
    """The OpenMP runtimes that this process holds: each has a team of threads of its own."""
    path = Path("/proc/self/maps")
    mapped = {line.split()[-1] for line in path.read_text().splitlines() if ".so" in line} if path.exists() else set()
    return sorted(Path(name).name for name in mapped if any(x in name for x in ("libgomp", "libomp", "libiomp")))


def describe() -> dict[str, object]:
    """What is printed above every table and written into every JSON file."""
    return {
        "tinydl": tinydl.__version__,
        "processor": processor(),
        "isa": backend.isa(),
        "threads": backend.num_threads(),
        "float32 products": tinydl.get_float32_matmul_precision(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
