"""How the cost of a training step and of a large product grows with the batch and with the threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinydl import backend

from . import matmul, models
from .harness import Plan, Result, Row, have_torch, measure, normal


@dataclass(frozen=True)
class Curve:
    """One line of a sweep: `make(value)` is the row at a value of what is swept."""

    name: str
    values: tuple[int, ...]
    make: Callable[[int], Row]


def product(m: int, k: int, n: int) -> Row:
    """A product against PyTorch's: NumPy's threads are not ours to set."""
    row = matmul.row(f"matmul {m} x {k} x {n}", normal(m, k), normal(k, n))
    row.peers.pop("numpy")
    return row


def step(batch: int) -> Row:
    return models.step_row(batch, others=False)


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Our team and PyTorch's, of `threads` threads."""
    with backend.use_threads(threads):
        if not have_torch():
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def curves(sweep: str) -> list[Curve]:
    """The lines of the sweep over "batch" or "threads"."""
    if sweep == "batch":
        batches = tuple(2**e for e in range(9))
        return [
            Curve("CNN 32-64-64 training step", batches, step),
            Curve("matmul batch x 4096 x 4096", batches, lambda batch: product(batch, 4096, 4096)),
        ]
    teams = tuple(range(1, processors() + 1))
    return [
        Curve("CNN 32-64-64 training step, batch 128", teams, lambda threads: step(128)),
        Curve("matmul 2048 x 2048 x 2048", teams, lambda threads: product(2048, 2048, 2048)),
    ]


SWEEPS = ("batch", "threads")
Points = dict[str, dict[str, Any]]  # by the value that is swept: Result.as_json()


def run(sweep: str, plan: Plan, show: Callable[[str], None], lines: list[Curve] | None = None) -> dict[str, Points]:
    """Time every point, and show a table: the time, its growth from the first point, and the best peer."""
    written: dict[str, Points] = {}
    for curve in lines or curves(sweep):
        show(f"{curve.name}, by {sweep}")
        points: Points = {}
        for value in curve.values:
            with using_threads(value if sweep == "threads" else backend.num_threads()):
                result = measure(curve.make(value), plan)
            points[str(value)] = result.as_json()
            show(format_point(value, result, points[str(curve.values[0])]["seconds"]))
        written[curve.name] = points
    return written


def format_point(value: int, result: Result, first: float) -> str:
    """The value, our time, that over the first point's, and the best peer's time and ratio."""
    seconds = result.ours.median
    peer = ""
    if result.best is not None:
        name = min(result.ratios, key=lambda name: result.ratios[name])
        peer = f"{name} {result.peers[name].median * 1e3:9.3f} ms  {result.best:5.2f} x"
    return f"  {value:5}  {seconds * 1e3:9.3f} ms  {seconds / first:7.2f} of the first  {result.choice!s:22} {peer}"
