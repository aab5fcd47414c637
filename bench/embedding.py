"""Rows of a table and their gradient, for token ids drawn as words occur; the rate counts what is read and written."""

import numpy as np

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

# rows, width, (batch, length)
TABLES = [(1000, 64, (128, 50)), (10000, 128, (32, 256)), (30522, 768, (16, 128)), (30522, 768, (64, 512))]


def rows() -> Rows:
    rng = np.random.default_rng(0)
    for count, width, shape in TABLES:
        weight, index = normal(count, width), np.minimum(rng.zipf(1.3, shape) - 1, count - 1)
        grad = normal(*shape, width)
        forward, backward = {}, {}
        if have_torch():
            import torch

            tweight, tindex, tgrad = map(torch.from_numpy, (weight, index, grad))
            forward = {"torch": lambda w=tweight, i=tindex: torch.nn.functional.embedding(i, w)}
            backward = {
                "torch": lambda g=tgrad, i=tindex, n=count: torch.ops.aten.embedding_dense_backward(g, i, n, -1, False)
            }
        name = f"embedding {shape} of ({count}, {width})"
        yield Row(name, lambda w=weight, i=index: _cpu.embedding(w, i), forward, bytes=2 * grad.nbytes, check=close)
        yield Row(
            f"{name} backward",
            lambda g=grad, i=index, n=count: _cpu.embedding_backward(g, i, n, -1, False),
            backward,
            bytes=grad.nbytes + weight.nbytes,
            check=close,
        )
