"""Causal self-attention as one operation, projections and rotary positions included."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import backend, capture, cuda
from ..autograd import Function
from ..random import default_generator
from ..tensor import Array, Tensor
from . import autocast
from .join import join
from .matmul import check_operands


def rotary_phases(start: int, stop: int, features: int, heads: int, dtype: np.dtype[np.generic]) -> Array:
    """e^(i t / 10000^(2 j / E)) of the positions t, for pair j of E features in each head of queries and keys.

    (stop - start, heads E), complex, with the precision of `dtype`; computed in float64.
    """
    frequencies = 10000.0 ** (-np.arange(0, features, 2) / max(features, 1))
    turns = np.exp(1j * (np.arange(start, stop)[:, None] * frequencies))
    return np.tile(turns.astype(np.result_type(dtype, np.complex64)), 2 * heads)


@functools.lru_cache(maxsize=8)
def _phases_on(device: str, *args: Any) -> Array:
    """`rotary_phases` on a GPU, copied there once."""
    return cuda.arrived(backend.place(rotary_phases(*args), device))  # type: ignore[no-any-return]


def phases_like(x: Array, start: int, stop: int, features: int, heads: int) -> Array:
    """`rotary_phases` of x's dtype, where x lies."""
    if backend.is_on_host(x):
        return rotary_phases(start, stop, features, heads, x.dtype)
    phases: Array = capture.keep(_phases_on(backend.device_of(x), start, stop, features, heads, x.dtype))
    return phases


def turn(packed: Array, phases: Array) -> None:
    """Rotate, in place, the queries and keys of packed (N, L, 3 H E) by phases (L, H E): `rotary` of both at once.

    A pair of neighbouring features is a complex number, and a rotation its product with e^(i angle); in float32 where
    the features have 16 bits.
    """
    if packed.dtype.itemsize == 2:
        turned = packed[..., : 2 * phases.shape[-1]]
        wide = turned.astype(np.float32, order="C")
        turn(wide, phases)
        turned[...] = wide
        return
    pairs = packed.view(phases.dtype)[..., : phases.shape[-1]]
    np.multiply(pairs, phases, out=pairs)


def window_mask(queries: int, keys: int, window: int, like: Array) -> Array:
    """(queries, keys), True where a query sees a key: itself, at the end of the keys, and the window - 1 before it.

    It lies where `like` does.
    """
    distance = np.arange(keys - queries, keys)[:, None] - np.arange(keys)
    mask: Array = (distance >= 0) & (distance < window)
    return backend.place(mask, backend.device_of(like))


