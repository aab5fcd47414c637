"""Sequence to sequence with recurrent layers and attention (Cho et al. 2014; Luong, Pham and Manning 2015).

The encoder reads the source x_1 ... x_S in both directions, h̄_s = [→h_s; ←h_s]. With the decoder's states d_t, which
start from d_0 = tanh(W_d [→h_S; ←h_1] + b_d),

    d_t = GRU(E y_{t-1}, d_{t-1}),
    score(d_t, h̄_s) = d_tᵀ W_a h̄_s,
    a_t(s) = exp(score(d_t, h̄_s)) / Σ_s' exp(score(d_t, h̄_s')),
    c_t = Σ_s a_t(s) h̄_s,
    d̃_t = tanh(W_c [c_t; d_t]),
    P(y_t | y_1 ... y_{t-1}, x) = softmax(W_o d̃_t + b_o).

So Luong's global attention with the "general" score, without input feeding: d_t depends on no c_t, so that in training,
where all y are given, one call of each layer computes all time steps.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import nn
from ..ops.attention import scaled_dot_product_attention
from ..ops.join import cat
from ..ops.recurrent import recurrent
from ..tensor import Tensor
from .encoder_decoder import EncoderDecoder

__all__ = ["RecurrentSeq2Seq"]


class State(NamedTuple):
    """What the next step of the decoder needs.

    Attributes:
        hidden: d_{t-1}, (1, N, H).
        keys: W_a h̄, (N, S, H).
        values: h̄, (N, S, 2 H).
        seen: which tokens of the sources count, (N, 1, S).
    """

    hidden: Tensor
    keys: Tensor
    values: Tensor
    seen: Tensor


class RecurrentSeq2Seq(EncoderDecoder):
    """A GRU that reads in both directions, and a GRU with attention that writes.

    Args:
        source_size, target_size: the tokens of the two vocabularies.
        features: of the embeddings E.
        hidden: H, the units of the GRUs; of the encoder's, in each direction.
        dropout: the probability with which embeddings and d̃ are zeroed, in training.

    >>> import tinydl
    >>> model = RecurrentSeq2Seq(source_size=9, target_size=5, features=8, hidden=16)
    >>> model(tinydl.tensor([[3, 4, 5, 0]]), tinydl.tensor([[1, 3, 4]])).shape
    (1, 3, 5)
    """

    def __init__(
        self, source_size: int, target_size: int, features: int = 32, hidden: int = 128, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.source_embedding = nn.Embedding(source_size, features, padding_idx=self.pad)
        self.target_embedding = nn.Embedding(target_size, features, padding_idx=self.pad)
        self.encoder = nn.GRU(features, hidden, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, hidden)  # W_d
        self.decoder = nn.GRU(features, hidden)
        self.score = nn.Linear(2 * hidden, hidden, bias=False)  # W_a
        self.combine = nn.Linear(3 * hidden, hidden, bias=False)  # W_c
        self.output = nn.Linear(hidden, target_size)  # W_o
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, given: Tensor) -> Tensor:
        """Logits (N, L, V) for sources (N, S) and the target tokens before each, (N, L)."""
        state = self.encode(source)
        self._check_given(source, given)
        hidden, _ = self._decode(given, state.hidden)
        return self._logits(hidden, state)

    def encode(self, source: Tensor) -> State:
        """The state before the first step."""
        seen = self._seen(source)
        x = self.dropout(self.source_embedding(source.t()))
        (ahead, last), (back, first) = (
            recurrent("gru", x, *weights, reverse=reverse, valid=seen.T)
            for weights, reverse in zip(self.encoder.all_weights, (False, True), strict=True)
        )
        values = cat([ahead, back], 2).transpose(0, 1)  # behind a source's end stands what its padding hides
        hidden = self.bridge(cat([last, first], 1), "tanh")
        return State(hidden.unsqueeze(0), self.score(values), values, Tensor(seen[:, None]))

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, V) of the tokens after ids (N,), and the state behind them."""
        hidden, last = self._decode(ids.unsqueeze(1), state.hidden)
        return self._logits(hidden, state).squeeze(1), state._replace(hidden=last)

    def _decode(self, given: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """All d_t (N, L, H), and the last one (1, N, H)."""
        outputs, last = self.decoder(self.dropout(self.target_embedding(given.t())), hidden)
        return outputs.transpose(0, 1), last

    def _logits(self, hidden: Tensor, state: State) -> Tensor:
        context = scaled_dot_product_attention(hidden, state.keys, state.values, state.seen, scale=1.0)
        return self.output(self.dropout(self.combine(cat([context, hidden], 2), "tanh")))  # type: ignore[no-any-return]
