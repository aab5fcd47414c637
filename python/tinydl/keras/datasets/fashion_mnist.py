"""Fashion-MNIST: photographs of clothes."""

from __future__ import annotations

import os

from ...vision.datasets import FashionMNIST
from .arrays import Pair, arrays


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): images uint8 (N, 28, 28), labels uint8 (N,).

    Args:
        path: the folder of the four files; by default where `vision.datasets.FashionMNIST` looks. What is missing is
            downloaded there, 30 MB in all.

    Raises:
        ImportError: pooch is missing for a download; it comes with the extra `data`.
        OSError: a download failed. ValueError: a file is damaged.
    """
    return arrays(FashionMNIST, path)
