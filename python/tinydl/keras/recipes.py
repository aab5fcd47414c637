"""The documents' CNNs in Keras's words, for `tinydl train --style keras`."""

from __future__ import annotations

from collections.abc import Callable

from .layers import Conv2D, Dense, Flatten, Input, Layer, MaxPooling2D
from .models import Sequential


def _single() -> list[Layer]:
    return [Conv2D(32, (3, 3), activation="relu"), MaxPooling2D((2, 2))]


def _two_pools() -> list[Layer]:
    deeper = [Conv2D(64, (3, 3), activation="relu"), MaxPooling2D((2, 2)), Conv2D(64, (3, 3), activation="relu")]
    return [*_single(), *deeper]


def _three_pools() -> list[Layer]:
    return [*_two_pools(), MaxPooling2D((2, 2))]


_BODIES: dict[str, Callable[[], list[Layer]]] = {
    "mnist-cnn": _two_pools,
    "mnist-cnn-3pool": _three_pools,
    "mnist-cnn-single": _single,
}


def build(name: str) -> Sequential:
    """The model of a recipe; ValueError where it has none in Keras's words."""
    if name not in _BODIES:
        raise ValueError(f"{name} has no Keras form; known: {', '.join(_BODIES)}")
    head = [Flatten(), Dense(64, activation="relu"), Dense(10, activation="softmax")]
    return Sequential([Input((28, 28, 1)), *_BODIES[name](), *head])
