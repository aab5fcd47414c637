"""One step of a recurrent layer: RNNCell, LSTMCell and GRUCell."""

from __future__ import annotations

import math
from typing import Any

from .. import backend, dtypes
from ..ops import recurrent as ops
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class RNNCellBase(Module):
    """What the cells share.

    Args:
        input_size: the features of x.
        hidden_size: the units of h.
        bias: whether b and b_h are added.
        num_chunks: the gates, 1, 3 or 4.
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: W, U, b and b_h, at first uniform in ±1/√hidden_size; the biases may be
            None.
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__()
        if not (isinstance(input_size, int) and isinstance(hidden_size, int)) or input_size < 0 or hidden_size < 1:
            raise ValueError(f"{type(self).__name__}: got input_size={input_size} and hidden_size={hidden_size}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        wide, dtype = num_chunks * hidden_size, dtype or dtypes.float32
        self.weight_ih = Parameter(backend.empty_on((wide, input_size), dtype, device))
        self.weight_hh = Parameter(backend.empty_on((wide, hidden_size), dtype, device))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(backend.empty_on(wide, dtype, device)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _step(self, cell: str, input: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, ...]:
        """The states after one step of a batch (B, I), or of one vector (I,)."""
        name = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: got an input of shape {input.shape}, wanted (B, {self.input_size}) or ({self.input_size},)"
            )
        for state in (h, c):
            if state is not None and state.shape != (*input.shape[:-1], self.hidden_size):
                wanted = (*input.shape[:-1], self.hidden_size)
                raise ValueError(f"{name}: got a state of shape {state.shape}, wanted {wanted}")
        single = input.ndim == 1
        x, *states = (None if t is None else t.unsqueeze(0) if single else t for t in (input, h, c))
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        out = ops.recurrent(cell, x.unsqueeze(0), *weights, *states)[1:]  # type: ignore[union-attr]
        return tuple(t.squeeze(0) for t in out) if single else out


class RNNCell(RNNCellBase):
    """h' = f(W x + b + U h + b_h), with `nonlinearity` "tanh" or "relu".

    >>> import tinydl
    >>> RNNCell(10, 32)(tinydl.zeros(8, 10)).shape
    (8, 32)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: got nonlinearity {nonlinearity!r}, wanted 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state; `hx` is the last, by default 0."""
        return self._step(f"rnn_{self.nonlinearity}", input, hx, None)[0]

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: i, f, o = σ(...), g = tanh(...) of W x + b + U h + b_h; c' = f c + i g; h' = o tanh(c').

    >>> import tinydl
    >>> h, c = LSTMCell(10, 32)(tinydl.zeros(8, 10))
    >>> h.shape, c.shape
    ((8, 32), (8, 32))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next h and c; `hx` are the last, by default 0."""
        h, c = hx if hx is not None else (None, None)
        new_h, new_c = self._step("lstm", input, h, c)
        return new_h, new_c


class GRUCell(RNNCellBase):
    """One step of `GRU`: s, z = σ(...) of W x + b + U h + b_h; n = tanh(W_n x + b_n + s (U_n h + b_hn));
    h' = (1 - z) n + z h.

    >>> import tinydl
    >>> GRUCell(10, 32)(tinydl.zeros(8, 10)).shape
    (8, 32)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state; `hx` is the last, by default 0."""
        return self._step("gru", input, hx, None)[0]
