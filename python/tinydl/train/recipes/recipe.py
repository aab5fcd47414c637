"""What every recipe has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ... import nn
from ...utils.data import Dataset
from ..callbacks import Callback
from ..trainer import Trainer

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A model with its data, optimiser and schedule.

    Attributes:
        name: by which `tinydl train` finds it.
        about: the model in a few words.
        source: the data used where none is named.
        batch_size, lr: the defaults.
        unit: what the samples are, for the progress bar; "" for runs too short for one.
        result: the metric by which a trained model is judged.
        validates: whether the test set is evaluated after each epoch too.
    """

    name: str
    about: str
    source: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    result: ClassVar[str] = "loss"
    validates: ClassVar[bool] = False
    batch_size: int = 32
    lr: float = 1e-3

    @property
    def units_in_sample(self) -> int:
        """How many of the units the progress bar counts for a sample."""
        return 1

    def describe(self, source: str) -> str:
        """What it is trained on, in a line."""
        return f"{self.name}: {self.about}"

    def data(self, source: str) -> tuple[Dataset, Dataset]:
        """The training and the test set; ValueError where `source` names nothing known."""
        raise NotImplementedError

    def check_own(self, source: str) -> None:
        """For recipes that make their data: ValueError where other data is named."""
        if source != self.source:
            raise ValueError(f"data {source!r} is unknown; {self.name} makes its own")

    def build(self, data: Dataset) -> nn.Module:
        """A model with fresh parameters for such data."""
        raise NotImplementedError

    def epochs_for(self, source: str) -> int:
        """The number of epochs."""
        raise NotImplementedError

    def trainer(self, model: Any, lr: float | None = None) -> Trainer:
        """The trainer of a model that `build` made; `lr` where it shall not be the recipe's."""
        raise NotImplementedError

    def callbacks(self, epochs: int) -> list[Callback]:
        """The schedule."""
        return []

    def report(self, trainer: Trainer, test: Dataset) -> str:
        """What came out, in a line."""
        return f"test {self.result} {trainer.evaluate(test, batch_size=256)[self.result]:.4f}"

    def sample(self, trainer: Trainer) -> Iterable[str]:
        """Pieces of a text that the trained model writes; none where it does not write."""
        return ()
