"""What a model is trained for: the losses and metrics of its outputs, as `compile` was told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..train.metrics import Accuracy, MeanLoss, Metric, Scores
from . import losses, metrics, tree
from .data import array_of, several, weights_by_class, weights_of
from .layers.base import Layer
from .metrics.base import OfProbabilities
from .metrics.masked import MaskedScores, update

Loss = Callable[..., Tensor]


class Aims:
    """The losses and metrics, first as they were given, and by output once the outputs' names are known.

    Attributes:
        names: those of the outputs.
        losses: one for each output, or None.
        loss: a function of what the trainer's forward pass returns, of targets and weights; None without losses.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self._loss = tree.map_leaves(lambda each: None if each is None else losses.get(each), loss)
        self._loss_weights = loss_weights
        self._metrics = _made("metrics", metrics)
        self._weighted = _made("weighted_metrics", weighted_metrics)
        self.names: list[str] = []
        self._ends: dict[int, Layer] = {}
        self.loss: Loss | None = None
        self._parts: list[float] = []

    def name(self, names: list[str]) -> None:
        """Give each output what is meant for it. ValueError where that does not fit the outputs."""
        if names == self.names:
            return
        if len(names) > 1 and self._loss is not None and not isinstance(self._loss, list | tuple | Mapping):
            self.losses = [self._loss] * len(names)
        else:
            self.losses = _by_output("loss", self._loss, names)
            missing = [name for name, loss in zip(names, self.losses, strict=True) if loss is None]
            if isinstance(self._loss, Mapping) and set(missing) - set(self._loss):
                raise ValueError(f"compile: loss has no {missing}: give None where an output has no loss")
        weights = _by_output("loss_weights", self._loss_weights, names)
        self.weights = [1.0 if weight is None else float(weight) for weight in weights]
        self.metrics, self.weighted = (_lists(w, g, names) for w, g in self._groups())
        self.names = names

    def _groups(self) -> list[tuple[str, Any]]:
        return [("metrics", self._metrics), ("weighted_metrics", self._weighted)]

    def take_logits(self, end: Callable[[int], Layer | None]) -> list[int]:
        """The numbers of the outputs that the losses take as logits; end(n) is a layer that ends in a softmax."""
        functions: list[Loss | None] = []
        for number, loss in enumerate(self.losses):
            on_logits, layer = loss and loss.on_logits(), end(number)
            if on_logits and layer is not None:
                self._ends[number] = layer
            functions.append(on_logits if number in self._ends else loss and loss.of)
        self.loss = self._total(functions)
        return list(self._ends)

    def _total(self, functions: list[Loss | None]) -> Loss | None:
        """The weighted sum of the outputs' losses, which `_parts` keeps."""
        if not any(functions):
            return None
        if len(functions) == 1:
            (only,), (factor,) = functions, self.weights
            return only if factor == 1 else lambda *args: only(*args) * factor  # type: ignore[misc]

        def total(outputs: list[Tensor], targets: list[Tensor], weights: list[Tensor] | None = None) -> Tensor:
            terms, self._parts = [], []
            for number, function in enumerate(functions):
                if function is not None:
                    beside = () if weights is None else (weights[number],)
                    term = function(outputs[number], targets[number], *beside)
                    self._parts.append(term.item())
                    terms.append(term * self.weights[number])
            return sum(terms[1:], terms[0])

        return total

    def plain(self) -> Loss | None:
        """The function of outputs that are no logits, targets and weights."""
        return self._total([loss and loss.of for loss in self.losses])

    def count(self, outputs: Any, targets: Any, weight: Any) -> dict[str, float]:
        """Let the metrics count a batch of outputs that are no logits; their results by name."""
        logs: dict[str, float] = {}
        flat = tree.flatten(outputs), tree.flatten(targets)
        weights = [None] * len(flat[0]) if weight is None else tree.flatten(weight)
        for weighted, groups in enumerate((self.metrics, self.weighted)):
            for name, group, output, target, each in zip(self.names, groups, *flat, weights, strict=True):
                for metric in group:
                    update(metric, output, target, each if weighted else None)
                    logs[metric.name if len(self.names) == 1 else f"{name}_{metric.name}"] = metric.result()
        return logs

    def scores(self) -> Scores:
        """What counts the losses and the metrics of an epoch."""
        if len(self.names) < 2:
            first = self.metrics[0] if self.names else []
            second = self.weighted[0] if self.names else []
            return MaskedScores(*[[self._seen(0, metric) for metric in group] for group in (first, second)])
        losses = [f"{name}_loss" for name, loss in zip(self.names, self.losses, strict=True) if loss is not None]
        return OutputScores(losses if len(losses) > 1 else [], list(self._entries()), lambda: self._parts)

    def _entries(self) -> Iterable[tuple[str, Metric, int, bool]]:
        """(name in the logs, metric, number of the output, whether it is weighted), sorted by the names, as Keras's."""
        found: dict[str, tuple[str, Metric, int, bool]] = {}
        for weighted, groups in enumerate((self.metrics, self.weighted)):
            for number, group in enumerate(groups):
                for metric in group:
                    name = f"{self.names[number]}_{metric.name}"
                    name = f"weighted_{name}" if weighted and name in found else name
                    found[name] = name, self._seen(number, metric), number, bool(weighted)
        return [found[name] for name in sorted(found)]

    def _seen(self, number: int, metric: Metric) -> Metric:
        """The metric, given probabilities where the trainer has logits; the largest output is that of either."""
        layer = self._ends.get(number)
        if layer is None or isinstance(metric, Accuracy):
            return metric
        return OfProbabilities(metric, lambda x: layer.activate(x))  # a function, which copies of the metric share

    def objects(self) -> list[Metric]:
        """The metrics as they were given, or made of names."""
        return [metric for groups in (self.metrics, self.weighted) for group in groups for metric in group]

    def arrays(self, op: str, count: int, y: Any, sample_weight: Any, class_weight: Any) -> list[Any]:
        """Checked targets, and weights where there are any, for a number of samples."""
        if sample_weight is not None and class_weight is not None:
            raise ValueError(f"{op}: class_weight and sample_weight exclude each other")
        if len(self.names) > 1:
            if class_weight is not None:
                raise ValueError(f"{op}: class_weight is for models with one output")
            return self._several_arrays(op, count, y, sample_weight)
        if isinstance(y, Mapping) or (isinstance(y, list | tuple) and len(y) == 1 and isinstance(y[0], np.ndarray)):
            y = _by_output("y", y, self.names, op)[0]
        targets = self._targets(op, "y", 0, count, y)
        if sample_weight is not None:
            return [targets, weights_of(f"{op}: sample_weight", sample_weight, count)]
        if class_weight is not None:
            labels = array_of(f"{op}: y", y)
            return [targets, weights_by_class(f"{op}: class_weight", labels, class_weight)]
        return [targets]

    def _targets(self, op: str, what: str, number: int, count: int, y: Any) -> Any:
        loss = self.losses[number]
        if y is None:
            if loss is not None:
                raise ValueError(f"{op}: {what} is missing, and the loss needs targets")
            return np.zeros((count, 0), np.float32)
        targets = array_of(f"{op}: {what}", y)
        if count != len(targets):
            raise ValueError(
                f"{op}: data cardinality is ambiguous: x has {count} samples, {what} has {len(targets)}; "
                "wanted equally many"
            )
        return targets if loss is None else loss.targets(targets)

    def _several_arrays(self, op: str, count: int, y: Any, sample_weight: Any) -> list[Any]:
        given = _by_output("y", y, self.names, op)
        what = [f"y of {name}" for name in self.names]
        targets = [self._targets(op, what[i], i, count, each) for i, each in enumerate(given)]
        if sample_weight is None:
            return [targets]
        if isinstance(sample_weight, Mapping) or (isinstance(sample_weight, list | tuple) and _holds(sample_weight)):
            weights = _by_output("sample_weight", sample_weight, self.names, op)
        else:
            weights = [sample_weight] * len(self.names)
        ones = np.ones(count, np.float32)
        return [targets, [ones if w is None else weights_of(f"{op}: sample_weight", w, count) for w in weights]]


