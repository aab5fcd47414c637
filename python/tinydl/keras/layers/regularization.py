"""Layers that make training harder: dropout and noise. Outside of training they do nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import creation, nn
from ...ops.random import dropout
from ...random import Generator, default_generator
from ...tensor import Tensor
from .arguments import check_data_format
from .base import Layer, Shape, by_channels_last


class _Random(Layer):
    """A layer that draws random numbers: from the stream of `seed`, or else from `tinydl.random`'s."""

    _steps_from = 3
    supports_masking = True

    def __init__(self, seed: int | None, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.generator = default_generator if seed is None else Generator(int(seed))

    def make(self, input_shape: Shape) -> Shape:
        """The module that knows whether the model trains."""
        self.inner = nn.Identity()
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The input, in training with noise."""
        return by_channels_last(self.noisy, x) if self.training else x

    def noisy(self, x: Tensor) -> Tensor:
        """The input with noise; images are N, H, W, C."""
        raise NotImplementedError

    def normal(self, x: Tensor, mean: float, std: float) -> Tensor:
        """Normal random numbers of x's shape."""
        return creation.normal(x.shape, mean, std, x.dtype, self.generator)

    def kept(self, x: Tensor, rate: float, noise_shape: Sequence[int | None] | None) -> Tensor:
        """1 with probability 1 - rate and else 0, of x's shape, or of `noise_shape`, in which None means x's size."""
        shape = x.shape
        if noise_shape is not None:
            if len(noise_shape) != x.ndim:
                raise ValueError(f'Layer "{self.name}": got noise_shape={noise_shape} for inputs of shape {x.shape}')
            shape = tuple([n if s is None else s for n, s in zip(shape, noise_shape, strict=True)])
        drawn = creation.uniform(shape, 0.0, 1.0, np.float64, self.generator)._data
        return Tensor((drawn >= rate).astype(x.dtype))


def _rate(layer: Layer, rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ValueError(f"{type(layer).__name__}: got rate={rate}, wanted 0 to 1")
    return float(rate)


class Dropout(_Random):
    """In training, each element is 0 with probability `rate` and otherwise divided by 1 - rate.

    With a `noise_shape`, of the batch's rank, elements along its axes of size 1 fall together.

    >>> layer = Dropout(0.5, seed=1)
    >>> layer([[1.0, 1.0]])
    tensor([[1., 1.]])
    >>> sorted(set(layer([[1.0] * 20], training=True)[0].tolist()))
    [0.0, 2.0]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(seed, **options)
        self.rate = _rate(self, rate)
        self.noise_shape = noise_shape

    def noise(self, x: Tensor) -> Sequence[int | None] | None:
        """The shape of the noise for a batch, or None for the batch's."""
        return self.noise_shape

    def logits(self, x: Tensor) -> Tensor:
        """The thinned input."""
        inner: Any = self.inner
        if not inner.training or not self.rate:
            return x
        if self.noise_shape is None and type(self) is Dropout:
            return dropout(x, self.rate, True, False, self.generator)
        return by_channels_last(self.noisy, x)

    def noisy(self, x: Tensor) -> Tensor:
        """The input with whole slices dropped; images are N, H, W, C."""
        if self.rate == 1:
            return x * 0.0
        return x * (self.kept(x, self.rate, self.noise(x)) / (1 - self.rate))


class SpatialDropout1D(Dropout):
    """`Dropout` of whole channels of sequences (N, L, C).

    >>> layer = SpatialDropout1D(0.5, seed=0)
    >>> y = layer([[[1.0] * 8, [1.0] * 8]], training=True)
    >>> bool((y[:, 0] == y[:, 1]).all())
    True
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, None, seed, **options)

    def make(self, input_shape: Shape) -> Shape:
        """Check the input."""
        self.need_signals(input_shape)
        return super().make(input_shape)

    def noise(self, x: Tensor) -> Sequence[int | None] | None:
        """One number for each channel."""
        return (None, 1, None)


class SpatialDropout2D(Dropout):
    """`Dropout` of whole channels of images (N, H, W, C) (Tompson et al. 2015).

    >>> layer = SpatialDropout2D(0.5, seed=0)
    >>> layer(creation.ones(1, 2, 2, 8), training=True).shape
    (1, 2, 2, 8)
    """

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, None, seed, **options)
        check_data_format(self, data_format)

    def make(self, input_shape: Shape) -> Shape:
        """Check the input."""
        self.need_images(input_shape)
        return super().make(input_shape)

    def noise(self, x: Tensor) -> Sequence[int | None] | None:
        """One number for each channel."""
        return (None, 1, 1, None)


class GaussianNoise(_Random):
    """In training, x plus normal noise of the standard deviation `stddev`.

    >>> GaussianNoise(0.1)([[1.0]])
    tensor([[1.]])
    """

    def __init__(self, stddev: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(seed, **options)
        if not stddev >= 0:
            raise ValueError(f"GaussianNoise: got stddev={stddev}, wanted at least 0")
        self.stddev = stddev

    def noisy(self, x: Tensor) -> Tensor:
        """The noisy input."""
        return x + self.normal(x, 0.0, self.stddev)


class GaussianDropout(_Random):
    """In training, x times normal noise of mean 1 and the standard deviation √(rate/(1 - rate)).

    >>> GaussianDropout(0.1)([[1.0]])
    tensor([[1.]])
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(seed, **options)
        self.rate = _rate(self, rate)
        if self.rate == 1:
            raise ValueError("GaussianDropout: got rate=1, wanted less")

    def noisy(self, x: Tensor) -> Tensor:
        """The noisy input."""
        return x * self.normal(x, 1.0, math.sqrt(self.rate / (1 - self.rate)))


_LOWEST = -1.7580993408473766
"""SELU's limit for small inputs: -1.6732632423543772 · 1.0507009873554805."""


class AlphaDropout(_Random):
    """In training, elements fall to SELU's limit with probability `rate` (Klambauer et al. 2017).

    All are then scaled and shifted so that a mean of 0 and a variance of 1 stay.

    >>> AlphaDropout(0.1)([[1.0]])
    tensor([[1.]])
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(seed, **options)
        self.rate = _rate(self, rate)
        if self.rate == 1:
            raise ValueError("AlphaDropout: got rate=1, wanted less")
        self.noise_shape = noise_shape

    def noisy(self, x: Tensor) -> Tensor:
        """The thinned input."""
        kept = self.kept(x, self.rate, self.noise_shape)
        a = ((1 - self.rate) * (1 + self.rate * _LOWEST**2)) ** -0.5
        b = -a * _LOWEST * self.rate
        return (x * kept + (1.0 - kept) * _LOWEST) * a + b  # type: ignore[no-any-return]
