"""Attention, forward and with the gradients of query, key and value; FLOPs are those of the products it needs."""

import tinydl
from tinydl.nn import functional

from .harness import Row, Rows, close, have_torch, normal

# (batch, heads, queries, keys, features); the last is a step of generation with kept keys and values
SHAPES = [(8, 12, 128, 128, 64), (2, 12, 512, 512, 64), (1, 12, 2048, 2048, 64), (1, 12, 1, 2048, 64)]


def attention_calls(library, attention, q, k, v, grad, causal):
    """Without a tape, and forward and backward; the gradient of the query is the latter's result."""

    def forward():
        with library.no_grad():
            return attention(q, k, v, is_causal=causal)

    def both():
        q.grad = k.grad = v.grad = None
        attention(q, k, v, is_causal=causal).backward(grad)
        return q.grad

    return forward, both


def same(got, expected) -> None:
    close(got.detach().numpy(), expected.detach())


def rows() -> Rows:
    for batch, heads, queries, keys, features in SHAPES:
        q, k, v = normal(batch, heads, queries, features), *normal(2, batch, heads, keys, features)
        grad = normal(batch, heads, queries, features)
        for causal in (False, True) if queries > 1 else (False,):
            operands = [tinydl.tensor(x).requires_grad_() for x in (q, k, v)]
            forward, both = attention_calls(
                tinydl, functional.scaled_dot_product_attention, *operands, tinydl.tensor(grad), causal
            )
            peers, peers_both = {}, {}
            if have_torch():
                import torch

                theirs = [torch.tensor(x).requires_grad_() for x in (q, k, v)]
                peers["torch"], peers_both["torch"] = attention_calls(
                    torch, torch.nn.functional.scaled_dot_product_attention, *theirs, torch.tensor(grad), causal
                )
            seen = (queries + 1) / 2 if causal else keys
            flops = 4.0 * batch * heads * queries * seen * features
            moved = 4.0 * (2 * q.size + 2 * k.size)
            title = f"attention{' causal' if causal else ''} {batch} x {heads} heads, {queries} x {keys}, {features}"
            yield Row(title, forward, peers, flops=flops, bytes=moved, check=same)
            if queries > 1:
                yield Row(f"{title}, with gradients", both, peers_both, flops=3.5 * flops, bytes=2 * moved, check=same)
