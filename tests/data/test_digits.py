"""scikit-learn's digits, enlarged."""

import sys

import numpy as np
import pytest

from tests.support.compare import assert_close
from tinydl.vision.datasets import Digits
from tinydl.vision.datasets.digits import resize_bilinear

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: data)")


def test_both_sets():
    train, test = Digits(), Digits(train=False)
    assert train.images.shape == (1442, 28, 28)
    assert test.images.shape == (355, 28, 28)
    for data in (train, test):
        assert data.images.dtype == np.uint8
        assert data.labels.dtype == np.int64
        assert data.images.min() == 0
        assert data.images.max() == 255
        image, label = data[3]
        assert image.shape == (28, 28)
        assert label == data.labels[3]


def test_the_split_is_stratified_and_complete():
    from sklearn.datasets import load_digits

    source = load_digits()
    train, test = Digits(size=8), Digits(train=False, size=8)
    assert np.array_equal(np.bincount(train.labels) + np.bincount(test.labels), np.bincount(source.target))
    assert np.array_equal(np.bincount(test.labels), np.bincount(source.target) // 5)

    def rows(images):
        return sorted(map(tuple, images.reshape(len(images), 64).tolist()))

    everything = np.rint(source.images * 255 / 16).astype(np.uint8)
    assert rows(np.concatenate([train.images, test.images])) == rows(everything)


def test_the_split_is_fixed_for_all_time():
    assert Digits(train=False).labels[:12].tolist() == [2, 6, 8, 0, 1, 5, 2, 3, 6, 9, 4, 7]
    assert int(Digits(train=False).images.astype(np.int64).sum()) == 21606192


def test_resizing(rng):
    images = rng.standard_normal((2, 3, 5))
    assert np.array_equal(resize_bilinear(images, 3, 5), images)
    for height, width in ((7, 4), (1, 1), (6, 10), (2, 13)):
        got = resize_bilinear(images, height, width)
        for y in range(height):
            for x in range(width):
                assert_close(
                    got[:, y, x],
                    reference(images, (y + 0.5) * 3 / height, (x + 0.5) * 5 / width),
                    "reduce",
                    length=4,
                    scale=4,
                )
    assert np.array_equal(resize_bilinear(np.full((1, 1, 1), 3.0), 4, 2), np.full((1, 4, 2), 3.0))


def reference(images, y, x):
    """The mean of the four pixels around the point (y, x), weighted by closeness; pixel i reaches from i to i + 1."""
    total = 0
    for i in (int(np.floor(y - 0.5)), int(np.floor(y - 0.5)) + 1):
        for j in (int(np.floor(x - 0.5)), int(np.floor(x - 0.5)) + 1):
            weight = (1 - abs(y - 0.5 - i)) * (1 - abs(x - 0.5 - j))
            total = total + weight * images[:, min(max(i, 0), 2), min(max(j, 0), 4)]
    return total


def test_sizes():
    assert Digits(size=12).images.shape[1:] == (12, 12)
    with pytest.raises(ValueError, match="size must be positive, got 0"):
        Digits(size=0)


def test_without_scikit_learn(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"needs sklearn.*tinydl\[data\]"):
        Digits()
