"""The keys and values that a causal Transformer has computed, kept so that a new token costs one position's work."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import backend
from ..ops.self_attention import phases_like, turn, window_mask
from ..tensor import Array

EPS = 1e-5  # LayerNorm's default


class BlockWeights(NamedTuple):
    """The arrays of one block: pairs of a weight, transposed to (inputs, outputs), and a bias."""

    norm1: tuple[Array, Array]
    qkv: tuple[Array, Array]
    projection: tuple[Array, Array]
    norm2: tuple[Array, Array]
    expand: tuple[Array, Array]
    reduce: tuple[Array, Array]


class Weights(NamedTuple):
    """The arrays of a whole model."""

    table: Array  # (V, features)
    positions: Array | None  # (context, features)
    blocks: list[BlockWeights]
    norm: tuple[Array, Array]


class Cache:
    """Rows of keys and values, one for each position, for every block; filled from the front.

    A cache never moves its rows, so that attention reads a slice of them: what slides is the window over the rows. With
    rotary positions it has room for twice the window, and when that is used up, a new cache begins with the last
    window of the old one: on average a token costs the copy of one row.

    Attributes:
        used: how many rows are written.
    """

    def __init__(self, weights: Weights, batch: int, heads: int, window: int, first: int = 0) -> None:
        self.weights = weights
        self.heads = heads
        self.window = window
        self.batch = batch
        self.used = 0
        features = weights.table.shape[1]
        size = features // heads
        rotary = weights.positions is None
        self.capacity = 2 * window if rotary else window
        self.phases = phases_like(weights.table, first, first + self.capacity, size, heads) if rotary else None
        self.scale = size**-0.5
        rows = [backend.empty((batch, self.capacity, 2, heads, size), weights.table) for _ in weights.blocks]
        self.rows = [each.reshape(batch, self.capacity, 2 * features) for each in rows]
        self.keys = [each[:, :, 0].transpose(0, 2, 1, 3) for each in rows]
        self.values = [each[:, :, 1].transpose(0, 2, 1, 3) for each in rows]

    def copy(self, used: int, seen: int) -> Cache:
        """A cache that begins with the last of the first `used` rows, as many as the next token sees beside itself.

        The last of them is of position seen - 1.
        """
        kept = min(used, self.window - 1)
        new = Cache(self.weights, self.batch, self.heads, self.window, seen - kept)
        for to, rows in zip(new.rows, self.rows, strict=True):
            to[:, :kept] = rows[:, used - kept : used]
        new.used = kept
        return new


class State(NamedTuple):
    """What a model knows of the tokens before: the first `used` rows of a cache.

    Attributes:
        seen: how many tokens there were; the last row is of position seen - 1.
    """

    model: Any
    cache: Cache
    used: int
    seen: int

    def with_room(self, length: int) -> State:
        """A state for as many more tokens: this one, unless its cache is full or holds what another step wrote."""
        cache = self.cache
        if cache.used == self.used and self.used + length <= cache.capacity:
            return self
        cache = cache.copy(self.used, self.seen)
        return State(self.model, cache, cache.used, self.seen)

    def advance(self, x: Array) -> tuple[Array, State]:
        """The output of the blocks for x (N, L, features), embeddings of at most `window` tokens; the next state.

        Each position sees itself and the window - 1 rows before it.
        """
        state = self.with_room(x.shape[1])
        cache, first = state.cache, state.used
        last = first + x.shape[1]
        y = through_blocks(cache, x, first, last)
        cache.used = last
        return y, State(self.model, cache, last, self.seen + x.shape[1])


def through_blocks(cache: Cache, x: Array, first: int, last: int) -> Array:
    """The blocks' output for x (N, L, features), whose keys and values become the rows first ... last - 1.

    Straight on kernels: at one token the tape's and the modules' bookkeeping would take as long as the work.
    """
    n, length, features = x.shape
    begin = max(0, first - cache.window + 1)
    mask = window_mask(length, last - begin, cache.window, x) if length > 1 and first else None
    causal = mask is None and length > 1
    phases = None if cache.phases is None else cache.phases[first:last]
    heads, scale = cache.heads, cache.scale
    in_heads = (n, length, heads, features // heads)
    kernels = backend.of(x)
    norm, matmul, add = kernels.row_norm, kernels.matmul, kernels.add
    x = x.reshape(n * length, features)
    for w, rows, keys, values in zip(cache.weights.blocks, cache.rows, cache.keys, cache.values, strict=True):
        packed = matmul(norm(x, *w.norm1, 1, EPS, True)[0], *w.qkv).reshape(n, length, 3 * features)
        if phases is not None:
            turn(packed, phases)
        rows[:, first:last] = packed[:, :, features:]
        q = packed[:, :, :features].reshape(in_heads).transpose(0, 2, 1, 3)
        y = kernels.attention(q, keys[:, :, begin:last], values[:, :, begin:last], mask, scale, causal)[0]
        x = add(x, matmul(y.transpose(0, 2, 1, 3).reshape(n * length, features), *w.projection))
        x = add(x, matmul(kernels.gelu(matmul(norm(x, *w.norm2, 1, EPS, True)[0], *w.expand)), *w.reduce))
    return x.reshape(n, length, features)


def last_logits(weights: Weights, x: Array) -> Array:
    """The logits (N, V) after the last position of x (N, L, features)."""
    kernels = backend.of(x)
    y = kernels.row_norm(x[:, -1], *weights.norm, 1, EPS, True)[0]
    return kernels.matmul(y, weights.table.T)  # type: ignore[no-any-return]
