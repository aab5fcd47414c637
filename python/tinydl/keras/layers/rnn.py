"""The recurrent layer of any cell, which is applied to one time step after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...creation import as_tensor, zeros_like
from ...ops.join import stack
from ...ops.selection import where
from ...tensor import Array, Tensor
from .. import tree
from .base import Layer, Shape, as_float, batched
from .layout import batches_of, map_shapes, samples_of
from .own import Beside

States = list[Tensor]


class RNN(Layer):
    """A cell applied to the steps of sequences (N, T, ...): its last output, or all, (N, T, units).

    A cell is a layer with `call(inputs, states)`, which returns the output and the list of new states, and
    `state_size`, the number of a state's units or the list of several; `output_size` where it is not the first state's.

    `layer(x, initial_state=[...], mask=...)` begins with other states than zeros, and leaves out the steps where the
    mask (N, T) is False: the states stay, and the output is that of the step before (zeros before the first).

    Args:
        cell: the cell.
        return_sequences: return the outputs of all steps, not only the last one.
        return_state: return (output, *last states).
        go_backwards: go from the last step to the first; the outputs are in that order.
        stateful: begin with the last states of the call before; `reset_state()` forgets them.
        unroll: has no effect.
        zero_output_for_mask: whether the outputs of left out steps are zeros.

    >>> import numpy as np
    >>> from tinydl.keras.layers import LSTMCell
    >>> RNN(LSTMCell(4), return_sequences=True)(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    _steps_from = 3
    _makes_masks = False

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.cell = self._as_cell(cell)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.states: States | None = None

    def _as_cell(self, cell: Any) -> Any:
        if isinstance(cell, Mapping):
            from ..serialization import deserialize_keras_object

            cell = deserialize_keras_object(cell)
        if not isinstance(cell, Layer) or not hasattr(cell, "call"):
            raise ValueError(f"{type(self).__name__}: got a cell of type {type(cell).__name__}, wanted a layer")
        if not hasattr(cell, "state_size"):
            raise ValueError(f"{type(self).__name__}: the cell {type(cell).__name__} has no `state_size`")
        return cell

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the cell's settings."""
        config = super().get_config()
        if type(self).__init__ is RNN.__init__:
            from ..serialization import serialize_keras_object

            config["cell"] = serialize_keras_object(self.cell)
        return config

    # -- Shapes -----------------------------------------------------------------------------------------------

    @property
    def state_size(self) -> list[int]:
        """The numbers of units of the states."""
        size = self.cell.state_size
        return list(size) if isinstance(size, list | tuple) else [size]

    def build(self, input_shape: Any = None) -> None:
        """Make the cell's weights."""
        if len(input_shape) < 3:
            found = f"ndim={len(input_shape)}. Full shape received: {tuple(input_shape)}"
            raise self.incompatible("ndim=3 (N, T, features)", found)
        if not self.cell.built:
            self.cell._beside = (self.get_initial_state(2),), {}
            self.cell.build((input_shape[0], *input_shape[2:]))

    def make(self, input_shape: Shape) -> Any:
        """The shape of the output, or the list with those of the states after it."""
        size = getattr(self.cell, "output_size", None) or self.state_size[0]
        output = (input_shape[0], size) if self.return_sequences else (size,)
        return [output, *[(n,) for n in self.state_size]] if self.return_state else output

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of a batch of outputs; builds the layer."""
        self.build(input_shape)
        return batches_of(self.make(samples_of(input_shape)))

    def symbolic_outputs(self, shapes: Any, beside: Beside, make: Any) -> Any:
        """make(shape) for each output; the layer may be shared by sequences of different lengths."""
        self.build(shapes)
        if shapes[2:] != batched(self._in)[2:]:
            raise self.incompatible(f"shape={(None, None, *self._in[1:])}", f"shape={shapes}")
        return map_shapes(make, self.compute_output_shape(shapes))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The inputs' mask for the outputs of all steps, None for single ones."""
        output = tree.flatten(previous_mask)[0] if self.return_sequences else None
        return [output, *[None for _ in self.state_size]] if self.return_state else output

    # -- States -----------------------------------------------------------------------------------------------

    def get_initial_state(self, batch_size: int) -> States:
        """States of zeros, or what the cell's method of that name returns."""
        if hasattr(self.cell, "get_initial_state"):
            found = self.cell.get_initial_state(batch_size=batch_size)
            return list(found) if isinstance(found, list | tuple) else [found]
        return [as_float(np.zeros((batch_size, size), np.float32)) for size in self.state_size]

    def reset_state(self) -> None:
        """Begin with zeros at the next call."""
        self.states = None

    reset_states = reset_state

    def _first(self, given: Any, batch: int) -> States | None:
        """The states to begin with; None for zeros."""
        if given is None:
            if self.states is not None and self.states[0].shape[0] != batch:
                raise ValueError(
                    f'Layer "{self.name}": its states are those of {self.states[0].shape[0]} sequences, got {batch}: a '
                    "stateful layer needs batches of one size, or `reset_state()` between them"
                )
            return self.states
        states = [as_float(each) for each in (given if isinstance(given, list | tuple) else [given])]
        found, wanted = [each.shape for each in states], [(batch, size) for size in self.state_size]
        if found != wanted:
            raise ValueError(f'Layer "{self.name}": got initial states of shapes {found}, wanted {wanted}')
        return states

    # -- The function -----------------------------------------------------------------------------------------

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        """The output, or the tuple of it and the last states."""
        states = self._first(initial_state, sequences.shape[0])
        valid = None if mask is None else self._time_first(mask, sequences.shape)
        out, last = self.walk(sequences.transpose(0, 1), states, valid, bool(training))
        if self.stateful:
            self.states = [state.detach() for state in last]
        if self.return_sequences:
            out = out.transpose(0, 1)
        return (out, *last) if self.return_state else out

    def _time_first(self, mask: Any, shape: Shape) -> Array:
        """The mask (T, N) as an array."""
        found = as_tensor(mask[0] if isinstance(mask, list | tuple) and isinstance(mask[0], Tensor) else mask)._data
        if found.shape != shape[:2]:
            raise ValueError(f'Layer "{self.name}": got a mask of shape {found.shape}, wanted {shape[:2]}')
        return np.ascontiguousarray(found.T.astype(bool))

    def walk(self, x: Tensor, states: States | None, valid: Array | None, training: bool) -> tuple[Tensor, States]:
        """The outputs (T, N, units) in the order of the steps that are taken, or the last one, and the last states."""
        steps = range(x.shape[0])
        held = self.get_initial_state(x.shape[1]) if states is None else states
        outputs: list[Tensor] = []
        for t in reversed(steps) if self.go_backwards else steps:
            out, new = self.cell(x[t], held)
            new = list(new) if isinstance(new, list | tuple) else [new]
            if valid is not None:
                live = Tensor(valid[t][:, None])
                fresh = self.zero_output_for_mask or not outputs
                out = where(live, out, zeros_like(out) if fresh else outputs[-1])
                new = [where(live, after, before) for after, before in zip(new, held, strict=True)]
            held = new
            outputs.append(out)
        self._forget_masks()
        return stack(outputs) if self.return_sequences else outputs[-1], held

    def _forget_masks(self) -> None:
        for cell in getattr(self.cell, "cells", [self.cell]):
            for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
                getattr(cell, name, _nothing)()


def _nothing() -> None:
    """What cells without dropout do to forget its masks."""
