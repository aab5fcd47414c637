"""Timing: our function and its peers in turn, in one process, so that changes of the machine meet all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from operator import truediv
from typing import Any

import numpy as np
from tqdm import tqdm

from .choice import Choice, Part, choice_of
from .machine import FMA_LOAD, TILE_PRODUCT, Limit, copy_limit
from .peers.remote import Remote, digest

Call = Callable[[], Any]
CACHE = 8 << 20  # bytes; a row that moves several times as much is served by memory
# PyTorch's memory formats, by the names of the peers that use them.
TORCH_FORMATS = {"torch channels-last": "channels_last", "torch contiguous": "contiguous_format"}
LONG = 0.1  # seconds; a call that takes longer needs no warm-up of its threads


@dataclass
class Row:
    """One line of the table: what is timed, against whom, and how much work it is."""

    name: str
    ours: Call
    peers: dict[str, Call] = field(default_factory=dict)
    flops: float = 0  # floating-point operations of a call
    bytes: float = 0  # bytes that a call must read and write
    check: Callable[[Any, Any], None] | None = None  # compares ours with each peer's result before the timing
    bounded: bool = True  # whether a limit of the machine is timed beside it
    # Peers that take long to make, such as compiled ones: made when the row is timed, left out where that fails.
    slow_peers: dict[str, Callable[[], Call]] = field(default_factory=dict)

    def bound(self, choice: Choice) -> Bound | None:
        """What the machine can do at most of the row's work; None for work that caches serve."""
        if not self.bounded:
            return None
        if self.flops:
            return Bound.of_products(choice.parts)
        return Bound(((1.0, copy_limit(self.bytes)),)) if self.bytes >= 4 * CACHE else None


@dataclass(frozen=True)
class Later:
    """A row that is made only if it is timed: its peers or its operands take long to make."""

    name: str
    make: Callable[[], Row]


@dataclass(frozen=True)
class Bound:
    """Limits of the machine, each with the work that it does for a unit of the row's."""

    parts: tuple[tuple[float, Limit], ...]

    @staticmethod
    def of_products(parts: tuple[Part, ...]) -> Bound:
        """The units that the call used: a float32 product on tiles is several of bfloat16, each tile's work."""
        tiles = sum(part.share * part.tile_products for part in parts)
        others = sum(part.share for part in parts if not part.tile_products) if parts else 1.0
        return Bound(tuple((work, limit) for work, limit in ((others, FMA_LOAD), (tiles, TILE_PRODUCT)) if work))

    def rate(self, seconds: float, samples: int) -> float:
        """The row's work in a second, if each part of it ran at its limit."""
        return 1 / sum(work / limit.rate(seconds, samples) for work, limit in self.parts)


@dataclass
class Timing:
    """Seconds of one contender over the rounds."""

    median: float
    spread: float  # half the distance between the quartiles, relative to the median

    @staticmethod
    def of(samples: list[float]) -> Timing:
        low, middle, high = statistics.quantiles(samples, n=4)
        return Timing(middle, (high - low) / 2 / middle)


@dataclass
class Compared:
    """Timings of one piece of work: ours and each peer's in the same rounds."""

    row: Any  # with its name, flops and bytes
    ours: Timing
    peers: dict[str, Timing]
    ratios: dict[str, float]  # each peer's time over ours, the median over the rounds

    @property
    def best(self) -> float | None:
        """The ratio to the fastest peer."""
        return min(self.ratios.values(), default=None)

    def as_json(self) -> dict[str, Any]:
        return {
            "seconds": self.ours.median,
            "spread": self.ours.spread,
            "flops": self.row.flops,
            "bytes": self.row.bytes,
            "peers": {name: timing.median for name, timing in self.peers.items()},
            "ratios": self.ratios,
        }


@dataclass
class Result(Compared):
    """A row's timings, and the rate of its limit in the same rounds."""

    limit_rate: float | None  # FLOP/s or B/s
    choice: Choice = field(default_factory=Choice)

    @property
    def rate(self) -> float:
        """FLOP/s, or B/s of a row that counts bytes; 0 of one that counts neither."""
        return (self.row.flops or self.row.bytes) / self.ours.median

    @property
    def share(self) -> float | None:
        """The rate as a share of the limit's."""
        return self.rate / self.limit_rate if self.limit_rate else None

    def as_json(self) -> dict[str, Any]:
        chosen = {"limit rate": self.limit_rate, "kernel": str(self.choice), "notes": self.choice.notes}
        return {**super().as_json(), **chosen}


def have_torch() -> bool:
    """Whether PyTorch, the peer of most rows, is installed."""
    return find_spec("torch") is not None


def timed(call: Call, count: int) -> float:
    """The seconds that `count` calls take; a peer in another process takes them there."""
    if isinstance(call, Remote):
        return call.seconds(count)
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start


