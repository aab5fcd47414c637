"""Slices taken and added, concatenation, padding and masks; the rate counts what must be read and written."""

import numpy as np

from tinydl import _cpu

from .harness import Call, Row, Rows, channels_last, close, have_torch, normal


def row(name: str, ours: Call, torch_call: Call, size: int) -> Row:
    return Row(name, ours, {"torch": torch_call} if have_torch() else {}, bytes=size, check=close)


def rows() -> Rows:
    rng = np.random.default_rng(0)
    x, small = normal(20000, 784), normal(4096, 784)
    batch, classes = rng.integers(0, 20000, 4096), rng.integers(0, 1000, (4096, 1))
    logits, images = normal(4096, 1000), channels_last(normal(32, 64, 56, 56))
    scores, causal = normal(8, 12, 256, 256), np.triu(np.ones((256, 256), bool), 1)
    if have_torch():
        import torch
        from torch.nn import functional

        tx, tsmall, tbatch, tclasses, tlogits, tscores, tcausal = map(
            torch.from_numpy, (x, small, batch, classes, logits, scores, causal)
        )
        timages = torch.from_numpy(images)
    yield row(
        "take 4096 rows (20000, 784)", lambda: _cpu.take(x, batch, 0, False), lambda: tx[tbatch], 2 * small.nbytes
    )
    yield row(
        "take backward 4096 rows (20000, 784)",
        lambda: _cpu.take_backward(small, batch, 0, 20000, False),
        lambda: torch.zeros_like(tx).index_add_(0, tbatch, tsmall),
        small.nbytes + x.nbytes,
    )
    yield row(
        "gather (4096, 1000) by (4096, 1)",
        lambda: _cpu.gather(logits, classes, 1),
        lambda: tlogits.gather(1, tclasses),
        3 * classes.nbytes,
    )
    yield row(
        "cat 2 (32, 64, 56, 56) channels-last",
        lambda: _cpu.cat((images, images), 1),
        lambda: torch.cat((timages, timages), 1),
        4 * images.nbytes,
    )
    yield row(
        "pad 1 (32, 64, 56, 56) channels-last",
        lambda: _cpu.pad(images, [0, 0, 1, 1], [0, 0, 1, 1], 0.0),
        lambda: functional.pad(timages, (1, 1, 1, 1)),
        2 * images.nbytes,
    )
    yield row(
        "masked_fill (8, 12, 256, 256)",
        lambda: _cpu.masked_fill(scores, causal, -1e9),
        lambda: tscores.masked_fill(tcausal, -1e9),
        2 * scores.nbytes,
    )
