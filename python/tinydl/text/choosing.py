"""How the next token is chosen from its logits: rows of V float64 numbers, minus infinity for what cannot come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import creation, random
from ..tensor import Array

__all__ = ["chooser", "keep_top_k", "keep_top_p", "probabilities"]

_BLOCK = 256  # random numbers drawn at once
_COLDEST = 1e-30  # below, a difference of logits that is not 0 is beyond the range of exp in any case

Choice = Callable[[Array], int]


def keep_top_k(logits: Array, k: int) -> Array:
    """The logits of the k most probable tokens, the first among equals; the others are minus infinity.

    >>> keep_top_k(np.array([1.0, 3.0, 2.0, 2.0]), 2)
    array([-inf,   3.,   2., -inf])
    """
    if k >= len(logits):
        return logits
    edge = np.partition(logits, -k)[-k]
    kept = np.flatnonzero(logits > edge)
    kept = np.append(kept, np.flatnonzero(logits == edge)[: k - len(kept)])
    return _only(logits, kept)


def keep_top_p(logits: Array, p: float) -> Array:
    """The logits of the smallest set of tokens whose probabilities sum to p or more; the others are minus infinity.

    The most probable come first, and among equals the first. Holtzman et al. 2020, "The curious case of neural text
    degeneration".

    >>> keep_top_p(np.log([0.1, 0.6, 0.3]), 0.7)
    array([       -inf, -0.51082562, -1.2039728 ])
    """
    if p >= 1:
        return logits
    order = np.argsort(-logits, kind="stable")
    total = np.cumsum(probabilities(logits[order]))
    return _only(logits, order[: int(total.searchsorted(p * total[-1])) + 1])


def _only(logits: Array, kept: Array) -> Array:
    out = np.full_like(logits, -math.inf)
    out[kept] = logits[kept]
    return out


def probabilities(logits: Array) -> Array:
    """softmax(logits).

    >>> probabilities(np.array([0.0, -np.inf, 0.0]))
    array([0.5, 0. , 0.5])
    """
    weights: Array = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights


def chooser(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int | None = None,
    generator: random.Generator | None = None,
    exclude: Sequence[int] = (),
) -> Choice:
    """A function from a row of logits (V,) to a token; for the arguments see `generate`.

    The function raises ValueError where a logit is NaN or infinity, or all are minus infinity, and IndexError where
    `exclude` has a token that is not among them.

    >>> chooser(greedy=True)(np.array([1.0, 3.0, 2.0]))
    1
    """
    _check(temperature, top_k, top_p, seed, generator)
    banned = list(exclude)
    lowest, highest = (min(banned), max(banned)) if banned else (0, 0)

    def allowed(logits: Array) -> Array:
        row = logits.astype(np.float64)
        if banned:
            if lowest < 0 or highest >= len(row):
                raise IndexError(f"generate: got exclude={banned}, wanted tokens from 0 to {len(row) - 1}")
            row[banned] = -math.inf
        return row

    if greedy:
        return lambda logits: _best(allowed(logits))
    draws = _uniform(generator if seed is None else random.Generator(seed))
    scale = 1 / max(temperature, _COLDEST)

    def choose(logits: Array) -> int:
        row = allowed(logits)
        row -= row[_best(row)]
        row *= scale
        if top_k is not None:
            row = keep_top_k(row, top_k)
        if top_p is not None:
            row = keep_top_p(row, top_p)
        total = np.exp(row).cumsum()
        return int(total.searchsorted(next(draws) * total[-1], side="right"))

    return choose


def _best(row: Array) -> int:
    """The first of the largest; argmax finds a NaN before all numbers."""
    best = int(row.argmax())
    if not math.isfinite(row[best]):
        wrong = "all are minus infinity" if row[best] == -math.inf else f"that of token {best} is {row[best]}"
        raise ValueError(f"generate: the model's logits are unusable: {wrong}")
    return best


def _uniform(generator: random.Generator | None) -> Iterator[float]:
    """Random numbers from [0, 1); in float64 their products with a sum stay below it."""
    while True:
        yield from creation.uniform((_BLOCK,), 0.0, 1.0, generator=generator)._data.tolist()


def _check(temperature: Any, top_k: Any, top_p: Any, seed: Any, generator: Any) -> None:
    if not 0 < temperature < math.inf:
        raise ValueError(f"generate: got temperature {temperature}, wanted a number above 0; greedy=True is its limit")
    if top_k is not None and top_k < 1:
        raise ValueError(f"generate: got top_k {top_k}, wanted at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"generate: got top_p {top_p}, wanted a probability above 0, at most 1")
    if seed is not None and generator is not None:
        raise ValueError("generate: got a seed and a generator, wanted one of them")
