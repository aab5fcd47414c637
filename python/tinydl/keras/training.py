"""Training with Keras's methods: compile, fit, evaluate, predict."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..random import Generator, default_generator
from ..tensor import Tensor
from ..train import Trainer
from ..train.callbacks import Callback, History
from ..train.data import loader_of
from ..train.metrics import MeanLoss
from ..utils.data import Dataset
from . import optimizers, tree
from .aims import Aims, with_penalties
from .callbacks import BackupAndRestore
from .compiling import config_of, options_of
from .data import (
    ARRAYS,
    ArrayDataset,
    Batches,
    array_of,
    as_batch,
    first_of,
    is_several,
    limited,
    several,
    split,
    three,
)
from .functional import Graph
from .layers.base import Layer, Variable
from .layers.layout import map_shapes
from .layers.own import numbered
from .progress import Progress
from .steps import NoSteps, OwnSteps, Stepped, StepScores

__all__ = ["Training"]


class Training(Stepped):
    """What models have for it."""

    output_names: list[str]
    _graph: Graph | None

    def _function(self, bare: Container[int], penalized: Sequence[Layer]) -> Callable[[Any], Any]:
        """The model for a trainer: from a tensor, or a list of them, to the same."""
        raise NotImplementedError(f"{type(self).__name__} does not define _function")

    def _init_training(self) -> None:
        self.optimizer: optimizers.Optimizer | None = None
        self.compiled = False
        self._trainer: Trainer | None = None
        self._goes_on = False  # whether a copy has its optimiser's state from the model that was copied

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
        self.optimizer = optimizers.get(optimizer)
        self._aims = Aims(loss, loss_weights, metrics, weighted_metrics)
        if self._outputs_known():
            self._aims.name(self.output_names)
        self._chosen = {"loss": loss, "metrics": metrics, "weighted_metrics": weighted_metrics}
        if loss_weights is not None:
            self._chosen["loss_weights"] = loss_weights
        self._trainer, self._goes_on = None, False
        self.compiled = True

    def _outputs_known(self) -> bool:
        return self._graph is not None or (not self._calls and not self._steps_itself())

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
        if self._trainer is None:
            aims = self._aims
            aims.name(self.output_names)
            ends = self._graph.logits_layer if self._graph else lambda number: None
            penalized = [layer for layer in self.all_layers() if layer.may_lose]
            forward = self._function(aims.take_logits(ends), penalized)
            if aims.loss is None and not penalized and not self._steps_itself():
                raise ValueError(f"{op}: no loss to compute: pass a `loss` to `compile()`")
            self.adopt()
            kind, scores = (OwnSteps, StepScores(self)) if self._steps_itself() else (Trainer, aims.scores())
            bound = self._bound()
            loss = with_penalties(aims.loss, penalized)
            self._trainer = (kind if bound else NoSteps)(self, bound, loss, forward=forward, scores=scores)
        return self._trainer

    def _bound(self) -> Any:
        """The optimiser of `optim` for the weights that are trained; None where there are none."""
        params = [p for p in self.inner.parameters() if p.requires_grad]  # type: ignore[union-attr]
        if not params:
            warnings.warn(f'Model "{self.name}" has no weights that are trained', stacklevel=4)
            return None
        optimizer: Any = self.optimizer
        if not self._goes_on:
            bound = optimizer.bind(params)
            constrained = [variable for layer in self.all_layers() for variable in layer.constrained]
            if constrained:
                bound.register_step_post_hook(partial(_constrain, constrained))
        return optimizer.bound

    def generators(self) -> dict[str, Generator]:
        """The random generators of the layers that have a seed of their own, by the layers' names."""
        found: dict[str, Generator] = {}
        for layer in self.all_layers():
            generator = getattr(layer, "generator", None)
            if isinstance(generator, Generator) and generator is not default_generator:
                found[numbered(layer.name, found)] = generator
        return found

    @property
    def stop_training(self) -> bool:
        """Set by callbacks to end the training after the epoch."""
        return self._trainer is not None and self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if self._trainer is not None:
            self._trainer.stop_training = value

    # -- Data -------------------------------------------------------------------------------------------------

    def _inputs(self, op: str, x: Any) -> Any:
        """Checked inputs, an array or a list of several; the first ones make the weights."""
        inputs, shapes = self._in_arrays(op, x)
        counts = {len(each) for each in several(inputs)}
        if len(counts) > 1:
            raise ValueError(f"{op}: the inputs must be equally many, got {sorted(counts)} samples")
        if 0 in counts:
            raise ValueError(f"{op}: the data is empty: x has the shape {several(inputs)[0].shape}")
        if not self.built:
            self.build(shapes)
        return self._fitted(inputs)

    def _in_arrays(self, op: str, x: Any) -> tuple[Any, Any]:
        """The inputs as an array, or a list of arrays, and their shapes in the structure of the inputs."""
        if self._graph is not None:
            if len(self._graph.inputs) == 1 and not isinstance(x, Mapping):
                one = array_of(f"{op}: x", x[0] if self._is_wrapped(x) else x)
                return one, one.shape
            names = [tensor.name for tensor in self._graph.inputs]
            ordered = self._in_order(x)
            arrays = [array_of(f"{op}: x: {name}", each) for name, each in zip(names, ordered, strict=True)]
            return arrays, [each.shape for each in arrays]
        if self._calls and is_several(x):
            arrays = [array_of(f"{op}: x", each) for each in tree.flatten(x)]
            if self.built and len(arrays) != len(tree.flatten(map_shapes(lambda shape: None, self._in))):
                raise ValueError(f"{op}: got {len(arrays)} inputs, unlike those that the model was built for")
            return arrays, tree.pack(x, [each.shape for each in arrays])
        one = array_of(f"{op}: x", x)
        return one, one.shape

    def _fitted(self, inputs: Any) -> Any:
        """The inputs in the shapes that the model takes."""
        if self._graph is None:
            return inputs
        fitted = self._checked(several(inputs))
        return fitted if isinstance(inputs, list) else fitted[0]

    def _arrays(self, op: str, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> list[Any]:
        """Checked arrays: inputs and targets, and weights where there are any."""
        inputs = self._inputs(op, x)
        self._aims.name(self.output_names)
        return [inputs, *self._aims.arrays(op, len(several(inputs)[0]), y, sample_weight, class_weight)]

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

    def _sliceable(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Data of which samples can be taken: arrays, and where there are several, lists or dictionaries of them."""
        if not isinstance(x, ARRAYS):
            return x, y, weight
        wide = len(self._graph.inputs) > 1 if self._graph else self._calls
        inputs = x if isinstance(x, Mapping) or (wide and is_several(x)) else array_of("fit: x", x)
        parts = [inputs]
        for name, each in (("fit: y", y), ("fit: sample_weight", weight)):
            many = is_several(each) and (len(self.output_names) > 1 or isinstance(each, Mapping) or not self.built)
            parts.append(each if each is None or many else array_of(name, each))
        return parts[0], parts[1], parts[2]

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
            data, validation_data = split(*self._sliceable(*data), validation_split)
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
    ) -> Any:
        """The outputs for inputs, as an array, or as several where the model has.

        They are probabilities where the model ends in a softmax. x may be a data set, a loader or a generator of
        batches; with `steps`, only so many are used.
        """
        data = ArrayDataset(self._inputs("predict", x)) if isinstance(x, ARRAYS) else self._source("predict", x)
        loader = loader_of("predict", data, _size(batch_size), False)
        if self._graph is None and isinstance(x, ARRAYS) and is_several(x):
            loader = Batches(loader, lambda batch: (tree.pack(x, batch[0]),))
        batches = limited(loader, "predict: steps", steps)
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

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch of inputs, as an array, or as several where the model has."""
        self._inputs("predict_on_batch", x)
        return tree.map_leaves(lambda out: out.numpy(), self(x))

    @property
    def metrics(self) -> list[Any]:
        """The mean loss, and the metrics of `compile`, with their values in the last epoch or single batch."""
        if not self.compiled:
            return []
        loss = self._trainer.scores.loss if self._trainer else MeanLoss()
        return [loss, *self._aims.objects()]

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order."""
        return list(self._aims.scores().logs()) if self.compiled else []

    def reset_metrics(self) -> None:
        """Let the mean loss and the metrics forget all samples."""
        if self._trainer is not None:
            self._trainer.scores.reset()


def _constrain(variables: Sequence[Variable], *_: Any) -> None:
    for variable in variables:
        variable.constrain()


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
