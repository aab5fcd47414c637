"""One step over the documents' CNN's 93 322 parameters, in cache, and over many millions, against PyTorch's steps."""

import functools

import numpy as np

import tinydl
from tinydl import nn, optim

from .harness import Later, Row, Rows, close, have_torch, normal

CNN = (93_322,)
LARGE = (1_000_000,) * 60  # the sizes of 60 tensors, as in a network
OTHERS = (1_000_000,) * 20
LR = {"lr": 1e-6}
# name: class, options, floats read and written per parameter, PyTorch's variants
STEPS = {
    "SGD": ("SGD", LR, 3, ("foreach", "fused")),
    "SGD, momentum": ("SGD", {**LR, "momentum": 0.9}, 5, ("foreach", "fused")),
    "Adam": ("Adam", LR, 7, ("foreach", "fused")),
    "AdamW": ("AdamW", LR, 7, ("fused",)),
    "Adagrad": ("Adagrad", LR, 5, ("fused",)),
    "RMSprop": ("RMSprop", LR, 5, ("foreach",)),
    "Adadelta": ("Adadelta", LR, 7, ("foreach",)),
}


def step_name(name: str, sizes: tuple[int, ...]) -> str:
    return f"{name} step, {sum(sizes)} parameters"


def row(name: str, sizes: tuple[int, ...]) -> Row:
    """The step of one optimiser over tensors of the given sizes; the first tensor is compared after a step."""
    kind, options, floats, variants = STEPS[name]
    gradients = [normal(size) for size in sizes]

    def call(optimizer, parameters):
        def step():
            optimizer.step()
            return parameters[0]

        return step

    parameters = [nn.Parameter(tinydl.zeros(size)) for size in sizes]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = tinydl.from_numpy(gradient)
    peers = {}
    for variant in variants if have_torch() else ():
        import torch

        weights = [torch.nn.Parameter(torch.from_numpy(np.zeros(size, np.float32))) for size in sizes]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = torch.from_numpy(gradient)
        theirs = getattr(torch.optim, kind)(weights, **{variant: True}, **options)
        peers[f"torch {variant}"] = call(theirs, weights)
    ours = call(getattr(optim, kind)(parameters, **options), parameters)
    return Row(step_name(name, sizes), ours, peers, bytes=4 * floats * sum(sizes), check=close)


def clip_row(size: int) -> Row:
    gradient = normal(size)
    parameter = nn.Parameter(tinydl.zeros(size))
    parameter.grad = tinydl.from_numpy(gradient)
    peers = {}
    if have_torch():
        import torch

        weight = torch.nn.Parameter(torch.zeros(size))
        weight.grad = torch.from_numpy(gradient.copy())
        peers = {"torch": lambda: torch.nn.utils.clip_grad_norm_([weight], 1.0)}
    ours = functools.partial(nn.utils.clip_grad_norm_, [parameter], 1.0)
    return Row(f"clip_grad_norm_, {size} parameters", ours, peers, bytes=4 * 3 * size)


def rows() -> Rows:
    for name in STEPS:
        large = LARGE if name.startswith(("SGD", "Adam")) and name != "AdamW" else OTHERS
        for sizes in (CNN, large):
            yield Later(step_name(name, sizes), functools.partial(row, name, sizes))
    yield from map(clip_row, (*CNN, 20_000_000))
