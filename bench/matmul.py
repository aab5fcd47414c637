"""Matrix products: squares, and the shapes of the documents' dense layers."""

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

SHAPES = [(n, n, n) for n in (32, 128, 256, 512, 1024, 2048)] + [(32, 576, 64), (128, 5408, 64), (64, 4096, 4096)]


def row(m: int, k: int, n: int) -> Row:
    a, b = normal(m, k), normal(k, n)
    peers = {"numpy": lambda: a @ b}
    if have_torch():
        import torch

        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        peers["torch"] = lambda: ta @ tb
    return Row(f"matmul {m} x {k} x {n}", lambda: _cpu.matmul(a, b), peers, flops=2 * m * k * n, check=close)


def rows() -> Rows:
    return (row(*shape) for shape in SHAPES)
