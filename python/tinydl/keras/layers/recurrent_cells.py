"""Cells: one time step of the recurrent layers. `cell(inputs, states)` returns the output and the new states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ... import nn
from ...autograd import Function
from ...creation import ones, zeros
from ...nn.parameter import Parameter
from ...ops.join import cat
from ...ops.matmul import linear
from ...ops.random import dropout
from ...random import Generator
from ...tensor import Array, Tensor
from .. import activations
from .arguments import positive
from .base import Layer, Shape, batched

Stepped = tuple[Tensor, list[Tensor]]


def _transposed(weight: Tensor) -> Tensor:
    return weight.permute(1, 0)


class Cell(Layer):
    """What the cells share: weights, and dropout whose masks are drawn once for a whole sequence.

    Weights: kernel (in, G units), recurrent_kernel (units, G units), bias (G units,) for G gates.
    """

    gates: ClassVar[int] = 1
    inner: Any
    _dropout_mask: Tensor | None = None
    _recurrent_dropout_mask: Tensor | None = None

    def take(self, units: int, use_bias: bool, dropout: float, recurrent_dropout: float, seed: int | None) -> None:
        """The arguments that all cells have."""
        self.units = self.state_size = self.output_size = positive(self, "units", units)
        self.use_bias = use_bias
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise ValueError(f"{type(self).__name__}: got {name}={rate!r}, wanted 0 to 1")
        self.dropout, self.recurrent_dropout = float(dropout), float(recurrent_dropout)
        self.seed = seed
        self.generator = None if seed is None else Generator(int(seed))  # None: that of `tinydl.random`

    def choose_three(self, kernel: Sequence[Any], recurrent: Sequence[Any], bias: Sequence[Any]) -> None:
        """The weights' initialisers, regularisers and constraints."""
        self.choose("kernel", *kernel)
        self.choose("recurrent_kernel", *recurrent)
        self.choose("bias", *bias)

    def make(self, input_shape: Shape) -> Shape:
        """W (G units, in), U (G units, units) and b."""
        if len(input_shape) != 1:
            raise self.incompatible(
                "ndim=2", f"ndim={len(input_shape) + 1}. Full shape received: {batched(input_shape)}"
            )
        wide = self.gates * self.units
        self.inner = nn.Module()
        self._new("kernel", "weight_ih", (wide, input_shape[-1]), _transposed)
        self._new("recurrent_kernel", "weight_hh", (wide, self.units), _transposed)
        if self.use_bias:
            self._new("bias", "bias", self.bias_shape(wide), None)
        return (self.units,)

    def _new(self, name: str, path: str, shape: Shape, turn: Any) -> None:
        parameter = Parameter(np.zeros(shape, np.float32))
        self.inner.register_parameter(path, parameter)
        self.hold(name, parameter, turn)

    def bias_shape(self, wide: int) -> Shape:
        """That of the bias."""
        return (wide,)

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """States of zeros (batch_size, units)."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [zeros(batch_size, size) for size in sizes]

    # -- Dropout ----------------------------------------------------------------------------------------------

    def get_dropout_mask(self, step_input: Tensor) -> Tensor | None:
        """What inputs (N, in) are multiplied by, 0 or 1/(1 - dropout): the same until `reset_dropout_mask`."""
        if self._dropout_mask is None and self.dropout:
            self._dropout_mask = self.drawn(step_input.shape, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Tensor | None:
        """What states (N, units) are multiplied by: the same until `reset_recurrent_dropout_mask`."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout:
            self._recurrent_dropout_mask = self.drawn(step_input.shape, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def drawn(self, shape: Shape, rate: float) -> Tensor:
        """A new mask."""
        return dropout(ones(*shape), rate, generator=self.generator)

    def reset_dropout_mask(self) -> None:
        """Draw anew at the next step."""
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Draw anew at the next step."""
        self._recurrent_dropout_mask = None

    def thinned(self, inputs: Tensor, state: Tensor, training: bool | None) -> tuple[Tensor, Tensor]:
        """Inputs and state after dropout."""
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)  # type: ignore[operator]
        if training and self.recurrent_dropout:
            state = state * self.get_recurrent_dropout_mask(state)  # type: ignore[operator]
        return inputs, state

    # -- The whole sequence at once ---------------------------------------------------------------------------

    def kind(self, training: bool) -> str | None:
        """The name of the kernel that does all steps at once; None where there is none for these settings."""
        raise NotImplementedError(f"{type(self).__name__} does not define kind")

    def operands(self) -> tuple[Tensor | None, ...]:
        """W, U, b and b_h as that kernel takes them."""
        held = self.inner._parameters
        return held["weight_ih"], held["weight_hh"], held.get("bias"), None


class SimpleRNNCell(Cell):
    """h_t = f(W x_t + U h_{t-1} + b) (Elman 1990).

    >>> cell = SimpleRNNCell(2, kernel_initializer="ones", activation=None)
    >>> output, states = cell(ones(1, 3), [zeros(1, 2)])
    >>> output
    tensor([[3., 3.]])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.take(units, use_bias, dropout, recurrent_dropout, seed)
        self.activation = activations.get(activation)
        self.choose_three(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )

    def call(self, inputs: Tensor, states: Any, training: bool | None = None) -> Stepped:  # type: ignore[override]
        """The output, which is the new state."""
        w, u, b, _ = self.operands()
        x, h = self.thinned(inputs, states[0] if isinstance(states, list | tuple) else states, training)
        out = self.activation(linear(x, w, b) + linear(h, u))  # type: ignore[arg-type]
        return out, [out]

    def kind(self, training: bool) -> str | None:
        """Those of tanh and relu."""
        return {activations.tanh: "rnn_tanh", activations.relu: "rnn_relu"}.get(self.activation)


def _forget_bias(initializer: Any) -> Any:
    """An initialiser of (4 units,) that makes the forget gate's part 1."""

    def biases(shape: Shape, dtype: Any = None) -> Tensor:
        units = shape[0] // 4
        return cat([initializer((units,), dtype), ones(units), initializer((2 * units,), dtype)])

    return biases


class LSTMCell(Cell):
    """i, f, o = σ(W x_t + U h_{t-1} + b), g = tanh(...) alike; c_t = f c_{t-1} + i g; h_t = o tanh(c_t)
    (Hochreiter and Schmidhuber 1997; Gers et al. 2000). σ is `recurrent_activation`, tanh `activation`.

    Weights in the order of gates i f g o; with `unit_forget_bias` the bias of f begins at 1 (Jozefowicz et al. 2015).

    >>> cell = LSTMCell(2)
    >>> output, (h, c) = cell(ones(1, 3), [zeros(1, 2), zeros(1, 2)])
    >>> cell.bias.tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """

    gates = 4

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        options.pop("implementation", None)
        super().__init__(**options)
        self.take(units, use_bias, dropout, recurrent_dropout, seed)
        self.state_size = [self.units, self.units]  # type: ignore[assignment]
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self.choose_three(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )
        if unit_forget_bias:
            initializer, *rest = self._choices["bias"]
            self._choices["bias"] = (_forget_bias(initializer), *rest)

    def call(self, inputs: Tensor, states: Any, training: bool | None = None) -> Stepped:  # type: ignore[override]
        """h_t, and [h_t, c_t]."""
        w, u, b, _ = self.operands()
        x, h = self.thinned(inputs, states[0], training)
        gates = linear(x, w, b) + linear(h, u)  # type: ignore[arg-type]
        i, f, g, o = gates.chunk(4, 1)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]

    def kind(self, training: bool) -> str | None:
        """That of the usual activations."""
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return "lstm" if usual else None