def calls_for(call: Call, seconds: float) -> tuple[int, float]:
    """How many calls take about `seconds`, at least one, and what they take; also the warm-up."""
    count = 1
    while True:
        took = timed(call, count)
        if took >= seconds / 4 or count > 1_000_000:
            wanted = max(1, int(count * seconds / max(took, 1e-9)))
            return wanted, took * wanted / count
        count *= 4


def settle(call: Call, wait: float, warm: bool = True) -> None:
    """Let the other contenders' threads go to sleep, then wake our own.

    Each library may carry an OpenMP runtime of its own, whose threads spin for some milliseconds after their last work
    and would take the cores from the next contender.
    """
    time.sleep(wait)
    if warm:
        call()


@dataclass(frozen=True)
class Plan:
    """How long a row is timed: up to `rounds` samples of each contender, as many as `budget` seconds hold."""

    rounds: int = 15
    seconds: float = 0.02  # of calls that a sample averages over
    budget: float = 60.0
    wait: float = 0.05  # before each sample
    slow_peers: bool = True

    def rounds_of(self, samples: list[float]) -> int:
        """The rounds whose samples take so many seconds each: at least three, if as many were asked for."""
        a_round = sum(sample + self.wait + (sample if sample < LONG else 0) for sample in samples)
        return max(min(self.rounds, 3), min(self.rounds, int(self.budget / a_round)))


def say(line: str) -> None:
    """Print a line above the progress bar."""
    tqdm.write(line)


def contenders_of(row: Row, plan: Plan) -> dict[str, Call]:
    """Ours and the peers that work; results that differ from ours are an error."""
    made = {"tinydl": row.ours, **row.peers}
    for name, make in row.slow_peers.items() if plan.slow_peers else ():
        try:
            made[name] = make()
        except Exception as error:  # whatever another library's compiler raises
            reason = str(error).strip().splitlines() or [type(error).__name__]
            say(f"{row.name}: {name} is left out: {reason[0]}")
    if row.check:
        ours = row.ours()
        for name, call in made.items():
            if name != "tinydl":
                row.check(ours, call())
    return made


def measure(row: Row, plan: Plan | None = None) -> Result:
    """Time every contender in turn, round after round, and the row's limit beside ours; then end other processes."""
    try:
        return _measure(row, plan or Plan())
    finally:
        for call in row.peers.values():
            if isinstance(call, Remote):
                call.close()


def _measure(row: Row, plan: Plan) -> Result:
    contenders = contenders_of(row, plan)
    choice = choice_of(row.ours)
    bound, limit_rates = row.bound(choice), []
    counts, took = {}, {}
    for name, call in contenders.items():
        settle(call, plan.wait)
        counts[name], took[name] = calls_for(call, plan.seconds)
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(plan.rounds_of(list(took.values()))):
        for name, call in contenders.items():
            settle(call, plan.wait, took[name] < LONG)
            samples[name].append(timed(call, counts[name]) / counts[name])
            if name == "tinydl" and bound:
                limit_rates.append(bound.rate(min(took[name] / 4, LONG / 2), samples=2))
    ours = samples.pop("tinydl")
    ratios = {name: statistics.median(map(truediv, theirs, ours)) for name, theirs in samples.items()}
    return Result(
        row,
        Timing.of(ours),
        {name: Timing.of(theirs) for name, theirs in samples.items()},
        ratios,
        statistics.median(limit_rates) if limit_rates else None,
        choice,
    )


def close(got: Any, expected: Any) -> None:
    """Refuse to time results that differ by more than float32 rounding; of a peer elsewhere, the digests."""
    a, b = (np.asarray(value.detach() if hasattr(value, "detach") else value, np.float64) for value in (got, expected))
    if isinstance(expected, float):
        a = np.asarray(digest(a))
    scale = float(np.abs(b).max(initial=1e-30))
    if a.shape != b.shape or float(np.abs(a - b).max(initial=0)) > 1e-4 * scale:
        raise AssertionError("the contenders' results differ")


def format_row(result: Result) -> str:
    """Name, our time, rate, share of the limit, kernel, ratio to the best peer, and each peer's time and ratio."""
    row, ours = result.row, result.ours
    rate = ""
    if row.flops:
        rate = f"{result.rate / 1e9:8.1f} GFLOP/s"
    elif row.bytes:
        rate = f"{result.rate / 1e9:8.1f} GB/s   "
    share = f"{result.share:4.0%}" if result.share else ""
    peers = "  ".join(
        f"{name} {timing.median * 1e6:.1f} us {result.ratios[name]:.2f} x" for name, timing in result.peers.items()
    )
    best = f"{result.best:5.2f} x" if result.best else ""
    ratios = f"{result.choice!s:22} {best:8} {peers}"
    return f"{row.name:44} {ours.median * 1e6:10.2f} us +-{ours.spread:4.0%} {rate:17} {share:5} {ratios}"


def channels_last(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same N, C, H, W values stored as N, H, W, C."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    """Normal random numbers, the same in every run."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


Rows = Iterator[Row | Later]
