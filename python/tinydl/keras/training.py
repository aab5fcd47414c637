"""Training with Keras's methods: compile, fit, evaluate, predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..random import Generator, default_generator
from ..tensor import Array, Tensor
from ..train import Trainer
from ..train.callbacks import Callback, History
from ..train.data import loader_of
from ..train.metrics import Accuracy, MeanLoss, Scores
from ..utils.data import Dataset
from . import losses, metrics, optimizers
from .callbacks import BackupAndRestore
from .compiling import config_of, options_of
from .data import (
    ARRAYS,
    ArrayDataset,
    Batches,
    array_of,
    as_batch,
    first_of,
    limited,
    split,
    three,
    weights_by_class,
    weights_of,
)
from .layers.base import Layer
from .lookup import supported
from .metrics.base import OfProbabilities
from .progress import Progress

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
        weighted_metrics: Sequence[Any] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to train.

        Args:
            optimizer: a name or an object of `optimizers`.
            loss: a name or an object of `losses`, or a function f(y_true, y_pred); None where the layers have losses.
            metrics: names or objects of `metrics`; they count all samples alike.
            weighted_metrics: likewise; they count each sample with its weight.

        The arguments about TensorFlow's execution have no effect. ValueError for unknown names, with the known ones.
        """
        supported("compile", {"loss_weights": loss_weights})
        if isinstance(loss, list | tuple | Mapping):
            raise ValueError(f"compile: got a {type(loss).__name__} of losses; a model with one output has one loss")
        self.optimizer = optimizers.get(optimizer)
        self._loss = None if loss is None else losses.get(loss)
        self._metrics = _metrics("metrics", metrics)
        self._weighted_metrics = _metrics("weighted_metrics", weighted_metrics)
        self._chosen = {"loss": loss, "metrics": metrics, "weighted_metrics": weighted_metrics}
        self._trainer = None
        self.compiled = True

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` chose, as plain values for `compile_from_config`; empty before."""
        return config_of({"optimizer": self.optimizer, **self._chosen}) if self.compiled else {}

    def compile_from_config(self, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> None:
        """Compile as `get_compile_config` says; `custom_objects` has the classes and functions that are not Keras's."""
        self.compile(**options_of(config, custom_objects))

    def _need_compiled(self, op: str) -> None:
        if not self.compiled:
            raise ValueError(f"{op}: you must call `compile()` before using the model for this")

    def _trainer_for(self, op: str) -> Trainer:
        """The trainer of the compiled and built model; its optimiser keeps its state from call to call."""
        if self._loss is None and not (self.losses or any(layer.activity_regularizer for layer in self._layers)):
            raise ValueError(f"{op}: no loss to compute: pass a `loss` to `compile()`")
        if self._trainer is None:
            on_logits = self._loss.on_logits() if self._loss and self._layers[-1].ends_in_softmax else None
            forward = self.logits if on_logits else self.forward
            bound = self.optimizer.bind(p for p in self.parameters() if p.requires_grad)  # type: ignore[union-attr]
            constrained = [variable for layer in self._layers for variable in layer.constrained]
            if constrained:
                bound.register_step_post_hook(lambda *_: [variable.constrain() for variable in constrained])
            measured = [self._metrics, self._weighted_metrics]
            if on_logits:
                measured = [[self._on_probabilities(metric) for metric in group] for group in measured]
            loss = self._with_losses(on_logits or (self._loss and self._loss.of))
            self._trainer = Trainer(self, bound, loss, measured[0], forward=forward, weighted_metrics=measured[1])
        return self._trainer

    def _on_probabilities(self, metric: Any) -> Any:
        """The metric, given probabilities where the trainer has logits; the largest output is that of either."""
        last = self._layers[-1]  # in a function of its own, which copies of the metric share
        return metric if isinstance(metric, Accuracy) else OfProbabilities(metric, lambda x: last.activate(x))

    def _with_losses(self, loss: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
        """A loss of outputs, targets and weights, plus those of the layers."""

        def total(outputs: Tensor, *wanted: Tensor) -> Tensor:
            terms = [] if loss is None else [loss(outputs, *wanted)]
            terms += self.losses
            return sum(terms[1:], terms[0])

        return total

    @property
    def losses(self) -> list[Tensor]:
        """The losses that the layers add, such as those of regularisers."""
        return [loss for layer in self._layers for loss in layer.losses]

    def generators(self) -> dict[str, Generator]:
        """The random generators of the layers that have a seed of their own, by the layers' names."""
        found = {layer.name: getattr(layer, "generator", None) for layer in self._layers}
        return {name: g for name, g in found.items() if isinstance(g, Generator) and g is not default_generator}

    @property
    def stop_training(self) -> bool:
        """Set by callbacks to end the training after the epoch."""
        return self._trainer is not None and self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if self._trainer is not None:
            self._trainer.stop_training = value

    # -- Data -------------------------------------------------------------------------------------------------

    def _inputs(self, op: str, x: Any) -> Array:
        """Checked inputs; the first ones make the weights."""
        inputs = array_of(f"{op}: x", x)
        if not len(inputs):
            raise ValueError(f"{op}: the data is empty: x has the shape {inputs.shape}")
        if not self.built:
            self.build(inputs.shape)
        return self._fit_rank(inputs)  # type: ignore[no-any-return]

    def _arrays(self, op: str, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> list[Any]:
        """Checked arrays: inputs and targets, and weights where there are any."""
        inputs = self._inputs(op, x)
        if y is None:
            if self._loss is not None:
                raise ValueError(f"{op}: y is missing, and the loss needs targets")
            y = np.zeros((len(inputs), 0), np.float32)
        targets = array_of(f"{op}: y", y)
        if len(inputs) != len(targets):
            raise ValueError(
                f"{op}: data cardinality is ambiguous: x has {len(inputs)} samples, y has {len(targets)}; "
                "wanted equally many"
            )
        if sample_weight is not None and class_weight is not None:
            raise ValueError(f"{op}: class_weight and sample_weight exclude each other")
        weights = []
        if sample_weight is not None:
            weights = [weights_of(f"{op}: sample_weight", sample_weight, len(inputs))]
        elif class_weight is not None:
            weights = [weights_by_class(f"{op}: class_weight", targets, class_weight)]
        return [inputs, targets if self._loss is None else self._loss.targets(targets), *weights]

    def _loader(
        self,
        op: str,
        data: tuple[Any, Any, Any],
        batch_size: int | None,
        shuffle: bool = False,
        class_weight: Any = None,
    ) -> Iterable[Any]:
        """The batches of (x, y, sample_weight), of which x may be a data set, a loader or a generator of all three."""
        x, y, weight = data
        if isinstance(x, ARRAYS):
            dataset = ArrayDataset(*self._arrays(op, x, y, weight, class_weight))
            return loader_of(op, dataset, _size(batch_size), shuffle)
        x = self._source(op, x, y, weight)

        def prepared(batch: Any) -> list[Tensor]:
            if not isinstance(batch, tuple | list) or not 1 <= len(batch) <= 3:
                what = f"{len(batch)} items" if isinstance(batch, tuple | list) else type(batch).__name__
                raise TypeError(f"{op}: got a batch of {what}, wanted (x, y) or (x, y, sample_weight)")
            inputs, targets, weights = (*batch, None, None)[:3]
            return as_batch(self._arrays(op, inputs, targets, weights, class_weight))

        return Batches(loader_of(op, x, _size(batch_size), shuffle), prepared)

    def _source(self, op: str, x: Any, *beside: Any) -> Any:
        """A data set, loader or generator; its first batch makes the weights."""
        if x is None:
            raise ValueError(f"{op}: x is missing")
        if any(other is not None for other in beside):
            raise ValueError(f"{op}: x is a {type(x).__name__}, which has targets and weights of its own: pass x alone")
        if not self.built and isinstance(x, Iterable | Dataset):
            first, x = first_of(x)
            self._inputs(op, first)
        return x

    # -- All data ---------------------------------------------------------------------------------------------

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
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train until `epochs` epochs are done; returns the record, in `.history`.

        Args:
            x, y: arrays, nested lists or tensors; or x alone: a data set, a `DataLoader` or a generator of (x, y) or
                (x, y, sample_weight).
            batch_size: 32 by default.
            verbose: 0 is silent, 1 and "auto" draw a bar, 2 prints a line for each epoch.
            callbacks: objects of `callbacks`.
            validation_split: the share of the samples, the last ones, evaluated after each epoch, not trained on.
            validation_data: (x, y), (x, y, sample_weight) or what x alone can be, to evaluate after each epoch.
            shuffle: whether to shuffle before each epoch; loaders and generators have their own order.
            class_weight: {class index: weight}: how much a sample of a class counts in the loss, 1 by default.
            sample_weight: how much each sample counts in the loss, (N,), or (N, ...) where it has several losses. The
                loss of a batch is the sum of the weighted losses, divided by their number, not by the weights' sum.
            initial_epoch: the number of the first epoch, from 0.
            steps_per_epoch: how many batches make an epoch; the next epoch goes on with the batches after them.
            validation_steps: how many batches of the validation data to evaluate, the first ones.
            validation_batch_size: `batch_size` by default.
            validation_freq: n to evaluate after each nth epoch only, or a list of epochs, from 1.

        Raises:
            ValueError: before `compile`; no data; x, y and weights of different length; weights that are not finite;
                shapes that do not fit the layers.
        """
        self._need_compiled("fit")
        data = (x, y, sample_weight)
        if validation_split and validation_data is None:
            data, validation_data = split(*data, validation_split)
        batches = self._loader("fit", data, batch_size, bool(shuffle), class_weight)
        held_out = None
        if validation_data is not None:
            size = batch_size if validation_batch_size is None else validation_batch_size
            held_out = self._loader("fit: validation_data", three(validation_data), size)
            held_out = limited(held_out, "fit: validation_steps", validation_steps)
        self.history = self._trainer_for("fit").fit(
            limited(batches, "fit: steps_per_epoch", steps_per_epoch, go_on=True),
            epochs,
            validation_data=held_out,
            validation_freq=_freq(validation_freq),
            callbacks=_with_progress(verbose, callbacks),
            initial_epoch=initial_epoch,
            resume=next((c.found() for c in callbacks or () if isinstance(c, BackupAndRestore)), None),
        )
        record = self.history.history
        self.history.history = dict(sorted(record.items(), key=lambda kv: (kv[0].startswith("val_"), kv[0])))
        return self.history

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
        """The mean loss, or [loss, metric, ...] where there are metrics, or all by name with `return_dict`.

        The arguments are those of `fit`; with `steps`, only so many batches are evaluated.
        """
        self._need_compiled("evaluate")
        batches = limited(self._loader("evaluate", (x, y, sample_weight), batch_size), "evaluate: steps", steps)
        logs = self._trainer_for("evaluate").evaluate(batches, callbacks=_with_progress(verbose, callbacks))
        return _returned(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Array:
        """The outputs for inputs, as an array; probabilities where the model ends in a softmax.

        x may be a data set, a loader or a generator of batches; with `steps`, only so many are used.
        """
        data = ArrayDataset(self._inputs("predict", x)) if isinstance(x, ARRAYS) else self._source("predict", x)
        batches = limited(loader_of("predict", data, _size(batch_size), False), "predict: steps", steps)
        return Trainer(self).predict(batches, callbacks=_with_progress(verbose, callbacks))

    # -- One batch --------------------------------------------------------------------------------------------

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on a batch; returns its loss before the step, and its metrics, as `evaluate` does."""
        self._need_compiled("train_on_batch")
        batch = as_batch(self._arrays("train_on_batch", x, y, sample_weight, class_weight))
        trainer = self._trainer_for("train_on_batch")
        trainer.scores.reset()
        with trainer.mode(training=True):
            trainer.train_step(batch)
        return _returned(trainer.scores.logs(), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss of a batch, and its metrics, as `evaluate` returns them."""
        self._need_compiled("test_on_batch")
        batch = as_batch(self._arrays("test_on_batch", x, y, sample_weight))
        trainer = self._trainer_for("test_on_batch")
        trainer.scores.reset()
        with trainer.evaluating():
            trainer.test_step(batch, trainer.scores)
        return _returned(trainer.scores.logs(), return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """The outputs for one batch of inputs, as an array."""
        return self(self._inputs("predict_on_batch", x)).numpy()  # type: ignore[no-any-return]

    @property
    def metrics(self) -> list[Any]:
        """The mean loss, and the metrics of `compile`, with their values in the last epoch or single batch."""
        if not self.compiled:
            return []
        loss = self._trainer.scores.loss if self._trainer else MeanLoss()
        return [loss, *self._metrics, *self._weighted_metrics]

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order."""
        return list(Scores(self._metrics, self._weighted_metrics).logs()) if self.compiled else []

    def reset_metrics(self) -> None:
        """Let the mean loss and the metrics forget all samples."""
        if self._trainer is not None:
            self._trainer.scores.reset()


def _metrics(argument: str, given: Any) -> list[Any]:
    if given is not None and not isinstance(given, list | tuple):
        raise ValueError(f"compile: got {argument}={given!r}, wanted a list of names or objects")
    return [metrics.get(metric) for metric in given or ()]


def _with_progress(verbose: str | int, callbacks: Sequence[Callback] | None) -> list[Callback]:
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"got verbose={verbose!r}, wanted 'auto', 0, 1 or 2")
    level = 1 if verbose == "auto" else int(verbose)
    return [*([Progress(level)] if level else []), *(callbacks or ())]


def _freq(freq: Any) -> Any:
    """The epochs of validation: a positive number, or a list of some."""
    wanted = freq if isinstance(freq, list | tuple | set | range) else [freq]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in wanted):
        raise ValueError(f"fit: got validation_freq={freq!r}, wanted a positive number, or a list of epochs from 1")
    return freq


def _returned(logs: dict[str, float], by_name: bool) -> Any:
    if by_name:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def _size(batch_size: int | None) -> int:
    return 32 if batch_size is None else batch_size
