"""Tensors overwritten by random numbers, in place; no gradient flows further back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, creation, dtypes, sampling
from ..random import Generator
from ..tensor import Tensor
from .inplace import replace


def _check_float(op: str, target: Tensor) -> None:
    if target.dtype not in dtypes.FLOATS:
        raise TypeError(f"{op}: got dtype {target.dtype}, wanted float32 or float64")


def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Uniform random numbers from [from, to), in place.

    >>> import tinydl
    >>> x = tinydl.zeros(100).uniform_(2, 3)
    >>> bool((x >= 2).all() & (x < 3).all())
    True
    """
    _check_float("uniform_", self)
    if not from_ <= to:
        raise ValueError(f"uniform_: got the interval [{from_}, {to})")
    return replace("uniform_", self, creation.uniform(self.shape, from_, to, self.dtype, generator, self.device))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal random numbers of the given mean and standard deviation, in place."""
    _check_float("normal_", self)
    if not std >= 0:
        raise ValueError(f"normal_: got the standard deviation {std}, wanted at least 0")
    return replace("normal_", self, creation.normal(self.shape, mean, std, self.dtype, generator, self.device))


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Random numbers of the density λ exp(-λ x), x > 0, in place."""
    _check_float("exponential_", self)
    if not lambd > 0:
        raise ValueError(f"exponential_: got lambd={lambd}, wanted more than 0")
    uniform = creation.uniform(self.shape, 0.0, 1.0, dtypes.float64, generator, self.device)._data
    return replace("exponential_", self, Tensor((-np.log1p(-uniform) / lambd).astype(self.dtype)))


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
    """exp(z) of normal random numbers z of the given mean and standard deviation, in place."""
    _check_float("log_normal_", self)
    if not std > 0:
        raise ValueError(f"log_normal_: got the standard deviation {std}, wanted more than 0")
    drawn = creation.normal(self.shape, mean, std, dtypes.float64, generator, self.device)._data
    return replace("log_normal_", self, Tensor(backend.asarray(np.exp(drawn), self.dtype)))


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Random numbers of the density σ / (π ((x - median)^2 + σ^2)), in place."""
    _check_float("cauchy_", self)
    if not sigma > 0:
        raise ValueError(f"cauchy_: got sigma={sigma}, wanted more than 0")
    uniform = creation.uniform(self.shape, 0.0, 1.0, dtypes.float64, generator, self.device)._data
    return replace("cauchy_", self, Tensor((median + sigma * np.tan(np.pi * (uniform - 0.5))).astype(self.dtype)))


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """How many trials of probability p it takes to succeed, k = 1, 2, ... with p (1 - p)^(k - 1), in place."""
    if not 0 < p < 1:
        raise ValueError(f"geometric_: got p={p}, wanted a number between 0 and 1")
    uniform = creation.uniform(self.shape, 0.0, 1.0, dtypes.float64, generator, self.device)._data
    trials = np.floor(np.log1p(-uniform) / np.log1p(-p)) + 1
    return replace("geometric_", self, Tensor(trials.astype(self.dtype)))


def bernoulli_(self: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability p (a number, or a tensor that broadcasts to the shape), else 0, in place."""
    chances = p.expand(self.shape) if isinstance(p, Tensor) else creation.full(self.shape, float(p), device=self.device)
    drawn: Any = sampling.bernoulli(chances, generator=generator)
    return replace("bernoulli_", self, Tensor(drawn._data.astype(self.dtype)))


def random_(self: Tensor, from_: int = 0, to: int | None = None, *, generator: Generator | None = None) -> Tensor:
    """Whole random numbers from [from, to), or below the one bound given, in place.

    Without bounds they come from what the dtype holds: up to its largest number, for floats up to 2^24 or 2^53.
    """
    if to is None and from_ != 0:
        from_, to = 0, from_
    if to is None:
        kind = self.dtype.kind
        digits = 1 + np.finfo(self.dtype).nmant if kind == "f" else 0
        to = 2**digits + 1 if kind == "f" else 2 if kind == "b" else int(np.iinfo(self.dtype).max)
    drawn = sampling.randint(from_, to, self.shape, generator=generator, device=self.device)
    return replace("random_", self, Tensor(drawn._data.astype(self.dtype)))
