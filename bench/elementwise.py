"""Elementwise kernels, in the second-level cache and out of cache, and the gradients of the activations."""

import numpy as np

from tinydl import _cpu

from .harness import Row, Rows, close, have_torch, normal

FORWARD = {
    "add": lambda torch: torch.add,
    "maximum": lambda torch: torch.maximum,
    "relu": lambda torch: torch.relu,
    "exp": lambda torch: torch.exp,
    "tanh": lambda torch: torch.tanh,
    "sigmoid": lambda torch: torch.sigmoid,
    "sinc": lambda torch: torch.sinc,
    "gelu": lambda torch: torch.nn.functional.gelu,
    "gelu_tanh": lambda torch: lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": lambda torch: torch.nn.functional.silu,
    "mish": lambda torch: torch.nn.functional.mish,
    "leaky_relu": lambda torch: lambda x: torch.nn.functional.leaky_relu(x, 0.01),
    "elu": lambda torch: torch.nn.functional.elu,
    "softplus": lambda torch: torch.nn.functional.softplus,
    "clamp": lambda torch: lambda x: torch.clamp(x, -0.5, 0.5),
}
BACKWARD = {
    "relu": lambda torch: lambda g, y: torch.ops.aten.threshold_backward(g, y, 0),
    "gelu": lambda torch: torch.ops.aten.gelu_backward,
    "silu": lambda torch: torch.ops.aten.silu_backward,
    "leaky_relu": lambda torch: lambda g, x: torch.ops.aten.leaky_relu_backward(g, x, 0.01, False),
}
PARAMETERS = {"leaky_relu": (0.01,), "elu": (1.0, 1.0, 1.0), "softplus": (1.0, 20.0), "clamp": (-0.5, 0.5)}


def row(name: str, size: int, suffix: str = "") -> Row:
    operands = [normal(size)]
    if name in ("add", "maximum") or suffix:
        operands.append(operands[0][::-1].copy())  # in memory of its own, which must be read too
    kernel, parameters = getattr(_cpu, name + suffix), PARAMETERS.get(name, ())
    peers = {}
    if have_torch():
        import torch

        function = (BACKWARD if suffix else FORWARD)[name](torch)
        tensors = [torch.from_numpy(a) for a in operands]
        peers = {"torch": lambda: function(*tensors)}
    moved = (len(operands) + 1) * 4 * size
    return Row(f"{name}{suffix} {size}", lambda: kernel(*operands, *parameters), peers, bytes=moved, check=close)


def where(size: int) -> Row:
    x = normal(size)
    mask, other = x > 0, np.zeros_like(x)
    peers = {}
    if have_torch():
        import torch

        tensors = [torch.from_numpy(a) for a in (mask, x, other)]
        peers = {"torch": lambda: torch.where(*tensors)}
    return Row(f"where {size}", lambda: _cpu.where(mask, x, other), peers, bytes=13 * size, check=close)


def rows() -> Rows:
    for size in (1 << 16, 1 << 24):
        for name in FORWARD:
            yield row(name, size)
        for name in BACKWARD:
            yield row(name, size, "_backward")
        yield where(size)
