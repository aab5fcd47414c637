"""What all layers share.

A layer is a thin face: its weights live in the `nn` layer `inner`, made when the shape of the input is known. For the
user images are N, H, W, C. Inside a model they flow as N, C, H, W views of the same memory, which is what the kernels
take, and what `forward` gets and gives; `layer(x)` and the ends of a model turn the axes. Nothing is copied by that.
Sequences are N, L, C everywhere; the layers that want N, C, L take such a view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ...autograd import enable_grad, no_grad
from ...creation import as_tensor, zeros
from ...tensor import Array, Tensor
from .. import activations, constraints, initializers, regularizers
from ..config import Configured
from ..lookup import supported

Shape = tuple[int, ...]


def channels_first(x: Tensor) -> Tensor:
    """N, C, H, W from N, H, W, C; tensors that are no images as they are."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def channels_last(x: Tensor) -> Tensor:
    """N, H, W, C from N, C, H, W; tensors that are no images as they are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


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
            view.copy_(self.constraint(view))  # type: ignore[misc]


class Layer(Configured):
    """Base of the layers.

    Args:
        name: by default the class's name in small letters, numbered within a model.
        input_shape: the shape of a sample, for the first layer of a model.
        trainable: whether the weights are trained.
        activity_regularizer: a penalty on the outputs, by name or as an object; `losses` has it over the batch size.

    Attributes:
        inner: the `nn` layer with the weights, or None.
        built: whether the input's shape is known, and the weights made.
        input_shape, output_shape: of a sample, once built.
    """

    input_shape: Shape
    output_shape: Shape
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
        self.name = name or _snake(type(self).__name__)
        self.named = name is not None
        self.inner: nn.Module | None = None
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._activity_loss: Tensor | None = None
        self._trainable = trainable
        self._choices: dict[str, tuple[Any, Any, Any]] = {}
        self._variables: list[Variable] = []
        self.given_shape = None if input_shape is None else _shape(input_shape)
        if input_dim is not None:
            self.given_shape = (int(input_dim),)

    # -- What subclasses define -------------------------------------------------------------------------------

    def make(self, input_shape: Shape) -> Shape:
        """Check the shape of a sample, make `inner`, and return the shape of the output."""
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The output without a softmax at its end, from and to N, C, H, W where the tensors are images."""
        raise NotImplementedError(f"{type(self).__name__} does not define logits")

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

    @property
    def training(self) -> bool:
        """Whether the layer, or its model, is in training."""
        return self.inner is not None and self.inner.training

    # -- The function -----------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """The output, from and to N, C, H, W where the tensors are images."""
        out = self.activate(self.logits(x))
        if self.activity_regularizer is not None:
            self._activity_loss = self.activity_regularizer(channels_last(out)) / out.shape[0]
        return out

    def activate(self, x: Tensor) -> Tensor:
        """The softmax at the layer's end, where there is one."""
        return _softmax(x) if self.ends_in_softmax else x

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the last thing that the layer does is a softmax over the last axis."""
        return self.activation is activations.softmax and self.activity_regularizer is None

    @property
    def losses(self) -> list[Tensor]:
        """The penalties: on the last outputs, and on the weights that are trained; recorded on the tape."""
        found = [] if self._activity_loss is None else [self._activity_loss]
        if self._trainable:
            found += [v.regularizer(v.view()) for v in self._variables if v.regularizer is not None and v.trainable]
        return found

    @property
    def constrained(self) -> list[Variable]:
        """The trained weights that are kept within limits."""
        return [v for v in self._variables if v.constraint is not None and v.trainable] if self._trainable else []

    # -- What users call --------------------------------------------------------------------------------------

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of a shape that begins with the batch axis."""
        if not self.built:
            self.input_shape = _shape(input_shape[1:])
            self.output_shape = self.make(self.input_shape)
            self.built = True
            self.trainable = self._trainable

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """The output for a batch; only with `training` are the operations recorded for gradients."""
        inputs = as_float(x)
        self.build(inputs.shape)
        if self.inner is not None:
            self.inner.train(training)
        with enable_grad() if training else no_grad():
            return channels_last(self.forward(channels_first(inputs)))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of a batch of outputs for that of a batch of inputs; builds the layer."""
        self.build(input_shape)
        return (input_shape[0], *self.output_shape)

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; a change counts from the next `compile` on."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value
        if self.inner is not None:
            self.inner.requires_grad_(value)

    def __getattr__(self, name: str) -> Any:
        """A weight by its name: `kernel`, `bias`, `gamma` and so on."""
        for variable in self.__dict__.get("_variables", ()):
            if variable.name == name:
                return variable.view()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def weights(self) -> list[Tensor]:
        """The weights, as views in Keras's shapes: kernels (H, W, in, out) or (in, out); what is not trained last."""
        held = sorted(self._variables, key=lambda v: not v.trainable)
        return [v.view().detach() for v in held]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that are trained."""
        return [v.view().detach() for v in self._variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that are not trained: all where the layer is frozen, and moving statistics."""
        return [v.view().detach() for v in self._variables if not v.trainable] if self._trainable else self.weights

    def get_weights(self) -> list[Array]:
        """Copies of the weights as arrays."""
        return [np.array(w._data) for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy arrays into the weights; ValueError, with nothing changed, where they do not fit."""
        own = self.weights
        arrays = [np.asarray(w._data if isinstance(w, Tensor) else w) for w in weights]
        if [a.shape for a in arrays] != [w.shape for w in own]:
            raise ValueError(
                f'Layer "{self.name}": got weights of shapes {[a.shape for a in arrays]}, '
                f"wanted {[w.shape for w in own]}"
            )
        with no_grad():
            for weight, array in zip(own, arrays, strict=True):
                weight.copy_(Tensor(array))

    def count_params(self) -> int:
        """How many numbers the weights have."""
        return sum(w.numel() for w in self.weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments with the defaults filled in, and the layer's name."""
        config = super().get_config()
        return {**config, "name": self.name, "trainable": self._trainable}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # -- Errors -----------------------------------------------------------------------------------------------

    def incompatible(self, expected: str, found: str) -> ValueError:
        """The error of an input that does not fit."""
        where = f'Input 0 of layer "{self.name}" is incompatible with the layer'
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


def as_float(x: Any) -> Tensor:
    """A float32 tensor from an array, list or tensor of any numbers."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype == np.float32 else tensor.to("float32")


def batched(shape: Shape) -> tuple[int | None, ...]:
    """The shape of a batch, as Keras prints it."""
    return (None, *shape)


def _softmax(x: Tensor) -> Tensor:
    return activations.softmax(x, 1 if x.ndim == 4 else -1)


def by_channels_last(function: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """function(x), where the function sees images as N, H, W, C and sequences as N, L, C."""
    return channels_first(as_tensor(function(channels_last(x))))


def shape_after(function: Callable[[Tensor], Any], shape: Shape) -> Shape:
    """The shape of a sample of function(x), found by a batch of zeros."""
    with no_grad():
        return as_tensor(function(zeros(1, *shape))).shape[1:]


def _snake(name: str) -> str:
    """`max_pooling2d` from `MaxPooling2D`, by Keras's rule."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()


def _shape(sizes: Sequence[int | None]) -> Shape:
    if isinstance(sizes, int):
        sizes = (sizes,)
    if any(n is None or int(n) < 1 for n in sizes):
        raise ValueError(f"input shape {tuple(sizes)}: wanted a positive size for every axis but the batch's")
    return tuple(int(n) for n in sizes)  # type: ignore[arg-type]
