"""Elementwise kernels, in the second-level cache and out of cache."""

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal


def row(name: str, size: int) -> Row:
    operands = [normal(size)] * (2 if name == "add" else 1)
    kernel = getattr(_cpu, name)
    peers = {}
    if have_torch():
        import torch

        function, tensors = getattr(torch, name), [torch.from_numpy(a) for a in operands]
        peers = {"torch": lambda: function(*tensors)}
    moved = (len(operands) + 1) * 4 * size
    return Row(f"{name} {size}", lambda: kernel(*operands), peers, bytes=moved, check=close)


def rows() -> Rows:
    for size in (1 << 16, 1 << 24):
        for name in ("add", "relu", "exp", "tanh", "sigmoid"):
            yield row(name, size)
