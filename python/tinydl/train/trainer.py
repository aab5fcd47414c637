"""The training loop."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from .. import backend
from ..autograd import no_grad
from ..tensor import Tensor
from .callbacks import Callback, History
from .data import arrays_of, inputs_of, joined, length, loader_of, parts, placed, samples, samples_in
from .graphed import GraphedSteps
from .metrics import Accuracy, Metric, Scores
from .precision import Precision, widened
from .resumable import Resumable

__all__ = ["Trainer"]

Logs = dict[str, float]
Hook = Callable[[int, Any], None]


class Trainer(Resumable):
    """Trains, evaluates and applies a model.

    A step is: gradients to None, loss(model(inputs), targets), backward, optimizer.step(). Where the batches have
    weights beside inputs and targets, it is loss(model(inputs), targets, weights).

    Args:
        model: an `nn.Module`.
        optimizer: of `optim`, over the model's parameters; may be left out where nothing is trained.
        loss: a function of outputs and targets, such as `nn.CrossEntropyLoss()`, that returns the batch's mean loss;
            may be left out where only `predict` is called.
        metrics: `Metric` objects, or "accuracy".
        weighted_metrics: likewise; they get the batches' weights, where there are any.
        device: where the model is moved and each batch goes, such as "cuda"; None leaves the model where it is.
        forward: what gives loss and metrics their outputs, instead of the model itself.
        scores: what counts losses and metrics, instead of a `Scores` of the metrics; such as one for several outputs.
        precision: "float32", or "bfloat16" or "float16" to compute within `autocast`, with a `GradScaler` for float16.
        graph: replay the steps of `fit` from CUDA graphs, one for each shape of batches, once that has been met three
            times. What `tinydl.cuda.graph` says of a block must hold for the model and the loss; an optimiser's hooks
            and a layer's rates stay as they were then. Each shape keeps memory for its gradients and activations, the
            latter shared where a larger shape came before. On a GPU alone, not with float16, whose scaler waits for the
            gradients, and not with a `train_step` of one's own.

    Inputs, targets, weights and outputs are tensors, or lists of tensors where a model has several.

    Attributes:
        epoch, batch, step, samples: where the run stands: the epoch, how many of its batches and samples are done, and
            the steps since the run's beginning.
        history: the run's `History`.
        scores: the mean loss and the metrics of the epoch so far.
        validates: whether the epoch is one of those after which the validation data is evaluated.
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

    needs_optimizer = True

    def __init__(
        self,
        model: Any,
        optimizer: Any = None,
        loss: Callable[..., Tensor] | None = None,
        metrics: Sequence[Metric | str] = (),
        device: str | None = None,
        forward: Callable[[Tensor], Tensor] | None = None,
        weighted_metrics: Sequence[Metric | str] = (),
        scores: Scores | None = None,
        precision: str = "float32",
        graph: bool = False,
    ) -> None:
        backend.check_device(device)
        self.device = device
        if device is not None:
            model.to(device=device)
        self.model = model
        self.precision = Precision(precision, model)
        self.graph = graph
        self.optimizer = optimizer
        self.loss = loss
        self.scores = scores or Scores(map(_metric, metrics), map(_metric, weighted_metrics))
        self.forward = forward or model
        self._callbacks: list[Callback] = []
        self._loader: Any = None
        self._take_step: Callable[..., tuple[Tensor, Any]] = self._step_plainly
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self.epoch, self.batch, self.step, self.samples = epoch, 0, 0, 0
        self.history = History()
        self.stop_training = False
        self.resumed = False
        self.validates = False
        self.validation_freq: int | Container[int] = 1

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that count all samples alike."""
        return self.scores.metrics

    # -- Training ---------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_data: Any = None,
        validation_freq: int | Container[int] = 1,
        callbacks: Iterable[Callback] = (),
        initial_epoch: int = 0,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until `epochs` epochs are done.

        Args:
            data: a `DataLoader` of (inputs, targets), a data set, or a tuple of arrays (inputs, targets); weights of
                the samples may be third.
            epochs: the number of the last epoch, from 1.
            batch_size: for a data set or arrays; a loader has its own.
            shuffle: likewise; the seed comes from `tinydl.random`.
            validation_data: like `data`; evaluated after each epoch.
            validation_freq: n to evaluate it after each nth epoch only, or a list of epochs, from 1.
            callbacks: see `callbacks`.
            initial_epoch: the number of the first epoch, from 0.
            resume: a checkpoint of the same run: it goes on where the file was saved, and ends with the same bits as if
                it had never been interrupted. Model, optimiser, data, batch size and callbacks must be made as before.

        Returns:
            The history of all epochs, with those before a checkpoint.

        Raises:
            ValueError: no data; inputs and targets of different length; a checkpoint that does not fit (nothing is
                changed then); `graph` for a model on the CPU or float16.
            RuntimeError: with `graph`, a step that cannot be captured.
        """
        if self.loss is None or (self.optimizer is None and self.needs_optimizer):
            raise ValueError("fit: the trainer needs a loss and an optimizer")
        self._loader = loader_of("fit", data, batch_size, shuffle)
        if validation_data is not None:
            validation_data = loader_of("fit: validation_data", validation_data, batch_size, False)
        self._callbacks = sorted(callbacks, key=lambda c: c.saves)
        self._begin(initial_epoch)
        self.validation_freq = validation_freq
        self._introduce(self._callbacks, epochs, self._loader)
        graphs = self._graphs()
        if resume is not None:
            self._resume(resume)
        with self._closing(self._callbacks), self.mode(training=True), graphs:
            self._call("on_train_begin", {})
            logs: Logs = {}
            while self.epoch < epochs and not self.stop_training:
                self.validates = validation_data is not None and _due(self.epoch + 1, self.validation_freq)
                logs = self._run_epoch(validation_data)
            self._call("on_train_end", logs)
        return self.history

    def _graphs(self) -> AbstractContextManager[None]:
        """Within it the steps are taken from graphs of this run, if that was asked for."""
        if not self.graph:
            return nullcontext()
        if self.precision.scaler.is_enabled():
            raise ValueError("fit: graph=True cannot be had with float16, whose loss scaling waits for the gradients")
        if type(self).train_step is not Trainer.train_step:
            raise ValueError(f"fit: graph=True cannot be had with the train_step of {type(self).__name__}")
        return self._replaying(GraphedSteps(self._step_plainly, self))

    @contextmanager
    def _replaying(self, steps: GraphedSteps) -> Iterator[None]:
        self._take_step = steps
        try:
            yield
        finally:
            self._take_step = self._step_plainly
            steps.forget()

    def _introduce(self, callbacks: Iterable[Callback], epochs: int | None, loader: Any) -> None:
        """Tell callbacks who calls them."""
        params = {"epochs": epochs, "steps": length(loader), "samples": samples_in(loader)}
        for callback in callbacks:
            callback.trainer = self
            callback.set_model(self.model)
            callback.set_params(params)

    def _run_epoch(self, validation_data: Any) -> Logs:
        if not self.batch:
            self.samples = 0
            self.scores.reset()
        self._call("on_epoch_begin", self.epoch, {})
        self._run_batches(*_hooks(self._callbacks, "on_train_batch_begin", "on_train_batch_end"))
        if not self.batch:
            raise ValueError("fit: the data is empty: the loader gave no batch")
        logs = self.scores.logs()
        if self.validates:
            found = self._evaluate("fit: validation_data", validation_data, self._callbacks)
            logs |= {f"val_{name}": value for name, value in found.items()}
        epoch = self.epoch
        self.epoch, self.batch = epoch + 1, 0
        savers = [c for c in self._callbacks if c.saves]
        for callback in self._callbacks[: len(self._callbacks) - len(savers)]:
            callback.on_epoch_end(epoch, logs)  # which may add to the logs
        self.history.append(epoch, logs)
        for callback in savers:
            callback.on_epoch_end(epoch, logs)
        return logs

    def _run_batches(self, before: Sequence[Hook], after: Sequence[Hook]) -> None:
        """The rest of the epoch. Nothing here may cost more than a few microseconds a step."""
        for batch in self._loader:
            for hook in before:
                hook(self.batch, {})
            count = self.train_step(batch)
            self.batch += 1
            self.step += 1
            self.samples += count
            if after:
                logs = self.scores.logs()
                for hook in after:
                    hook(self.batch - 1, logs)
            if self.stop_training:
                break

    def train_step(self, batch: Any) -> int:
        """One step on a batch, which `scores` count; returns how many samples it has."""
        inputs, *wanted = placed(parts("fit", batch), self.device)
        loss, outputs = self._take_step(inputs, *wanted)
        self.scores.add(loss.item(), outputs, wanted)
        return samples(wanted[0])

    def _step_plainly(self, inputs: Any, *wanted: Any) -> tuple[Tensor, Any]:
        """One step; the loss and the outputs before it."""
        self.optimizer.zero_grad()
        with self.precision.casts():
            outputs = self.forward(inputs)
            loss = self.loss(outputs, *wanted)  # type: ignore[misc]
        self.precision.step(loss, self.optimizer)
        return loss, outputs

    # -- Using the model --------------------------------------------------------------------------------------

    def evaluate(self, data: Any, *, batch_size: int = 32, callbacks: Iterable[Callback] = ()) -> Logs:
        """{"loss": ..., metric: ...}, the means over some data (as for `fit`), with the model in evaluation mode."""
        if self.loss is None:
            raise ValueError("evaluate: the trainer needs a loss")
        loader = loader_of("evaluate", data, batch_size, False)
        watchers = list(callbacks)
        self._introduce(watchers, None, loader)
        with self._closing(watchers):
            return self._evaluate("evaluate", loader, watchers)

    def _evaluate(self, op: str, loader: Iterable[Any], callbacks: Sequence[Callback]) -> Logs:
        scores = copy.deepcopy(self.scores)
        scores.reset()
        before, after = _hooks(callbacks, "on_test_batch_begin", "on_test_batch_end")
        with self.evaluating():
            for callback in callbacks:
                callback.on_test_begin({})
            for number, batch in enumerate(loader):
                for hook in before:
                    hook(number, {})
                self.test_step(batch, scores)
                if after:
                    logs = scores.logs()
                    for hook in after:
                        hook(number, logs)
            if not scores.loss.count:
                raise ValueError(f"{op}: the data is empty: the loader gave no batch")
            logs = scores.logs()
            for callback in callbacks:
                callback.on_test_end(logs)
        return logs

    def test_step(self, batch: Any, scores: Scores) -> None:
        """Let scores count a batch, in the model's present mode."""
        inputs, *wanted = placed(parts("evaluate", batch), self.device)
        with self.precision.casts():
            outputs = self.forward(inputs)
            loss = self.loss(outputs, *wanted)  # type: ignore[misc]
        scores.add(loss.item(), outputs, wanted)

    def predict(self, data: Any, *, batch_size: int = 32, callbacks: Iterable[Callback] = ()) -> Any:
        """The model's outputs for some data, in evaluation mode: an array of inputs, or what `fit` takes.

        An array, or a list or dictionary of arrays where the model returns several; float32 where they have 16 bits.
        """
        loader = loader_of("predict", data, batch_size, False)
        watchers = list(callbacks)
        self._introduce(watchers, None, loader)
        before, after = _hooks(watchers, "on_predict_batch_begin", "on_predict_batch_end")
        outputs: list[Any] = []
        with self._closing(watchers), self.evaluating():
            for callback in watchers:
                callback.on_predict_begin({})
            for number, batch in enumerate(loader):
                for hook in before:
                    hook(number, {})
                with self.precision.casts():
                    found = self.model(placed(inputs_of(batch), self.device))
                outputs.append(widened(arrays_of(found)))
                for hook in after:
                    hook(number, {"outputs": outputs[-1]})
            if not outputs:
                raise ValueError("predict: the data is empty: the loader gave no batch")
            for callback in watchers:
                callback.on_predict_end({})
        return joined(outputs)

    @contextmanager
    def evaluating(self) -> Any:
        """Evaluation mode without gradients, for a block."""
        with self.mode(training=False), no_grad():
            yield

    @contextmanager
    def mode(self, training: bool) -> Any:
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


def _metric(metric: Metric | str) -> Metric:
    if metric == "accuracy":
        return Accuracy()
    if isinstance(metric, str) or not hasattr(metric, "update"):
        raise ValueError(f"Trainer: metric {metric!r} is unknown; known: 'accuracy', or a Metric")
    return metric


def _due(epoch: int, freq: int | Container[int]) -> bool:
    """Whether an epoch, from 1, is each nth, or is listed."""
    return epoch % freq == 0 if isinstance(freq, int) else epoch in freq


def _hooks(callbacks: Iterable[Callback], *methods: str) -> list[list[Hook]]:
    """For each method, those of the callbacks that have one of their own: nobody pays for the others."""
    return [[getattr(c, method) for c in callbacks if _overrides(c, method)] for method in methods]


def _overrides(callback: Callback, method: str) -> bool:
    return method in vars(callback) or getattr(type(callback), method) is not getattr(Callback, method)
