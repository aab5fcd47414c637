"""Timing on a GPU: our call and its peers in turn, each sample between two events with many calls queued.

A call's time is the GPU's where the GPU is slower than Python can ask, and Python's where it is not: both sides pay it.
Operands of less than the GPU's second-level cache may be served from there, on both sides.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import truediv
from typing import Any

import numpy as np

import tinydl

from ..harness import Compared, Timing

Call = Callable[[], Any]


# What two right results may differ by, relative to the norm of the peer's: operands are the same, sums are not.
TOLERANCE = {"float32": 1e-4, "float16": 4e-3, "bfloat16": 2e-2}
COMPILED = "torch.compile"  # the peer that takes seconds to make
LONGEST = 8.0  # seconds that a row is sampled for, or two samples where those take longer


@dataclass(frozen=True)
class Devices:
    """Where each side computes: a GPU both, or for tests without one the emulated GPU and PyTorch's CPU."""

    ours: str = "cuda"
    theirs: str = "cuda"

    def tensor(self, *shape: int, dtype: str = "bfloat16", seed: int = 0) -> Any:
        """PyTorch's tensor of normal random numbers."""
        import torch

        generator = torch.Generator(self.theirs).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=self.theirs).to(getattr(torch, dtype))

    def integers(self, high: int, *shape: int) -> Any:
        import torch

        return torch.randint(high, shape, generator=torch.Generator(self.theirs).manual_seed(0), device=self.theirs)

    def share(self, theirs: Any) -> tinydl.Tensor:
        """Our tensor of the same elements, in the same memory where both are on a GPU."""
        theirs = theirs.detach()
        if self.ours == "cuda":
            return tinydl.from_dlpack(theirs)
        host = theirs.float() if theirs.is_floating_point() else theirs
        return tinydl.tensor(host.numpy()).to(getattr(tinydl, str(theirs.dtype).rpartition(".")[2])).to(self.ours)

    def hand_over(self, ours: tinydl.Tensor) -> Any:
        """PyTorch's tensor of the same elements."""
        import torch

        return torch.from_dlpack(ours if self.ours == "cuda" else ours.cpu())

    def wait(self) -> None:
        """Until the GPU has done what it was asked for."""
        if self.theirs == "cuda":
            import torch

            torch.cuda.synchronize()

    def seconds(self, call: Call, count: int) -> float:
        """What `count` calls take from the first one's start to the last one's end."""
        if self.theirs != "cuda":
            start = time.perf_counter()
            for _ in range(count):
                call()
            return time.perf_counter() - start
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3


@dataclass
class Row:
    """One line of the table: the same work by us and by peers."""

    name: str
    dtype: str
    ours: Call
    peers: dict[str, Callable[[], Call]]  # what makes each peer's call, which may take long or fail; COMPILED is one
    flops: float = 0  # floating-point operations of a call's products
    bytes: float = 0  # bytes that a call must read and write at least
    compare: bool = True  # whether results must agree: not where they are random


Named = tuple[str, Callable[[], Row]]  # a row is made only when it is timed: its operands take memory


@dataclass(frozen=True)
class Limits:
    """What the GPU reached here: bytes a second of a large copy, FLOP a second of large products by dtype."""

    copy: float
    products: dict[str, float]

    def floor(self, row: Row) -> float:
        """The seconds of the row's bytes or of its operations, whichever takes longer, at the rates reached here.

        It rests on what a large copy and cuBLAS at 8192 reached: a call that reaches more, as one on operands in the
        second-level cache does, can beat it.
        """
        return max(row.bytes / self.copy, row.flops / self.products[row.dtype])


@dataclass
class Result(Compared):
    """A row's timings, and its floor."""

    floor: float
    left_out: dict[str, str] = field(default_factory=dict)  # peers that failed, with the reason
    prepared: dict[str, float] = field(default_factory=dict)  # seconds until each peer's first result: compilation

    @property
    def share(self) -> float:
        """The floor over our time: 1 where the GPU reaches its limits."""
        return self.floor / self.ours.median

    def as_json(self) -> dict[str, Any]:
        more = {"dtype": self.row.dtype, "floor": self.floor, "left out": self.left_out, "prepared": self.prepared}
        return {**super().as_json(), **more}


def tensors(result: Any) -> list[Any]:
    """All tensors of a result."""
    if isinstance(result, tuple | list):
        return [tensor for item in result for tensor in tensors(item)]
    return [result.detach()]


