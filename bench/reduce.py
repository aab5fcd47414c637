"""Sums over rows and over columns."""

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal


def row(axes: tuple[int, ...]) -> Row:
    x = normal(4096, 1024)
    peers = {}
    if have_torch():
        import torch

        tx = torch.from_numpy(x)
        peers = {"torch": lambda: torch.sum(tx, axes)}
    return Row(f"sum (4096, 1024) over {axes}", lambda: _cpu.sum(x, axes, False), peers, bytes=x.nbytes, check=close)


def rows() -> Rows:
    return map(row, ((1,), (0,), (0, 1)))
