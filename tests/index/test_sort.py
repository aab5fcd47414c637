"""Sorting and what rests on it, against PyTorch: values, gradients, ties, NaN."""

import numpy as np
import pytest

import tinydl
from tests.support.peers import both_refuse, same_as_torch

SHAPES = [(), (1,), (7,), (3, 5), (2, 4, 3)]
DTYPES = [np.float32, np.float64, np.int64, np.uint8]


def distinct(rng, shape, dtype):
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distinct_elements(shape, dtype, torch, rng):
    x = distinct(rng, shape, dtype)
    for dim in range(-max(len(shape), 1), max(len(shape), 1)):
        size = shape[dim] if shape else 1
        for flag in (False, True):
            same_as_torch(torch, "index", lambda T, x, d=dim, f=flag: tuple(T.sort(x, d, f)), x)
            same_as_torch(torch, "index", lambda T, x, d=dim, f=flag: x.argsort(d, f), x)
            for k in {0, 1, size // 2, size} if shape else {1}:
                same_as_torch(torch, "index", lambda T, x, d=dim, f=flag, k=k: tuple(T.topk(x, k, d, f)), x)
                if k:
                    same_as_torch(torch, "index", lambda T, x, d=dim, f=flag, k=k: tuple(T.kthvalue(x, k, d, f)), x)
    if shape:
        same_as_torch(torch, "index", lambda T, x: T.msort(x), x)


@pytest.mark.parametrize("descending", [False, True])
def test_ties_keep_their_order_and_nan_is_largest(descending, torch, rng):
    x = rng.integers(0, 3, (4, 40)).astype(np.float64)
    same_as_torch(torch, "index", lambda T, x: tuple(T.sort(x, dim=1, descending=descending, stable=True)), x)
    x[:, ::7] = np.nan
    x[0, 1] = np.inf
    for dim in (0, 1):
        call = {"dim": dim, "descending": descending}
        got, expected = tinydl.sort(tinydl.tensor(x), **call), torch.sort(torch.tensor(x), stable=True, **call)
        assert got.indices.tolist() == expected.indices.tolist()
        assert np.array_equal(got.values.numpy(), expected.values.numpy(), equal_nan=True)
        for k in (1, 3):
            got = tinydl.topk(tinydl.tensor(x), k, dim, descending)
            expected = torch.topk(torch.tensor(x), k, dim, descending)
            assert np.array_equal(got.values.numpy(), expected.values.numpy(), equal_nan=True)
            assert np.array_equal(np.take_along_axis(x, got.indices.numpy(), dim), got.values.numpy(), equal_nan=True)


def test_topk_of_many(torch, rng):
    x = rng.standard_normal((3, 5000))
    for largest in (True, False):
        same_as_torch(torch, "index", lambda T, x, f=largest: tuple(T.topk(x, 50, largest=f)), x)


def test_unique(torch, rng):
    for shape in ((), (0,), (9,), (5, 2), (4, 2, 2)):
        x = rng.integers(0, 3, shape)
        same_as_torch(torch, "index", lambda T, x: T.unique(x), x)
        same_as_torch(torch, "index", lambda T, x: T.unique(x, return_inverse=True, return_counts=True), x)
        for dim in range(len(shape)) if x.size else ():
            same_as_torch(torch, "index", lambda T, x, d=dim: x.unique(True, True, True, d), x)
    x = np.array([1.0, np.nan, np.nan, 1.0])
    assert tinydl.unique(tinydl.tensor(x)).shape == tuple(torch.unique(torch.tensor(x)).shape)


def test_places_in_sorted_sequences(torch, rng):
    line, values = np.sort(rng.integers(0, 9, 6)).astype(np.float64), rng.integers(-1, 10, (3, 4)).astype(np.float64)
    rows = np.sort(rng.integers(0, 9, (3, 6)), -1).astype(np.float64)
    for right in (False, True):
        for sequence in (line, rows):
            same_as_torch(
                torch, "index", lambda T, s, v, r=right: T.searchsorted(s, v, right=r, out_int32=r), sequence, values
            )
        same_as_torch(torch, "index", lambda T, s, v, r=right: T.bucketize(v, s, right=r, out_int32=r), line, values)
        same_as_torch(torch, "index", lambda T, s, r=right: T.searchsorted(s, 3.0, right=r), line)
    same_as_torch(torch, "index", lambda T, s, v: T.searchsorted(s, v, side="right"), line, values)
    mixed = rng.permuted(rows, axis=-1)
    same_as_torch(torch, "index", lambda T, s, v: T.searchsorted(s, v, sorter=T.argsort(s, 1)), mixed, values)


X = np.arange(12.0).reshape(3, 4)
REFUSED = {
    "sort dim": lambda T, x: T.sort(x, 2),
    "topk large": lambda T, x: T.topk(x, 5),
    "topk negative": lambda T, x: T.topk(x, -1),
    "kthvalue zero": lambda T, x: T.kthvalue(x, 0),
    "kthvalue large": lambda T, x: T.kthvalue(x, 4, 0),
    "unique dim": lambda T, x: T.unique(x, dim=3),
    "searchsorted rows": lambda T, x: T.searchsorted(x, x[:2]),
    "searchsorted side": lambda T, x: T.searchsorted(x[0], x, side="middle"),
    "searchsorted left and right": lambda T, x: T.searchsorted(x[0], x, side="left", right=True),
    "searchsorted sorter": lambda T, x: T.searchsorted(x[0], x, sorter=T.tensor([0, 1])),
    "searchsorted far sorter": lambda T, x: T.searchsorted(x[0], x, sorter=T.tensor([0, 1, 2, 4])),
    "bucketize rows": lambda T, x: T.bucketize(x, x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_by_torch(name, torch):
    both_refuse(torch, REFUSED[name], X)
