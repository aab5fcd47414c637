"""Layers that prepare inputs: scaling, standardising."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...creation import ones, zeros
from ...tensor import Array, Tensor
from .arguments import axis_of
from .base import Layer, Shape, as_float, batched, by_channels_last


class Rescaling(Layer):
    """x scale + offset; both may be lists with a number for each channel.

    >>> Rescaling(1 / 255)([[0.0, 255.0]])
    tensor([[0., 1.]])
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = scale, offset
        self._factors = [v if isinstance(v, int | float) else as_float(np.asarray(v)) for v in (scale, offset)]

    def logits(self, x: Tensor) -> Tensor:
        """The scaled input."""
        scale, offset = self._factors
        if isinstance(scale, Tensor) or isinstance(offset, Tensor):
            return by_channels_last(lambda x: x * scale + offset, x)
        return x * scale + offset if offset else x * scale


class _Moments(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", zeros(shape))
        self.register_buffer("variance", ones(shape))
        self.register_buffer("count", zeros((), dtype="int64"))


class Normalization(Layer):
    """(x - mean)/√variance, with the mean and the variance of the data that `adapt` saw, or given ones.

    Args:
        axis: the axes that have a mean and a variance for each index; None has one of each in all.
        mean, variance: given ones, which broadcast to the axes.
        invert: whether to undo the normalisation: x √variance + mean.

    Weights: mean, variance and count, not trained; none where the mean and the variance are given.

    >>> layer = Normalization()
    >>> layer.adapt([[1.0], [3.0]])
    >>> layer([[5.0]])
    tensor([[3.]])
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if (mean is None) != (variance is None):
            raise ValueError(f"Normalization: got mean={mean} and variance={variance}, wanted both or neither")
        self.axis = axis
        self.invert = invert
        self._given = None if mean is None else (np.asarray(mean), np.asarray(variance))

    def make(self, input_shape: Shape) -> Shape:
        """The mean and the variance."""
        axes = len(input_shape) + 1
        wanted = () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        self._kept = sorted(axis_of(self, axis, axes) for axis in wanted)
        self._wide = tuple([n if i in self._kept else 1 for i, n in enumerate((1, *input_shape))])
        shape = tuple([input_shape[axis - 1] for axis in self._kept])
        if self._given is None:
            self.inner = inner = _Moments(shape)
            for name in ("mean", "variance", "count"):
                self.hold(name, getattr(inner, name), trainable=False)
        else:
            mean, variance = (np.broadcast_to(v, shape).astype(np.float32).reshape(self._wide) for v in self._given)
            self._use(mean, variance)
        return input_shape

    def _use(self, mean: Array, variance: Array) -> None:
        self._mean = Tensor(mean)
        self._std = Tensor(np.maximum(np.sqrt(variance), np.float32(1e-7)))

    def adapt(self, data: Any) -> None:
        """Take the mean and the variance of data (N, ...) or, for a single feature, (N,); forgets earlier ones."""
        if self._given is not None:
            raise ValueError("Normalization: cannot adapt to data where the mean and the variance are given")
        values = np.asarray(data._data if isinstance(data, Tensor) else data, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        self.build(batched(values.shape[1:]))
        over = tuple(i for i in range(values.ndim) if i not in self._kept)
        moments = values.mean(over), values.var(over), len(values)
        self.set_weights(moments)

    def logits(self, x: Tensor) -> Tensor:
        """The normalised input."""
        if self.inner is not None:
            mean, variance, _ = self.weights
            self._use(mean._data.reshape(self._wide), variance._data.reshape(self._wide))
        return by_channels_last(self._apply, x)

    def _apply(self, x: Tensor) -> Tensor:
        return x * self._std + self._mean if self.invert else (x - self._mean) / self._std
