"""From data sets of `vision` to Keras's arrays."""

from __future__ import annotations

import os

from ...tensor import Array
from ...vision.datasets import MNIST

Pair = tuple[Array, Array]


def arrays(dataset: type[MNIST], path: str | os.PathLike[str] | None) -> tuple[Pair, Pair]:
    """(images, labels) of the training and the test set."""
    train, test = (dataset(path, train=part, download=True) for part in (True, False))
    return (train.images, train.labels.astype("uint8")), (test.images, test.labels.astype("uint8"))
