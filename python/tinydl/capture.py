"""What the rest must know while a CUDA graph is captured: nothing here does anything at other times.

A captured launch keeps the numbers and the addresses that it was made with. So random numbers come from a stretch of
the generator that each replay moves on, optimisers' steps read their numbers where each replay writes them, arrays from
caches are kept, and what would stay as it was is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .optim.optimizer import Optimizer
    from .random import Generator
    from .tensor import Tensor


class Capture:
    """A capture that is going on in a thread.

    Attributes:
        kept: arrays from caches, which the graph reads.
        drawn: the generator of the random numbers and its state before the first, or None.
        steps: the optimisers' steps that it holds, in order.
    """

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.drawn: tuple[Generator, tuple[int, int]] | None = None
        self.steps: list[Step] = []
        self._thread = threading.get_ident()

    @property
    def here(self) -> bool:
        """Whether it is this thread's."""
        return self._thread == threading.get_ident()


@dataclass(frozen=True)
class Step:
    """An optimiser's step within a graph, with what its launches work on."""

    optimizer: Optimizer
    gradients: dict[Tensor, Tensor]  # by parameter
    arrays: list[Any]  # of the parameters and their states

    @classmethod
    def of(cls, optimizer: Optimizer, gradients: dict[Tensor, Tensor]) -> Step:
        """The step of an optimiser whose states are there."""
        return cls(optimizer, gradients, cls._arrays(optimizer, gradients))

    @staticmethod
    def _arrays(optimizer: Optimizer, parameters: Iterable[Tensor]) -> list[Any]:
        states = (value for p in parameters for value in optimizer.state[p].values())
        return [t._data for t in (*parameters, *states) if hasattr(t, "_data")]

    def has_moved(self) -> bool:
        """Whether a parameter or a state lies elsewhere by now."""
        now = self._arrays(self.optimizer, self.gradients)
        return len(now) != len(self.arrays) or any(a is not b for a, b in zip(now, self.arrays, strict=True))


active: Capture | None = None


def refuse(what: str, instead: str) -> None:
    """RuntimeError within a capture, whose replays would not repeat something."""
    if active is not None and active.here:
        raise RuntimeError(f"{what} cannot be captured in a CUDA graph; {instead}")


def keep(array: Any) -> Any:
    """The array, which a graph that is being captured keeps alive."""
    if active is not None and active.here:
        active.kept.append(array)
    return array


def note_draws(generator: Generator) -> None:
    """Let replays move on in the stream of a generator; only one can be used in a capture."""
    if active is None or not active.here:
        return
    if active.drawn is None:
        active.drawn = generator, generator.state()
    elif active.drawn[0] is not generator:
        raise RuntimeError("random numbers of two generators cannot be captured in one CUDA graph; use one")
