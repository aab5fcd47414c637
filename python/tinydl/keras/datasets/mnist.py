"""The MNIST digits."""

from __future__ import annotations

import os

from ...tensor import Array
from ...vision.datasets import MNIST

Pair = tuple[Array, Array]


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): images uint8 (N, 28, 28), labels uint8 (N,).

    Args:
        path: the folder of MNIST's four files; by default where `vision.datasets.MNIST` looks. Nothing is downloaded.

    Raises:
        FileNotFoundError: a file is missing. ValueError: a file is damaged.
    """
    train, test = (MNIST(path, train=part) for part in (True, False))
    return (train.images, train.labels.astype("uint8")), (test.images, test.labels.astype("uint8"))
