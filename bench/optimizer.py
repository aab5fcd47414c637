"""One step over 20 million parameters, against PyTorch's fused step."""

import numpy as np

import tinydl
from tinydl import nn, optim

from .harness import Row, Rows, have_torch, normal

SIZE = 20_000_000
# name: options, floats read and written per parameter
STEPS = {"SGD": ({"lr": 1e-6, "momentum": 0.9}, 5), "Adam": ({"lr": 1e-6}, 7)}


def row(name: str) -> Row:
    options, floats = STEPS[name]
    gradient = normal(SIZE)
    parameter = nn.Parameter(tinydl.zeros(SIZE))
    parameter.grad = tinydl.from_numpy(gradient)
    ours = getattr(optim, name)([parameter], **options)
    peers = {}
    if have_torch():
        import torch

        weight = torch.nn.Parameter(torch.from_numpy(np.zeros(SIZE, np.float32)))
        weight.grad = torch.from_numpy(gradient)
        peers = {"torch fused": getattr(torch.optim, name)([weight], fused=True, **options).step}
    return Row(f"{name} step, {SIZE} parameters", ours.step, peers, bytes=4 * floats * SIZE)


def rows() -> Rows:
    return map(row, STEPS)
