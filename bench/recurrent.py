"""Recurrent layers, forward and with all gradients, from the same weights; FLOPs are those of the products."""

import numpy as np

import tinydl
from tinydl import nn

from .harness import Row, Rows, close, have_torch, normal

# layer, steps, batch, features, units: the text model's, and wider ones; the sequence predictor's
LAYERS = [
    *(("LSTM", 40, 64, 64, 128), ("LSTM", 40, 64, 256, 256), ("LSTM", 20, 32, 512, 512), ("LSTM", 20, 32, 1024, 1024)),
    *(("GRU", 40, 64, 256, 256), ("GRU", 20, 32, 512, 512), ("GRU", 20, 32, 1024, 1024), ("RNN", 10, 32, 10, 32)),
]
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer_calls(library, layer, x, grad):
    """The layer forward without a tape, and forward and backward; the gradient of W is the latter's result."""

    def forward():
        with library.no_grad():
            return layer(x)[0]

    def both():
        layer.zero_grad()
        layer(x)[0].backward(grad)
        return layer.weight_ih_l0.grad

    return forward, both


def same(got, expected) -> None:
    close(got.detach().numpy(), expected.detach())


def rows() -> Rows:
    for name, steps, batch, features, units in LAYERS:
        x, grad = normal(steps, batch, features), normal(steps, batch, units)
        ours = getattr(nn, name)(features, units)
        forward, both = layer_calls(tinydl, ours, tinydl.tensor(x).requires_grad_(), tinydl.tensor(grad))
        peers, peers_both = {}, {}
        if have_torch():
            import torch

            theirs = getattr(torch.nn, name)(features, units)
            theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
            tx, tgrad = torch.tensor(x).requires_grad_(), torch.tensor(grad)
            peers["torch"], peers_both["torch"] = layer_calls(torch, theirs, tx, tgrad)
        flops = 2.0 * steps * batch * GATES[name] * units * (features + units)
        title = f"{name.lower()} {steps} steps, {batch} x {features} -> {units}"
        moved = 4.0 * np.prod((steps, batch, features + GATES[name] * units))
        yield Row(title, forward, peers, flops=flops, bytes=moved, check=same)
        yield Row(f"{title}, with gradients", both, peers_both, flops=3 * flops, bytes=2 * moved, check=same)
