"""What a small operation costs beyond its kernels: the tensors, the checks and the tape.

The limit that the project sets itself: 3 us forward, 4 us more with the backward pass, beyond the kernel calls.
"""

import numpy as np

import tinydl
from tinydl import _cpu

from .harness import Row, Rows, have_torch


def rows() -> Rows:
    array = np.ones(4, np.float32)
    x, upstream = tinydl.ones(4), tinydl.ones(4)
    leaf = tinydl.ones(4, requires_grad=True)
    peers = {"forward": {}, "recorded": {}, "backward": {}}
    if have_torch():
        import torch

        tx, tleaf = torch.ones(4), torch.ones(4, requires_grad=True)
        tup = torch.ones(4)
        peers = {
            "forward": {"torch": lambda: torch.relu(tx)},
            "recorded": {"torch": lambda: torch.relu(tleaf)},
            "backward": {"torch": lambda: torch.autograd.grad(torch.relu(tleaf), tleaf, tup)},
        }
    yield Row("relu of 4: the kernel", lambda: _cpu.relu(array))
    yield Row("relu of 4: the gradient's kernel", lambda: _cpu.relu_backward(array, array))
    yield Row("relu of 4: op", lambda: tinydl.relu(x), peers["forward"])
    yield Row("relu of 4: recorded op", lambda: tinydl.relu(leaf), peers["recorded"])

    def both() -> None:
        leaf.grad = None
        tinydl.relu(leaf).backward(upstream)

    yield Row("relu of 4: op and backward", both, peers["backward"])
