"""Utilities."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from .. import random
from ..creation import one_hot
from ..tensor import Array, Tensor


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and tinydl's random numbers."""
    python_random.seed(seed)
    np.random.seed(seed % (1 << 32))  # noqa: NPY002 - what Keras's function promises
    random.manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """One-hot rows, float64, of class indices (...) or (..., 1): an array (..., num_classes).

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    labels = x._data if isinstance(x, Tensor) else np.asarray(x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return one_hot(labels.astype(np.int64), num_classes, dtype=np.float64).numpy()
