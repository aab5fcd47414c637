"""Models that say themselves what a step of training is: `train_step` and `test_step`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..train import Trainer
from ..train.data import parts, samples
from ..train.metrics import Scores
from .layers import own


class StepScores(Scores):
    """What the model's steps return; its metrics begin anew with each epoch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._latest: dict[str, float] = {}

        def metrics() -> list[Any]:  # a function, which copies of the scores share
            return model.metrics  # type: ignore[no-any-return]

        self._metrics = metrics

    def __iter__(self) -> Any:
        yield self.loss

    def reset(self) -> None:
        """Forget all samples."""
        self.loss.reset()
        for metric in self._metrics():
            metric.reset()

    def take(self, logs: Any, count: int) -> None:
        """Keep what a step on some samples returned."""
        if not isinstance(logs, Mapping):
            raise TypeError(f"train_step: returned a {type(logs).__name__}, wanted a dictionary of numbers")
        self._latest = {name: float(value) for name, value in logs.items()}
        self.loss.add(self._latest.get("loss", 0.0), count)

    def logs(self) -> dict[str, float]:
        """What the last step returned."""
        return dict(self._latest)


class OwnSteps(Trainer):
    """The training loop around a model's own steps."""

    def train_step(self, batch: Any) -> int:
        """The model's `train_step` on a batch."""
        return self._step(self.model.train_step, "fit", batch, self.scores)

    def test_step(self, batch: Any, scores: Scores) -> None:
        """The model's `test_step` on a batch."""
        self._step(self.model.test_step, "evaluate", batch, scores)

    def _step(self, step: Any, op: str, batch: Any, scores: Any) -> int:
        inputs, *wanted = parts(op, batch)
        with own.within(own.STEP):
            logs = step((self.model.unpacked(inputs), *wanted))
        count = samples(wanted[0])
        scores.take(logs, count)
        return count


class NoSteps(Trainer):
    """The training loop of a model that has nothing to train: its losses and metrics are computed."""

    needs_optimizer = False

    def train_step(self, batch: Any) -> int:
        """Count a batch."""
        self.test_step(batch, self.scores)
        return samples(parts("fit", batch)[1])