class SelfAttention(Function):
    """Y = Attention(R Q, R K, V) of each head, with [Q K V] = X W^T + b; R turns by the positions, or is absent.

    `ops.attention.Attention` has the gradients of Q, K and V; R turns them back. X is (N, L, features).
    """

    def __init__(self, heads: int, phases: Array | None, window: int | None, p: float) -> None:
        self.heads = heads
        self.phases = phases
        self.window = window
        self.p = p
        self.stream = (0, 0)

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        n, length, features = x.shape
        rows = x.reshape(n * length, features)
        kernels = backend.of(x)
        packed = kernels.matmul(rows, weight.T, bias, "none").reshape(n, length, weight.shape[0])
        if self.phases is not None:
            turn(packed, self.phases)
        size = packed.shape[2] // 3
        self.scale = (size // self.heads) ** -0.5
        if self.p:
            self.stream = default_generator.reserve(n * self.heads * length * -(-length // 4) * 4)
        causal = self.window is None or self.window >= length
        mask = None if causal else window_mask(length, length, self.window or 0, x)
        o, lse = kernels.attention(*self._parts(packed), mask, self.scale, causal, self.p, *self.stream)
        y: Array = o.transpose(0, 2, 1, 3).reshape(n, length, size)
        self.save(x, weight, packed, mask, y, lse)
        return y

    def _parts(self, packed: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values, (N, H, L, E) each."""
        n, length, size = packed.shape
        q, k, v = packed.reshape(n, length, 3, self.heads, size // (3 * self.heads)).transpose(2, 0, 3, 1, 4)
        return q, k, v

    def _in_heads(self, y: Array) -> Array:
        n, length, size = y.shape
        heads: Array = y.reshape(n, length, self.heads, size // self.heads).transpose(0, 2, 1, 3)
        return heads

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight, packed, mask, y, lse = self.saved
        kernels = backend.of(grad)
        d_parts = kernels.attention_backward(
            self._in_heads(grad), *self._parts(packed), mask, self._in_heads(y), lse, self.scale, mask is None, self.p,
            *self.stream,
        )  # fmt: skip
        d_packed = join(tuple([d.transpose(0, 2, 1, 3).reshape(y.shape) for d in d_parts]), 2)
        if self.phases is not None:
            turn(d_packed, self.phases.conj())
        d_rows = d_packed.reshape(-1, d_packed.shape[2])
        needs = self.needs
        return (
            kernels.matmul(d_rows, weight).reshape(x.shape) if needs[0] else None,
            kernels.matmul(d_rows.T, x.reshape(-1, x.shape[2])) if needs[1] else None,
            kernels.sum(d_rows, (0,), False) if needs[2] else None,
        )


def causal_self_attention(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    heads: int,
    phases: Array | None = None,
    window: int | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    """Y_h = softmax(Q_h K_hᵀ / √E) V_h with [Q K V] = x Wᵀ + b: each position sees itself and those before it.

    Args:
        x: (N, L, features), float32 or float64; on a GPU float16 and bfloat16 too.
        weight: W, (3 heads E, features): the rows of all queries, then of all keys, then of all values.
        bias: b, (3 heads E,), or None.
        heads: how many heads share the queries, each with E of them.
        phases: of the positions, from `rotary_phases`; None leaves Q and K as they are. They turn in float32 what has
            16 bits.
        window: how many positions a query sees at most, itself included; None is all.
        dropout_p: the probability of zeroing a weight of the softmax.

    Returns:
        (N, L, heads E), the heads side by side.

    Raises:
        ValueError: the shapes do not fit. TypeError: the dtypes differ, or are none of those.

    Sources: Vaswani et al. 2017, "Attention is all you need"; Su et al. 2021, "RoFormer".

    >>> import tinydl
    >>> causal_self_attention(tinydl.ones(2, 5, 8), tinydl.ones(24, 8), None, heads=2).shape
    (2, 5, 8)
    """
    op = "causal_self_attention"
    if autocast.on:
        x, weight, bias = autocast.inputs(op, x, weight, bias)
    check_operands(op, x, weight, bias)
    if heads < 1 or (window is not None and window < 1):
        raise ValueError(f"{op}: got {heads} heads and a window of {window}, wanted at least 1")
    width = weight.shape[0] if weight.ndim == 2 else 0
    if x.ndim != 3 or not width or x.shape[2] != weight.shape[1] or width % (3 * heads):
        raise ValueError(
            f"{op}: got x {x.shape}, weight {weight.shape} and {heads} heads, wanted (N, L, features) and "
            "(3 heads E, features)"
        )
    if not backend.takes(x._data):
        raise TypeError(f"{op}: got dtype {x.dtype}, wanted float32 or float64 (on a GPU 16-bit floats too)")
    turns = x.shape[1], width // 3
    if phases is not None and (phases.shape != turns or phases.dtype.char != ("D" if x.dtype.itemsize == 8 else "F")):
        raise ValueError(
            f"{op}: got phases of {phases.dtype} and shape {phases.shape}, wanted those of {turns[0]} positions in all "
            f"heads, {turns}, of the precision of {x.dtype}"
        )
    phases = None if phases is None else backend.beside(phases, x._data)
    out: Tensor = SelfAttention(heads, phases, window, float(dropout_p)).apply(x, weight, bias)
    return out
