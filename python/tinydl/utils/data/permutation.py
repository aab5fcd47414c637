"""Random orders that depend on a seed and an epoch alone.

They come from the raw words of NumPy's Philox 4x64-10, which NumPy promises to keep the same in every version (unlike
the methods of its `Generator`).
"""

from __future__ import annotations

import numpy as np

from ... import random
from ...tensor import Array

# Second key words, which set these streams apart from each other and from other uses of a seed.
_SEEDS, _ORDERS = 1, 2


def _philox(seed: int, purpose: int, stream: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, purpose], np.uint64), counter=[0, stream, 0, 0])


def draw_seed(generator: random.Generator | None) -> int:
    """A new seed below 2^64 from the generator (by default `tinydl.random`'s)."""
    seed, offset = (generator or random.default_generator).reserve(1)
    return int(_philox(seed, _SEEDS, offset).random_raw())


def permutation(count: int, seed: int, epoch: int = 0) -> Array:
    """The numbers below `count` in the random order of a seed and an epoch.

    >>> permutation(5, seed=1).tolist()
    [4, 2, 0, 1, 3]
    """
    return np.argsort(_philox(seed, _ORDERS, epoch).random_raw(count), kind="stable")
