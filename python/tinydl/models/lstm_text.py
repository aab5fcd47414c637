"""The recurrent model of text of document 000, section 4.2: embedding, LSTM, dense layer."""

from __future__ import annotations

from typing import Any

from .. import backend, nn
from ..autograd import is_grad_enabled
from ..ops.random import dropout
from ..ops.recurrent import recurrent
from ..tensor import Array, Tensor
from .language_model import LanguageModel

__all__ = ["LSTMText"]

State = tuple[Tensor, Tensor]


class LSTMText(LanguageModel):
    """Embedding, LSTM and a dense layer: ids (N, L) to the logits (N, L, V) of each position's next token.

    The softmax at the end of the document's model belongs to the loss; and where that model looks at the last position
    alone, this one learns from all.

    Args:
        vocabulary_size: V.
        embedding: the size of the tokens' vectors.
        units: of the LSTM.
        dropout, recurrent_dropout: in training, the shares of its inputs and of h_{t-1} that are zeroed, the others
            divided by what remains; a sequence has one mask for all its steps and gates (Gal and Ghahramani 2016).

    Attributes:
        embedding: `nn.Embedding`, (V, embedding).
        lstm: `nn.LSTM` of one layer.
        head: `nn.Linear`, units to V.

    Raises:
        IndexError: an id is negative, or V or above. ValueError: shapes that do not fit, or no position at all.

    >>> import tinydl
    >>> model = LSTMText(65)
    >>> model(tinydl.zeros(2, 10, dtype=tinydl.int64)).shape
    (2, 10, 65)
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding: int = 64,
        units: int = 128,
        dropout: float = 0.2,
        recurrent_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if vocabulary_size < 1:
            raise ValueError(f"LSTMText: got vocabulary_size={vocabulary_size}, wanted at least 1")
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= rate <= 1:
                raise ValueError(f"LSTMText: got {name}={rate}, wanted a probability in [0, 1]")
        self.vocabulary_size = vocabulary_size
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.embedding = nn.Embedding(vocabulary_size, embedding)
        self.lstm = nn.LSTM(embedding, units)
        self.head = nn.Linear(units, vocabulary_size)

    def extra_repr(self) -> str:
        """The dropout."""
        return f"dropout={self.dropout}, recurrent_dropout={self.recurrent_dropout}"

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (N, L, V); in memory the positions come first."""
        x = self._embedded(ids)
        mask = None
        if self.training:
            batch = x.shape[1]
            if self.dropout:
                x = x * _mask(batch, x.shape[2], self.dropout, x)
            if self.recurrent_dropout:
                mask = _mask(batch, self.lstm.hidden_size, self.recurrent_dropout, x)
        h = recurrent("lstm", x, *_parameters(self.lstm), mask=mask)[0]
        return self.head(h).transpose(0, 1)  # type: ignore[no-any-return]

    def step(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (N, V) of the token after ids (N, L), and (h, c), each (N, units), from which the next step goes on.

        Nothing is dropped, in training neither.

        Raises:
            IndexError: an id is no token. ValueError: no token at all, or states of another batch or size.
            TypeError: the state is no pair of tensors, or of another dtype than the weights.
        """
        if state is None:
            _, h, c = recurrent("lstm", self._embedded(ids), *_parameters(self.lstm))
            return self.head(h), (h, c)
        _check_ids(ids)
        self._check_state(ids, state)
        if ids.shape[1:] == (1,) and not is_grad_enabled() and backend.takes(state[0]._data):
            return self._next(ids._data[:, 0], state[0]._data, state[1]._data)
        _, h, c = recurrent("lstm", self._embedded(ids), *[*_parameters(self.lstm), *state])
        return self.head(h), (h, c)

    def _check_state(self, ids: Tensor, state: State) -> None:
        h, c = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        if not (isinstance(h, Tensor) and isinstance(c, Tensor)):
            raise TypeError(f"LSTMText: got a state of {type(state).__name__}, wanted the (h, c) that a step returned")
        wanted = (ids.shape[0], self.lstm.hidden_size)
        if not h.shape == c.shape == wanted:
            raise ValueError(f"LSTMText: got states {h.shape} and {c.shape}, wanted {wanted}")

    def _embedded(self, ids: Tensor) -> Tensor:
        """(L, N, embedding)."""
        _check_ids(ids)
        return self.embedding(ids.t())  # type: ignore[no-any-return]

    def _next(self, ids: Array, h: Array, c: Array) -> tuple[Tensor, State]:
        """`step` for ids (N,), on arrays: products of few rows cost less than to pack U for the kernel of all steps."""
        kernels = backend.of(h)
        w, u, b, b_h = [weight._data for weight in _parameters(self.lstm)]
        parts = kernels.matmul(kernels.embedding(self.embedding.weight._data, ids), w.T, b)
        parts += kernels.matmul(h, u.T, b_h)
        n = c.shape[1]
        gates = kernels.sigmoid(parts)
        c = gates[:, n : 2 * n] * c
        c += gates[:, :n] * kernels.tanh(parts[:, 2 * n : 3 * n])
        h = gates[:, 3 * n :] * kernels.tanh(c)
        v, b = [weight._data for weight in _parameters(self.head)]
        return Tensor(kernels.matmul(h, v.T, b)), (Tensor(h), Tensor(c))


def _check_ids(ids: Tensor) -> None:
    if not isinstance(ids, Tensor):
        raise TypeError(f"LSTMText: got ids of {type(ids).__name__}, wanted a tensor")
    if ids.ndim != 2 or not ids.shape[1]:
        raise ValueError(f"LSTMText: got ids of shape {ids.shape}, wanted (N, L) with L at least 1")


def _mask(batch: int, size: int, rate: float, like: Tensor) -> Tensor:
    """(batch, size): 0 with probability `rate`, else 1/(1 - rate)."""
    return dropout(Tensor(backend.ones((batch, size), like._data)), rate)


def _parameters(layer: nn.Module) -> list[Any]:
    """A layer's parameters as it made them one after the other, of the LSTM W, U, b and b_h: quicker than by name."""
    return list(layer._parameters.values())
