"""Reductions over rows and over columns, in the caches and out of them."""

from collections.abc import Callable
from typing import Any

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

Axes = tuple[int, ...]


def row(name: str, rows: int, axes: Axes, ours: Callable[..., Any]) -> Row:
    x = normal(rows, 1024)
    peers = {}
    if have_torch():
        import torch

        tx, function = torch.from_numpy(x), getattr(torch, name)
        peers = {"torch": lambda: function(tx, axes)}
    return Row(f"{name} ({rows}, 1024) over {axes}", lambda: ours(x, axes), peers, bytes=x.nbytes, check=close)


def rows() -> Rows:
    for count in (256, 16384):
        for axes in ((1,), (0,), (0, 1)):
            yield row("sum", count, axes, lambda x, axes: _cpu.sum(x, axes, False))
            yield row("amax", count, axes, lambda x, axes: _cpu.amax(x, axes, False))
            yield row("var", count, axes, lambda x, axes: _cpu.var(x, axes, 1, False)[0])
