"""The line through points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import nn, optim, random
from ...models.linear_regression import linear_regression, make_data
from ...utils.data import Dataset, TensorDataset
from ..trainer import Trainer
from .recipe import Recipe

__all__ = ["RECIPES", "LineRecipe"]


@dataclass(frozen=True)
class LineRecipe(Recipe):
    """The line through points y = 2x + 1 + noise, by gradient descent on all of them at once."""

    epochs: int = 1000
    batch_size: int = 100
    lr: float = 0.5

    def data(self, source: str) -> tuple[Dataset, Dataset]:
        """100 points to train on, and 100 more."""
        self.check_own(source)
        train, test = (make_data(100, "float32", random.Generator(part)) for part in range(2))
        return TensorDataset(*train), TensorDataset(*test)

    def build(self, data: Dataset) -> nn.Module:
        """ŷ = w x + b."""
        return linear_regression()

    def epochs_for(self, source: str) -> int:
        """The number of epochs."""
        return self.epochs

    def trainer(self, model: Any, lr: float | None = None) -> Trainer:
        """Gradient descent on the squared error."""
        return Trainer(model, optim.SGD(model.parameters(), lr=self.lr if lr is None else lr), nn.MSELoss())


RECIPES = [LineRecipe("linear-regression", "line through points, by gradient descent")]
