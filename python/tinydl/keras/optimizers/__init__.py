"""Optimisers, by name or as objects, with Keras's arguments, defaults and formulas; and schedules of their rates."""

from __future__ import annotations

from typing import Any

from ..lookup import find
from . import schedules
from .base import Optimizer
from .rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RMSprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]

KNOWN: dict[str, type[Any]] = {
    rule.__name__.lower(): rule for rule in (SGD, RMSprop, Adam, AdamW, Adadelta, Adagrad, Adamax, Nadam)
}


def get(identifier: Any) -> Optimizer:
    """The optimiser of a name (in any case), of a class, of {"class_name", "config"}, or an object as it is."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()  # type: ignore[call-arg]
    if isinstance(identifier, dict) and "class_name" in identifier:
        return find("optimizer", identifier["class_name"].lower(), KNOWN)(**identifier.get("config", {}))  # type: ignore[no-any-return]
    name = identifier.lower() if isinstance(identifier, str) else identifier
    return find("optimizer", name, KNOWN)()  # type: ignore[no-any-return]
