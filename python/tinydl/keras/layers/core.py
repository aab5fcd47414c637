"""Layers for tensors of any kind: input, dense, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ... import nn
from ...ops.matmul import linear
from ...tensor import Tensor
from ..functional import KerasTensor, new_input
from ..regularizers import L1L2
from .arguments import positive
from .base import Layer, Shape, batched, by_channels_last, channels_first, channels_last, shape_after


class InputLayer(Layer):
    """The shape of the model's input; does nothing."""

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        if shape is None:
            raise ValueError("Input: shape is missing")
        super().__init__(name=name, input_shape=shape)
        self.build(batched(self.given_shape))  # type: ignore[arg-type]
        new_input(self, batched(self.given_shape), self.name)  # type: ignore[arg-type]

    def logits(self, x: Tensor) -> Tensor:
        """The input."""
        return x


def Input(
    shape: Sequence[int] | None = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None
) -> KerasTensor:
    """A symbolic input of samples of a shape: for layers to be called with, or as the first entry of a `Sequential`.

    Inputs of any dtype become float32.

    >>> Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    return InputLayer(shape, batch_size, dtype, name).output  # type: ignore[no-any-return]


def _transposed(weight: Tensor) -> Tensor:
    return weight.permute(1, 0)


class Dense(Layer):
    """y = f(x W + b) over the last axis: (N, ..., in) to (N, ..., units).

    Weights: kernel (in, units), bias (units,).

    >>> layer = Dense(2, kernel_initializer="ones")
    >>> layer([[1.0, 2.0, 3.0]])
    tensor([[6., 6.]])
    """

    _steps_from = 3
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.units = positive(self, "units", units)
        self.use_bias = use_bias
        self.activate_by(activation)
        self.choose("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self.choose("bias", bias_initializer, bias_regularizer, bias_constraint)

    def make(self, input_shape: Shape) -> Shape:
        """W (units, in) and b."""
        if not input_shape:
            raise self.incompatible("min_ndim=2", f"ndim=1. Full shape received: {batched(input_shape)}")
        self.inner = inner = nn.Linear(input_shape[-1], self.units, self.use_bias)
        self.hold("kernel", inner.weight, _transposed)
        if inner.bias is not None:
            self.hold("bias", inner.bias)
        return (*input_shape[:-1], self.units)

    def logits(self, x: Tensor) -> Tensor:
        """f(x W + b), without a softmax."""
        inner: Any = self.inner
        if x.ndim == 4:
            return self.finish(channels_first(linear(channels_last(x), inner.weight, inner.bias, self.fused)))
        return self.finish(linear(x, inner.weight, inner.bias, self.fused))


class Lambda(Layer):
    """function(x, **arguments), where images are N, H, W, C.

    >>> Lambda(lambda x: x * x)([[3.0]])
    tensor([[9.]])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(mask=mask, **options)
        if not callable(function):
            raise TypeError(f"Lambda: got a function of type {type(function).__name__}, wanted something callable")
        self.function = function
        self.arguments = dict(arguments or {})
        self._given = output_shape

    def make(self, input_shape: Shape) -> Shape:
        """The shape that was given, or that of the function's value for zeros."""
        if self._given is not None:
            return tuple(self._given(batched(input_shape))[1:] if callable(self._given) else self._given)
        return shape_after(lambda x: self.function(x, **self.arguments), input_shape)

    def logits(self, x: Tensor) -> Tensor:
        """The function's value."""
        return by_channels_last(lambda x: self.function(x, **self.arguments), x)


class Identity(Layer):
    """The input.

    >>> Identity()([[1.0]])
    tensor([[1.]])
    """

    supports_masking = True

    def logits(self, x: Tensor) -> Tensor:
        """The input."""
        return x


class ActivityRegularization(Layer):
    """The input; its penalty l1 Σ |x| + l2 Σ x², over the batch size, counts in the loss.

    >>> layer = ActivityRegularization(l1=1.0)
    >>> _ = layer([[1.0, -2.0]])
    >>> layer.losses
    [tensor(3.)]
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **options)
        self.l1, self.l2 = l1, l2

    def logits(self, x: Tensor) -> Tensor:
        """The input."""
        return x
