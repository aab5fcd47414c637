"""The random numbers of the library: a counter-based generator whose whole state is two integers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import capture

if TYPE_CHECKING:
    from .tensor import Tensor

_WORDS = 1 << 64


class Generator:
    """Hands out stretches of the Philox 4x32-10 stream of a seed (Salmon et al. 2011).

    Every draw of n values takes the next n positions of the stream, so results depend on the seed and the order of
    the calls alone: not on threads, instruction sets or devices.

    >>> g = Generator(seed=7)
    >>> g.reserve(10), g.reserve(1)
    ((7, 0), (7, 3))
    >>> g.state()
    (7, 4)
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` (any integer, taken modulo 2^64) from its beginning."""
        if not isinstance(seed, int):
            raise TypeError(f"manual_seed: got {type(seed).__name__}, wanted an integer")
        self._seed = seed % _WORDS
        self._offset = 0
        return self

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def state(self) -> tuple[int, int]:
        """(seed, offset): all that `set_state` needs to go on from here."""
        return self._seed, self._offset

    def set_state(self, state: tuple[int, int]) -> None:
        """Go on from a state that `state` returned."""
        seed, offset = state
        self._seed, self._offset = int(seed), int(offset)

    def __getstate__(self) -> tuple[int, int]:
        return self.state()

    def __setstate__(self, state: tuple[int, int]) -> None:
        self._lock = threading.Lock()
        self.set_state(state)

    def reserve(self, count: int) -> tuple[int, int]:
        """(seed, offset) of the next `count` values; offsets count groups of four 32-bit words."""
        counters = (count + 3) // 4
        if capture.active is not None and (captured := capture.draws_of(self)) is not None:
            return captured.reserve(counters)
        with self._lock:
            offset = self._offset
            self._offset += counters
        return self._seed, offset


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, which initialisers, dropout and shuffling use; returns it."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = "float32", seed: int | None = None
) -> Tensor:
    """Uniform random numbers from [minval, maxval), as TensorFlow's function of that name makes them.

    >>> uniform((2, 3), seed=1).shape
    (2, 3)
    """
    from . import creation

    generator = None if seed is None else Generator(seed)
    return creation.uniform(tuple(shape), minval, maxval, dtype, generator)
