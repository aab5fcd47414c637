"""One step over 20 million parameters, against PyTorch's fused step."""

import functools

import numpy as np

import tinydl
from tinydl import nn, optim

from .harness import Row, Rows, have_torch, normal

SIZE = 20_000_000
# name: options, floats read and written per parameter
STEPS = {
    "SGD": ({"lr": 1e-6, "momentum": 0.9}, 5),
    "Adam": ({"lr": 1e-6}, 7),
    "AdamW": ({"lr": 1e-6}, 7),
    "Adagrad": ({"lr": 1e-6}, 5),
    "RMSprop": ({"lr": 1e-6}, 5),
    "Adadelta": ({"lr": 1e-6}, 7),
}
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")  # in PyTorch


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
        if name in FUSED:
            peers = {"torch fused": getattr(torch.optim, name)([weight], fused=True, **options).step}
        else:
            peers = {"torch": getattr(torch.optim, name)([weight], **options).step}
    return Row(f"{name} step, {SIZE} parameters", ours.step, peers, bytes=4 * floats * SIZE)


def clip_row() -> Row:
    gradient = normal(SIZE)
    parameter = nn.Parameter(tinydl.zeros(SIZE))
    parameter.grad = tinydl.from_numpy(gradient)
    peers = {}
    if have_torch():
        import torch

        weight = torch.nn.Parameter(torch.zeros(SIZE))
        weight.grad = torch.from_numpy(gradient.copy())
        peers = {"torch": lambda: torch.nn.utils.clip_grad_norm_([weight], 1.0)}
    ours = functools.partial(nn.utils.clip_grad_norm_, [parameter], 1.0)
    return Row(f"clip_grad_norm_, {SIZE} parameters", ours, peers, bytes=4 * 3 * SIZE)


def rows() -> Rows:
    yield from map(row, STEPS)
    yield clip_row()
