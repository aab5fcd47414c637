"""A row of layers, one applied after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import enable_grad, no_grad
from ..tensor import Array, Tensor
from ..train import checkpoint
from .layers.base import Layer, Shape, as_float, batched, channels_first, channels_last
from .layers.core import InputLayer
from .summary import summary
from .training import Model

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

    def __init__(self, layers: Iterable[Layer] | None = None, name: str = "sequential") -> None:
        super().__init__()
        self.name = name
        self._layers: list[Layer] = []
        self._given_shape: Shape | None = None
        self.eval()
        for layer in layers or ():
            self.add(layer)

    # -- The layers -------------------------------------------------------------------------------------------

    def add(self, layer: Layer) -> None:
        """Append a layer. ValueError where the name is taken, or the layer does not fit the one before."""
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential: only layers can be added, got {type(layer).__name__}")
        if not self._layers and self._given_shape is None:
            self._given_shape = layer.given_shape
        if isinstance(layer, InputLayer):
            if self._layers:
                raise ValueError("Sequential: the input must come before the layers")
            return
        self._trainer = None  # its optimiser does not know the new weights
        self._give_name(layer)
        shape = self._layers[-1].output_shape if self._layers and self.built else self._given_shape
        self._layers.append(layer)
        if shape is not None:
            try:
                self._build_last(len(self._layers) - 1, shape)
            except ValueError:
                self._layers.pop()
                raise

    def _give_name(self, layer: Layer) -> None:
        taken = {other.name for other in self._layers}
        if layer.name not in taken:
            return
        if layer.named or layer in self._layers:
            raise ValueError(f"Sequential: layer names must be unique; '{layer.name}' is taken")
        number = 1
        while f"{layer.name}_{number}" in taken:
            number += 1
        layer.name = f"{layer.name}_{number}"

    def _build_last(self, index: int, shape: Shape) -> None:
        layer = self._layers[index]
        layer.build(batched(shape))
        if layer.inner is not None:
            self.add_module(str(index), layer.inner)
            layer.inner.train(self.training)

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for inputs of a shape that begins with the batch axis."""
        if self.built:
            return
        shape = self._given_shape if input_shape is None else tuple(input_shape)[1:]
        if shape is None:
            raise ValueError(f'Model "{self.name}" does not know the shape of its input: pass input_shape')
        if not self._layers:
            raise ValueError(f'Model "{self.name}" has no layers')
        for index, layer in enumerate(self._layers):
            self._build_last(index, shape)  # type: ignore[arg-type]
            shape = layer.output_shape

    @property
    def built(self) -> bool:
        """Whether all layers have their weights."""
        return bool(self._layers) and all(layer.built for layer in self._layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or a number."""
        if index is not None:
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise ValueError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in self._layers]}")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of an input batch."""
        self._need_built("input_shape")
        return batched(self._layers[0].input_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of an output batch."""
        self._need_built("output_shape")
        return batched(self._layers[-1].output_shape)

    def _need_built(self, op: str) -> None:
        if not self.built:
            raise ValueError(
                f'{op}: model "{self.name}" has no weights yet: give the first layer an input_shape, or call '
                "build() or the model on some data"
            )

    # -- The function -----------------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """The outputs for a batch of inputs: an array, nested lists or a tensor.

        Only with `training` are the operations recorded for gradients, and do elements drop out.
        """
        inputs = as_float(x)
        if not self.built:
            self.build(inputs.shape)
        before = self.training
        self.train(training)
        try:
            with enable_grad() if training else no_grad():
                return self.forward(self._fit_rank(inputs))
        finally:
            self.train(before)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs for a float32 tensor."""
        return self._run(x, softmax=True)

    def logits(self, x: Tensor) -> Tensor:
        """The outputs without the last layer's softmax, if it has one."""
        return self._run(x, softmax=False)

    def _run(self, x: Tensor, softmax: bool) -> Tensor:
        wanted = self._layers[0].input_shape
        if x.shape[1:] != wanted:
            raise self._layers[0].incompatible(f"shape={batched(wanted)}", f"shape={x.shape}")
        x = channels_first(x)
        for layer in self._layers[:-1]:
            x = layer.forward(x)
        end = self._layers[-1]
        return channels_last(end.forward(x) if softmax else end.logits(x))

    def _fit_rank(self, x: Any) -> Any:
        """Inputs with a last axis of size 1 added or dropped where the model has, or lacks, it: for grey images."""
        wanted = self._layers[0].input_shape
        if (*x.shape[1:], 1) == wanted:
            return x.reshape(*x.shape, 1)
        return x.reshape(x.shape[:-1]) if x.shape[1:] == (*wanted, 1) else x

    # -- The weights ------------------------------------------------------------------------------------------

    @property
    def weights(self) -> list[Tensor]:
        """The weights of all layers, as views in Keras's shapes."""
        return [weight for layer in self._layers for weight in layer.weights]

    def get_weights(self) -> list[Array]:
        """Copies of the weights as arrays."""
        return [array for layer in self._layers for array in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy arrays into the weights; ValueError, with nothing changed, where they do not fit."""
        self._need_built("set_weights")
        wanted = [w.shape for w in self.weights]
        given = [np.shape(w._data if isinstance(w, Tensor) else w) for w in weights]
        if given != wanted:
            raise ValueError(f"set_weights: got {len(given)} weights of shapes {given}, wanted {wanted}")
        rest = list(weights)
        for layer in self._layers:
            count = len(layer.weights)
            layer.set_weights(rest[:count])
            rest = rest[count:]

    def count_params(self) -> int:
        """How many numbers the weights have."""
        self._need_built("count_params")
        return sum(layer.count_params() for layer in self._layers)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the state dict to a safetensors file, atomically; the name must end with `.safetensors`."""
        self.check_file("save_weights", filepath, overwrite)
        arrays = {name: tensor._data for name, tensor in self.state_dict().items()}
        checkpoint.write_tensors(filepath, arrays, {"format": "tinydl"})

    def check_file(self, op: str, filepath: str | os.PathLike[str], overwrite: bool) -> None:
        """Refuse to write a model that has no weights, or a file by a wrong name or over another."""
        self._need_built(op)
        if not os.fspath(filepath).endswith(".safetensors"):
            raise ValueError(f"{op}: the file name must end with .safetensors, got {os.fspath(filepath)!r}")
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(f"{op}: {os.fspath(filepath)} exists")

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write layers and weights to a file, of which `keras.models.load_model` makes the same model."""
        from .saving import save_model

        save_model(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read a file of `save_weights`, or a checkpoint; ValueError, with nothing changed, where it does not fit."""
        self._need_built("load_weights")
        tensors, metadata = checkpoint.read_tensors(filepath)
        if metadata.get("format") == checkpoint.FORMAT:
            tensors = checkpoint.load(filepath)["model"]
        self.load_state_dict(tensors)

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], None] | None = None) -> None:
        """Print the layers with the shapes of their outputs and the numbers of their weights."""
        (print_fn or print)(summary(self, line_length))

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, built={self.built}>"
