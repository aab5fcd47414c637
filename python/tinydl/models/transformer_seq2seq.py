"""Sequence to sequence with a Transformer (Vaswani et al. 2017).

Tokens become √E times their embedding plus their sinusoidal position. The encoder's layers look at the whole source;
the decoder's look at the target so far, and at what the encoder gives. The norms stand before the blocks (Xiong et al.
2020), which needs no warm-up of the learning rate.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import nn
from ..ops.attention import scaled_dot_product_attention
from ..ops.join import cat
from ..ops.matmul import linear
from ..ops.position import sinusoidal_positions
from ..tensor import Tensor
from .encoder_decoder import EncoderDecoder

__all__ = ["TransformerSeq2Seq"]

KeysAndValues = tuple[Tensor, Tensor]


class State(NamedTuple):
    """What the next step of the decoder needs; keys and values are (N, heads, tokens, E / heads).

    Attributes:
        own: of each decoder layer, the keys and values of the target's tokens so far; None before the first.
        memory: of each decoder layer, those of the source's tokens.
        seen: which tokens of the sources count, (N, 1, 1, S).
    """

    own: list[KeysAndValues | None]
    memory: list[KeysAndValues]
    seen: Tensor


class TransformerSeq2Seq(EncoderDecoder):
    """Embeddings, `nn.Transformer`, and a product that makes logits.

    Args:
        source_size, target_size: the tokens of the two vocabularies.
        features: E, of embeddings and layers; even.
        heads: of all attentions.
        layers: of the encoder, and of the decoder.
        feedforward: the units within each layer's feed-forward network.
        dropout: the probability of each dropout.

    >>> import tinydl
    >>> model = TransformerSeq2Seq(source_size=9, target_size=5, features=8, heads=2, layers=1, feedforward=16)
    >>> model(tinydl.tensor([[3, 4, 5, 0]]), tinydl.tensor([[1, 3, 4]])).shape
    (1, 3, 5)
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        features: int = 64,
        heads: int = 4,
        layers: int = 2,
        feedforward: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.source_embedding = nn.Embedding(source_size, features, padding_idx=self.pad)
        self.target_embedding = nn.Embedding(target_size, features, padding_idx=self.pad)
        for table in (self.source_embedding, self.target_embedding):
            nn.init.normal_(table.weight, 0.0, 1 / math.sqrt(features))
        self.transformer = nn.Transformer(
            features, heads, layers, layers, feedforward, dropout, batch_first=True, norm_first=True
        )
        self.output = nn.Linear(features, target_size)
        self.dropout = nn.Dropout(dropout)

    def _embedded(self, table: nn.Embedding, ids: Tensor, first: int = 0) -> Tensor:
        """√E times the embedding of ids (N, L) plus the positions from `first` on."""
        size = table.embedding_dim
        positions = sinusoidal_positions(first + ids.shape[1], size)[first:].to(table.weight)
        return self.dropout(table(ids) * math.sqrt(size) + positions)  # type: ignore[no-any-return]

    def forward(self, source: Tensor, given: Tensor) -> Tensor:
        """Logits (N, L, V) for sources (N, S) and the target tokens before each, (N, L)."""
        hidden, weight = Tensor(~self._seen(source)), self.output.weight
        self._check_given(source, given)
        outputs = self.transformer(
            self._embedded(self.source_embedding, source),
            self._embedded(self.target_embedding, given),
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(given.shape[1], given.device, weight.dtype),
            src_key_padding_mask=hidden,
            memory_key_padding_mask=hidden,
            tgt_is_causal=True,
        )
        return self.output(outputs)  # type: ignore[no-any-return]

    # -- Step by step -----------------------------------------------------------------------------------------

    def encode(self, source: Tensor) -> State:
        """The state before the first step: keys and values of the source, for each layer."""
        seen = self._seen(source)
        embedded = self._embedded(self.source_embedding, source)
        memory = self.transformer.encoder(embedded, src_key_padding_mask=Tensor(~seen))
        layers = list(self.transformer.decoder.layers)
        both = [self._projected(layer.multihead_attn, memory, 1) for layer in layers]
        return State([None] * len(layers), [(k, v) for k, v in both], Tensor(seen[:, None, None]))

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, V) of the tokens after ids (N,), and the state with their keys and values."""
        first = state.own[0]
        x = self._embedded(self.target_embedding, ids.unsqueeze(1), 0 if first is None else first[0].shape[2])
        own: list[KeysAndValues | None] = []
        decoder = self.transformer.decoder
        for layer, before, memory in zip(decoder.layers, state.own, state.memory, strict=True):
            q, k, v = self._projected(layer.self_attn, layer.norm1(x))
            if before is not None:
                k, v = cat([before[0], k], 2), cat([before[1], v], 2)
            own.append((k, v))
            x = x + self._attended(layer.self_attn, q, k, v)
            (q,) = self._projected(layer.multihead_attn, layer.norm2(x), 0, 1)
            x = x + self._attended(layer.multihead_attn, q, *memory, state.seen)
            x = x + layer.linear2(layer.linear1(layer.norm3(x), "relu"))
        return self.output(decoder.norm(x)).squeeze(1), state._replace(own=own)

    def _projected(self, attention: nn.MultiheadAttention, x: Tensor, first: int = 0, last: int = 3) -> list[Tensor]:
        """Those from `first` to before `last` of the queries (0), keys (1) and values (2) of x, in heads."""
        weight: Any = attention.in_proj_weight
        bias: Any = attention.in_proj_bias
        if (first, last) != (0, 3):
            rows = slice(first * x.shape[2], last * x.shape[2])
            weight, bias = weight[rows], bias[rows]
        both = linear(x, weight, bias)
        size = x.shape[2] // self.heads
        apart = both.reshape(*x.shape[:2], last - first, self.heads, size).permute(2, 0, 3, 1, 4)
        return list(apart.unbind(0))

    def _attended(
        self, attention: nn.MultiheadAttention, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        """The attention's output (N, 1, E) for queries, keys and values in heads."""
        y = scaled_dot_product_attention(q, k, v, seen)
        return attention.out_proj(y.transpose(1, 2).reshape(len(y), 1, attention.embed_dim))  # type: ignore[no-any-return]
