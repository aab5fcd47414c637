"""The model: a row of layers that compiles, fits, evaluates and predicts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import enable_grad, no_grad
from ..tensor import Array, Tensor
from ..train import Trainer, checkpoint
from ..train.callbacks import Callback, History
from ..train.metrics import Accuracy
from . import losses, metrics, optimizers
from .data import ArrayDataset, array_of, split, two
from .layers.base import Layer, Shape, as_float, batched, channels_first, channels_last
from .layers.core import InputLayer
from .lookup import supported
from .metrics.base import OfProbabilities
from .progress import Progress, seconds_a_step
from .summary import summary

__all__ = ["Sequential"]


class Sequential(nn.Module):
    """Layers applied one after the other.

    The weights are made when the shape of the input is known: from `Input`, from the first layer's `input_shape`, from
    `build`, or from the first data. As an `nn.Module` the model has PyTorch's state dict, in which layer i has the
    names `i.weight` and `i.bias`.

    >>> import numpy as np
    >>> from tinydl.keras import Sequential, layers
    >>> model = Sequential([layers.Flatten(input_shape=(2, 2)), layers.Dense(3, activation="relu")])
    >>> model(np.ones((5, 2, 2))).shape
    (5, 3)
    """

    def __init__(self, layers: Iterable[Layer] | None = None, name: str = "sequential") -> None:
        super().__init__()
        self.name = name
        self._layers: list[Layer] = []
        self._given_shape: Shape | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.compiled = False
        self._trainer: Trainer | None = None
        self.eval()
        for layer in layers or ():
            self.add(layer)

    # -- The layers -------------------------------------------------------------------------------------------

    def add(self, layer: Layer) -> None:
        """Append a layer. ValueError where the name is taken, or the layer does not fit the one before."""
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential: only layers can be added, got {type(layer).__name__}")
        if not self._layers and self._given_shape is None:
            self._given_shape = layer.given_shape
        if isinstance(layer, InputLayer):
            if self._layers:
                raise ValueError("Sequential: the input must come before the layers")
            return
        self._trainer = None  # its optimiser does not know the new weights
        self._give_name(layer)
        shape = self._layers[-1].output_shape if self._layers and self.built else self._given_shape
        self._layers.append(layer)
        if shape is not None:
            try:
                self._build_last(len(self._layers) - 1, shape)
            except ValueError:
                self._layers.pop()
                raise

    def _give_name(self, layer: Layer) -> None:
        taken = {other.name for other in self._layers}
        if layer.name not in taken:
            return
        if layer.named or layer in self._layers:
            raise ValueError(f"Sequential: layer names must be unique; '{layer.name}' is taken")
        number = 1
        while f"{layer.name}_{number}" in taken:
            number += 1
        layer.name = f"{layer.name}_{number}"

    def _build_last(self, index: int, shape: Shape) -> None:
        layer = self._layers[index]
        layer.build(batched(shape))
        if layer.inner is not None:
            self.add_module(str(index), layer.inner)
            layer.inner.train(self.training)

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for inputs of a shape that begins with the batch axis."""
        if self.built:
            return
        shape = self._given_shape if input_shape is None else tuple(input_shape)[1:]
        if shape is None:
            raise ValueError(f'Model "{self.name}" does not know the shape of its input: pass input_shape')
        if not self._layers:
            raise ValueError(f'Model "{self.name}" has no layers')
        for index, layer in enumerate(self._layers):
            self._build_last(index, shape)  # type: ignore[arg-type]
            shape = layer.output_shape

    @property
    def built(self) -> bool:
        """Whether all layers have their weights."""
        return bool(self._layers) and all(layer.built for layer in self._layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or a number."""
        if index is not None:
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise ValueError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in self._layers]}")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of an input batch."""
        self._need_built("input_shape")
        return batched(self._layers[0].input_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of an output batch."""
        self._need_built("output_shape")
        return batched(self._layers[-1].output_shape)

    def _need_built(self, op: str) -> None:
        if not self.built:
            raise ValueError(
                f'{op}: model "{self.name}" has no weights yet: give the first layer an input_shape, or call '
                "build() or the model on some data"
            )

    # -- The function -----------------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """The outputs for a batch of inputs: an array, nested lists or a tensor.

        Only with `training` are the operations recorded for gradients, and do elements drop out.
        """
        inputs = as_float(x)
        if not self.built:
            self.build(inputs.shape)
        before = self.training
        self.train(training)
        try:
            with enable_grad() if training else no_grad():
                return self.forward(self._fit_rank(inputs))
        finally:
            self.train(before)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs for a float32 tensor."""
        return self._run(x, softmax=True)

    def logits(self, x: Tensor) -> Tensor:
        """The outputs without the last layer's softmax, if it has one."""
        return self._run(x, softmax=False)

    def _run(self, x: Tensor, softmax: bool) -> Tensor:
        wanted = self._layers[0].input_shape
        if x.shape[1:] != wanted:
            raise self._layers[0].incompatible(f"shape={batched(wanted)}", f"shape={x.shape}")
        x = channels_first(x)
        for layer in self._layers[:-1]:
            x = layer.forward(x)
        end = self._layers[-1]
        return channels_last(end.forward(x) if softmax else end.logits(x))

    def _fit_rank(self, x: Any) -> Any:
        """Inputs with a last axis of size 1 added or dropped where the model has, or lacks, it: for grey images."""
        wanted = self._layers[0].input_shape
        if (*x.shape[1:], 1) == wanted:
            return x.reshape(*x.shape, 1)
        return x.reshape(x.shape[:-1]) if x.shape[1:] == (*wanted, 1) else x

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

    # -- The weights ------------------------------------------------------------------------------------------

    @property
    def weights(self) -> list[Tensor]:
        """The weights of all layers, as views in Keras's shapes."""
        return [weight for layer in self._layers for weight in layer.weights]

    def get_weights(self) -> list[Array]:
        """Copies of the weights as arrays."""
        return [array for layer in self._layers for array in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copy arrays into the weights; ValueError, with nothing changed, where they do not fit."""
        self._need_built("set_weights")
        wanted = [w.shape for w in self.weights]
        given = [np.shape(w._data if isinstance(w, Tensor) else w) for w in weights]
        if given != wanted:
            raise ValueError(f"set_weights: got {len(given)} weights of shapes {given}, wanted {wanted}")
        rest = list(weights)
        for layer in self._layers:
            count = len(layer.weights)
            layer.set_weights(rest[:count])
            rest = rest[count:]

    def count_params(self) -> int:
        """How many numbers the weights have."""
        self._need_built("count_params")
        return sum(layer.count_params() for layer in self._layers)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the state dict to a safetensors file, atomically; the name must end with `.safetensors`."""
        self._need_built("save_weights")
        _check_name("save_weights", filepath)
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(f"save_weights: {os.fspath(filepath)} exists")
        arrays = {name: tensor._data for name, tensor in self.state_dict().items()}
        checkpoint.write_tensors(filepath, arrays, {"format": "tinydl"})

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read a file of `save_weights`, or a checkpoint; ValueError, with nothing changed, where it does not fit."""
        self._need_built("load_weights")
        tensors, metadata = checkpoint.read_tensors(filepath)
        if metadata.get("format") == checkpoint.FORMAT:
            tensors = checkpoint.load(filepath)["model"]
        self.load_state_dict(tensors)

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], None] | None = None) -> None:
        """Print the layers with the shapes of their outputs and the numbers of their weights."""
        (print_fn or print)(summary(self, line_length))

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, built={self.built}>"


def _metric(identifier: Any) -> Any:
    return metrics.get(identifier)


def _level(verbose: str | int) -> int:
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"got verbose={verbose!r}, wanted 'auto', 0, 1 or 2")
    return 1 if verbose == "auto" else int(verbose)


def _size(batch_size: int | None) -> int:
    return 32 if batch_size is None else batch_size


def _check_name(op: str, filepath: str | os.PathLike[str]) -> None:
    if not os.fspath(filepath).endswith(".safetensors"):
        raise ValueError(f"{op}: the file name must end with .safetensors, got {os.fspath(filepath)!r}")
