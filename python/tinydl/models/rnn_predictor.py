"""The recurrent network that predicts a sequence's next vector (document 004)."""

from __future__ import annotations

from .. import nn
from ..tensor import Tensor

__all__ = ["RNNPredictor"]


class RNNPredictor(nn.Module):
    """h_t = tanh(W x_t + b + U h_{t-1} + b_h), ŷ = V h_T + c: sequences (N, T, features) to vectors (N, features).

    Keras's SimpleRNN has one bias where this one, as in PyTorch, has b and b_h.

    Args:
        features: of x_t and ŷ.
        hidden: the units of h_t.

    >>> import tinydl
    >>> RNNPredictor()(tinydl.zeros(4, 10, 10)).shape
    (4, 10)
    """

    def __init__(self, features: int = 10, hidden: int = 32) -> None:
        super().__init__()
        self.recurrent = nn.RNN(features, hidden, batch_first=True)
        self.output = nn.Linear(hidden, features)

    def forward(self, input: Tensor) -> Tensor:
        """ŷ."""
        _, last = self.recurrent(input)
        return self.output(last[0])  # type: ignore[no-any-return]
