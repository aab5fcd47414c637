"""Metrics, by name or as objects."""

from __future__ import annotations

from typing import Any

from ..train.metrics import Accuracy, Metric
from .lookup import find

__all__ = ["BinaryAccuracy", "CategoricalAccuracy", "Metric", "SparseCategoricalAccuracy", "get"]


class BinaryAccuracy(Accuracy):
    """The share of outputs (N, 1) that lie on the target's side of the threshold."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name, threshold)


class CategoricalAccuracy(Accuracy):
    """The share of samples whose largest output is the class of the one-hot target."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(Accuracy):
    """The share of samples whose largest output is the target's class index."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)


KNOWN: dict[str, type[Accuracy]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
}


def get(identifier: Any) -> Metric:
    """The metric of a name, or an object as it is. "accuracy" chooses its meaning by the shapes, as in Keras."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()  # type: ignore[call-arg]
    return find("metric", identifier, KNOWN)(name=identifier)  # type: ignore[no-any-return]
