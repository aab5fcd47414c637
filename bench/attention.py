"""Attention, forward and with the gradients of query, key and value; FLOPs are those of the products it needs.

JAX and Keras are peers where nothing is masked. torch.compile leaves PyTorch's fused attention as it is.
"""

import functools

import tinydl
from tinydl import backend
from tinydl.nn import functional

from .harness import Later, Row, Rows, close, have_torch, normal
from .peers.remote import remotes

# (batch, heads, queries, keys, features); the last is a step of generation with kept keys and values
SHAPES = [(8, 12, 128, 128, 64), (2, 12, 512, 512, 64), (1, 12, 2048, 2048, 64), (1, 12, 1, 2048, 64)]


def attention_calls(library, attention, operands, grad, causal):
    """Without a tape, and forward and backward; the gradient of the query is the latter's result."""
    q, k, v = operands

    def forward():
        with library.no_grad():
            return attention(q, k, v, is_causal=causal)

    def both():
        q.grad = k.grad = v.grad = None
        attention(q, k, v, is_causal=causal).backward(grad)
        return q.grad

    return forward, both


def attention_row(shape, causal, gradients, others=True) -> Row:
    """`others` are the peers beside PyTorch."""
    batch, heads, queries, keys, features = shape
    arrays = normal(batch, heads, queries, features), *normal(2, batch, heads, keys, features)
    grad = normal(batch, heads, queries, features)
    operands = [tinydl.tensor(x).requires_grad_() for x in arrays]
    calls = attention_calls(tinydl, functional.scaled_dot_product_attention, operands, tinydl.tensor(grad), causal)
    peers = {}
    if have_torch():
        import torch

        theirs = [torch.tensor(x).requires_grad_() for x in arrays]
        peers["torch"] = attention_calls(
            torch, torch.nn.functional.scaled_dot_product_attention, theirs, torch.tensor(grad), causal
        )[gradients]
    if others and queries > 1 and not causal:
        job = {"what": "attention", "causal": causal, "gradients": gradients, "grad": grad}
        peers |= remotes("sequences", backend.num_threads(), **job, **dict(zip("qkv", arrays, strict=True)))
    flops = 4.0 * batch * heads * queries * ((queries + 1) / 2 if causal else keys) * features
    moved = 4.0 * 2 * sum(x.size for x in arrays[:2])
    return Row(
        row_name(shape, causal, gradients),
        calls[gradients],
        peers,
        flops=3.5 * flops if gradients else flops,
        bytes=2 * moved if gradients else moved,
        check=close,
    )


def row_name(shape, causal, gradients) -> str:
    batch, heads, queries, keys, features = shape
    name = f"attention{' causal' if causal else ''} {batch} x {heads} heads, {queries} x {keys}, {features}"
    return f"{name}, with gradients" if gradients else name


def rows() -> Rows:
    for shape in SHAPES:
        several = (False, True) if shape[2] > 1 else (False,)
        for causal in several:
            for gradients in several:
                yield Later(
                    row_name(shape, causal, gradients), functools.partial(attention_row, shape, causal, gradients)
                )