class OutputScores(Scores):
    """The mean loss, that of each output, and the metrics of each.

    Args:
        losses: the names of the outputs' losses.
        entries: (name, metric, number of its output, whether it is weighted).
        parts: returns the outputs' losses of the last batch.
    """

    def __init__(
        self,
        losses: Sequence[str],
        entries: Sequence[tuple[str, Metric, int, bool]],
        parts: Callable[[], list[float]],
    ) -> None:
        super().__init__([metric for _, metric, _, _ in entries])
        self.parts = [MeanLoss(name) for name in losses]
        self.entries = list(entries)
        self.latest = parts

    def __iter__(self) -> Any:
        yield self.loss
        yield from self.parts
        yield from self.metrics

    def add(self, loss: float, outputs: Any, wanted: Sequence[Any]) -> None:
        """Count a batch: its mean loss, the outputs, and (targets,) or (targets, weights), a list of each."""
        count = len(several(wanted[0])[0])
        self.loss.add(loss, count)
        for part, value in zip(self.parts, self.latest(), strict=False):
            part.add(value, count)
        for _, metric, number, weighted in self.entries:
            beside = [each[number] for each in (wanted if weighted else wanted[:1])]
            update(metric, outputs[number], *beside)

    def logs(self) -> dict[str, float]:
        """All results by name."""
        logs = {part.name: part.result() for part in (self.loss, *self.parts)}
        return logs | {name: metric.result() for name, metric, _, _ in self.entries}


