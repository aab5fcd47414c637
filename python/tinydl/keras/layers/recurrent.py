"""The recurrent layers of the usual cells: all time steps in one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...creation import zeros_like
from ...ops.rearrange import flip
from ...ops.recurrent import recurrent
from ...ops.selection import where
from ...tensor import Array, Tensor
from .recurrent_cells import Cell, GRUCell, LSTMCell, SimpleRNNCell
from .rnn import RNN, States


class _Fused(RNN):
    """The layers of the cells that have a kernel for all steps at once."""

    cell: Cell

    def __init__(self, cell: Cell, *args: Any, **options: Any) -> None:
        super().__init__(cell, *args, **options)
        self.units, self.use_bias = cell.units, cell.use_bias
        self.dropout, self.recurrent_dropout = cell.dropout, cell.recurrent_dropout

    def build(self, input_shape: Any = None) -> None:
        """Make the cell's weights."""
        self.need_signals(tuple(input_shape[1:]))
        super().build(input_shape)

    def walk(self, x: Tensor, states: States | None, valid: Array | None, training: bool) -> tuple[Tensor, States]:
        """The outputs (T, N, units) in the order of the steps that are taken, or the last one, and the last states."""
        cell = self.cell
        kind = cell.kind(training)
        if kind is None:
            return super().walk(x, states, valid, training)
        mask = None
        if training:
            if cell.dropout:
                x = x * cell.drawn((x.shape[1], x.shape[2]), cell.dropout)
            if cell.recurrent_dropout:
                mask = cell.drawn((x.shape[1], cell.units), cell.recurrent_dropout)
        operands: Any = (*cell.operands(), *(states or ()))
        h, *last = recurrent(kind, x, *operands, reverse=self.go_backwards, valid=valid, mask=mask)
        if self.return_sequences:
            out = h if valid is None else self._shown(h, valid[:, :, None], states)
            return flip(out, 0) if self.go_backwards else out, last
        if valid is None:
            return last[0], last
        end = np.asarray(valid[0 if self.go_backwards else -1] if self.zero_output_for_mask else valid.any(0))
        return where(Tensor(end[:, None]), last[0], zeros_like(last[0])), last

    def _shown(self, h: Tensor, valid: Array, states: States | None) -> Tensor:
        """The outputs: zeros before the first step that counts, or at all that do not."""
        if self.zero_output_for_mask:
            seen = valid
        elif states is None:
            return h
        else:
            order = valid[::-1] if self.go_backwards else valid
            seen = np.logical_or.accumulate(order)[:: -1 if self.go_backwards else 1]
        return where(Tensor(np.ascontiguousarray(seen)), h, zeros_like(h))


class SimpleRNN(_Fused):
    """h_t = tanh(W x_t + U h_{t-1} + b) over sequences (N, T, in): the last h, (N, units), or all, (N, T, units).

    Args:
        units: of the state and the output.
        activation: in place of tanh; others than tanh and relu are computed step by step.
        dropout, recurrent_dropout: in training, the shares of the inputs and of h_{t-1} that are zeroed; a sequence has
            one mask for all its steps (Gal and Ghahramani 2016).
        seed: of the dropout's masks.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for `RNN`.

    Weights: kernel (in, units), recurrent_kernel (units, units), bias (units,).

    >>> import numpy as np
    >>> SimpleRNN(32)(np.zeros((8, 10, 10))).shape
    (8, 32)
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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name="simple_rnn_cell",
        )
        flags = (return_sequences, return_state, go_backwards, stateful, unroll)
        super().__init__(cell, *flags, activity_regularizer=activity_regularizer, **options)


class LSTM(_Fused):
    """i, f, o = σ(W x_t + U h_{t-1} + b), g = tanh(...) alike; c_t = f c_{t-1} + i g; h_t = o tanh(c_t), over sequences
    (N, T, in): the last h, (N, units), or all, (N, T, units); with `return_state` also the last h and c.

    Args:
        units: of the states and the output.
        activation, recurrent_activation: in place of tanh and σ; other ones are computed step by step.
        unit_forget_bias: whether the bias of f begins at 1.
        dropout, recurrent_dropout: in training, the shares of the inputs and of h_{t-1} that are zeroed; a sequence has
            one mask for all its steps and gates (Gal and Ghahramani 2016). Keras draws one for each gate where
            `recurrent_dropout` is not 0.
        seed: of the dropout's masks.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for `RNN`.
        use_cudnn, implementation: have no effect.

    Weights, with gates in the order i f g o: kernel (in, 4 units), recurrent_kernel (units, 4 units), bias (4 units,).

    >>> import numpy as np
    >>> y, h, c = LSTM(4, return_sequences=True, return_state=True)(np.zeros((2, 5, 3)))
    >>> y.shape, h.shape, c.shape
    ((2, 5, 4), (2, 4), (2, 4))
    """

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **options: Any,
    ) -> None:
        options.pop("implementation", None)
        cell = LSTMCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            name="lstm_cell",
        )
        flags = (return_sequences, return_state, go_backwards, stateful, unroll)
        super().__init__(cell, *flags, activity_regularizer=activity_regularizer, **options)


class GRU(_Fused):
    """z, r = σ(W x_t + U h_{t-1} + b); n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + b_hn)); h_t = z h_{t-1} + (1 - z) n,
    over sequences (N, T, in): the last h, (N, units), or all, (N, T, units).

    Args:
        units: of the state and the output.
        activation, recurrent_activation: in place of tanh and σ; other ones are computed step by step.
        dropout, recurrent_dropout: in training, the shares of the inputs and of h_{t-1} that are zeroed; a sequence has
            one mask for all its steps and gates, and z h_{t-1} is spared. The latter is computed step by step.
        seed: of the dropout's masks.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for `RNN`.
        reset_after: whether r multiplies the product; without, n = tanh(W_n x_t + U_n (r h_{t-1}) + b_n), computed step
            by step.
        use_cudnn, implementation: have no effect.

    Weights, with gates in the order z r n: kernel (in, 3 units), recurrent_kernel (units, 3 units), bias (2, 3 units),
    or (3 units,) without `reset_after`.

    >>> import numpy as np
    >>> GRU(4, return_sequences=True)(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **options: Any,
    ) -> None:
        options.pop("implementation", None)
        cell = GRUCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            reset_after,
            seed,
            name="gru_cell",
        )
        flags = (return_sequences, return_state, go_backwards, stateful, unroll)
        super().__init__(cell, *flags, activity_regularizer=activity_regularizer, **options)
