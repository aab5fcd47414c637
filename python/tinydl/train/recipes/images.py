"""Classifiers of small grey images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ... import creation, models, nn, optim, sampling
from ...ops.pair_loss import mse_loss
from ...optim.lr_scheduler import LambdaLR
from ...tensor import Array, Tensor
from ...utils.data import Dataset, TensorDataset
from ...vision.datasets import MNIST, Digits, FashionMNIST
from ..callbacks import Callback, LRSchedule
from ..metrics import Accuracy
from ..trainer import Trainer
from .recipe import Recipe

__all__ = ["RECIPES", "ImageRecipe", "WarpedImages"]

Arrays = tuple[Array, Array]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """A classifier of 28 x 28 grey images of ten kinds.

    Attributes:
        builder: makes the model, (N, 1, 28, 28) to (N, 10).
        loss: takes its outputs and class indices.
        epochs: for each data set, how many.
        batch_size, lr: of Adam, whose rate falls to 0 along a cosine.
        warped: the data sets whose images are warped at random in training (see `WarpedImages`).
    """

    source: ClassVar[str] = "digits"
    unit: ClassVar[str] = "images"
    result: ClassVar[str] = "accuracy"
    lr: float = 2e-3
    builder: Callable[[], nn.Module] = models.cnn_two_pools
    loss: Loss = field(default_factory=nn.CrossEntropyLoss)
    epochs: Mapping[str, int] = field(default_factory=lambda: {"digits": 40, "mnist": 5})
    warped: tuple[str, ...] = ("digits",)

    def describe(self, source: str) -> str:
        """Which images."""
        if source == "digits":
            return (
                "training on the embedded default, scikit-learn's handwritten digits scaled to 28 x 28; "
                "--data mnist uses the MNIST files"
            )
        where = {"mnist": "MNIST files", "fashion-mnist": "Fashion-MNIST files"}.get(source, f"MNIST files in {source}")
        return f"training on the {where}"

    def data(self, source: str) -> tuple[Dataset, Dataset]:
        """The training and the test set: "digits", "mnist", "fashion-mnist", or a folder with such files."""
        train, test = (_images(source, part) for part in (True, False))
        return (WarpedImages(*train) if source in self.warped else TensorDataset(*train)), TensorDataset(*test)

    def build(self, data: Dataset) -> nn.Module:
        """The classifier."""
        return self.builder()

    def epochs_for(self, source: str) -> int:
        """The number of epochs for some data."""
        return self.epochs.get(source, self.epochs["mnist"])

    def trainer(self, model: Any, lr: float | None = None) -> Trainer:
        """The trainer of a model that `build` made."""
        optimizer = optim.Adam(model.parameters(), lr=self.lr if lr is None else lr)
        return Trainer(model, optimizer, self.loss, [Accuracy()])

    def callbacks(self, epochs: int) -> list[Callback]:
        """The schedule."""
        return [LRSchedule(lambda optimizer: LambdaLR(optimizer, lambda epoch: _cosine(epoch / epochs)))]


class WarpedImages(Dataset):
    """Grey images (N, 1, H, W), each turned, scaled and moved a little, at random, whenever it is fetched.

    The angle is uniform in ±0.3, the factor e^u with u in ±0.15, the moves down and to the right in ±3 pixels. Values
    between pixels are interpolated linearly, beyond the edge they are 0. The draws come from `tinydl.random`, batch by
    batch, so that a resumed run repeats them.
    """

    angle, scale, move = 0.3, 0.15, 3.0

    def __init__(self, images: Array, labels: Array) -> None:
        self._padded = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)))
        self.labels = labels
        self.size = images.shape[2:]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        images, labels = self.gather(np.array([index]))
        return images[0], labels[0]

    def gather(self, indices: Array) -> list[Tensor]:
        """The batch of the samples at `indices`."""
        rows, columns = self._places(2 * sampling.rand(4, len(indices), 1, 1)._data - 1)
        top, left = rows.astype(np.int32), columns.astype(np.int32)
        rows -= top
        columns -= left
        width = self._padded.shape[2]
        corner = indices[:, None, None] * self._padded[0].size + top * width + left
        pixels = self._padded.reshape(-1)
        above = pixels[corner] * (1 - columns) + pixels[corner + 1] * columns
        below = pixels[corner + width] * (1 - columns) + pixels[corner + width + 1] * columns
        images = above * (1 - rows) + below * rows
        return [Tensor(images[:, None]), Tensor(self.labels[indices])]

    def _places(self, draws: Array) -> tuple[Array, Array]:
        """Where in the padded image each pixel comes from, for four draws in ±1 an image."""
        factor = np.exp(self.scale * draws[0])
        cos, sin = factor * np.cos(self.angle * draws[1]), factor * np.sin(self.angle * draws[1])
        middle = [(n - 1) / 2 for n in self.size]
        y, x = (np.arange(n, dtype=np.float32) - m for n, m in zip(self.size, middle, strict=True))
        rows = cos * y[:, None] - sin * x + self.move * draws[2] + np.float32(middle[0] + 1)
        columns = sin * y[:, None] + cos * x + self.move * draws[3] + np.float32(middle[1] + 1)
        # the last place whose right and lower neighbours are still in the padded image
        last = [np.nextafter(np.float32(n + 1), np.float32(0)) for n in self.size]
        return rows.clip(0, last[0]), columns.clip(0, last[1])


def _cosine(share: float) -> float:
    """Half a cosine, from 1 to 0."""
    return (1 + math.cos(math.pi * min(share, 1))) / 2


_DOWNLOADED = {"mnist": MNIST, "fashion-mnist": FashionMNIST}


def _images(source: str, train: bool) -> Arrays:
    """Images (N, 1, 28, 28) from 0 to 1, and class indices."""
    if source == "digits":
        found: Any = Digits(train)
    elif source in _DOWNLOADED:
        found = _DOWNLOADED[source](train=train, download=True)
    elif os.path.isdir(source):
        found = MNIST(source, train)
    else:
        known = ", ".join(("digits", *_DOWNLOADED))
        raise ValueError(f"data {source!r} is neither one of {known} nor a folder")
    return (found.images[:, None] / np.float32(255)).astype(np.float32), found.labels


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The perceptron's error against one-hot targets, its mean over the units."""
    return mse_loss(outputs, creation.one_hot(targets, outputs.shape[1], dtype=outputs.dtype))


RECIPES = [
    ImageRecipe("mnist-cnn", "CNN of 32, 64 and 64 filters with two pools", builder=models.cnn_two_pools),
    ImageRecipe("mnist-cnn-3pool", "CNN of 32, 64 and 64 filters with three pools", builder=models.cnn_three_pools),
    ImageRecipe("mnist-cnn-single", "CNN of one convolution", builder=models.cnn_single_conv),
    ImageRecipe("mlp", "perceptron of sigmoid units", builder=models.mlp, loss=_squared_error, lr=5e-3),
]
