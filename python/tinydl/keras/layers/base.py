"""What all layers share.

A layer is a thin face: its weights live in the `nn` layer `inner`, made when the shape of the input is known. For the
user images are N, H, W, C. Inside a model they flow as N, C, H, W views of the same memory, which is what the kernels
take, and what `forward` gets and gives; `layer(x)` and the ends of a model turn the axes. Nothing is copied by that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...autograd import enable_grad, no_grad
from ...creation import as_tensor
from ...tensor import Array, Tensor
from .. import activations
from ..lookup import supported

Shape = tuple[int, ...]


def channels_first(x: Tensor) -> Tensor:
    """N, C, H, W from N, H, W, C; tensors that are no images as they are."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def channels_last(x: Tensor) -> Tensor:
    """N, H, W, C from N, C, H, W; tensors that are no images as they are."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


class Layer:
    """Base of the layers.

    Args:
        name: by default the class's name in small letters, numbered within a model.
        input_shape: the shape of a sample, for the first layer of a model.
        trainable: whether the weights are trained.

    Attributes:
        inner: the `nn` layer with the weights, or None.
        built: whether the input's shape is known, and the weights made.
        input_shape, output_shape: of a sample, once built.
    """

    input_shape: Shape
    output_shape: Shape

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
        trainable: bool = True,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        supported(type(self).__name__, options)
        if dtype is not None and np.dtype(dtype) != np.float32:
            raise ValueError(f"{type(self).__name__}: dtype {dtype} is not available; layers compute in float32")
        self.name = name or _snake(type(self).__name__)
        self.named = name is not None
        self.inner: nn.Module | None = None
        self.built = False
        self._trainable = trainable
        self.given_shape = None if input_shape is None else _shape(input_shape)
        if input_dim is not None:
            self.given_shape = (int(input_dim),)

    # -- What subclasses define -------------------------------------------------------------------------------

    def make(self, input_shape: Shape) -> Shape:
        """Check the shape of a sample, make `inner`, and return the shape of the output."""
        return input_shape

    def forward(self, x: Tensor) -> Tensor:
        """The output, from and to N, C, H, W where the tensors are images."""
        return self.activate(self.logits(x))

    def logits(self, x: Tensor) -> Tensor:
        """The output without a softmax at its end."""
        raise NotImplementedError(f"{type(self).__name__} does not define logits")

    def activate(self, x: Tensor) -> Tensor:
        """The softmax at the layer's end, where there is one."""
        return _softmax(x) if self.ends_in_softmax else x

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the last thing that the layer does is a softmax over the last axis."""
        return getattr(self, "activation", None) == "softmax"

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

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; a change counts from the next `compile` on."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value
        if self.inner is not None:
            self.inner.requires_grad_(value)

    @property
    def weights(self) -> list[Tensor]:
        """The kernel and the bias, as views in Keras's shapes: (H, W, in, out) or (in, out), and (out,)."""
        if self.inner is None:
            return []
        found = [p.detach() for p in self.inner.parameters()]
        return [_turned(p) if p.ndim > 1 else p for p in found]

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # -- Errors -----------------------------------------------------------------------------------------------

    def incompatible(self, expected: str, found: str) -> ValueError:
        """The error of an input that does not fit."""
        where = f'Input 0 of layer "{self.name}" is incompatible with the layer'
        return ValueError(f"{where}: expected {expected}, found {found}")

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


def _turned(weight: Tensor) -> Tensor:
    """(in, out) or (H, W, in, out) from (out, in) or (out, in, H, W)."""
    return weight.permute(1, 0) if weight.ndim == 2 else weight.permute(2, 3, 1, 0)


def _snake(name: str) -> str:
    """`max_pooling2d` from `MaxPooling2D`, by Keras's rule."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()


def _shape(sizes: Sequence[int | None]) -> Shape:
    if isinstance(sizes, int):
        sizes = (sizes,)
    if any(n is None or int(n) < 1 for n in sizes):
        raise ValueError(f"input shape {tuple(sizes)}: wanted a positive size for every axis but the batch's")
    return tuple(int(n) for n in sizes)  # type: ignore[arg-type]
