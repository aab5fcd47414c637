"""What all layers share.

A layer is a thin face: its weights live in the `nn` layer `inner`, made when the shape of the input is known. For the
user images are N, H, W, C. Inside a model they flow as N, C, H, W views of the same memory, which is what the kernels
take, and what `forward` gets and gives; `layer(x)` and the ends of a model turn the axes. Nothing is copied by that.
Sequences are N, L, C everywhere; the layers that want N, C, L take such a view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ... import nn
from ...autograd import no_grad
from ...creation import as_tensor
from ...tensor import Array, Tensor
from .. import activations, constraints, functional, initializers, regularizers
from ..lookup import supported
from . import own
from .calling import Called
from .layout import (
    Shape,
    all_first,
    all_last,
    as_float,
    batched,
    batches_of,
    by_channels_last,
    channels_first,
    channels_last,
    map_shapes,
    sample_shape,
    samples_of,
    shape_after,
    snake,
)

__all__ = [
    "Layer",
    "Shape",
    "Variable",
    "as_float",
    "batched",
    "by_channels_last",
    "channels_first",
    "channels_last",
    "shape_after",
]


class Variable(NamedTuple):
    """A weight of a layer: a tensor of `inner`, and how it is seen in Keras's order of axes."""

    name: str
    tensor: Tensor
    turn: Callable[[Tensor], Tensor] | None
    regularizer: Callable[[Tensor], Tensor] | None
    constraint: Callable[[Tensor], Tensor] | None
    trainable: bool

    def view(self) -> Tensor:
        """The weight in Keras's order of axes, recorded for gradients."""
        return self.tensor if self.turn is None else self.turn(self.tensor)

    def constrain(self) -> None:
        """Put the weight within its limits."""
        with no_grad():
            view = self.view().detach()
            values = as_tensor(self.constraint(view))  # type: ignore[misc]
            if values.shape != view.shape:
                raise ValueError(f"the constraint of {self.name} returned shape {values.shape}, wanted {view.shape}")
            view.copy_(values)