def with_penalties(loss: Loss | None, penalized: Sequence[Layer]) -> Loss:
    """A loss of outputs, targets and weights, plus those of the layers."""
    if loss is not None and not penalized:
        return loss

    def total(outputs: Any, *wanted: Any) -> Tensor:
        terms = [] if loss is None else [loss(outputs, *wanted)]
        for layer in penalized:
            terms += layer.penalties()
        if not terms:
            raise ValueError("no loss to compute: pass a `loss` to `compile()`, or call `add_loss` in a layer")
        return sum(terms[1:], terms[0])

    return total


def _made(argument: str, given: Any) -> Any:
    """The metrics in the structure in which they were given."""
    if given is not None and not isinstance(given, list | tuple | Mapping):
        raise ValueError(f"compile: got {argument}={given!r}, wanted a list of names or objects")
    return tree.map_leaves(lambda each: None if each is None else metrics.get(each), given)


def _holds(given: Sequence[Any]) -> bool:
    """Whether these are arrays, one for each output, rather than numbers."""
    return any(each is None or np.ndim(each) for each in given)


def _by_output(what: str, given: Any, names: Sequence[str], op: str = "compile") -> list[Any]:
    """An entry for each output, from a list, from a dictionary by name, or the one entry of the one output."""
    if given is None:
        return [None] * len(names)
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"{op}: {what} has {unknown}, which are no outputs; the outputs are {list(names)}")
        return [given.get(name) for name in names]
    if not isinstance(given, list | tuple):
        if len(names) == 1:
            return [given]
        raise ValueError(f"{op}: got one {what}, wanted a list or a dictionary of those of the outputs {list(names)}")
    if len(given) != len(names):
        if len(names) == 1:
            kind = type(given).__name__
            raise ValueError(f"{op}: got a {kind} of {len(given)} {what}; a model with one output has one")
        raise ValueError(f"{op}: got {len(given)} entries of {what} for the {len(names)} outputs {list(names)}")
    return list(given)


def _lists(what: str, given: Any, names: Sequence[str]) -> list[list[Metric]]:
    """The metrics of each output."""
    if given is None:
        return [[] for _ in names]
    if len(names) == 1 and not isinstance(given, Mapping):
        return [[metric for metric in tree.flatten(given) if metric is not None]]
    return [[m for m in tree.flatten(each) if m is not None] for each in _by_output(what, given, names)]
