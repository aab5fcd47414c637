"""Recurrent layers over sequences: RNN, LSTM and GRU, several layers deep and in both directions."""

from __future__ import annotations

import math
from typing import Any

from .. import backend, creation, dtypes
from ..ops import index, join, random
from ..ops import recurrent as ops
from ..tensor import Array, Tensor
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, packed, packed_steps, padded

States = Tensor | tuple[Tensor, Tensor]


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the parameters of all layers and directions, and their walk over a sequence.

    Args:
        mode: the cell, "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: the features of x_t.
        hidden_size: the units of h_t.
        num_layers: how many layers stand on each other.
        bias: whether b and b_h are added.
        batch_first: whether inputs and outputs are (B, T, ...) instead of (T, B, ...); states always are
            (layers, B, units).
        dropout: the probability with which the outputs of each layer but the last are zeroed, in training.
        bidirectional: whether a second set of weights walks from the last time step to the first; the outputs of both
            lie side by side.
        proj_size: of LSTM, the units of the projected h_t; 0 for none.
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters; float16 and bfloat16 compute in float32.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: W (G H, I), U (G H, H), b and b_h (G H,) of the first layer,
            and so on with `_l1`; `_reverse` at the end for the other direction; weight_hr_l0 the projection. At first
            uniform in ±1/√hidden_size.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for what, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                error = ValueError if isinstance(size, int) else TypeError
                raise error(f"{name}: got {what}={size!r}, wanted an integer of at least 1")
        for what, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name}: got {what}={flag!r}, wanted a bool")
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: got dropout={dropout!r}, wanted a probability in [0, 1]")
        if not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size or (proj_size and mode != "LSTM"):
            raise ValueError(f"{name}: got proj_size={proj_size}, wanted 0, or for LSTM less than hidden_size")
        if mode.lower() not in ops.GATES:
            raise ValueError(f"{name}: got mode {mode!r}, wanted one of {', '.join(ops.GATES).upper()}")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._make(dtype or dtypes.float32, device)

    def _make(self, dtype: Any, device: str | None) -> None:
        wide = ops.GATES[self.mode.lower()] * self.hidden_size
        outputs = self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            inputs = outputs * self._directions if layer else self.input_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (wide, inputs), "weight_hh": (wide, outputs)}
            if self.bias:
                shapes.update(bias_ih=(wide,), bias_hh=(wide,))
            if self.proj_size:
                shapes["weight_hr"] = (outputs, self.hidden_size)
            for direction in range(self._directions):
                for name, shape in shapes.items():
                    parameter = Parameter(backend.empty_on(shape, dtype, device))
                    self.register_parameter(name + self._suffix(layer, direction), parameter)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @staticmethod
    def _suffix(layer: int, direction: int) -> str:
        return f"_l{layer}{'_reverse' if direction else ''}"

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        suffixes = (self._suffix(n, d) for n in range(self.num_layers) for d in range(self._directions))
        return [[getattr(self, n + end) for n in names if hasattr(self, n + end)] for end in suffixes]

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: weights are packed in every call. PyTorch's scripts call it for cuDNN."""

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        out = f"{self.input_size}, {self.hidden_size}"
        shown = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        for name, usual in {**shown, "bidirectional": False}.items():
            if getattr(self, name) != usual:
                out += f", {name}={getattr(self, name)}"
        return out

    def _states(self, states: Tensor, what: str, size: int, batch: int, batched: bool) -> Tensor:
        """States as (layers, B, units)."""
        layers = self.num_layers * self._directions
        wanted = (layers, batch, size) if batched else (layers, size)
        if not isinstance(states, Tensor):
            raise TypeError(f"{type(self).__name__}: got {what} of {type(states).__name__}, wanted a tensor")
        if states.shape != wanted:
            raise ValueError(f"{type(self).__name__}: got {what} of shape {states.shape}, wanted {wanted}")
        return states if batched else states.unsqueeze(1)

    def _through(
        self, x: Tensor, h0: Tensor | None, c0: Tensor | None, valid: Array | None, batch_first: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """All layers over x (T, B, I), or (B, T, I): outputs, last h and last c of all layers. No states are zeros."""
        last_h: list[Tensor] = []
        last_c: list[Tensor] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self._directions):
                place = len(last_h)
                states = (None if h0 is None else h0[place], None if c0 is None else c0[place])
                out = self._layer(x, layer, direction, states, valid, batch_first)
                outputs.append(out[0])
                last_h.append(out[1])
                last_c += out[2:]
            x = outputs[0] if len(outputs) == 1 else join.cat(outputs, 2)
            if self.dropout and self.training and layer + 1 < self.num_layers:
                x = random.dropout(x, self.dropout)
        return x, _stacked(last_h), _stacked(last_c) if last_c else None

    def _layer(
        self,
        x: Tensor,
        layer: int,
        direction: int,
        states: tuple[Tensor | None, Tensor | None],
        valid: Array | None,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        end = self._suffix(layer, direction)
        w, u, b, b_h = (self._weight(name + end) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        if w is None or u is None:
            raise ValueError(f"{type(self).__name__}: the weights of layer {layer} are missing")
        reverse = bool(direction)
        if not self.proj_size:
            return ops.recurrent(
                self.mode.lower(), x, w, u, b, b_h, *states, reverse=reverse, valid=valid, batch_first=batch_first
            )
        x = x.transpose(0, 1) if batch_first else x
        kind: Any = {"dtype": x.dtype, "device": x.device}
        h0 = creation.zeros(x.shape[1], self.proj_size, **kind) if states[0] is None else states[0]
        c0 = creation.zeros(x.shape[1], self.hidden_size, **kind) if states[1] is None else states[1]
        projection: Any = self._weight("weight_hr" + end)
        y, h, c = ops.projected_lstm(x, w, u, b, b_h, projection, h0, c0, reverse=reverse, valid=valid)
        return y.transpose(0, 1) if batch_first else y, h, c

    def _weight(self, name: str) -> Tensor | None:
        """A parameter, or the tensor that somebody put in its place; None if there is none."""
        parameter = self._parameters.get(name)  # quicker than the attribute
        return getattr(self, name, None) if parameter is None else parameter

    def _sequence(
        self, input: Tensor | PackedSequence, h0: Tensor | None, c0: Tensor | None
    ) -> tuple[Tensor | PackedSequence, Tensor, Tensor | None]:
        """forward for all kinds of input: padded or packed, batched or not."""
        if isinstance(input, PackedSequence):
            return self._packed(input, h0, c0)
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: got {type(input).__name__}, wanted a tensor or a PackedSequence")
        batched = input.ndim == 3
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            wanted = "(B, T" if self.batch_first else "(T, B"
            raise ValueError(f"{name}: got an input of shape {input.shape}, wanted {wanted}, {self.input_size})")
        x = input if batched else input.unsqueeze(1)
        batch_first = batched and self.batch_first
        if not x.shape[batch_first]:
            raise ValueError(f"{name}: got an input of shape {input.shape}, wanted at least one time step")
        if h0 is None:
            y, last_h, last_c = self._through(x, None, None, None, batch_first)
        else:
            h, c = self._both(h0, c0, x.shape[not batch_first], batched)
            y, last_h, last_c = self._through(x, h, c, None, batch_first)
        if not batched:
            return y.squeeze(1), last_h.squeeze(1), None if last_c is None else last_c.squeeze(1)
        return y, last_h, last_c

    def _both(self, h0: Tensor, c0: Tensor | None, batch: int, batched: bool) -> tuple[Tensor, Tensor | None]:
        h = self._states(h0, "h_0", self.proj_size or self.hidden_size, batch, batched)
        c = None if c0 is None else self._states(c0, "c_0", self.hidden_size, batch, batched)
        return h, c

    def _packed(
        self, input: PackedSequence, h0: Tensor | None, c0: Tensor | None
    ) -> tuple[PackedSequence, Tensor, Tensor | None]:
        data, sizes, order, unorder = input
        if data.ndim != 2 or data.shape[1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: got packed data of shape {data.shape}, wanted (steps, {self.input_size})"
            )
        steps = packed_steps(sizes)
        h, c = (None, None) if h0 is None else self._both(h0, c0, steps.shape[1], True)
        if order is not None:
            h, c = (None if state is None else index.index_select(state, 1, order) for state in (h, c))
        y, last_h, last_c = self._through(padded(data, steps), h, c, steps)
        if unorder is not None:
            last_h = index.index_select(last_h, 1, unorder)
            last_c = None if last_c is None else index.index_select(last_c, 1, unorder)
        return PackedSequence(packed(y, steps), sizes, order, unorder), last_h, last_c


def _stacked(states: list[Tensor]) -> Tensor:
    """Tensors one behind the other along a new first axis."""
    return states[0].unsqueeze(0) if len(states) == 1 else join.stack(states)


class RNN(RNNBase):
    """h_t = f(W x_t + b + U h_{t-1} + b_h) with f = tanh or relu (Elman 1990).

    Args:
        nonlinearity: "tanh" or "relu"; the others are RNNBase's (input_size, hidden_size, num_layers, ...).

    >>> import tinydl
    >>> y, h = RNN(10, 32, batch_first=True)(tinydl.zeros(8, 5, 10))
    >>> y.shape, h.shape
    ((8, 5, 32), (1, 8, 32))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: got nonlinearity {nonlinearity!r}, wanted 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """All h_t of the last layer, and the last h of every layer and direction; `hx` are the first, by default 0."""
        return self._sequence(input, hx, None)[:2]


class GRU(RNNBase):
    """s_t, z_t = σ(W x_t + b + U h_{t-1} + b_h); n_t = tanh(W_n x_t + b_n + s_t (U_n h_{t-1} + b_hn));
    h_t = (1 - z_t) n_t + z_t h_{t-1} (Cho et al. 2014; the reset gate after the product, as in cuDNN).

    The arguments are RNNBase's (input_size, hidden_size, num_layers, ...); weights lie in the order s z n.

    >>> import tinydl
    >>> y, h = GRU(10, 32, num_layers=2)(tinydl.zeros(5, 8, 10))
    >>> y.shape, h.shape
    ((5, 8, 32), (2, 8, 32))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """All h_t of the last layer, and the last h of every layer and direction; `hx` are the first, by default 0."""
        return self._sequence(input, hx, None)[:2]


class LSTM(RNNBase):
    """i_t, f_t, o_t = σ(W x_t + b + U h_{t-1} + b_h), g_t = tanh(...) alike; c_t = f_t c_{t-1} + i_t g_t;
    h_t = o_t tanh(c_t), or P (o_t tanh(c_t)) with `proj_size` (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    The arguments are RNNBase's (input_size, hidden_size, num_layers, ...); weights lie in the order i f g o.

    >>> import tinydl
    >>> y, (h, c) = LSTM(10, 32, bidirectional=True)(tinydl.zeros(5, 8, 10))
    >>> y.shape, h.shape, c.shape
    ((5, 8, 64), (2, 8, 32), (2, 8, 32))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """All h_t of the last layer, and the last h and c of every layer and direction; `hx` are the first h and c."""
        if hx is not None and not (
            isinstance(hx, tuple | list) and len(hx) == 2 and all(isinstance(t, Tensor) for t in hx)
        ):
            raise TypeError(f"LSTM: got states {type(hx).__name__}, wanted a pair (h_0, c_0) of tensors")
        h0, c0 = hx if hx is not None else (None, None)
        y, h, c = self._sequence(input, h0, c0)
        return y, (h, c)  # type: ignore[return-value]
