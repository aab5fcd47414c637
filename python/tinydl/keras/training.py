"""Training with Keras's methods: compile, fit, evaluate, predict."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..tensor import Array, Tensor
from ..train import Trainer
from ..train.callbacks import Callback, History
from ..train.metrics import Accuracy
from . import losses, metrics, optimizers
from .data import ArrayDataset, array_of, split, two
from .layers.base import Layer
from .lookup import supported
from .metrics.base import OfProbabilities
from .progress import Progress, seconds_a_step

__all__ = ["Model"]


class Model(nn.Module):
    """What all models share: how they are trained and used. A subclass says how the layers make its function."""

    _layers: list[Layer]

    def __init__(self) -> None:
        super().__init__()
        self.optimizer: optimizers.Optimizer | None = None
        self.compiled = False
        self._trainer: Trainer | None = None

    # -- What subclasses define -------------------------------------------------------------------------------

    @property
    def built(self) -> bool:
        """Whether all layers have their weights."""
        raise NotImplementedError(f"{type(self).__name__} does not define built")

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for inputs of a shape that begins with the batch axis."""
        raise NotImplementedError(f"{type(self).__name__} does not define build")

    def forward(self, x: Tensor) -> Tensor:
        """The outputs for a float32 tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def logits(self, x: Tensor) -> Tensor:
        """The outputs without the last layer's softmax, if it has one."""
        raise NotImplementedError(f"{type(self).__name__} does not define logits")

    def _fit_rank(self, x: Any) -> Any:
        """Inputs with a last axis of size 1 added or dropped where the model has, or lacks, it."""
        return x

    # -- Training ---------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Sequence[Any] | None = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to train.

        Args:
            optimizer: a name or an object of `optimizers`.
            loss: a name or an object of `losses`, or a function f(y_true, y_pred).
            metrics: names or objects of `metrics`.

        The arguments about TensorFlow's execution have no effect. ValueError for unknown names, with the known ones.
        """
        supported("compile", {"loss_weights": loss_weights, "weighted_metrics": weighted_metrics})
        self.optimizer = optimizers.get(optimizer)
        self._loss = None if loss is None else losses.get(loss)
        self._metrics = [_metric(m) for m in metrics or ()]
        self._trainer = None
        self.compiled = True

    def _trainer_for(self, op: str) -> Trainer:
        """The trainer of the compiled and built model; its optimiser keeps its state from call to call."""
        if not self.compiled:
            raise ValueError(f"{op}: you must call `compile()` before using the model for this")
        if self._loss is None:
            raise ValueError(f"{op}: no loss to compute: pass a `loss` to `compile()`")
        if self._trainer is None:
            on_logits = self._loss.on_logits() if self._layers[-1].ends_in_softmax else None
            loss, forward = (on_logits, self.logits) if on_logits else (self._loss.of, self.forward)
            bound = self.optimizer.bind(p for p in self.parameters() if p.requires_grad)  # type: ignore[union-attr]
            measured = [self._on_probabilities(m) for m in self._metrics] if on_logits else self._metrics
            self._trainer = Trainer(self, bound, loss, measured, forward=forward)
        return self._trainer

    def _on_probabilities(self, metric: Any) -> Any:
        """The metric, given probabilities where the trainer has logits; the largest output is that of either."""
        return metric if isinstance(metric, Accuracy) else OfProbabilities(metric, self._layers[-1].activate)

    @property
    def stop_training(self) -> bool:
        """Set by callbacks to end the training after the epoch."""
        return self._trainer is not None and self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if self._trainer is not None:
            self._trainer.stop_training = value

    def _data(self, op: str, x: Any, y: Any) -> Any:
        """A data set of checked arrays, or a data set or loader as it is."""
        if y is None and not isinstance(x, np.ndarray | Tensor | list | tuple):
            if x is None:
                raise ValueError(f"{op}: x is missing")
            return x
        inputs = array_of(f"{op}: x", x)
        if not len(inputs):
            raise ValueError(f"{op}: the data is empty: x has the shape {inputs.shape}")
        if not self.built:
            self.build(inputs.shape)
        inputs = self._fit_rank(inputs)
        if y is None:
            return ArrayDataset(inputs)
        targets = array_of(f"{op}: y", y)
        if self.compiled and self._loss is not None:
            targets = self._loss.targets(targets)
        if len(inputs) != len(targets):
            raise ValueError(
                f"{op}: data cardinality is ambiguous: x has {len(inputs)} samples, y has {len(targets)}; "
                "wanted equally many"
            )
        return ArrayDataset(inputs, targets)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train until `epochs` epochs are done; returns the record, in `.history`.

        Args:
            x, y: arrays, nested lists or tensors; or x alone, a data set or `DataLoader` of (x, y).
            batch_size: 32 by default.
            verbose: 0 is silent, 1 and "auto" draw a bar, 2 prints a line for each epoch.
            callbacks: objects of `callbacks`.
            validation_split: the share of the samples, the last ones, evaluated after each epoch, not trained on.
            validation_data: (x, y) to evaluate after each epoch.
            shuffle: whether to shuffle before each epoch.
            initial_epoch: the number of the first epoch, from 0.

        Raises:
            ValueError: before `compile`; no data; x and y of different length; shapes that do not fit the layers.
        """
        options = {"class_weight": class_weight, "sample_weight": sample_weight, "steps_per_epoch": steps_per_epoch}
        supported("fit", {**options, "validation_steps": validation_steps, "validation_freq": validation_freq > 1})
        if not self.compiled:
            raise ValueError("fit: you must call `compile()` before using the model for this")
        if validation_split and validation_data is None:
            (x, y), validation_data = split(x, y, validation_split)
        data = self._data("fit", x, y)
        held_out = None
        if validation_data is not None:
            held_out = self._data("fit: validation_data", *two(validation_data))
        trainer = self._trainer_for("fit")
        shown = [Progress(level)] if (level := _level(verbose)) else []
        history = trainer.fit(
            data,
            epochs,
            batch_size=_size(batch_size),
            shuffle=bool(shuffle),
            validation_data=held_out,
            callbacks=[*shown, *(callbacks or ())],
            initial_epoch=initial_epoch,
        )
        history.history = dict(sorted(history.history.items(), key=lambda kv: (kv[0].startswith("val_"), kv[0])))
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The mean loss, or [loss, metric, ...] where there are metrics, or all by name with `return_dict`."""
        supported("evaluate", {"sample_weight": sample_weight, "steps": steps})
        if not self.compiled:
            raise ValueError("evaluate: you must call `compile()` before using the model for this")
        data = self._data("evaluate", x, y)
        trainer = self._trainer_for("evaluate")
        shown = [Progress(level)] if (level := _level(verbose)) else []
        logs = trainer.evaluate(data, batch_size=_size(batch_size), callbacks=[*shown, *(callbacks or ())])
        if return_dict:
            return logs
        values = list(logs.values())
        return values if len(values) > 1 else values[0]

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Array:
        """The outputs for inputs, as an array; probabilities where the model ends in a softmax."""
        supported("predict", {"steps": steps, "callbacks": callbacks or None})
        data = self._data("predict", x, None)
        start, size = time.perf_counter(), _size(batch_size)
        out = Trainer(self).predict(data, batch_size=size)
        if _level(verbose):
            batches, elapsed = -(-len(out) // size), time.perf_counter() - start
            bar = f" {'━' * 20}" if _level(verbose) == 1 else " -"
            dash = " " if _level(verbose) == 1 else " - "
            sys.stdout.write(f"{batches}/{batches}{bar} {elapsed:.0f}s{dash}{seconds_a_step(elapsed / batches)}\n")
        return out


def _metric(identifier: Any) -> Any:
    return metrics.get(identifier)


def _level(verbose: str | int) -> int:
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"got verbose={verbose!r}, wanted 'auto', 0, 1 or 2")
    return 1 if verbose == "auto" else int(verbose)


def _size(batch_size: int | None) -> int:
    return 32 if batch_size is None else batch_size
