"""Handwritten digits that come with scikit-learn: real data without a download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...tensor import Array
from ...utils.data.permutation import permutation
from ...utils.extras import require
from .images import ImageDataset

_SPLIT_SEED = 20
_TEST_SHARE = 5  # one sample in five


class Digits(ImageDataset):
    """The 1 797 digits of the UCI Optical Recognition set's test part (Alpaydin and Kaynak 1998), enlarged.

    The 8 x 8 images are scaled by bilinear interpolation and their grey values from 0..16 to 0..255. One image in five
    of each class, chosen once for all, is the test set: 1 442 images to train on, 355 to test.

    Args:
        train: the training set or the test set.
        size: height and width of the images.
        transform: what is done to an image, a uint8 array (size, size), when it is fetched.

    Attributes:
        images: uint8, (N, size, size).
        labels: int64, (N,), 0 to 9.
        classes: the names of the labels.

    Raises:
        ImportError: scikit-learn is missing; it comes with the extra `data`.
    """

    classes = tuple("0123456789")

    def __init__(self, train: bool = True, size: int = 28, transform: Callable[[Array], Any] | None = None) -> None:
        if size < 1:
            raise ValueError(f"Digits: size must be positive, got {size}")
        self.train = train
        source = require("sklearn.datasets", extra="data").load_digits()
        labels = source.target.astype(np.int64)
        chosen = np.flatnonzero(_is_test(labels) != train)
        images = resize_bilinear(source.images[chosen] * (255 / 16), size, size)
        super().__init__(np.rint(images).astype(np.uint8), labels[chosen], transform)


def _is_test(labels: Array) -> Array:
    """Which samples are the test set: the first fifth of each class, in a fixed random order."""
    test = np.zeros(len(labels), bool)
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label)
        order = permutation(len(members), _SPLIT_SEED, label)
        test[members[order[: len(members) // _TEST_SHARE]]] = True
    return test


def resize_bilinear(images: Array, height: int, width: int) -> Array:
    """Images (N, H, W) at another size (N, height, width), by bilinear interpolation between the pixels' centres.

    >>> resize_bilinear(np.array([[[0.0, 4.0]]]), 1, 4)
    array([[[0., 1., 3., 4.]]])
    """
    return _resize_axis(_resize_axis(images, 1, height), 2, width)


def _resize_axis(images: Array, axis: int, after: int) -> Array:
    """Linear interpolation along one axis; beyond the outer centres it is constant.

    Multiplied elementwise, not as a matrix: the images must be the same on every machine, to the last bit.
    """
    before = images.shape[axis]
    centres = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    low = np.minimum(centres.astype(int), max(before - 2, 0))
    share = (centres - low).reshape(-1, *[1] * (images.ndim - 1 - axis))
    high = np.minimum(low + 1, before - 1)
    return np.asarray(np.take(images, low, axis) * (1 - share) + np.take(images, high, axis) * share)
