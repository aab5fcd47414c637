"""Losses, forward and backward."""

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


def smoothed(rows: int, classes: int) -> Rows:
    """Class indices with label smoothing and class weights, mean over the rows."""
    x, weight = normal(rows, classes), np.random.default_rng(2).random(classes).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, classes, rows)
    peers = {}
    if have_torch():
        import torch

        tx, tl, tw = torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(weight)
        peers = {"torch": lambda: torch.nn.functional.cross_entropy(tx, tl, tw, label_smoothing=0.1)}
    call = lambda: _cpu.cross_entropy(x, labels, "mean", weight, -100, 0.1)[0]  # noqa: E731
    yield Row(f"smoothed cross-entropy ({rows}, {classes})", call, peers, bytes=x.nbytes, check=close)


# kernel: (PyTorch's function, its options, our parameter)
PAIRS = {
    "squared_error": ("mse_loss", {}, None),
    "absolute_error": ("l1_loss", {}, None),
    "smooth_l1": ("smooth_l1_loss", {"beta": 0.5}, 0.5),
    "huber": ("huber_loss", {"delta": 0.5}, 0.5),
    "binary_cross_entropy": ("binary_cross_entropy", {}, None),
    "binary_cross_entropy_with_logits": ("binary_cross_entropy_with_logits", {}, None),
    "kl_div": ("kl_div", {"reduction": "batchmean"}, None),
}


def pair_loss(name: str, n: int) -> Rows:
    """The mean over n pairs in (0, 1), and its gradient."""
    rng = np.random.default_rng(0)
    x, target = (rng.uniform(0.01, 0.99, n).astype(np.float32) for _ in range(2))
    function, options, parameter = PAIRS[name]
    forward, backward = {}, {}
    if have_torch():
        import torch

        tx, tt = torch.from_numpy(x), torch.from_numpy(target)
        leaf = tx.clone().requires_grad_()
        loss = getattr(torch.nn.functional, function)
        ty = loss(leaf, tt, **options)
        forward = {"torch": lambda: loss(tx, tt, **options)}
        backward = {"torch": lambda: torch.autograd.grad(ty, leaf, retain_graph=True)[0]}
    kernel, kernel_backward = getattr(_cpu, name), getattr(_cpu, f"{name}_backward")
    one = np.ones((), np.float32)
    title = f"{name.replace('_', ' ')} ({n},)"
    call = lambda: kernel(x, target, None, parameter, n)  # noqa: E731
    yield Row(title, call, forward, bytes=2 * x.nbytes, check=close)
    call = lambda: kernel_backward(one, x, target, None, parameter, n, False)  # noqa: E731
    yield Row(f"{title} backward", call, backward, bytes=3 * x.nbytes, check=close)


def rows() -> Rows:
    for shape in ((128, 10), (4096, 1000), (32768, 1000)):
        yield from cross_entropy(*shape)
        yield from smoothed(*shape)
    for name in PAIRS:
        for n in (1 << 16, 1 << 24):
            yield from pair_loss(name, n)
