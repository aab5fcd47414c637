"""What the rest must know while a CUDA graph is captured: nothing here does anything at other times.

A captured launch keeps the numbers and the addresses that it was made with. So random numbers come from a stretch of
the generator that each replay moves on, optimisers' steps read their numbers where each replay writes them, arrays from
caches are kept, and what would stay as it was is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .optim.optimizer import Optimizer
    from .random import Generator
    from .tensor import Tensor


class CaptureError(RuntimeError):
    """What a block does cannot be captured in a CUDA graph."""


class StaleGraphError(RuntimeError):
    """A graph cannot be replayed any more: what it was captured from has changed. Nothing has run."""


class Capture:
    """A capture that is going on in a thread.

    Attributes:
        slots: where the optimisers' steps read their numbers.
        kept: arrays from caches, which the graph reads.
        drawn: where its random numbers come from, or None.
        steps: the optimisers' steps that it holds, in order.
    """

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.kept: list[Any] = []
        self.drawn: Draws | None = None
        self.steps: list[Step] = []
        self._thread = threading.get_ident()

    @property
    def here(self) -> bool:
        """Whether it is this thread's."""
        return self._thread == threading.get_ident()


@dataclass
class Draws:
    """A stretch of a generator's stream, which each replay moves on to the next."""

    generator: Generator
    seed: int
    offset: int  # of its first number
    counters: int = 0  # its length

    def reserve(self, counters: int) -> tuple[int, int]:
        """(seed, offset) of the next numbers; the generator stays where it is, as nothing is drawn yet."""
        self.counters += counters
        return self.seed, self.offset + self.counters - counters


class Slots:
    """Memory of a graph for the numbers of its optimisers' steps, one slot for each update by one kernel.

    Attributes:
        keys: of the slots taken so far, each of which tells apart what its update works on.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.keys: list[int] = []

    @contextmanager
    def taken(self, fills: bool) -> Iterator[None]:
        """Let the updates of a block read their numbers from the next slots or, with `fills`, only write them."""
        kernels = import_module("tinydl._cuda")
        kernels.set_slots_of_replay(self._array[len(self.keys) :], fills)
        try:
            yield
        finally:
            self.keys += kernels.set_slots_of_replay(None)

    def filled_anew(self) -> Slots:
        """The same memory, of which none is taken."""
        return Slots(self._array)


@dataclass(frozen=True)
class Step:
    """An optimiser's step within a graph."""

    optimizer: Optimizer
    gradients: dict[Tensor, Tensor]  # by parameter


active: Capture | None = None


def refuse(what: str, instead: str) -> None:
    """CaptureError within a capture, whose replays would not repeat something."""
    if active is not None and active.here:
        raise CaptureError(f"{what} cannot be captured in a CUDA graph; {instead}")


def keep(array: Any) -> Any:
    """The array, which a graph that is being captured keeps alive."""
    if active is not None and active.here:
        active.kept.append(array)
    return array


def draws_of(generator: Generator) -> Draws | None:
    """Where a generator's numbers come from within a capture, which can use but one; None outside."""
    if active is None or not active.here:
        return None
    if active.drawn is None:
        active.drawn = Draws(generator, *generator.state())
    elif active.drawn.generator is not generator:
        raise CaptureError("random numbers of two generators cannot be captured in one CUDA graph; use one")
    return active.drawn
