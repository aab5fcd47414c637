"""What the image data sets have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ...creation import as_tensor
from ...tensor import Array
from ...utils.data import Dataset, default_collate


class ImageDataset(Dataset):
    """Grey images with labels, in memory; sample i is (image, label).

    Attributes:
        images: uint8, (N, H, W), 0 (background) to 255.
        labels: int64, (N,).
        classes: the names of the labels.
        transform: what is done to an image, a uint8 array (H, W), when it is fetched; or None.
    """

    images: Array
    labels: Array
    classes: ClassVar[tuple[str, ...]]

    def __init__(self, images: Array, labels: Array, transform: Callable[[Array], Any] | None = None) -> None:
        self.images = images
        self.labels = labels
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = self.images[index]
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: Array) -> list[Any]:
        """The batch of the samples at `indices`: images (or transformed images) and labels."""
        images = self.images[indices]
        batch = as_tensor(images) if self.transform is None else default_collate([self.transform(i) for i in images])
        return [batch, as_tensor(self.labels[indices])]
