"""The documents' models in Keras's words, for `tinydl train --style keras`."""

from __future__ import annotations

from collections.abc import Callable

from .layers import Conv2D, Dense, Flatten, Input, Layer, MaxPooling2D, SimpleRNN
from .models import Sequential


def _single() -> list[Layer]:
    return [Conv2D(32, (3, 3), activation="relu"), MaxPooling2D((2, 2))]


def _two_pools() -> list[Layer]:
    deeper = [Conv2D(64, (3, 3), activation="relu"), MaxPooling2D((2, 2)), Conv2D(64, (3, 3), activation="relu")]
    return [*_single(), *deeper]


def _three_pools() -> list[Layer]:
    return [*_two_pools(), MaxPooling2D((2, 2))]


def _classifier(body: list[Layer]) -> Sequential:
    head = [Flatten(), Dense(64, activation="relu"), Dense(10, activation="softmax")]
    return Sequential([Input((28, 28, 1)), *body, *head])


_MODELS: dict[str, Callable[[], Sequential]] = {
    "mnist-cnn": lambda: _classifier(_two_pools()),
    "mnist-cnn-3pool": lambda: _classifier(_three_pools()),
    "mnist-cnn-single": lambda: _classifier(_single()),
    "sequence-rnn": lambda: Sequential([Input((10, 10)), SimpleRNN(units=32), Dense(units=10)]),
}


def build(name: str) -> Sequential:
    """The model of a recipe; ValueError where it has none in Keras's words."""
    if name not in _MODELS:
        raise ValueError(f"{name} has no Keras form; known: {', '.join(_MODELS)}")
    return _MODELS[name]()
