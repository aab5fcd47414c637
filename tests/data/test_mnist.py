"""MNIST from files: the real ones where they are, small ones, and wrong ones."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tinydl.utils.data import DataLoader
from tinydl.vision.datasets import MNIST

from .test_idx import encode

REAL = Path(os.environ.get("TINYDL_DATA", "nowhere")) / "mnist"
IMAGES = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
LABELS = np.array([7, 0, 9], np.uint8)
NAMES = {True: "train", False: "t10k"}


def write(folder, images=IMAGES, labels=LABELS, train=True, pack=gzip.compress):
    end = ".gz" if pack is gzip.compress else ""
    (folder / f"{NAMES[train]}-images-idx3-ubyte{end}").write_bytes(pack(encode(images)))
    (folder / f"{NAMES[train]}-labels-idx1-ubyte{end}").write_bytes(pack(encode(labels)))


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
@pytest.mark.parametrize("train", [True, False])
def test_small_files(tmp_path, train, pack):
    write(tmp_path, train=train, pack=pack)
    data = MNIST(tmp_path, train=train)
    assert len(data) == 3
    assert data.images.dtype == np.uint8
    assert data.labels.dtype == np.int64
    image, label = data[1]
    assert np.array_equal(image, IMAGES[1])
    assert label == 0
    assert isinstance(label, int)
    images, labels = next(iter(DataLoader(data, batch_size=2)))
    assert np.array_equal(np.asarray(images), IMAGES[:2])
    assert labels.tolist() == [7, 0]


def test_transform(tmp_path):
    write(tmp_path)
    data = MNIST(str(tmp_path), transform=lambda image: image[None].astype(np.float32) / 255)
    assert data[0][0].shape == (1, 28, 28)
    (images, _) = next(iter(DataLoader(data, batch_size=3)))
    assert images.shape == (3, 1, 28, 28)
    assert images.numpy().max() == 1


def test_where_it_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYDL_DATA", raising=False)
    folder = tmp_path / "cache" / "tinydl" / "mnist"
    with pytest.raises(FileNotFoundError) as caught:
        MNIST()
    for part in (str(folder), "train-images-idx3-ubyte.gz", "https://", "TINYDL_DATA"):
        assert part in str(caught.value)
    folder.mkdir(parents=True)
    write(folder)
    assert len(MNIST()) == 3
    monkeypatch.setenv("TINYDL_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "data" / "mnist"))):
        MNIST()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("TINYDL_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / ".cache" / "tinydl" / "mnist"))):
        MNIST()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"labels": LABELS[:2]}, "has 3 images.* has 2 labels"),
        ({"labels": np.array([1, 10, 255], np.uint8)}, "labels-idx1-ubyte.gz: label 1 is 10, wanted 0 to 9"),
        ({"labels": LABELS.astype(np.int32)}, r"labels.*found int32 of shape \(3,\), wanted uint8 of shape \(N\)"),
        ({"labels": IMAGES}, r"labels.*found uint8 of shape \(3, 28, 28\), wanted uint8 of shape \(N\)"),
        ({"images": LABELS}, r"images.*found uint8 of shape \(3,\), wanted uint8 of shape \(N, 28, 28\)"),
        ({"images": IMAGES[:, :27]}, r"images.*found uint8 of shape \(3, 27, 28\)"),
        ({"images": IMAGES.astype(np.float32)}, "images.*found float32"),
    ],
)
def test_files_that_do_not_fit(tmp_path, files, message):
    write(tmp_path, **files)
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path)


def test_a_missing_label_file(tmp_path):
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1-ubyte"):
        MNIST(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="no MNIST files under TINYDL_DATA")
def test_the_real_files():
    train, test = MNIST(), MNIST(train=False)
    assert train.images.shape == (60000, 28, 28)
    assert test.images.shape == (10000, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(train.images.mean(), 2) == 33.32
