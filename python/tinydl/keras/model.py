"""Models: a layer that is trained, saved and printed."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..tensor import Array, Tensor
from ..train import checkpoint
from . import tree
from .functional import Function, Graph, KerasTensor
from .layers.base import Layer, as_float, batched, channels_first, channels_last
from .layers.layout import batches_of
from .layers.masks import any_mask
from .layers.own import layers_in, numbered
from .serialization import graph_config, graph_of
from .summary import summary
from .training import Training

__all__ = ["Model"]


class Model(Training, nn.Module):
    """A function of inputs that can be trained.

    It is made in one of two ways. `Model(inputs, outputs)` is the function from symbolic tensors to those that layers
    made of them; both may be lists or dictionaries. Or a subclass has layers as attributes, and defines
    `call(self, inputs, training=None)`, where images are N, H, W, C. A model is a layer too: others may have it within.

    As an `nn.Module` the model has PyTorch's state dict. In it layer i (input layers not counted) has the names
    `i.weight` and `i.bias`; in subclasses the layers have the names of their attributes.

    >>> from tinydl.keras import Input, layers
    >>> a, b = Input((3,), name="a"), Input((2,), name="b")
    >>> joined = layers.concatenate([layers.Dense(4)(a), b])
    >>> model = Model([a, b], layers.Dense(1)(joined))
    >>> model([np.ones((5, 3)), np.ones((5, 2))]).shape
    (5, 1)
    """

    training = False
    _makes_masks = False  # its layers may
    __setattr__ = object.__setattr__  # type: ignore[assignment]  # layers within are found where they are

    def __init__(self, inputs: Any = None, outputs: Any = None, *, name: str | None = None, **options: Any) -> None:
        if (inputs is None) != (outputs is None):
            raise ValueError(f"{type(self).__name__}: got inputs or outputs alone, wanted both or neither")
        functional = inputs is not None
        if functional and self._calls:
            raise ValueError(f"{type(self).__name__}: got inputs and outputs, but defines a `call` of its own")
        nn.Module.__init__(self)
        Layer.__init__(self, name=name, **options)
        if functional and type(self) is Model and name is None:
            self.name = "functional"
        self._init_training()
        self._graph: Graph | None = None
        self._plan: Function | None = None
        self._bare_plan: Function | None = None
        self.eval()
        if functional:
            self._set_graph(inputs, outputs)

    @property
    def inner(self) -> nn.Module:  # type: ignore[override]
        """The module with the weights: the model itself."""
        return self

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        """Be the function from some symbolic tensors to others."""
        if isinstance(outputs, list | tuple) and len(outputs) == 1:
            (outputs,) = outputs  # as Keras's models return it
        graph = Graph(f'Model "{self.name}"', tree.flatten(inputs), tree.flatten(outputs))
        _give_names(self.name, graph.layers)
        self._graph, self._structure = graph, (inputs, outputs)
        self._plan = self._bare_plan = None
        shapes = [tree.map_leaves(lambda leaf: leaf.shape[1:], each) for each in self._structure]
        self._in, self._out = shapes
        self._built = True
        self._trainer, self._goes_on = None, False
        self.adopt()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy gets: not the functions, which would be those of this model's layers."""
        kept = self.__dict__ | {"_plan": None, "_bare_plan": None, "_trainer": None}
        return kept | {"_goes_on": self._goes_on or self._trainer is not None}

    # -- The layers -------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model: of one made of symbolic tensors those that are first needed first."""
        return self._graph.layers if self._graph else list(self.sublayers().values())

    def sublayers(self) -> dict[str, Layer]:
        """The layers, by the paths of their names in the state dict."""
        if self._graph is None:
            return layers_in(self)
        counted = [layer for layer in self._graph.layers if not _is_input(layer)]
        return {str(number): layer for number, layer in enumerate(counted)}

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or a number."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in self.layers]}")

    def _need_built(self, op: str) -> None:
        if not self.built:
            raise ValueError(
                f'{op}: model "{self.name}" has no weights yet: give the first layer an input_shape, or call '
                "build() or the model on some data"
            )

    def _need_graph(self, what: str) -> Graph:
        self._need_built(what)
        if self._graph is None:
            raise AttributeError(f'Model "{self.name}" has no {what}: it is not made of symbolic tensors')
        return self._graph

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return self._need_graph("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return self._need_graph("outputs").outputs

    @property
    def input(self) -> Any:
        """The symbolic input, or the structure of several."""
        return self._need_graph("input") and self._structure[0]

    @property
    def output(self) -> Any:
        """The symbolic output, or the structure of several."""
        return self._need_graph("output") and self._structure[1]

    @property
    def input_shape(self) -> Any:
        """The shape of an input batch, or the structure of several."""
        self._need_built("input_shape")
        return batches_of(self._in)

    @property
    def output_shape(self) -> Any:
        """The shape of an output batch, or the structure of several."""
        self._need_built("output_shape")
        return batches_of(self._out)

    @property
    def output_names(self) -> list[str]:  # type: ignore[override]
        """The names of the outputs: those of the layers that make them, or the keys of a dictionary."""
        if self._graph is not None:
            outputs = self._structure[1]
            if isinstance(outputs, Mapping):
                return sorted(outputs)
            names: list[str] = []
            for tensor in self._graph.outputs:
                names.append(numbered(tensor.node.layer.name, names))
            return names
        out = self._out if self.built and hasattr(self, "_out") else ()
        if isinstance(out, Mapping):
            return sorted(out)
        return [f"output_{number}" for number in range(len(out))] if isinstance(out, list) else ["output"]

    # -- The function -----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in ("_graph", "_trainer"):
            raise RuntimeError(f"{type(self).__name__}: call super().__init__() first, in the model's own __init__")
        try:
            return nn.Module.__getattr__(self, name)
        except AttributeError:
            return Layer.__getattr__(self, name)

    def make(self, input_shape: Any) -> Any:
        """The shape of the output, of a subclass; one without `call` trains by its `train_step` alone."""
        return super().make(input_shape) if self._calls else None

    def _note_input(self, input_shape: Any) -> None:
        if input_shape is None and self.given_shape is None:
            raise ValueError(f'Model "{self.name}" does not know the shape of its input: pass input_shape')
        super()._note_input(batched(self.given_shape) if input_shape is None else input_shape)  # type: ignore[arg-type]

    def _finish_building(self) -> None:
        super()._finish_building()
        self.adopt()

    def forward(self, x: Any, *others: Any, **options: Any) -> Any:
        """The output, from and to N, C, H, W where the tensors are images."""
        if self._graph is None:
            return super().forward(x, *others, **options)
        inputs = self._in_order(x)
        if any_mask(inputs):
            outputs = self._graph.plan(masked=True)(inputs)
        else:
            self._plan = self._plan or self._graph.plan()
            outputs = self._plan(inputs)
        return outputs[0] if self._single_output else tree.pack(self._structure[1], outputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the layers within have put masks on the outputs, where there are any."""

    def logits(self, x: Any) -> Any:
        """The output without the last layer's softmax, if it has one; from and to N, C, H, W."""
        graph = self._need_graph("logits")
        if self._bare_plan is None:
            self._bare_plan = graph.plan((0,) if self.ends_in_softmax else ())
        return self._bare_plan(self._in_order(x))[0]

    def activate(self, x: Tensor) -> Tensor:
        """The softmax at the model's end, where there is one."""
        return self.outputs[0].node.layer.activate(x)

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the last thing that the model does is a softmax over the last axis."""
        return self._graph is not None and self._single_output and self._graph.logits_layer(0) is not None

    @property
    def _single_output(self) -> bool:
        return isinstance(self._structure[1], KerasTensor)

    def _in_order(self, x: Any) -> list[Any]:
        """The inputs in a row, from tensors in the structure of the inputs, or by their names."""
        graph = self._need_graph("inputs")
        if isinstance(x, Mapping):
            keys = sorted(self._structure[0]) if isinstance(self._structure[0], Mapping) else None
            names = keys or [tensor.name for tensor in graph.inputs]
            missing = [name for name in names if name not in x]
            if missing:
                raise ValueError(f'Model "{self.name}": got inputs {sorted(x)}; missing: {", ".join(missing)}')
            return [x[name] for name in names]
        flat = tree.flatten(x) if isinstance(x, list | tuple) else [x]
        if len(flat) != len(graph.inputs):
            names = [tensor.name for tensor in graph.inputs]
            raise ValueError(f'Model "{self.name}": got {len(flat)} inputs, wanted {len(names)}: {names}')
        return flat

    def _as_inputs(self, inputs: Any) -> Any:
        if self._graph is None:
            return super()._as_inputs(inputs)
        if len(self._graph.inputs) == 1 and not isinstance(inputs, Mapping):
            inputs = inputs[0] if self._is_wrapped(inputs) else inputs
            return self._checked([as_float(inputs)])[0]
        return self._checked([as_float(each) for each in self._in_order(inputs)])

    def _is_wrapped(self, inputs: Any) -> bool:
        """Whether it is the structure of the one input, with arrays in it."""
        if not (isinstance(inputs, list | tuple) and len(inputs) == 1 and isinstance(inputs[0], np.ndarray | Tensor)):
            return False
        given = self._structure[0]
        return not isinstance(given, KerasTensor) or inputs[0].ndim == given.ndim

    def _checked(self, inputs: list[Any]) -> list[Any]:
        """The inputs with a last axis of size 1 added or dropped where that makes them fit; else ValueError."""
        fitted = [_fit_rank(x, tensor.shape[1:]) for x, tensor in zip(inputs, self.inputs, strict=True)]
        for number, (x, tensor) in enumerate(zip(fitted, self.inputs, strict=True)):
            fits = tuple(x.shape[1:]) == tensor.shape[1:]
            if not fits and not (
                x.ndim == tensor.ndim and x.shape[2:] == tensor.shape[2:] and self._any_length(number)
            ):
                raise self._misfit(number, tensor.shape, x.shape)
        return fitted

    def _any_length(self, number: int) -> bool:
        return self._need_graph("inputs").takes_any_length(number)

    def _misfit(self, number: int, wanted: Any, found: Any) -> ValueError:
        return self.incompatible(f"shape={wanted}", f"shape={tuple(found)}", number)

    def _function(self, bare: Container[int], penalized: Sequence[Layer]) -> Callable[[Any], Any]:
        """The model for a trainer: from a tensor, or a list of them, to the same; images are N, H, W, C.

        The outputs with the numbers in `bare` come without the softmax at their ends. The `penalized` layers forget the
        penalties of the batch before.
        """
        if self._graph is None:
            return lambda x: self._by_call(x, penalized)
        plan = self._graph.plan(bare)
        wanted = self.inputs[0].shape[1:]
        single = self._single_output and len(self.inputs) == 1

        def run(x: Any) -> Any:
            for layer in penalized:
                layer._losses.clear()
            if single and type(x) is Tensor and x.shape[1:] == wanted:
                return channels_last(plan([channels_first(x)])[0])
            outputs = plan([channels_first(each) for each in self._checked([x] if type(x) is Tensor else x)])
            return channels_last(outputs[0]) if len(outputs) == 1 else [channels_last(each) for each in outputs]

        return run

    def _by_call(self, x: Any, penalized: Sequence[Layer]) -> Any:
        for layer in penalized:
            layer._losses.clear()
        outputs = tree.flatten(self._called(self.unpacked(x)))
        return outputs[0] if len(outputs) == 1 else outputs

    # -- The weights ------------------------------------------------------------------------------------------

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy arrays into the weights; ValueError, with nothing changed, where they do not fit."""
        self._need_built("set_weights")
        wanted = [w.shape for w in self.weights]
        given = [np.shape(w._data if isinstance(w, Tensor) else w) for w in weights]
        if given != wanted:
            raise ValueError(f"set_weights: got {len(given)} weights of shapes {given}, wanted {wanted}")
        super().set_weights(weights)

    def count_params(self) -> int:
        """How many numbers the weights have."""
        self._need_built("count_params")
        return super().count_params()

    def get_config(self) -> dict[str, Any]:
        """The layers and how they are called; of a subclass with a `call` the constructor's arguments."""
        if self._graph is None:
            return super().get_config()
        return graph_config(self.name, self._graph, self._structure)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """The model of what `get_config` returned, with new weights."""
        if "calls" not in config:
            return super().from_config(config)
        return cls(*graph_of(config), name=config["name"])

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the state dict to a safetensors file, atomically; the name must end with `.safetensors`."""
        self.check_file("save_weights", filepath, overwrite)
        arrays: dict[str, Array] = {name: tensor._data for name, tensor in self.state_dict().items()}
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

    def links(self) -> dict[int, list[str]] | None:
        """By the id of each layer, the results that its calls take: `layer[call][output]`; None for a chain."""
        return self._graph.links() if self._graph else None

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], None] | None = None) -> None:
        """Print the layers with the shapes of their outputs and the numbers of their weights."""
        (print_fn or print)(summary(self, line_length))


def _is_input(layer: Layer) -> bool:
    return type(layer).__name__ == "InputLayer"


def _fit_rank(x: Any, wanted: tuple[int | None, ...]) -> Any:
    """Inputs with a last axis of size 1 added or dropped where the model has, or lacks, it: for grey images."""
    if (*x.shape[1:], 1) == wanted:
        return x.reshape(*x.shape, 1)
    return x.reshape(x.shape[:-1]) if x.shape[1:] == (*wanted, 1) else x


def _give_names(owner: str, layers: Sequence[Layer]) -> None:
    """Number the layers whose names are taken by others; ValueError where both were named by the user."""
    taken: dict[str, Layer] = {}
    for layer in (layer for layer in layers if layer.named):
        if layer.name in taken:
            raise ValueError(f"{owner}: layer names must be unique; '{layer.name}' is taken")
        taken[layer.name] = layer
    for layer in (layer for layer in layers if not layer.named):
        layer.name = numbered(layer.name, taken)
        taken[layer.name] = layer
