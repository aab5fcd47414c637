"""Dropout: random elements or channels set to zero, the others scaled up; and alpha dropout, made for SELU."""

from __future__ import annotations

import math
import warnings

import numpy as np

from .. import backend
from ..autograd import Function
from ..random import Generator, default_generator
from ..tensor import Array, Tensor
from . import autocast
from .inplace import replace


class Dropout(Function):
    """y_i = m_i x_i / (1 - p) with m_i in {0, 1}, P(m_i = 0) = p; dx_i = m_i dy_i / (1 - p)."""

    def __init__(self, p: float, generator: Generator) -> None:
        self.p = p
        self.generator = generator

    def forward(self, x: Array) -> Array:
        seed, offset = self.generator.reserve(x.size)
        y: Array
        y, mask = backend.of(x).dropout(x, self.p, seed, offset)
        self.save(mask)
        return y

    def backward(self, grad: Array) -> Array:
        (mask,) = self.saved
        return backend.of(grad).dropout_backward(grad, mask, self.p)  # type: ignore[no-any-return]


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and divide the others by 1 - p, so that the expectation stays.

    The decision about an element depends on the generator's state and the element's position in the memory
    of the output (dense, in the input's order of axes): not on threads or instruction sets. A zeroed element
    is 0 also where the input is infinite or NaN.

    Args:
        input: any shape, float32 or float64; on a GPU float16 and bfloat16 too.
        p: the probability of zeroing, from 0 to 1; 1 gives zeros.
        training: without it, or with p = 0, the input itself is returned.
        inplace: overwrite the input.
        generator: where the random numbers come from; by default `tinydl.random.default_generator`.

    Raises:
        ValueError: p lies outside [0, 1].
        TypeError: the input is no floating-point tensor.

    Reference: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    >>> import tinydl
    >>> y = dropout(tinydl.ones(1000), p=0.25, generator=tinydl.Generator(0))
    >>> (y == 0).sum().item(), y[0].item()
    (230, 1.3333333730697632)
    """
    given = input
    if autocast.on:
        (input,) = autocast.inputs("dropout", input)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: got p = {p}, wanted a probability from 0 to 1")
    if not isinstance(input, Tensor):
        raise TypeError(f"dropout: got {type(input).__name__}, wanted a tensor")
    if not backend.takes(input._data):
        raise TypeError(f"dropout: got dtype {input.dtype}, wanted float32 or float64 (on a GPU 16-bit floats too)")
    if not training or p == 0:
        return input
    out: Tensor = Dropout(float(p), generator or default_generator).apply(input)
    return replace("dropout", given, out) if inplace else out


# -- Of channels, and alpha dropout -----------------------------------------------------------------------------


class _Noise(Function):
    """y = s x + t, with random s and t that may be shared by a channel's elements; dx = s dy."""

    def __init__(self, p: float, by_channel: bool, generator: Generator) -> None:
        self.p = p
        self.by_channel = by_channel
        self.generator = generator

    def factors(self, kept: Array) -> tuple[Array, Array | None]:
        """s and t from 1 for what is kept and 0 for what is dropped."""
        raise NotImplementedError

    def forward(self, x: Array) -> Array:
        shape = x.shape[:2] + (1,) * (x.ndim - 2) if self.by_channel else x.shape
        seed, offset = self.generator.reserve(math.prod(shape))
        _, mask = backend.of(x).dropout(backend.ones(shape, x), self.p, seed, offset)
        scale, shift = self.factors(mask.astype(x.dtype))
        self.save(scale)
        y: Array = backend.of(x).mul(x, scale)
        return y if shift is None else backend.of(x).add(y, shift)

    def backward(self, grad: Array) -> Array:
        (scale,) = self.saved
        return backend.of(grad).mul(grad, scale)  # type: ignore[no-any-return]


class FeatureDropout(_Noise):
    """y = m x / (1 - p), with one m in {0, 1} for each channel, P(m = 0) = p."""

    def factors(self, kept: Array) -> tuple[Array, Array | None]:
        return kept * kept.dtype.type(1 / (1 - self.p) if self.p < 1 else 0), None


_SATURATION = 1.7580993408473766  # SELU's limit towards minus infinity is minus this: scale times alpha


class AlphaDropout(_Noise):
    """y = a (m x - (1 - m) α) + a α p, with a = ((1 - p)(1 + p α²))^-1/2: mean 0 and variance 1 stay."""

    def factors(self, kept: Array) -> tuple[Array, Array | None]:
        if self.p == 1:
            return np.zeros_like(kept), None
        a = 1 / math.sqrt((1 - self.p) * (1 + self.p * _SATURATION**2))
        number = kept.dtype.type
        return kept * number(a), (kept - number(1 - self.p)) * number(a * _SATURATION)


def _apply(op: str, noise: type[_Noise], input: Tensor, p: float, training: bool, inplace: bool, axes: int) -> Tensor:
    """The input after `noise`: of each element with axes = 0, else of each channel.

    An input of one axis less than `axes` > 2 has no axis for the batch.
    """
    given = input
    if autocast.on:
        (input,) = autocast.inputs(op, input)
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: got p = {p}, wanted a probability from 0 to 1")
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    if not backend.takes(input._data):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64 (on a GPU 16-bit floats too)")
    unbatched = axes > 2 and axes == input.ndim + 1
    if axes and input.ndim < 2:
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (N, C, ...)")
    if not training or p == 0:
        return input
    function = noise(float(p), axes > 0, default_generator)
    out: Tensor = function.apply(input.unsqueeze(0) if unbatched else input)
    out = out.squeeze(0) if unbatched else out
    return replace(op, given, out) if inplace else out


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L) with probability p and divide the others by 1 - p.

    Arguments and errors are `dropout`'s; ValueError for other numbers of axes.

    >>> import tinydl
    >>> _ = tinydl.manual_seed(0)
    >>> dropout1d(tinydl.ones(1, 4, 2)).tolist()
    [[[0.0, 0.0], [2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]]
    """
    if isinstance(input, Tensor) and input.ndim not in (2, 3):
        raise ValueError(f"dropout1d: got an input of shape {input.shape}, wanted (N, C, L) or (C, L)")
    return _apply("dropout1d", FeatureDropout, input, p, training, inplace, 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, H, W) with probability p and divide the others by 1 - p (Tompson et al. 2015).

    An input of three axes is taken as (N, C, L), with a warning, as PyTorch does. Arguments and errors are
    `dropout`'s.
    """
    if isinstance(input, Tensor) and input.ndim != 4:
        warnings.warn(f"dropout2d: takes an input of shape {input.shape} as (N, C, ...)", stacklevel=2)
    return _apply("dropout2d", FeatureDropout, input, p, training, inplace, 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p and divide the others by 1 - p.

    Arguments and errors are `dropout`'s; ValueError for other numbers of axes.
    """
    if isinstance(input, Tensor) and input.ndim not in (4, 5):
        raise ValueError(f"dropout3d: got an input of shape {input.shape}, wanted (N, C, D, H, W) or (C, D, H, W)")
    return _apply("dropout3d", FeatureDropout, input, p, training, inplace, 5)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for SELU networks: elements fall to SELU's negative limit with probability p (Klambauer et al. 2017).

    All are then scaled and shifted so that a mean of 0 and a variance of 1 stay. Arguments and errors are `dropout`'s.
    """
    return _apply("alpha_dropout", AlphaDropout, input, p, training, inplace, 0)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    return _apply("feature_alpha_dropout", AlphaDropout, input, p, training, inplace, 2)
