"""Layers for tensors of any kind: input, dense, flatten, dropout, activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import nn
from ...ops.matmul import linear
from ...tensor import Tensor
from .. import activations, initializers
from .arguments import check_data_format, initialize, positive
from .base import Layer, Shape, batched, channels_first, channels_last


class InputLayer(Layer):
    """The shape of the model's input; does nothing."""

    def __init__(
        self, shape: Sequence[int] | None = None, batch_size: int | None = None, name: str | None = None
    ) -> None:
        if shape is None:
            raise ValueError("Input: shape is missing")
        super().__init__(name=name, input_shape=shape)

    def logits(self, x: Tensor) -> Tensor:
        """The input."""
        return x


def Input(shape: Sequence[int] | None = None, batch_size: int | None = None, name: str | None = None) -> InputLayer:
    """The shape of a sample, as the first entry of a `Sequential`."""
    return InputLayer(shape, batch_size, name)


class Dense(Layer):
    """y = f(x W + b) over the last axis: (N, ..., in) to (N, ..., units)."""

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = positive(self, "units", units)
        self.activation = activations.name_of(activation)
        self.use_bias = use_bias
        self._initializers = initializers.get(kernel_initializer), initializers.get(bias_initializer)

    def make(self, input_shape: Shape) -> Shape:
        """W (units, in) and b."""
        if not input_shape:
            raise self.incompatible("min_ndim=2", f"ndim=1. Full shape received: {batched(input_shape)}")
        self.inner = nn.Linear(input_shape[-1], self.units, self.use_bias)
        initialize(self.inner, self._initializers)
        return (*input_shape[:-1], self.units)

    def logits(self, x: Tensor) -> Tensor:
        """f(x W + b), without a softmax."""
        inner: Any = self.inner
        fused = self.activation if self.activation in activations.FUSED else None
        if x.ndim == 4:
            return channels_first(linear(channels_last(x), inner.weight, inner.bias, fused))
        return linear(x, inner.weight, inner.bias, fused)


class Flatten(Layer):
    """(N, ...) to (N, features); images in the order H, W, C, which is that of their memory."""

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        check_data_format(self, data_format)

    def make(self, input_shape: Shape) -> Shape:
        """The number of features."""
        return (math.prod(input_shape),)

    def logits(self, x: Tensor) -> Tensor:
        """The rows."""
        return channels_last(x).reshape(x.shape[0], self.output_shape[0])


class Dropout(Layer):
    """In training, each element is 0 with probability `rate` and otherwise divided by 1 - rate."""

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(noise_shape=noise_shape, seed=seed, **options)
        if not 0 <= rate <= 1:
            raise ValueError(f"Dropout: got rate={rate}, wanted 0 to 1")
        self.rate = rate

    def make(self, input_shape: Shape) -> Shape:
        """The layer that knows whether the model trains."""
        self.inner = nn.Dropout(self.rate)
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The thinned input."""
        return self.inner(x)  # type: ignore[misc, no-any-return]


class Activation(Layer):
    """f(x), elementwise; softmax is over the last axis."""

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.name_of(activation)

    def logits(self, x: Tensor) -> Tensor:
        """f(x), without a softmax."""
        return x if self.ends_in_softmax else activations.KNOWN[self.activation](x)


class ReLU(Activation):
    """max(x, 0)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("relu", **options)


class Softmax(Activation):
    """The softmax over the last axis."""

    def __init__(self, axis: int = -1, **options: Any) -> None:
        if axis != -1:
            raise ValueError(f"Softmax: axis={axis} is not available, wanted -1")
        super().__init__("softmax", **options)
