"""MNIST: handwritten digits, 60 000 images to train on and 10 000 to test (LeCun, Cortes and Burges 1998)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...tensor import Array
from .idx import read_idx
from .images import ImageDataset

_NAMES = {True: "train", False: "t10k"}
_CLASSES = 10


class MNIST(ImageDataset):
    """The MNIST digits from their four original IDX files, gzipped or not.

    Args:
        root: the folder of the files; by default `$TINYDL_DATA/mnist` where that variable is set, else `tinydl/mnist`
            in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`).
        train: the 60 000 images of the training set, or the 10 000 of the test set.
        transform: what is done to an image, a uint8 array (28, 28), when it is fetched.

    Attributes:
        images: uint8, (N, 28, 28).
        labels: int64, (N,), 0 to 9.

    Raises:
        FileNotFoundError: a file is missing; the message says where it was looked for and how to get it.
        ValueError: a file is damaged, or no MNIST file: which, what was found, what was wanted.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Array], Any] | None = None,
    ) -> None:
        folder = Path(root) if root is not None else default_root()
        self.train = train
        image_path = _find(folder, f"{_NAMES[train]}-images-idx3-ubyte")
        label_path = _find(folder, f"{_NAMES[train]}-labels-idx1-ubyte")
        images, labels = _read(image_path, (None, 28, 28)), _read(label_path, (None,))
        if len(images) != len(labels):
            raise ValueError(f"{image_path} has {len(images)} images, {label_path} has {len(labels)} labels")
        wrong = np.flatnonzero(labels >= _CLASSES)
        if wrong.size:
            raise ValueError(f"{label_path}: label {wrong[0]} is {labels[wrong[0]]}, wanted 0 to {_CLASSES - 1}")
        super().__init__(images, labels.astype(np.int64), transform)


def default_root() -> Path:
    """Where `MNIST` looks without `root`."""
    data = os.environ.get("TINYDL_DATA")
    if data:
        return Path(data) / "mnist"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tinydl" / "mnist"


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"MNIST: found neither {name}.gz nor {name} in {folder}. Get the four files from "
        "https://ossci-datasets.s3.amazonaws.com/mnist/ and put them there, or name their folder as `root`, or set "
        "TINYDL_DATA to the folder above a folder 'mnist' with them"
    )


def _read(path: Path, wanted: tuple[int | None, ...]) -> Array:
    array = read_idx(path)
    fits = array.ndim == len(wanted) and all(w in (None, n) for n, w in zip(array.shape, wanted, strict=True))
    if array.dtype != np.uint8 or not fits:
        sizes = ", ".join("N" if n is None else str(n) for n in wanted)
        raise ValueError(f"{path}: found {array.dtype} of shape {array.shape}, wanted uint8 of shape ({sizes})")
    return array
