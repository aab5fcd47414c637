"""A row of layers, one applied after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .functional import KerasTensor
from .layers.base import Layer, batched
from .layers.core import Input, InputLayer
from .layers.own import numbered
from .model import Model
from .serialization import deserialize_keras_object, serialize_keras_object

__all__ = ["Sequential"]


class Sequential(Model):
    """Layers applied one after the other.

    The weights are made when the shape of the input is known: from `Input`, from the first layer's `input_shape`, from
    `build`, or from the first data. As an `nn.Module` the model has PyTorch's state dict, in which layer i has the
    names `i.weight` and `i.bias`.

    >>> import numpy as np
    >>> from tinydl.keras import Sequential, layers
    >>> model = Sequential([layers.Flatten(input_shape=(2, 2)), layers.Dense(3, activation="relu")])
    >>> model(np.ones((5, 2, 2))).shape
    (5, 3)
    """

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(name=name, trainable=trainable, **options)
        self._layers: list[Layer] = []
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer, or an input. ValueError where the name is taken, or the layer does not fit the one before."""
        if isinstance(layer, KerasTensor):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential: only layers can be added, got {type(layer).__name__}")
        shape_before = self.given_shape
        if not self._layers and self.given_shape is None:
            self.given_shape = layer.given_shape
            if self.given_shape is None and isinstance(layer, Model) and layer.built:
                self.given_shape = layer._in
        if isinstance(layer, InputLayer):
            if self._layers:
                raise ValueError("Sequential: the input must come before the layers")
            self._input_name = layer.name
            return
        self._trainer = None  # its optimiser does not know the new weights
        self._give_name(layer)
        self._layers.append(layer)
        try:
            if self.built:
                self._extend(self.inputs[0], self.outputs[0], [layer])
            elif self.given_shape is not None:
                self.build(batched(self.given_shape))
        except BaseException:
            self._layers.pop()
            self.given_shape = shape_before
            raise

    def pop(self) -> Layer:
        """Take the last layer away, and return it."""
        if not self._layers:
            raise ValueError(f'Model "{self.name}" has no layers')
        last = self._layers.pop()
        self._trainer = None
        if not self._layers:
            self._graph, self._built = None, False
        elif self.built:
            self._extend(self.inputs[0], self.outputs[0].node.args[0], [])
        self._modules.pop(str(len(self._layers)), None)
        return last

    def _give_name(self, layer: Layer) -> None:
        taken = {other.name for other in self._layers}
        if layer.name in taken and (layer.named or layer in self._layers):
            raise ValueError(f"Sequential: layer names must be unique; '{layer.name}' is taken")
        layer.name = numbered(layer.name, taken)

    def make(self, input_shape: Any) -> Any:
        """Make the weights of all layers; the shape of the last one's output."""
        if not self._layers:
            raise ValueError(f'Model "{self.name}" has no layers')
        entry = Input(input_shape, name=self._input_name)
        self._extend(entry, entry, self._layers)
        return self._out

    _input_name: str | None = None

    def _extend(self, entry: KerasTensor, x: KerasTensor, layers: Iterable[Layer]) -> None:
        """Be the function from the entry to what the layers make of x."""
        for layer in layers:
            x = layer(x)
        self._set_graph(entry, x)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._layers)

    def sublayers(self) -> dict[str, Layer]:
        """The layers by their numbers."""
        return {str(number): layer for number, layer in enumerate(self._layers)}

    def get_config(self) -> dict[str, Any]:
        """The name, the shape of the input, and the layers."""
        shape = batched(self._in) if self.built else self.given_shape and batched(self.given_shape)
        entries = [serialize_keras_object(layer) for layer in self._layers]
        return {"name": self.name, "input_shape": shape, "layers": entries}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """The model of what `get_config` returned, with new weights."""
        model = cls([deserialize_keras_object(entry) for entry in config["layers"]], name=config["name"])
        if config["input_shape"] is not None:
            model.build(config["input_shape"])
        return model

    def links(self) -> None:
        """None: the layers are a chain."""

    def _misfit(self, number: int, wanted: Any, found: Any) -> ValueError:
        return self._layers[0].incompatible(f"shape={wanted}", f"shape={tuple(found)}")

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, built={self.built}>"
