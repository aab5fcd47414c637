"""Matrix products: squares, odd sides, and the shapes of the documents' models: flat, tall, transposed, batched."""

import numpy as np

import tinydl
from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

SQUARES = (16, 17, 32, 48, 64, 100, 127, 128, 256, 512, 1024, 2048, 4096)
# m, k, n: a row by a matrix, a few rows, the dense layers of the first CNN, of the MLP, of AlexNet; tall, flat, deep.
SHAPES = [
    *((1, 512, 512), (8, 256, 256), (32, 576, 64), (128, 5408, 64), (128, 784, 512), (64, 4096, 4096)),
    *((33, 65, 17), (16384, 32, 32), (4096, 64, 64), (64, 64, 4096), (32, 512, 8192), (64, 16384, 64)),
]
TRANSPOSED = (1, 32, 128, 512, 1024)  # the m of the shapes that are timed transposed too
BATCHED = [(96, 128, 64, 128), (96, 128, 128, 64), (256, 32, 32, 32), (128, 64, 64, 64), (1000, 16, 16, 16)]


def row(name: str, *operands) -> Row:
    a, b = operands
    peers = {"numpy": lambda: a @ b}
    if have_torch():
        import torch

        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        peers["torch"] = lambda: ta @ tb
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    count = a.size // (m * k)
    moved = a.nbytes + b.nbytes + 4 * count * m * n
    return Row(name, lambda: _cpu.matmul(a, b), peers, flops=2.0 * count * m * k * n, bytes=moved, check=close)


def low(size: int) -> Row:
    """The product of two square bfloat16 matrices."""
    a, b = (tinydl.from_numpy(normal(size, size)).to(tinydl.bfloat16) for _ in range(2))
    peers = {}
    if have_torch():
        import torch

        ta, tb = (torch.from_numpy(normal(size, size)).bfloat16() for _ in range(2))
        peers = {"torch": lambda: ta @ tb}
    name = f"matmul bfloat16 {size} x {size} x {size}"
    return Row(name, lambda: a @ b, peers, flops=2.0 * size**3, bytes=6.0 * size**2, check=nearly)


def nearly(got, expected) -> None:
    """Refuse to time bfloat16 results that differ by more than their rounding."""
    a, b = got.numpy().astype(np.float64), expected.double().numpy()
    if np.abs(a - b).max() > 2**-8 * np.abs(b).max():
        raise AssertionError("the contenders' results differ")


def rows() -> Rows:
    for m, k, n in [*((size,) * 3 for size in SQUARES), *SHAPES]:
        name = f"matmul {m} x {k} x {n}"
        yield row(name, normal(m, k), normal(k, n))
        if m in TRANSPOSED:
            yield row(f"{name}, first transposed", normal(k, m).T, normal(k, n))
            yield row(f"{name}, second transposed", normal(m, k), normal(n, k).T)
    for count, m, k, n in BATCHED:
        yield row(f"matmul {count} of {m} x {k} x {n}", normal(count, m, k), normal(count, k, n))
    for size in (256, 1024, 2048, 4096):
        yield low(size)
