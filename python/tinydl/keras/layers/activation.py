"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import nn
from ...creation import zeros
from ...nn.parameter import Parameter
from ...ops.activation import Prelu
from ...ops.elementwise import apply_binary
from ...tensor import Tensor
from .. import activations
from .arguments import axis_of
from .base import Layer, Shape, by_channels_last, shape_after


class Activation(Layer):
    """f(x), for a name or a function of `activations`, or any function of a tensor.

    >>> Activation("relu")([[-1.0, 2.0]])
    tensor([[0., 2.]])
    """

    _steps_from = 3
    supports_masking = True

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activate_by(activation)

    def make(self, input_shape: Shape) -> Shape:
        """The input's shape, but for functions that may change it."""
        return input_shape if self._elementwise else shape_after(self.activation, input_shape)

    def logits(self, x: Tensor) -> Tensor:
        """f(x), without a softmax."""
        if self.ends_in_softmax:
            return x
        return self.activation(x) if self._elementwise else by_channels_last(self.activation, x)


class ReLU(Layer):
    """x above `threshold`, at most `max_value`; negative_slope (x - threshold) below.

    >>> ReLU(max_value=6.0)([[-1.0, 2.0, 8.0]])
    tensor([[0., 2., 6.]])
    """

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        for name, value in (("max_value", max_value), ("negative_slope", negative_slope), ("threshold", threshold)):
            if (value is None and name != "max_value") or (value is not None and value < 0):
                raise ValueError(f"ReLU: got {name}={value}, wanted a number of at least 0")
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def logits(self, x: Tensor) -> Tensor:
        """The function's value."""
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """x for x > 0, negative_slope x elsewhere.

    >>> LeakyReLU()([[-10.0, 2.0]])
    tensor([[-3.,  2.]])
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        if "alpha" in options:  # Keras 2's name
            negative_slope = options.pop("alpha")
        super().__init__(**options)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(f"LeakyReLU: got negative_slope={negative_slope}, wanted a number of at least 0")
        self.negative_slope = negative_slope

    def logits(self, x: Tensor) -> Tensor:
        """The function's value."""
        return activations.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """x for x > 0, alpha (e^x - 1) elsewhere.

    >>> ELU()([[0.0, 2.0]])
    tensor([[0., 2.]])
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def logits(self, x: Tensor) -> Tensor:
        """The function's value."""
        return activations.elu(x, self.alpha)


class _Slopes(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = Parameter(zeros(*shape)._data)


class PReLU(Layer):
    """x for x > 0, alpha x elsewhere, with a learnt alpha for each element of a sample (He et al. 2015).

    Weights: alpha, of the sample's shape, but 1 along the `shared_axes` (counted from the batch's, 0).

    >>> layer = PReLU(alpha_initializer="ones")
    >>> layer([[-10.0, 2.0]])
    tensor([[-10.,   2.]])
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.choose("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        shared = () if shared_axes is None else (shared_axes,) if isinstance(shared_axes, int) else tuple(shared_axes)
        self.shared_axes = shared

    def make(self, input_shape: Shape) -> Shape:
        """alpha."""
        shared = {axis_of(self, axis, len(input_shape) + 1) for axis in self.shared_axes}
        self.inner = inner = _Slopes(tuple(1 if i in shared else n for i, n in enumerate(input_shape, 1)))
        self.hold("alpha", inner.weight)
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The function's value."""
        alpha: Any = self.inner.weight  # type: ignore[union-attr]
        return apply_binary(Prelu, x, (alpha.permute(2, 0, 1) if x.ndim == 4 else alpha).unsqueeze(0))


class Softmax(Layer):
    """The softmax along an axis, or over several taken as one.

    >>> Softmax()([[0.0, 0.0]])
    tensor([[0.5, 0.5]])
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis
        if axis == -1:
            self.activate_by("softmax")

    def logits(self, x: Tensor) -> Tensor:
        """The input if the softmax is over its last axis and comes at the end, else the softmax."""
        return x if self.ends_in_softmax else by_channels_last(self._softmax, x)

    def _softmax(self, x: Tensor) -> Tensor:
        if isinstance(self.axis, int):
            return activations.softmax(x, self.axis)
        return (x - x.logsumexp(tuple(self.axis), keepdim=True)).exp()