class SwapGates(Function):
    """Three blocks of rows, of which the first two change places; likewise their gradients."""

    def forward(self, x: Array) -> Array:
        """The rows in their new order."""
        n = len(x) // 3
        return np.concatenate((x[n : 2 * n], x[:n], x[2 * n :]))

    def backward(self, grad: Array) -> Array:
        """The gradient in the old order."""
        return self.forward(grad)


class GRUCell(Cell):
    """z, r = σ(W x_t + U h_{t-1} + b); n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + b_hn)); h_t = z h_{t-1} + (1 - z) n
    (Cho et al. 2014). Without `reset_after`, n = tanh(W_n x_t + U_n (r h_{t-1}) + b_n), as in the paper.

    Weights in the order of gates z r n; the bias is (2, 3 units) with `reset_after`: that beside W, and that beside U.

    >>> cell = GRUCell(2)
    >>> output, states = cell(ones(1, 3), [zeros(1, 2)])
    >>> cell.bias.shape, GRUCell(2, reset_after=False).compute_output_shape((None, 3))
    ((2, 6), (None, 2))
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        options.pop("implementation", None)
        super().__init__(**options)
        self.take(units, use_bias, dropout, recurrent_dropout, seed)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after
        self.choose_three(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )

    def bias_shape(self, wide: int) -> Shape:
        """Two biases with `reset_after`."""
        return (2, wide) if self.reset_after else (wide,)

    def call(self, inputs: Tensor, states: Any, training: bool | None = None) -> Stepped:  # type: ignore[override]
        """h_t, which is the new state."""
        w, u, b, b_h = self._parts()
        h = states[0] if isinstance(states, list | tuple) else states
        x, seen = self.thinned(inputs, h, training)
        n = self.units
        x_z, x_r, x_n = linear(x, w, b).chunk(3, 1)  # type: ignore[arg-type]
        gate = self.recurrent_activation
        if self.reset_after:
            h_z, h_r, h_n = linear(seen, u, b_h).chunk(3, 1)  # type: ignore[arg-type]
            candidate = self.activation(x_n + gate(x_r + h_r) * h_n)
        else:
            h_z, h_r = linear(seen, u[: 2 * n]).chunk(2, 1)  # type: ignore[index]
            candidate = self.activation(x_n + linear(gate(x_r + h_r) * seen, u[2 * n :]))  # type: ignore[index]
        z = gate(x_z + h_z)
        out = z * h + (1.0 - z) * candidate
        return out, [out]

    def _parts(self) -> tuple[Tensor | None, ...]:
        """W, U and the biases in the order z r n."""
        w, u, b, _ = super().operands()
        return (w, u, b[0], b[1]) if b is not None and self.reset_after else (w, u, b, None)

    def kind(self, training: bool) -> str | None:
        """That of the usual activations, unless dropout is to spare the h_{t-1} in z h_{t-1}."""
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return "gru" if usual and self.reset_after and not (training and self.recurrent_dropout) else None

    def operands(self) -> tuple[Tensor | None, ...]:
        """The weights in the kernel's order r z n."""
        return tuple([None if each is None else SwapGates().apply(each) for each in self._parts()])