class Layer(Called):
    """Base of the layers, and of layers of one's own.

    Such a layer makes its weights by `add_weight`, in `__init__` or in `build(input_shape)`, and defines
    `call(inputs)`, which may have an argument `training`; images are N, H, W, C there. Layers among its attributes,
    also in lists and dictionaries, are parts of it.

    Args:
        name: by default the class's name in small letters, numbered within a model.
        input_shape: the shape of a sample, for the first layer of a model.
        trainable: whether the weights are trained.
        activity_regularizer: a penalty on the outputs, by name or as an object; `losses` has it over the batch size.

    Attributes:
        inner: the `nn` layer with the weights, or None.
        built: whether the input's shape is known, and the weights made.
        input_shape, output_shape: of a sample, once built.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> layer = Scale()
    >>> layer([[1.0, 2.0]])
    tensor([[1., 2.]])
    >>> layer.count_params()
    2
    """

    is_layer: ClassVar[bool] = True
    _loses: ClassVar[bool] = False  # whether the class has `losses` of its own
    _building = False
    _beside: own.Beside = ((), {})  # what is passed to `call` beside the inputs
    _in: Any
    _out: Any
    activation: Callable[..., Any] = staticmethod(activations.linear)

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
        **options: Any,
    ) -> None:
        supported(type(self).__name__, options)
        if dtype is not None and np.dtype(dtype) != np.float32:
            raise ValueError(f"{type(self).__name__}: dtype {dtype} is not available; layers compute in float32")
        self.name = name or snake(type(self).__name__)
        self.named = name is not None
        self._built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._losses: list[Tensor] = []  # of the last call: on its outputs, and those of add_loss
        self._nodes: list[functional.Node] = []
        self._trainable = trainable
        self._choices: dict[str, tuple[Any, Any, Any]] = {}
        self._variables: list[Variable] = []
        self.given_shape = None if input_shape is None else sample_shape(input_shape)
        if input_dim is not None:
            self.given_shape = (int(input_dim),)

    # -- What subclasses define -------------------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls.build = own.building(vars(cls)["build"])  # type: ignore[method-assign]
        cls._loses = cls._loses or "losses" in vars(cls)
        if "call" in vars(cls):
            cls._calls = True
            cls._takes_training = own.accepts(vars(cls)["call"], "training")

    def make(self, input_shape: Any) -> Any:
        """Check the shape of a sample, make `inner`, and return the shape of the output."""
        if self._calls:
            return samples_of(own.output_shapes(self, batches_of(input_shape), *self._beside))
        return input_shape

    def call(self, inputs: Any) -> Any:
        """The output, from and to N, H, W, C where the tensors are images."""
        return all_last(self.activate(self.logits(all_first(inputs))))

    def logits(self, x: Tensor) -> Tensor:
        """The output without a softmax at its end, from and to N, C, H, W where the tensors are images."""
        raise NotImplementedError(f'Layer "{self.name}": {type(self).__name__} does not define `call`')

    # -- What subclasses use ----------------------------------------------------------------------------------

    def activate_by(self, activation: Any) -> None:
        """Take an activation by its name or as a function; `fused` is its name if the kernels take it in."""
        self.activation = function = activations.get(activation)
        self.fused = activations.fused_name(function)
        self._elementwise = activations.is_elementwise(function)
        self._done = function is activations.linear or self.fused is not None or self.ends_in_softmax

    def finish(self, x: Tensor) -> Tensor:
        """The activation, unless it is done: fused, or a softmax at the end."""
        if self._done:
            return x
        return self.activation(x) if self._elementwise else by_channels_last(self.activation, x)

    def choose(self, name: str, initializer: Any, regularizer: Any = None, constraint: Any = None) -> None:
        """How the weight of a name is to be initialised, regularised and constrained."""
        chosen = initializers.get(initializer), regularizers.get(regularizer), constraints.get(constraint)
        self._choices[name] = chosen

    def hold(
        self, name: str, tensor: Tensor, turn: Callable[[Tensor], Tensor] | None = None, trainable: bool = True
    ) -> None:
        """Name a tensor of `inner` as a weight, and fill it as was chosen. `turn` gives the view in Keras's axes."""
        initializer, regularizer, constraint = self._choices.get(name, (None, None, None))
        variable = Variable(name, tensor, turn, regularizer, constraint, trainable)
        self._variables.append(variable)
        if initializer is not None:
            view = variable.view().detach()
            values = as_tensor(initializer(view.shape, dtype="float32"))
            if values.shape != view.shape:
                raise ValueError(
                    f'Layer "{self.name}": the initializer of {name} returned shape {values.shape}, wanted {view.shape}'
                )
            with no_grad():
                view.copy_(values)

    def add_weight(
        self,
        shape: int | Sequence[int] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: Any = None,
        name: str | None = None,
    ) -> Any:
        """A new weight: by default of no axes, float32, trained, and from the Glorot uniform distribution.

        Weights that are not trained may have another dtype, and are 0 by default where that is no floating-point one.
        Its values may be set by `assign`, `assign_add` and `assign_sub`. autocast and aggregation have no effect.
        """
        if self.inner is None:
            self.inner = nn.Module()
        name = own.numbered((name or "variable").replace(".", "_"), {v.name for v in self._variables})
        weight = own.new_weight(self, () if shape is None else shape, dtype, trainable)
        (self.inner._parameters if trainable else self.inner._buffers)[name] = weight
        self.choose(
            name, initializer or ("glorot_uniform" if weight.is_floating_point() else "zeros"), regularizer, constraint
        )
        self.hold(name, weight, trainable=trainable)
        return weight

    def add_loss(self, loss: Any) -> None:
        """Let the loss, a number or a list of some, count in that of the model: `call` says so each time."""
        self._losses += [as_tensor(each) for each in (loss if isinstance(loss, list | tuple) else [loss])]

    @property
    def training(self) -> bool:
        """Whether the layer, or its model, is in training."""
        return self.inner is not None and self.inner.training

    # -- The function -----------------------------------------------------------------------------------------

    def forward(self, x: Any, *others: Any, **options: Any) -> Any:
        """The output, from and to N, C, H, W where the tensors are images."""
        if self._calls:
            others = tuple(map(all_last, others))
            return all_first(self._called(all_last(x), *others, **options))
        out = self.activate(self.logits(x))
        if self.activity_regularizer is not None:
            self._losses.append(self.activity_regularizer(channels_last(out)) / out.shape[0])
        return out

    def activate(self, x: Tensor) -> Tensor:
        """The softmax at the layer's end, where there is one."""
        return _softmax(x) if self.ends_in_softmax else x

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the last thing that the layer does is a softmax over the last axis."""
        return self.activation is activations.softmax and self.activity_regularizer is None and not self._calls

    @property
    def losses(self) -> list[Tensor]:
        """The penalties: of the last call, and on the weights that are trained; recorded on the tape."""
        within = [loss for layer in self.all_layers()[1:] for loss in layer.penalties()]
        return [*self.own_losses(), *within]

    def own_losses(self) -> list[Tensor]:
        """The penalties without those of the layers within this one."""
        if not self._trainable:
            return list(self._losses)
        held = [v.regularizer(v.view()) for v in self._variables if v.regularizer is not None and v.trainable]
        return [*self._losses, *held]

    def penalties(self) -> list[Tensor]:
        """`own_losses`, or `losses` where a class has its own."""
        return self.losses if self._loses else self.own_losses()

    @property
    def may_lose(self) -> bool:
        """Whether `penalties` may have any, now or after another call."""
        regularized = any(v.regularizer is not None for v in self._variables)
        return self._calls or self._loses or regularized or self.activity_regularizer is not None

    # -- Layers within ----------------------------------------------------------------------------------------

    def sublayers(self) -> dict[str, Layer]:
        """The layers that this one is made of, by the paths of their names in the state dict."""
        return own.layers_in(self) if self._calls else {}

    def all_layers(self) -> list[Layer]:
        """The layer, and all within it, each once."""
        found: dict[int, Layer] = {id(self): self}
        for part in self.sublayers().values():
            found.update((id(layer), layer) for layer in part.all_layers() if id(layer) not in found)
        return list(found.values())

    @property
    def constrained(self) -> list[Variable]:
        """The trained weights that are kept within limits."""
        return [v for v in self._variables if v.constraint is not None and v.trainable] if self._trainable else []

    # -- What users call --------------------------------------------------------------------------------------

    @property
    def built(self) -> bool:
        """Whether the shape of the input is known, and the weights are made."""
        return self._built

    @built.setter
    def built(self, value: bool) -> None:
        """Nothing: Keras's layers set it in `build`, which is noted here anyway."""

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of a shape that begins with the batch axis."""
        if not self.built and not self._building:
            self._note_input(input_shape)
            self._finish_building()

    def _note_input(self, input_shape: Any) -> None:
        self._in = samples_of(input_shape)

    def _finish_building(self) -> None:
        self._out = self.make(self._in)
        self._beside = ((), {})
        self._built = True
        if self._calls:
            self.adopt()
        if not self._trainable:
            self.trainable = False

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of a batch of outputs for that of a batch of inputs; builds the layer."""
        self.build(input_shape)
        return batches_of(self._out)

    def symbolic_outputs(self, shapes: Any, beside: own.Beside, make: Callable[[Any], Any]) -> Any:
        """make(shape) for each output of a call with inputs of some shapes, in the structure of the outputs."""
        self._beside = beside
        self.build(shapes)
        if self._calls:
            return map_shapes(make, own.output_shapes(self, shapes, *beside))
        if samples_of(shapes) != self._in:
            raise ValueError(
                f'Layer "{self.name}": it was built for inputs of shape {batches_of(self._in)}, and cannot be shared '
                f"by others of shape {shapes}: make another layer"
            )
        return map_shapes(make, batches_of(self._out))

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; a change counts from the next `compile` on."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.sublayers().values():
            layer.trainable = value
        for variable in self._variables:
            if variable.trainable:
                variable.tensor.requires_grad_(self._trainable)

    def __getattr__(self, name: str) -> Any:
        """A weight by its name: `kernel`, `bias`, `gamma` and so on."""
        for variable in self.__dict__.get("_variables", ()):
            if variable.name == name:
                return variable.view()
        described = getattr(type(self), name, None)
        if isinstance(described, property) and described.fget:  # its own AttributeError led here
            return described.fget(self)
        if "_variables" not in self.__dict__ and name[:1] == "_" != name[1:2]:
            raise RuntimeError(f"{type(self).__name__}: call super().__init__() first, in the layer's own __init__")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _held(self) -> list[Variable]:
        """The layer's own weights, what is not trained last, and then those of the layers within it."""
        held = [v for layer in self.all_layers() for v in sorted(layer._variables, key=lambda v: not v.trainable)]
        return list({id(v.tensor): v for v in held}.values())

    @property
    def weights(self) -> list[Tensor]:
        """The weights, as views in Keras's shapes: kernels (H, W, in, out) or (in, out); what is not trained last."""
        return [v.view().detach() for v in self._held()]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that are trained."""
        return [v.view().detach() for v in self._held() if v.tensor.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that are not trained: all where the layer is frozen, and moving statistics."""
        return [v.view().detach() for v in self._held() if not v.tensor.requires_grad]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Copies of the weights as arrays."""
        return [np.array(w._data) for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy arrays into the weights; ValueError, with nothing changed, where they do not fit."""
        own = self.weights
        arrays = [np.asarray(w._data if isinstance(w, Tensor) else w) for w in weights]
        if [a.shape for a in arrays] != [w.shape for w in own]:
            got, wanted = [a.shape for a in arrays], [w.shape for w in own]
            raise ValueError(f'Layer "{self.name}": got weights of shapes {got}, wanted {wanted}')
        with no_grad():
            for weight, array in zip(own, arrays, strict=True):
                weight.copy_(Tensor(array))

    def count_params(self) -> int:
        """How many numbers the weights have."""
        return sum(w.numel() for w in self.weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments with the defaults filled in, and the layer's name, where that is one."""
        own_ones = {"name": self.name, "trainable": self._trainable}
        return {**super().get_config(), **{k: v for k, v in own_ones.items() if own.takes(type(self), k)}}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # -- Errors -----------------------------------------------------------------------------------------------

    def incompatible(self, expected: str, found: str, number: int = 0) -> ValueError:
        """The error of an input that does not fit."""
        where = f'Input {number} of layer "{self.name}" is incompatible with the layer'
        return ValueError(f"{where}: expected {expected}, found {found}")

    def need_signals(self, shape: Shape) -> None:
        """Refuse inputs that are no sequences."""
        if len(shape) != 2:
            found = f"ndim={len(shape) + 1}. Full shape received: {batched(shape)}"
            raise self.incompatible("ndim=3 (N, L, C)", found)

    def need_images(self, shape: Shape) -> None:
        """Refuse inputs that are no images."""
        if len(shape) != 3:
            found = f"ndim={len(shape) + 1}. Full shape received: {batched(shape)}"
            raise self.incompatible("ndim=4 (N, H, W, C)", found)


def _softmax(x: Tensor) -> Tensor:
    return activations.softmax(x, 1 if x.ndim == 4 else -1)
