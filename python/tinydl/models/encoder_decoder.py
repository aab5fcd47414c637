"""What models have in common that read a whole sequence and then write another one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, nn
from ..autograd import no_grad
from ..tensor import Array, Tensor

__all__ = ["EncoderDecoder"]


class EncoderDecoder(nn.Module):
    """A model of P(y_t | y_1 ... y_{t-1}, x) as logits over the target's vocabulary, x being a source of tokens.

    Attributes:
        pad: the id that fills up sources to one length; what stands there has no influence.
        start: the id before the first y.
        end: the id after the last y.
    """

    pad, start, end = 0, 1, 2

    def forward(self, source: Tensor, given: Tensor) -> Tensor:
        """Logits (N, L, V) of y_1 ... y_L, from sources (N, S) and what stands before each, start y_1 ... y_{L-1}."""
        raise NotImplementedError

    def encode(self, source: Tensor) -> Any:
        """The state before the first step, of sources (N, S)."""
        raise NotImplementedError

    def step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (N, V) of the tokens after ids (N,), and the state from which the next step goes on."""
        raise NotImplementedError

    def greedy(self, source: Tensor, longest: int) -> Tensor:
        """The targets that come of the likeliest token in each step, ids (N, L), padded behind their `end`.

        In evaluation mode, without gradients. It stops when all have ended, or after `longest` steps.
        """
        if longest < 1:
            raise ValueError(f"{type(self).__name__}: got longest={longest}, wanted at least 1")
        before = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with no_grad():
                return self._greedy(source, longest)
        finally:
            for module, mode in before:
                module.training = mode

    def _check_given(self, source: Tensor, given: Tensor) -> None:
        """ValueError unless target tokens (N, L) belong to sources (N, S)."""
        if given.ndim != 2 or len(given) != len(source):
            name, batch = type(self).__name__, len(source)
            raise ValueError(f"{name}: got targets of shape {given.shape}, wanted ({batch}, L), one for each source")

    def _greedy(self, source: Tensor, longest: int) -> Tensor:
        state = self.encode(source)
        ids = np.full(len(source), self.start)
        ended = np.zeros(len(source), bool)
        written = []
        for _ in range(longest):
            logits, state = self.step(Tensor(backend.beside(ids, source._data)), state)
            ids = np.where(ended, self.pad, backend.to_host(logits._data.argmax(1)))
            written.append(ids)
            ended |= ids == self.end
            if ended.all():
                break
        return Tensor(backend.beside(np.stack(written, 1), source._data))

    def _seen(self, source: Tensor) -> Array:
        """Which tokens of sources (N, S) are not padding; ValueError unless each has such, and only padding behind."""
        name = type(self).__name__
        if not isinstance(source, Tensor):
            raise TypeError(f"{name}: got sources of {type(source).__name__}, wanted a tensor")
        if source.ndim != 2 or not source.shape[1]:
            raise ValueError(f"{name}: got sources of shape {source.shape}, wanted (N, S) with at least one token")
        seen: Array = source._data != self.pad
        if not seen[:, 0].all() or (seen[:, 1:] > seen[:, :-1]).any():
            raise ValueError(f"{name}: a source is empty, or has the padding {self.pad} before its end")
        return seen
