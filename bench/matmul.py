"""Matrix products: squares, and the shapes of the documents' models: flat, tall, transposed, batched."""

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

SQUARES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
# m, k, n: a row by a matrix, a few rows, the dense layers of the first CNN, of the MLP, of AlexNet.
SHAPES = [(1, 512, 512), (8, 256, 256), (32, 576, 64), (128, 5408, 64), (128, 784, 512), (64, 4096, 4096)]
BATCHED = [(96, 128, 64, 128), (96, 128, 128, 64), (1000, 16, 16, 16)]  # batch, m, k, n


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


def rows() -> Rows:
    for m, k, n in [*((size,) * 3 for size in SQUARES), *SHAPES]:
        yield row(f"matmul {m} x {k} x {n}", normal(m, k), normal(k, n))
        if m in (1, 32, 512):
            yield row(f"matmul {m} x {k} x {n}, second transposed", normal(m, k), normal(n, k).T)
    yield row("matmul 512 x 512 x 512, first transposed", normal(512, 512).T, normal(512, 512))
    for count, m, k, n in BATCHED:
        yield row(f"matmul {count} of {m} x {k} x {n}", normal(count, m, k), normal(count, k, n))
