"""Cross-entropy and squared error, forward and backward."""

import numpy as np

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal


def cross_entropy(rows: int, classes: int) -> Rows:
    """Class indices, mean over the rows."""
    x = normal(rows, classes)
    labels = np.random.default_rng(1).integers(0, classes, rows)
    loss, stats = _cpu.cross_entropy(x, labels, "mean")
    one = np.ones_like(loss)
    forward, backward = {}, {}
    if have_torch():
        import torch

        tx, tl = torch.tensor(x, requires_grad=True), torch.from_numpy(labels)
        plain = tx.detach()
        ty = torch.nn.functional.cross_entropy(tx, tl)
        forward = {"torch": lambda: torch.nn.functional.cross_entropy(plain, tl)}
        backward = {"torch": lambda: torch.autograd.grad(ty, tx, retain_graph=True)[0]}
    name = f"cross-entropy ({rows}, {classes})"
    yield Row(name, lambda: _cpu.cross_entropy(x, labels, "mean")[0], forward, bytes=x.nbytes, check=close)
    call = lambda: _cpu.cross_entropy_backward(one, x, labels, stats, "mean")  # noqa: E731
    yield Row(f"{name} backward", call, backward, bytes=2 * x.nbytes, check=close)


def squared_error(n: int) -> Row:
    x, target = normal(n), normal(n)[::-1].copy()
    peers = {}
    if have_torch():
        import torch

        tx, tt = torch.from_numpy(x), torch.from_numpy(target)
        peers = {"torch": lambda: torch.nn.functional.mse_loss(tx, tt)}
    return Row(
        f"squared error ({n},)", lambda: _cpu.squared_error(x, target, n), peers, bytes=2 * x.nbytes, check=close
    )


def rows() -> Rows:
    for shape in ((128, 10), (4096, 1000)):
        yield from cross_entropy(*shape)
    yield squared_error(1_000_000)
