"""Recurrent layers, forward and with all gradients, from the same weights; FLOPs are those of the products.

With gradients JAX and Keras are peers too. torch.compile leaves PyTorch's recurrent layers as they are.
"""

import functools

import tinydl
from tinydl import backend, nn

from .harness import Later, Row, Rows, close, have_torch, normal
from .peers.remote import remotes

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


def layer_row(name, steps, batch, features, units, gradients) -> Row:
    """The layer alone, or with its gradients."""
    x, grad = normal(steps, batch, features), normal(steps, batch, units)
    ours = getattr(nn, name)(features, units)
    state = {key: value.numpy() for key, value in ours.state_dict().items()}
    calls = layer_calls(tinydl, ours, tinydl.tensor(x).requires_grad_(), tinydl.tensor(grad))
    peers = {}
    if have_torch():
        import torch

        theirs = getattr(torch.nn, name)(features, units)
        theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
        tx, tgrad = torch.tensor(x).requires_grad_(), torch.tensor(grad)
        peers["torch"] = layer_calls(torch, theirs, tx, tgrad)[gradients]
    if gradients:
        job = {**state, "what": name.lower(), "gradients": True, "x": x, "grad": grad}
        peers |= remotes("sequences", backend.num_threads(), **job)
    flops = 2.0 * steps * batch * GATES[name] * units * (features + units)
    moved = 4.0 * steps * batch * (features + GATES[name] * units)
    return Row(
        row_name(name, steps, batch, features, units, gradients),
        calls[gradients],
        peers,
        flops=3 * flops if gradients else flops,
        bytes=2 * moved if gradients else moved,
        check=close,
    )


def row_name(name, steps, batch, features, units, gradients) -> str:
    return f"{name.lower()} {steps} steps, {batch} x {features} -> {units}{', with gradients' if gradients else ''}"


def rows() -> Rows:
    for layer in LAYERS:
        for gradients in (False, True):
            yield Later(row_name(*layer, gradients), functools.partial(layer_row, *layer, gradients))
