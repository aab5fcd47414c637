"""The next vector of a sequence, by a simple recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import nn, optim, random
from ...creation import uniform
from ...models.rnn_predictor import RNNPredictor
from ...tensor import Array
from ...utils.data import Dataset, TensorDataset
from ..trainer import Trainer
from .recipe import Recipe

__all__ = ["RECIPES", "SequenceRecipe", "noise", "waves"]

SAMPLES, STEPS, FEATURES = 1000, 10, 10


def waves(count: int, generator: random.Generator) -> tuple[Array, Array]:
    """Sequences (count, 10, 10) of ten waves each, and the vectors (count, 10) that come next.

    x_tk = (1 + sin(2π (f_k t + p_k))) / 2, with f_k uniform in [0, 1/4) and p_k in [0, 1).
    """
    frequency, phase = uniform((2, count, 1, FEATURES), 0.0, 1.0, "float64", generator).numpy()
    angles = 2 * np.pi * (frequency / 4 * np.arange(STEPS + 1)[:, None] + phase)
    values = ((1 + np.sin(angles)) / 2).astype(np.float32)
    return values[:, :-1], values[:, -1]


def noise(count: int, generator: random.Generator) -> tuple[Array, Array]:
    """The document's data: sequences (count, 10, 10) and targets that are uniform in [0, 1) and independent."""
    x, y = uniform((2, count, STEPS, FEATURES), 0.0, 1.0, generator=generator).numpy()
    return x, y[:, -1]


_SOURCES = {"waves": waves, "noise": noise}


@dataclass(frozen=True)
class SequenceRecipe(Recipe):
    """The document's recurrent network: 1000 sequences of 10 steps of 10 features, 32 units, squared error, Adam.

    The document draws x and y at random. Of such data nothing can be learned but the mean, with a loss of 1/12; and its
    y has a time axis which the model's outputs lack, so that Keras refuses the two. Here a sequence is a moment of ten
    waves, and the target what comes next. The data "noise" is the document's, with the last step of y as the target.
    """

    source: ClassVar[str] = "waves"
    unit: ClassVar[str] = "sequences"
    epochs: int = 100

    def describe(self, source: str) -> str:
        """Which sequences."""
        told = {"waves": "waves, of which the next vector is wanted", "noise": "random numbers, as the document's"}
        return f"training on sequences of {STEPS} steps of {FEATURES} {told.get(source, source)}"

    def data(self, source: str) -> tuple[Dataset, Dataset]:
        """The training and the test set: of "waves" or "noise"."""
        if source not in _SOURCES:
            raise ValueError(f"data {source!r} is none of {', '.join(_SOURCES)}")
        train, test = (_SOURCES[source](SAMPLES, random.Generator(part)) for part in range(2))
        return TensorDataset(*train), TensorDataset(*test)

    def build(self, data: Dataset) -> nn.Module:
        """The network."""
        return RNNPredictor(FEATURES)

    def epochs_for(self, source: str) -> int:
        """The number of epochs."""
        return self.epochs

    def trainer(self, model: Any, lr: float | None = None) -> Trainer:
        """Adam on the mean squared error."""
        return Trainer(model, optim.Adam(model.parameters(), lr=self.lr if lr is None else lr), nn.MSELoss())


RECIPES = [SequenceRecipe("sequence-rnn", "simple recurrent network that predicts the next vector")]
