"""Layers around a layer: in both directions of time, or at each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...creation import as_tensor
from ...ops.join import cat
from ...ops.rearrange import flip
from ...tensor import Tensor
from .. import tree
from .base import Layer, Shape, batched, channels_first, channels_last
from .layout import batches_of, map_shapes, samples_of
from .own import Beside
from .rnn import RNN


def _layer_of(owner: str, layer: Any) -> Any:
    """A layer, also from its settings."""
    if isinstance(layer, Mapping):
        from ..serialization import deserialize_keras_object

        layer = deserialize_keras_object(layer)
    if not isinstance(layer, Layer):
        raise ValueError(f"{owner}: got a {type(layer).__name__}, wanted a layer")
    return layer


class Wrapper(Layer):
    """What layers around a layer share."""

    def __init__(self, layer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.layer = _layer_of(type(self).__name__, layer)

    def sublayers(self) -> dict[str, Layer]:
        """The layer within."""
        return {"layer": self.layer}

    def _finish_building(self) -> None:
        super()._finish_building()
        self.adopt()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the layer's settings."""
        from ..serialization import serialize_keras_object

        return {**super().get_config(), "layer": serialize_keras_object(self.layer)}


class TimeDistributed(Wrapper):
    """A layer applied to each step of sequences: (N, T, ...) to (N, T, ...).

    >>> import numpy as np
    >>> from tinydl.keras.layers import Dense
    >>> TimeDistributed(Dense(4))(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    _steps_from = 3
    supports_masking = True

    def make(self, input_shape: Shape) -> Any:
        """The steps, and the shape of the layer's output."""
        if len(input_shape) < 2:
            raise self.incompatible("ndim=3 at least (N, T, ...)", f"shape={batched(input_shape)}")
        self.layer.build(batched(input_shape[1:]))
        return (input_shape[0], *self.layer._out)

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the layer ends in one."""
        return bool(self.layer.ends_in_softmax) and self.activity_regularizer is None

    def logits(self, x: Tensor) -> Tensor:
        """The layer's output for all steps of all sequences as one batch."""
        x = channels_last(x)
        steps = channels_first(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))
        out = channels_last((self.layer.logits if self.layer.ends_in_softmax else self.layer.forward)(steps))
        return channels_first(out.reshape(*x.shape[:2], *out.shape[1:]))


_MERGES = ("concat", "sum", "ave", "mul", None)


