"""What models of text have in common: all positions at once to train, one step at a time to write."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..tensor import Tensor

__all__ = ["LanguageModel"]


class LanguageModel(nn.Module):
    """A model of token sequences: P(x_t | x_1 ... x_{t-1}) as logits over a vocabulary.

    Attributes:
        vocabulary_size: the number of tokens V.
    """

    vocabulary_size: int

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (N, L, V) of each position's next token, from ids (N, L)."""
        raise NotImplementedError

    def step(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits (N, V) of the token after ids (N, L), and the state from which the next step goes on.

        Args:
            ids: the tokens that follow those the state has seen, at least one.
            state: what the step before returned; None at the beginning.
        """
        raise NotImplementedError