def error(devices: Devices, ours: Any, theirs: Any) -> float:
    """The largest difference of the results' tensors: infinite for another number of them, NaN where one has."""
    pairs = tensors(ours), tensors(theirs)
    if len(pairs[0]) != len(pairs[1]):
        return float("inf")
    return float(np.max([difference(devices, *pair) for pair in zip(*pairs, strict=True)]))


def difference(devices: Devices, ours: Any, b: Any) -> float:
    """The norm of the difference over the norm of the peer's tensor; infinite for other shapes, NaN where ours has."""
    import torch

    a = devices.hand_over(ours)
    if a.shape != b.shape:
        return float("inf")
    norm = torch.linalg.vector_norm
    apart = norm(a.float() - b.float(), dtype=torch.float64)
    return float(apart / norm(b.float(), dtype=torch.float64).clamp_min(1e-30))


def contenders(
    row: Row, devices: Devices, left_out: dict[str, str], prepared: dict[str, float] | None = None
) -> dict[str, Call]:
    """The peers that work on this GPU, each called once, as ours is; the others are noted with their reason.

    `prepared` takes the seconds until each one's result was there.

    AssertionError where results differ by more than the dtype's rounding.
    """
    made: dict[str, Call] = {}
    ours = row.ours()
    for name, make in row.peers.items():
        start = time.monotonic()
        try:
            call = make()
            theirs = call()
            devices.wait()
        except Exception as problem:  # whatever a library raises for what it does not support
            left_out[name] = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            continue
        if prepared is not None:
            prepared[name] = time.monotonic() - start
        found = error(devices, ours, theirs) if row.compare else 0.0
        if not found <= TOLERANCE[row.dtype]:
            raise AssertionError(f"{row.name}: the result differs from {name}'s by {found:.1e} of its norm")
        made[name] = call
    return made


def calls_for(devices: Devices, call: Call, seconds: float) -> int:
    """How many calls take about `seconds`; also the warm-up."""
    devices.seconds(call, 1)
    took = devices.seconds(call, 2) / 2
    return max(1, min(10_000, int(seconds / max(took, 1e-7))))


def measure(row: Row, limits: Limits, devices: Devices, rounds: int = 9, seconds: float = 0.01) -> Result:
    """Check the row, then time every contender in turn, round after round; fewer rounds where they take long."""
    left_out: dict[str, str] = {}
    prepared: dict[str, float] = {}
    peers = contenders(row, devices, left_out, prepared)
    calls = {"tinydl": row.ours, **peers}
    counts = {name: calls_for(devices, call, seconds) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    start = time.monotonic()
    for done in range(rounds):
        if done >= 2 and time.monotonic() - start > LONGEST:
            break
        for name, call in calls.items():
            samples[name].append(devices.seconds(call, counts[name]) / counts[name])
    ours = samples.pop("tinydl")
    ratios = {name: statistics.median(map(truediv, theirs, ours)) for name, theirs in samples.items()}
    timings = {name: Timing.of(theirs) for name, theirs in samples.items()}
    return Result(row, Timing.of(ours), timings, ratios, limits.floor(row), left_out, prepared)


def measure_limits(devices: Devices, size: int = 8192, copied: int = 1 << 30) -> Limits:
    """A copy's bytes (reads and writes) and cuBLAS's operations a second, both on random numbers."""
    import torch

    def rate(work: float, call: Call) -> float:
        devices.seconds(call, 2)
        return work / min(devices.seconds(call, 4) / 4 for _ in range(5))

    source = devices.tensor(copied // 2, dtype="bfloat16")
    copy = rate(4.0 * source.numel(), partial(torch.empty_like(source).copy_, source))
    products = {}
    for dtype in TOLERANCE:
        a, b = devices.tensor(size, size, dtype=dtype), devices.tensor(size, size, dtype=dtype, seed=1)
        products[dtype] = rate(2.0 * size**3, lambda a=a, b=b: a @ b)  # type: ignore[misc]
    return Limits(copy, products)


def format_row(result: Result) -> str:
    """Name, our time, share of the floor, ratio to the best peer, and each peer's time and ratio."""
    peers = "  ".join(
        f"{name} {timing.median * 1e6:.1f} us {result.ratios[name]:.2f} x" for name, timing in result.peers.items()
    )
    if COMPILED in result.peers:
        peers += f"  (compiled in {result.prepared[COMPILED]:.0f} s)"
    best = f"{result.best:5.2f} x" if result.best else "       "
    missing = f"  (without {', '.join(result.left_out)})" if result.left_out else ""
    ours, share = result.ours, f"{result.share:6.1%} of the floor"
    return f"{result.row.name:56} {ours.median * 1e6:11.1f} us +-{ours.spread:4.0%} {share}  {best}  {peers}{missing}"
