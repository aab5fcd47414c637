"""Models that say themselves what a step of training is: `train_step` and `test_step`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..tensor import Tensor
from ..train import Trainer
from ..train.data import parts, samples
from ..train.metrics import Scores
from . import tree
from .aims import Aims, with_penalties
from .layers import own
from .layers.base import Layer
from .layers.layout import map_shapes


class Stepped(Layer):
    """The methods of models that a subclass may define its own way."""

    optimizer: Any
    _aims: Aims
    _graph: Any

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on a batch (x, y) or (x, y, sample_weight) of tensors; returns what to log, by name.

        A subclass may do this its own way. Where Keras's guides write a tape and `apply_gradients`, write
        `self.optimizer.minimize(loss)`, which computes the gradients and takes the step.
        """
        x, y, weight = unpack(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred, weight)
        self.optimizer.minimize(loss)
        return {"loss": loss.item(), **self.compute_metrics(x, y, y_pred, weight)}

    def test_step(self, data: Any) -> dict[str, Any]:
        """What to log of a batch (x, y) or (x, y, sample_weight) of tensors that is evaluated."""
        x, y, weight = unpack(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, weight)
        return {"loss": loss.item(), **self.compute_metrics(x, y, y_pred, weight)}

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Tensor:
        """The compiled loss of a batch, with the penalties of the layers."""
        given = [y_pred, y] if sample_weight is None else [y_pred, y, sample_weight]
        flat = [tree.flatten(each) for each in given]
        penalized = [layer for layer in self.all_layers() if layer.may_lose]
        several = len(self._aims.names) > 1
        return with_penalties(self._aims.plain(), penalized)(*(flat if several else [each[0] for each in flat]))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, float]:
        """Let the compiled metrics count a batch; their results by name."""
        return self._aims.count(y_pred, y, sample_weight)

    def _steps_itself(self) -> bool:
        return type(self).train_step is not Stepped.train_step

    def unpacked(self, inputs: Any) -> Any:
        """The inputs of a batch in the structure in which the model takes them."""
        if isinstance(inputs, list) and self._graph is None:
            return tree.pack(map_shapes(lambda shape: None, self._in), inputs)
        return inputs


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of what `train_step` is given, with None for what is not there."""
    return (*data, None, None)[:3] if isinstance(data, list | tuple) else (data, None, None)


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
