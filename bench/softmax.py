"""Softmax of rows and its logarithm, forward and backward."""

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal


def pair(rows: int, n: int) -> Rows:
    """Forward and backward over (rows, n)."""
    x, grad = normal(rows, n), normal(rows, n)[::-1].copy()
    y = _cpu.softmax(x, 1)
    forward, backward = {}, {}
    if have_torch():
        import torch

        tx, tg, ty = (torch.from_numpy(a) for a in (x, grad, y))
        forward = {"torch": lambda: torch.softmax(tx, 1)}
        backward = {"torch": lambda: torch.ops.aten._softmax_backward_data(tg, ty, 1, torch.float32)}
    name = f"softmax ({rows}, {n})"
    yield Row(name, lambda: _cpu.softmax(x, 1), forward, bytes=2 * x.nbytes, check=close)
    yield Row(f"{name} backward", lambda: _cpu.softmax_backward(grad, y, 1), backward, bytes=3 * x.nbytes, check=close)


def log_pair(rows: int, n: int) -> Rows:
    """The logarithm, forward and backward over (rows, n)."""
    x, grad = normal(rows, n), normal(rows, n)[::-1].copy()
    y = _cpu.log_softmax(x, 1)
    forward, backward = {}, {}
    if have_torch():
        import torch

        tx, tg, ty = (torch.from_numpy(a) for a in (x, grad, y))
        forward = {"torch": lambda: torch.log_softmax(tx, 1)}
        backward = {"torch": lambda: torch.ops.aten._log_softmax_backward_data(tg, ty, 1, torch.float32)}
    name, back = f"log-softmax ({rows}, {n})", lambda: _cpu.log_softmax_backward(grad, y, 1)
    yield Row(name, lambda: _cpu.log_softmax(x, 1), forward, bytes=2 * x.nbytes, check=close)
    yield Row(f"{name} backward", back, backward, bytes=3 * x.nbytes, check=close)


def rows() -> Rows:
    for shape in ((128, 10), (4096, 512), (64, 30000), (32768, 1000)):
        yield from pair(*shape)
        yield from log_pair(*shape)
