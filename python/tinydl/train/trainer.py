"""The training loop."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import backend, random
from ..autograd import no_grad
from ..tensor import Array, Tensor
from . import checkpoint
from .callbacks import Callback, History
from .data import inputs_of, loader_of, pair, samples_in
from .metrics import Accuracy, MeanLoss, Metric

__all__ = ["Trainer"]

Logs = dict[str, float]
Hook = Callable[[int, Logs], None]


class Trainer:
    """Trains, evaluates and applies a model.

    A step is: gradients to None, loss(model(inputs), targets), backward, optimizer.step().

    Args:
        model: an `nn.Module`.
        optimizer: of `optim`, over the model's parameters; may be left out where nothing is trained.
        loss: a function of outputs and targets, such as `nn.CrossEntropyLoss()`, that returns the batch's mean loss;
            may be left out where only `predict` is called.
        metrics: `Metric` objects, or "accuracy".
        device: "cpu".
        forward: what gives loss and metrics their outputs, instead of the model itself.

    Attributes:
        epoch, batch, step, samples: where the run stands: the epoch, how many of its batches and samples are done, and
            the steps since the run's beginning.
        history: the run's `History`.
        stop_training: set it to end the epoch after the batch, and the run after the epoch.
        resumed: whether the run goes on from a checkpoint.

    >>> import tinydl
    >>> from tinydl import nn, optim
    >>> tinydl.manual_seed(0) and None
    >>> x = tinydl.rand(64, 1)
    >>> model = nn.Linear(1, 1)
    >>> trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.5), nn.MSELoss())
    >>> history = trainer.fit((x, 2 * x + 1), epochs=60, batch_size=16)
    >>> [round(p.item(), 2) for p in model.parameters()]
    [2.0, 1.0]
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        metrics: Sequence[Metric | str] = (),
        device: str | None = None,
        forward: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        backend.check_device(device)
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = [_metric(m) for m in metrics]
        self.forward = forward or model
        self._mean_loss = MeanLoss()
        self._callbacks: list[Callback] = []
        self._loader: Any = None
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self.epoch, self.batch, self.step, self.samples = epoch, 0, 0, 0
        self.history = History()
        self.stop_training = False
        self.resumed = False

    # -- Training ---------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_data: Any = None,
        callbacks: Iterable[Callback] = (),
        initial_epoch: int = 0,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until `epochs` epochs are done.

        Args:
            data: a `DataLoader` of (inputs, targets), a data set, or a tuple of arrays (inputs, targets).
            epochs: the number of the last epoch, from 1.
            batch_size: for a data set or arrays; a loader has its own.
            shuffle: likewise; the seed comes from `tinydl.random`.
            validation_data: like `data`; evaluated after each epoch.
            callbacks: see `callbacks`.
            initial_epoch: the number of the first epoch, from 0.
            resume: a checkpoint of the same run: it goes on where the file was saved, and ends with the same bits as if
                it had never been interrupted. Model, optimiser, data, batch size and callbacks must be made as before.

        Returns:
            The history of all epochs, with those before a checkpoint.

        Raises:
            ValueError: no data; inputs and targets of different length; a checkpoint that does not fit (nothing is
                changed then).
        """
        if self.loss is None or self.optimizer is None:
            raise ValueError("fit: the trainer needs a loss and an optimizer")
        self._loader = loader_of("fit", data, batch_size, shuffle)
        if validation_data is not None:
            validation_data = loader_of("fit: validation_data", validation_data, batch_size, False)
        self._callbacks = sorted(callbacks, key=lambda c: c.saves)
        self._begin(initial_epoch)
        params = {"epochs": epochs, "steps": _length(self._loader), "samples": samples_in(self._loader)}
        for callback in self._callbacks:
            callback.trainer, callback.model, callback.params = self, self.model, params
        if resume is not None:
            self._resume(resume)
        with self._closing(self._callbacks), self._mode(training=True):
            self._call("on_train_begin", {})
            while self.epoch < epochs and not self.stop_training:
                self._run_epoch(validation_data)
            self._call("on_train_end", {})
        return self.history

    def _run_epoch(self, validation_data: Any) -> None:
        if not self.batch:
            self.samples = 0
            for metric in (self._mean_loss, *self.metrics):
                metric.reset()
        self._call("on_epoch_begin", self.epoch, {})
        before, after = "on_train_batch_begin", "on_train_batch_end"
        self._run_batches(*([getattr(c, m) for c in self._callbacks if _overrides(c, m)] for m in (before, after)))
        if not self.batch:
            raise ValueError("fit: the data is empty: the loader gave no batch")
        logs = _logs(self._mean_loss, self.metrics)
        if validation_data is not None:
            logs |= {f"val_{name}": value for name, value in self.evaluate(validation_data).items()}
        epoch = self.epoch
        self.epoch, self.batch = epoch + 1, 0
        savers = [c for c in self._callbacks if c.saves]
        for callback in self._callbacks[: len(self._callbacks) - len(savers)]:
            callback.on_epoch_end(epoch, logs)  # which may add to the logs
        self.history.append(epoch, logs)
        for callback in savers:
            callback.on_epoch_end(epoch, logs)

    def _run_batches(self, before: Sequence[Hook], after: Sequence[Hook]) -> None:
        """The rest of the epoch. Nothing here may cost more than a few microseconds a step."""
        optimizer, loss, forward, metrics = self.optimizer, self.loss, self.forward, self.metrics
        for batch in self._loader:
            inputs, targets = pair("fit", batch)
            for hook in before:
                hook(self.batch, {})
            optimizer.zero_grad()
            outputs = forward(inputs)
            value = loss(outputs, targets)  # type: ignore[misc]
            value.backward()
            optimizer.step()
            self._mean_loss.add(value.item(), len(targets))
            for metric in metrics:
                metric.update(outputs._data, targets._data)
            self.batch += 1
            self.step += 1
            self.samples += len(targets)
            if after:
                logs = _logs(self._mean_loss, metrics)
                for hook in after:
                    hook(self.batch - 1, logs)
            if self.stop_training:
                break

    # -- Using the model --------------------------------------------------------------------------------------

    def evaluate(self, data: Any, *, batch_size: int = 32, callbacks: Iterable[Callback] = ()) -> Logs:
        """{"loss": ..., metric: ...}, the means over some data (as for `fit`), with the model in evaluation mode."""
        if self.loss is None:
            raise ValueError("evaluate: the trainer needs a loss")
        loader = loader_of("evaluate", data, batch_size, False)
        mean, metrics = MeanLoss(), copy.deepcopy(self.metrics)
        for metric in metrics:
            metric.reset()
        watchers = list(callbacks)
        for callback in watchers:
            callback.trainer, callback.model = self, self.model
            callback.params = {"epochs": None, "steps": _length(loader), "samples": samples_in(loader)}
        with self._closing(watchers), self._mode(training=False), no_grad():
            for callback in watchers:
                callback.on_test_begin({})
            for number, batch in enumerate(loader):
                inputs, targets = pair("evaluate", batch)
                outputs = self.forward(inputs)
                mean.add(self.loss(outputs, targets).item(), len(targets))
                for metric in metrics:
                    metric.update(outputs._data, targets._data)
                for callback in watchers:
                    callback.on_test_batch_end(number, _logs(mean, metrics))
            if not mean.count:
                raise ValueError("evaluate: the data is empty: the loader gave no batch")
            for callback in watchers:
                callback.on_test_end(_logs(mean, metrics))
        return _logs(mean, metrics)

    def predict(self, data: Any, *, batch_size: int = 32) -> Array:
        """The model's outputs for some data, in evaluation mode: an array of inputs, or what `fit` takes."""
        loader = loader_of("predict", data, batch_size, False)
        with self._mode(training=False), no_grad():
            outputs = [self.model(inputs_of(batch))._data for batch in loader]
        if not outputs:
            raise ValueError("predict: the data is empty: the loader gave no batch")
        return np.concatenate(outputs)

    @contextmanager
    def _mode(self, training: bool) -> Any:
        """Training or evaluation mode for a block; afterwards each layer has its own again."""
        before = [(module, module.training) for module in self.model.modules()]
        self.model.train(training)
        try:
            yield
        finally:
            for module, mode in before:
                module.training = mode

    @contextmanager
    def _closing(self, callbacks: Sequence[Callback]) -> Any:
        try:
            yield
        finally:
            for callback in callbacks:
                callback.close()

    def _call(self, method: str, *args: Any) -> None:
        for callback in self._callbacks:
            getattr(callback, method)(*args)

    # -- Checkpoints ------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that the run needs to go on to a file, atomically; see `fit(resume=...)` and `load`."""
        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Give the model, and the optimiser if there is one, what they had when `path` was saved.

        ValueError where the file is damaged or does not fit; then nothing is changed.
        """
        state = checkpoint.load(path)
        with self._unchanged_on_error(path):
            self._load_model(state)

    def state_dict(self) -> dict[str, Any]:
        """The state of model, optimiser, random generator, loader, metrics, callbacks and the run itself."""
        return {
            "model": self.model.state_dict(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "optimizer_class": type(self.optimizer).__name__,
            "generator": random.default_generator.state(),
            "loader": self._loader.state_dict() if hasattr(self._loader, "state_dict") else None,
            "steps": _length(self._loader),
            "progress": {name: getattr(self, name) for name in _PROGRESS},
            "history": {"epoch": self.history.epoch, "history": self.history.history},
            "metrics": [m.state_dict() for m in (self._mean_loss, *self.metrics)],
            "callbacks": [{"class": type(c).__name__, "state": state} for c, state in self._remembered()],
        }

    def _remembered(self) -> list[tuple[Callback, dict[str, Any]]]:
        """The callbacks that remember something, and what."""
        return [(c, state) for c in self._callbacks if (state := c.state_dict())]

    def _resume(self, path: str | os.PathLike[str]) -> None:
        state = checkpoint.load(path)
        with self._unchanged_on_error(path):
            self._load_model(state)
            self._load_run(state)
        self.resumed = True

    def _load_model(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.optimizer is None or state["optimizer"] is None:
            return
        if state["optimizer_class"] != type(self.optimizer).__name__:
            raise ValueError(f"its optimizer is {state['optimizer_class']}, wanted {type(self.optimizer).__name__}")
        self.optimizer.load_state_dict(state["optimizer"])

    def _load_run(self, state: Mapping[str, Any]) -> None:
        metrics, callbacks = (self._mean_loss, *self.metrics), [c for c, _ in self._remembered()]
        _same("metrics", len(state["metrics"]), len(metrics))
        _same("callbacks", [c["class"] for c in state["callbacks"]], [type(c).__name__ for c in callbacks])
        _same("batches an epoch", state["steps"], _length(self._loader))
        progress = state["progress"]
        history, epochs = state["history"]["history"], state["history"]["epoch"]
        if state["loader"] is not None and hasattr(self._loader, "load_state_dict"):
            self._loader.load_state_dict(state["loader"])
        elif progress["batch"]:
            raise ValueError("it was saved within an epoch, which needs a loader with load_state_dict")
        for metric, saved in zip(metrics, state["metrics"], strict=True):
            metric.load_state_dict(saved)
        for callback, saved in zip(callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved["state"])
        random.default_generator.set_state(state["generator"])
        for name in _PROGRESS:
            setattr(self, name, progress[name])
        self.history.history, self.history.epoch = history, epochs

    @contextmanager
    def _unchanged_on_error(self, path: str | os.PathLike[str]) -> Any:
        """Undo what was loaded where a part of a checkpoint does not fit, and say which file it is."""
        callbacks = [callback for callback, _ in self._remembered()]
        parts = [p for p in (self.model, self.optimizer, *self.metrics, *callbacks) if p is not None]
        before = [_copied(part.state_dict()) for part in parts]
        generator = random.default_generator.state()
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            for part, state in zip(parts, before, strict=True):
                part.load_state_dict(state)
            random.default_generator.set_state(generator)
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{os.fspath(path)}: the checkpoint does not fit this run: {what}") from error


_PROGRESS = ("epoch", "batch", "step", "samples", "stop_training")


def _metric(metric: Metric | str) -> Metric:
    if metric == "accuracy":
        return Accuracy()
    if isinstance(metric, str) or not hasattr(metric, "update"):
        raise ValueError(f"Trainer: metric {metric!r} is unknown; known: 'accuracy', or a Metric")
    return metric


def _logs(loss: Metric, metrics: Sequence[Metric]) -> Logs:
    logs = {loss.name: loss.result()}
    for metric in metrics:
        logs[metric.name] = metric.result()
    return logs


def _length(loader: Any) -> int | None:
    return len(loader) if hasattr(loader, "__len__") else None


def _overrides(callback: Callback, method: str) -> bool:
    return method in vars(callback) or getattr(type(callback), method) is not getattr(Callback, method)


def _same(what: str, saved: Any, ours: Any) -> None:
    if saved != ours:
        raise ValueError(f"its run has {what}: {saved}, this one: {ours}")


def _copied(state: Any) -> Any:
    """Nested state with its tensors copied."""
    if isinstance(state, Mapping):
        return {key: _copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_copied(value) for value in state)
    return Tensor(state._data.copy(order="K")) if isinstance(state, Tensor) else copy.copy(state)
