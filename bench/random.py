"""Draws of random numbers, and dropout."""

from tinydl import _cpu

from .harness import Row, Rows, have_torch, normal

SIZE = 1 << 22


def rows() -> Rows:
    x = normal(SIZE)
    peers = {"uniform": {}, "normal": {}, "dropout": {}}
    if have_torch():
        import torch

        tx = torch.from_numpy(x)
        peers["uniform"] = {"torch": lambda: torch.rand(SIZE)}
        peers["normal"] = {"torch": lambda: torch.randn(SIZE)}
        peers["dropout"] = {"torch": lambda: torch.nn.functional.dropout(tx, 0.5)}
    yield Row(f"uniform {SIZE}", lambda: _cpu.uniform(SIZE, 0, 1, 1, 0), peers["uniform"], bytes=4 * SIZE)
    yield Row(f"normal {SIZE}", lambda: _cpu.normal(SIZE, 0, 1, 1, 0), peers["normal"], bytes=4 * SIZE)
    yield Row(f"dropout {SIZE}", lambda: _cpu.dropout(x, 0.5, 1, 0), peers["dropout"], bytes=9 * SIZE)
