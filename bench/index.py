"""Slices taken and added, concatenation, padding and masks; the rate counts what must be read and written."""

import numpy as np

from tinydl import _cpu

from .harness import Call, Row, Rows, channels_last, close, have_torch, normal


def row(name: str, ours: Call, torch_call: Call, size: int) -> Row:
    return Row(name, ours, {"torch": torch_call} if have_torch() else {}, bytes=size, check=close)


def rows() -> Rows:
    for scale in (1, 8):
        yield from rows_of(256 * scale**2)
    for scale in (1, 32):
        yield from images_of(scale)


def rows_of(count: int) -> Rows:
    """`count` flat images out of twice as many, and `count` rows of logits."""
    rng = np.random.default_rng(0)
    x, small = normal(2 * count, 784), normal(count, 784)
    batch, classes = rng.integers(0, 2 * count, count), rng.integers(0, 1000, (count, 256))
    logits = normal(count, 1000)
    if have_torch():
        import torch

        tx, tsmall, tbatch, tclasses, tlogits = map(torch.from_numpy, (x, small, batch, classes, logits))
    yield row(
        f"take {count} rows ({2 * count}, 784)",
        lambda: _cpu.take(x, batch, 0, False),
        lambda: tx[tbatch],
        2 * small.nbytes,
    )
    yield row(
        f"take backward {count} rows ({2 * count}, 784)",
        lambda: _cpu.take_backward(small, batch, 0, 2 * count, False),
        lambda: torch.zeros_like(tx).index_add_(0, tbatch, tsmall),
        small.nbytes + x.nbytes,
    )
    yield row(
        f"gather ({count}, 1000) by ({count}, 256)",
        lambda: _cpu.gather(logits, classes, 1),
        lambda: tlogits.gather(1, tclasses),
        2 * classes.nbytes,
    )


def images_of(n: int) -> Rows:
    """`n` images, and attention scores of `n` texts."""
    images, scores = channels_last(normal(n, 64, 56, 56)), normal(n, 3, 256, 256)
    causal = np.triu(np.ones((256, 256), bool), 1)
    if have_torch():
        import torch
        from torch.nn import functional

        timages, tscores, tcausal = map(torch.from_numpy, (images, scores, causal))
    yield row(
        f"cat 2 ({n}, 64, 56, 56) channels-last",
        lambda: _cpu.cat((images, images), 1),
        lambda: torch.cat((timages, timages), 1),
        4 * images.nbytes,
    )
    yield row(
        f"pad 1 ({n}, 64, 56, 56) channels-last",
        lambda: _cpu.pad(images, [0, 0, 1, 1], [0, 0, 1, 1], 0.0),
        lambda: functional.pad(timages, (1, 1, 1, 1)),
        2 * images.nbytes,
    )
    yield row(
        f"masked_fill ({n}, 3, 256, 256)",
        lambda: _cpu.masked_fill(scores, causal, -1e9),
        lambda: tscores.masked_fill(tcausal, -1e9),
        2 * scores.nbytes,
    )
