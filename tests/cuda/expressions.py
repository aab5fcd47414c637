"""What the calls of the sweep are made of: the tensors that they name, and patterns with a name in them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def inputs() -> dict[str, Array]:
    """Fresh arrays: x, y, z of (2, 3); v, w of (3,); and others, as named."""
    rng = np.random.default_rng(5)

    def draw(*shape: int) -> Array:
        return rng.permutation(np.linspace(0.1, 0.9, int(np.prod(shape)))).reshape(shape).astype(np.float32)

    square = draw(3, 3)
    return {
        **{name: draw(2, 3) for name in "xyz"},
        "v": draw(3),
        "w": draw(3),
        "s": np.float32(0.7),
        "wide": draw(3, 8, 5),
        "square": (square @ square.T + np.eye(3)).astype(np.float32),
        "lower": np.tril(square + np.float32(1)),
        "batch": draw(2, 3, 4),
        "other": draw(2, 4, 3),
        "image": draw(2, 4, 6, 6),
        "volume": draw(1, 2, 3, 4, 4),
        "sequence": draw(2, 4, 8),
        "double": draw(2, 3).astype(np.float64),
        "special": np.array([[np.nan, 1, -np.inf], [np.inf, -2, 0]], np.float32),
        "i": np.array([[1, 0, 2], [2, 2, 0]]),
        "j": np.array([[3, 5, 0], [-1, 2, 9]]),
        "index": np.array([1, 0, 1]),
        "labels": np.array([2, 0]),
        "bits": np.array([[5, 12, 7], [8, 1, 3]], np.int32),
        "mask": np.array([[True, False, True], [False, False, True]]),
        "row": np.array([True, False, True]),
    }


def each(names: str, *patterns: str) -> list[str]:
    """Every pattern with each of the names in place of $."""
    return [pattern.replace("$", name) for name in names.split() for pattern in patterns]
