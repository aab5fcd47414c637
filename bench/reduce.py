"""Reductions over rows and over columns."""

from collections.abc import Callable
from typing import Any

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

Axes = tuple[int, ...]


def row(name: str, axes: Axes, ours: Callable[..., Any]) -> Row:
    x = normal(4096, 1024)
    peers = {}
    if have_torch():
        import torch

        tx, function = torch.from_numpy(x), getattr(torch, name)
        peers = {"torch": lambda: function(tx, axes)}
    return Row(f"{name} (4096, 1024) over {axes}", lambda: ours(x, axes), peers, bytes=x.nbytes, check=close)


def rows() -> Rows:
    for axes in ((1,), (0,), (0, 1)):
        yield row("sum", axes, lambda x, axes: _cpu.sum(x, axes, False))
        yield row("amax", axes, lambda x, axes: _cpu.amax(x, axes, False))
        yield row("var", axes, lambda x, axes: _cpu.var(x, axes, 1, False)[0])
