"""MNIST and Fashion-MNIST: 60 000 grey images to train on and 10 000 to test, 28 x 28, of ten kinds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...tensor import Array
from ...utils.download import data_folder, download
from .idx import read_idx
from .images import ImageDataset

_NAMES = {True: "train", False: "t10k"}


class MNIST(ImageDataset):
    """The MNIST digits (LeCun, Cortes and Burges 1998) from their four original IDX files, gzipped or not.

    Args:
        root: the folder of the files; by default `$TINYDL_DATA/mnist` where that variable is set, else `tinydl/mnist`
            in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`).
        train: the 60 000 images of the training set, or the 10 000 of the test set.
        transform: what is done to an image, a uint8 array (28, 28), when it is fetched.
        download: fetch the files that are missing (11 MB in all), checked against their checksums.

    Attributes:
        images: uint8, (N, 28, 28).
        labels: int64, (N,), 0 to 9.
        classes: the names of the labels.

    Raises:
        FileNotFoundError: a file is missing; the message says where it was looked for and how to get it.
        ValueError: a file is damaged, or no file of that kind: which, what was found, what was wanted.
        OSError: a download failed.
    """

    folder: ClassVar[str] = "mnist"
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    checksums: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    }
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[Array], Any] | None = None,
        download: bool = False,
    ) -> None:
        folder = Path(root) if root is not None else data_folder(self.folder)
        self.train = train
        image_path = self._path(folder, f"{_NAMES[train]}-images-idx3-ubyte", download)
        label_path = self._path(folder, f"{_NAMES[train]}-labels-idx1-ubyte", download)
        images, labels = _read(image_path, (None, 28, 28)), _read(label_path, (None,))
        if len(images) != len(labels):
            raise ValueError(f"{image_path} has {len(images)} images, {label_path} has {len(labels)} labels")
        wrong = np.flatnonzero(labels >= len(self.classes))
        if wrong.size:
            last = len(self.classes) - 1
            raise ValueError(f"{label_path}: label {wrong[0]} is {labels[wrong[0]]}, wanted 0 to {last}")
        super().__init__(images, labels.astype(np.int64), transform)

    def _path(self, folder: Path, name: str, fetch: bool) -> Path:
        for candidate in (folder / f"{name}.gz", folder / name):
            if candidate.is_file():
                return candidate
        if fetch:
            return download(f"{name}.gz", self.mirrors, folder, self.checksums[f"{name}.gz"])
        raise FileNotFoundError(
            f"{type(self).__name__}: found neither {name}.gz nor {name} in {folder}. Pass download=True, or get the "
            f"four files from {self.mirrors[0]} and put them there, or name their folder as `root`, or set "
            f"TINYDL_DATA to the folder above a folder '{self.folder}' with them"
        )


class FashionMNIST(MNIST):
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): photographs of clothes, in files like those of `MNIST`.

    The arguments, attributes and errors are those of `MNIST`; the folder is `fashion-mnist`, the download 30 MB.
    """

    folder = "fashion-mnist"
    mirrors = (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    checksums: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    }
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )


def _read(path: Path, wanted: tuple[int | None, ...]) -> Array:
    array = read_idx(path)
    fits = array.ndim == len(wanted) and all(w in (None, n) for n, w in zip(array.shape, wanted, strict=True))
    if array.dtype != np.uint8 or not fits:
        sizes = ", ".join("N" if n is None else str(n) for n in wanted)
        raise ValueError(f"{path}: found {array.dtype} of shape {array.shape}, wanted uint8 of shape ({sizes})")
    return array
