"""Initial values of weights, by name or as objects: functions of a shape in Keras's order of axes.

As in Keras 3, an object returns the same values on each call: those of its seed, or, without one, of a seed that was
drawn from `tinydl.random` when the object was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import creation
from ..nn import init
from ..random import Generator, default_generator
from ..tensor import Tensor
from .config import Configured, made
from .config import serialize as serialize

_TRUNCATED_STD = 0.87962566103423978
"""The standard deviation of a standard normal variable under the condition that it lies in [-2, 2]."""

_DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal", "normal")


def compute_fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs reach an output, and how many outputs an input, of a weight (..., in, out).

    >>> compute_fans((5, 5, 3, 8))
    (75, 200)
    """
    shape = tuple(shape)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


class Initializer(Configured):
    """Returns values for a shape."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The values, float32 by default."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


class Constant(Initializer):
    """Every element `value`.

    >>> Constant(2.0)((3,))
    tensor([2., 2., 2.])
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The values."""
        values = np.broadcast_to(np.asarray(self.value), tuple(shape))
        return Tensor(values.astype(np.dtype(dtype or "float32")))


class Zeros(Constant):
    """Every element 0.

    >>> Zeros()((2,))
    tensor([0., 0.])
    """

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Every element 1.

    >>> Ones()((2,))
    tensor([1., 1.])
    """

    def __init__(self) -> None:
        super().__init__(1.0)


class Identity(Initializer):
    """`gain` times the identity matrix, or as much of it as fits.

    >>> Identity()((2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The matrix."""
        if len(shape) != 2:
            raise ValueError(f"Identity: got shape {tuple(shape)}, wanted that of a matrix")
        return creation.eye(shape[0], shape[1], dtype=dtype or "float32") * self.gain


class RandomInitializer(Initializer):
    """What draws random numbers, from the stream of `seed`."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            drawn = creation.uniform((2,), 0.0, 1.0, np.float64, default_generator)._data
            seed = int(drawn[0] * (1 << 24)) << 24 | int(drawn[1] * (1 << 24))
        self.seed = seed
        self._stream = Generator(int(seed)).state()

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The values."""
        generator = Generator()
        generator.set_state(self._stream)
        return self.draw(tuple(shape), np.dtype(dtype or "float32"), generator)

    def draw(self, shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
        """Values from a generator."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw")


class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval).

    >>> bool((RandomUniform(0.0, 0.1)((100,)) < 0.1).all())
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
        """Values from a generator."""
        return creation.uniform(shape, self.minval, self.maxval, dtype, generator)


class RandomNormal(RandomInitializer):
    """Normal with the given mean and standard deviation.

    >>> RandomNormal(mean=1.0, stddev=0.0)((2,))
    tensor([1., 1.])
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
        """Values from a generator."""
        return creation.normal(shape, self.mean, self.stddev, dtype, generator)


class TruncatedNormal(RandomNormal):
    """Normal, under the condition that the values lie within two standard deviations of the mean.

    >>> bool((TruncatedNormal(stddev=1.0)((1000,)).abs() <= 2).all())
    True
    """

    def draw(self, shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
        """Values from a generator."""
        return _truncated(shape, self.mean, self.stddev, dtype, generator)


def _truncated(shape: tuple[int, ...], mean: float, stddev: float, dtype: Any, generator: Generator) -> Tensor:
    low, high = mean - 2 * stddev, mean + 2 * stddev
    return init.trunc_normal_(creation.zeros(*shape, dtype=dtype), mean, stddev, low, high, generator)


class VarianceScaling(RandomInitializer):
    """Values of the variance scale / fan, where `mode` says which fan: "fan_in", "fan_out" or "fan_avg".

    Args:
        scale: above 0.
        distribution: "truncated_normal" (within two standard deviations, which are widened to make up for the cut),
            "untruncated_normal" or "uniform".
        seed: an integer.

    >>> limit = (3 * 2 / 50) ** 0.5
    >>> values = VarianceScaling(2.0, "fan_in", "uniform", seed=0)((50, 20))
    >>> values.shape, bool((values.abs() <= limit).all())
    ((50, 20), True)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        owner = type(self).__name__
        if not scale > 0:
            raise ValueError(f"{owner}: got scale={scale!r}, wanted a number above 0")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"{owner}: got mode={mode!r}, wanted 'fan_in', 'fan_out' or 'fan_avg'")
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(f"{owner}: got distribution={distribution!r}, wanted one of {', '.join(_DISTRIBUTIONS)}")
        self.scale, self.mode = scale, mode
        self.distribution = "truncated_normal" if distribution == "normal" else distribution

    def draw(self, shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
        """Values from a generator."""
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        std = math.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            return creation.uniform(shape, -std * math.sqrt(3), std * math.sqrt(3), dtype, generator)
        if self.distribution == "untruncated_normal":
            return creation.normal(shape, 0.0, std, dtype, generator)
        return _truncated(shape, 0.0, std / _TRUNCATED_STD, dtype, generator)


class _Scaled(VarianceScaling):
    """A variance scaling with a name."""

    scaling: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.scaling, seed=seed)


class GlorotUniform(_Scaled):
    """Uniform in ±√(6/(fan_in + fan_out)) (Glorot and Bengio 2010).

    >>> GlorotUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    scaling = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with the standard deviation √(2/(fan_in + fan_out)) (Glorot and Bengio 2010).

    >>> GlorotNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    scaling = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform in ±√(6/fan_in) (He et al. 2015).

    >>> HeUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    scaling = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with the standard deviation √(2/fan_in) (He et al. 2015).

    >>> HeNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    scaling = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform in ±√(3/fan_in) (LeCun et al. 1998).

    >>> LecunUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    scaling = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with the standard deviation √(1/fan_in) (LeCun et al. 1998).

    >>> LecunNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    scaling = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """`gain` times a random matrix with orthonormal rows or columns; the axes before the last are taken as one.

    >>> q = Orthogonal(seed=3)((4, 2))
    >>> bool(((q.T @ q - creation.eye(2)).abs() < 1e-6).all())
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, shape: tuple[int, ...], dtype: Any, generator: Generator) -> Tensor:
        """Values from a generator."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: got shape {shape}, wanted at least two axes")
        matrix = creation.zeros(math.prod(shape[:-1]), shape[-1], dtype=dtype)
        return init.orthogonal_(matrix, self.gain, generator).reshape(*shape)


KNOWN: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "normal": RandomNormal,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "uniform": RandomUniform,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
_LONG: dict[str, type[Initializer]] = {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}


def get(identifier: Any) -> Callable[..., Any]:
    """The initialiser of a name in either spelling, of a class, or of settings; functions of a shape as they are.

    >>> get("he_normal").mode, get("HeNormal").scale
    ('fan_in', 2.0)
    """
    return made("initializer", Initializer, identifier, KNOWN, _LONG)  # type: ignore[no-any-return]


deserialize = get