class Bidirectional(Wrapper):
    """A recurrent layer, and another one like it that goes from the last step to the first (Schuster and Paliwal 1997).

    `initial_state` and the states that `return_state` adds are those of the first layer and then those of the other.

    Args:
        layer: a recurrent layer; copies of it are used, named "forward_..." and "backward_...".
        merge_mode: what becomes of the two outputs: "concat" on the last axis, "sum", "ave" (their mean), "mul", or
            None: both are returned.
        weights: at first, of both layers.
        backward_layer: the other layer, with `go_backwards=True`; by default one with the same settings.

    Weights: those of the first layer and then those of the other.

    >>> import numpy as np
    >>> from tinydl.keras.layers import LSTM
    >>> Bidirectional(LSTM(4, return_sequences=True))(np.zeros((2, 5, 3))).shape
    (2, 5, 8)
    """

    _steps_from = 3
    _makes_masks = False

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(layer, **options)
        for each in (self.layer, backward_layer):
            if isinstance(each, Layer) and not isinstance(each, RNN):
                raise ValueError(f"Bidirectional: got a layer of type {type(each).__name__}, wanted a recurrent one")
        if merge_mode not in _MERGES:
            raise ValueError(f"Bidirectional: got merge_mode={merge_mode!r}, wanted one of {_MERGES}")
        self.merge_mode = merge_mode
        self._given = weights
        self.forward_layer = self._twin("forward", False)
        other = None if backward_layer is None else _layer_of("Bidirectional", backward_layer)
        self.backward_layer = other or self._twin("backward", True)
        for each in (self.forward_layer, self.backward_layer):
            each.zero_output_for_mask = each.return_sequences  # so that both have zeros at the same steps, as in Keras
        self.return_sequences, self.return_state = self.layer.return_sequences, self.layer.return_state
        self.stateful = self.layer.stateful
        self._check_pair()

    def _twin(self, way: str, turned: bool) -> Any:
        """A new layer with the settings of the given one, whose name it has after `way`."""
        config = self.layer.get_config()
        config["go_backwards"] = bool(self.layer.go_backwards) != turned
        name = self.layer.name
        config["name"] = name if name.startswith(f"{way}_") else f"{way}_{name}"
        return type(self.layer).from_config(config)

    def _check_pair(self) -> None:
        one, other = self.forward_layer, self.backward_layer
        if one.go_backwards == other.go_backwards:
            raise ValueError(
                f"Bidirectional: got layers that both have go_backwards={one.go_backwards}, wanted one of each kind"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(one, name) != getattr(other, name):
                raise ValueError(
                    f"Bidirectional: got {name}={getattr(one, name)} of the layer, and {getattr(other, name)} of "
                    "backward_layer, wanted the same"
                )

    def sublayers(self) -> dict[str, Layer]:
        """Both layers."""
        return {"forward_layer": self.forward_layer, "backward_layer": self.backward_layer}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the settings of both layers."""
        from ..serialization import serialize_keras_object

        pair = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return {**super().get_config(), **{name: serialize_keras_object(layer) for name, layer in pair.items()}}

    # -- Shapes and masks -------------------------------------------------------------------------------------

    def make(self, input_shape: Shape) -> Any:
        """The shape of the output, or the list of several."""
        for layer in (self.forward_layer, self.backward_layer):
            layer.build(batched(input_shape))
        if self._given is not None:
            self.set_weights(self._given)
        return self._shapes(input_shape)

    def _shapes(self, input_shape: Shape) -> Any:
        found = self.forward_layer.make(input_shape)
        first, states = (found[0], found[1:]) if self.return_state else (found, [])
        other = self.backward_layer.make(input_shape)
        if self.merge_mode is None:
            outputs = [first, other[0] if self.return_state else other]
        else:
            more = (other[0] if self.return_state else other)[-1] if self.merge_mode == "concat" else 0
            outputs = [(*first[:-1], first[-1] + more)]
        shapes = [*outputs, *states, *(other[1:] if self.return_state else [])]
        return shapes if len(shapes) > 1 else shapes[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of a batch of outputs; builds the layer."""
        self.build(input_shape)
        return batches_of(self._shapes(samples_of(input_shape)))

    def symbolic_outputs(self, shapes: Any, beside: Beside, make: Any) -> Any:
        """make(shape) for each output."""
        return map_shapes(make, self.compute_output_shape(shapes))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The inputs' mask for the outputs of all steps, None for single ones."""
        mask = tree.flatten(previous_mask)[0] if self.return_sequences else None
        return [mask, mask if self.merge_mode is None else None]

    # -- The function -----------------------------------------------------------------------------------------

    def reset_state(self) -> None:
        """Begin with zeros at the next call."""
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        """The merged output, or the tuple of it and the last states."""
        half = 0 if initial_state is None else len(initial_state) // 2
        states = (None, None) if initial_state is None else (initial_state[:half], initial_state[half:])
        options = {} if mask is None else {"mask": mask}
        y = self.forward_layer(sequences, initial_state=states[0], **options)
        other = self.backward_layer(sequences, initial_state=states[1], **options)
        last: tuple[Tensor, ...] = ()
        if self.return_state:
            last = (*y[1:], *other[1:])
            y, other = y[0], other[0]
        if self.return_sequences:
            other = flip(other, 1)
        outputs = (*self._merged(y, other), *last)
        return outputs if len(outputs) > 1 else outputs[0]

    def _merged(self, y: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        if self.merge_mode == "concat":
            return (cat([y, other], -1),)
        if self.merge_mode == "mul":
            return (y * other,)
        if self.merge_mode is None:
            return y, other
        total = as_tensor(y + other)
        return (total / 2 if self.merge_mode == "ave" else total,)
