"""Draws of random numbers, and dropout with its gradient, in the second-level cache and out of cache."""

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal


def draws(size: int) -> Rows:
    peers = {"uniform": {}, "normal": {}}
    if have_torch():
        import torch

        peers = {"uniform": {"torch": lambda: torch.rand(size)}, "normal": {"torch": lambda: torch.randn(size)}}
    yield Row(f"uniform {size}", lambda: _cpu.uniform(size, 0, 1, 1, 0), peers["uniform"], bytes=4 * size)
    yield Row(f"normal {size}", lambda: _cpu.normal(size, 0, 1, 1, 0), peers["normal"], bytes=4 * size)


def dropout(size: int) -> Rows:
    """Which elements are dropped differs from PyTorch's, so that only the gradients can be compared: by one mask."""
    x = normal(size)
    grad, mask = x[::-1].copy(), _cpu.dropout(x, 0.5, 1, 0)[1]
    forward, backward = {}, {}
    if have_torch():
        import torch

        tx, tgrad, tmask = torch.from_numpy(x), torch.from_numpy(grad), torch.from_numpy(mask != 0)
        forward = {"torch": lambda: torch.ops.aten.native_dropout(tx, 0.5, True)}
        backward = {"torch": lambda: torch.ops.aten.native_dropout_backward(tgrad, tmask, 2.0)}
    moved = 9 * size  # two float32 and a byte of the mask for each element
    yield Row(f"dropout {size}", lambda: _cpu.dropout(x, 0.5, 1, 0), forward, bytes=moved)
    call = lambda: _cpu.dropout_backward(grad, mask, 0.5)  # noqa: E731
    yield Row(f"dropout_backward {size}", call, backward, bytes=moved, check=close)


def rows() -> Rows:
    for size in (1 << 16, 1 << 24):
        yield from draws(size)
        yield from dropout(size)
