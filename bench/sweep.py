"""How cost and memory grow: of a training step and a large product with the batch and the threads, of attention with
the length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tinydl
from tinydl import backend

from . import attention, matmul, models
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


def attend(length: int) -> Row:
    """Attention with gradients, of which no peer but PyTorch comes to the greatest lengths."""
    return attention.attention_row((1, 2, length, length, 64), causal=False, gradients=True, others=False)


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
    """The lines of the sweep over "batch", "length" or "threads"."""
    if sweep == "batch":
        batches = tuple(2**e for e in range(9))
        return [
            Curve("CNN 32-64-64 training step", batches, step),
            Curve("matmul batch x 4096 x 4096", batches, lambda batch: product(batch, 4096, 4096)),
        ]
    if sweep == "length":
        return [Curve("attention 1 x 2 heads, 64, with gradients", tuple(2**e for e in range(9, 15)), attend)]
    teams = tuple(range(1, processors() + 1))
    return [
        Curve("CNN 32-64-64 training step, batch 128", teams, lambda threads: step(128)),
        Curve("matmul 2048 x 2048 x 2048", teams, lambda threads: product(2048, 2048, 2048)),
    ]


SWEEPS = ("batch", "length", "threads")
Points = dict[str, dict[str, Any]]  # by the value that is swept: Result.as_json(), and the bytes that a call takes


def run(sweep: str, plan: Plan, show: Callable[[str], None], lines: list[Curve] | None = None) -> dict[str, Points]:
    """Time every point, and show a table: time, growth from the first point, memory, and the best peer."""
    written: dict[str, Points] = {}
    for curve in lines or curves(sweep):
        show(f"{curve.name}, by {sweep}")
        points: Points = {}
        for value in curve.values:
            with using_threads(value if sweep == "threads" else backend.num_threads()):
                row = curve.make(value)
                result = measure(row, plan)
                memory = memory_of(row.ours)  # afterwards: a training step changes what is compared
            points[str(value)] = {**result.as_json(), "memory": memory}
            show(format_point(value, result, points[str(curve.values[0])]["seconds"], memory))
        written[curve.name] = points
    return written


def memory_of(call: Callable[[], Any]) -> int:
    """The most bytes that results of kernels, and what kernels work with, take during a call."""
    call()  # what stays from call to call, such as gradients, is there afterwards
    tinydl.reset_peak_memory()
    call()
    return int(tinydl.memory_stats()["peak"])


def format_point(value: int, result: Result, first: float, memory: int) -> str:
    """The value, our time, that over the first point's, our memory, and the best peer's time and ratio."""
    seconds = result.ours.median
    peer = ""
    if result.best is not None:
        name = min(result.ratios, key=lambda name: result.ratios[name])
        peer = f"{name} {result.peers[name].median * 1e3:9.3f} ms  {result.best:5.2f} x"
    return (
        f"  {value:5}  {seconds * 1e3:9.3f} ms  {seconds / first:7.2f} of the first  {memory / 2**20:7.2f} MiB  "
        f"{result.choice!s:22} {peer}"
    )
