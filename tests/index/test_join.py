"""Tensors put together and cut apart, against PyTorch: values, gradients, dtypes, refusals; views share storage."""

import numpy as np
import pytest

import tinydl
from tests.support.peers import both_refuse, same_as_torch

SHAPES = [(5,), (0,), (3, 4), (4, 1, 3), (2, 3, 5, 2), (2, 0, 3)]
DTYPES = [np.float32, np.float64, np.int64, np.bool_, np.float16]


def drawn(rng, shape, dtype=np.float64):
    return rng.integers(-2, 3, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_together(shape, dtype, torch, rng):
    for dim in range(-len(shape), len(shape)):
        parts = [
            drawn(rng, [int(rng.integers(0, 5)) if d == dim % len(shape) else n for d, n in enumerate(shape)], dtype)
            for _ in range(3)
        ]
        same_as_torch(torch, "index", lambda T, *parts, d=dim: T.cat(parts, d), *parts)
        same_as_torch(torch, "index", lambda T, a, b, c, d=dim: T.concat((b, b, a.detach()), dim=d), *parts, length=2)
    for dim in range(-len(shape) - 1, len(shape) + 1):
        parts = [drawn(rng, shape, dtype) for _ in range(3)]
        same_as_torch(torch, "index", lambda T, *parts, d=dim: T.stack(parts, d), *parts)
    for name in ("hstack", "vstack", "dstack", "column_stack"):
        same_as_torch(torch, "index", lambda T, *parts, n=name: getattr(T, n)(parts), *parts)


def test_together_without_axes(torch):
    for name in ("stack", "hstack", "vstack", "dstack", "column_stack"):
        same_as_torch(torch, "index", lambda T, a, b, n=name: getattr(T, n)([a, b]), np.array(1.5), np.array(2.5))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.float32, np.int64),
        (np.float64, np.float32),
        (np.int32, np.uint8),
        (np.bool_, np.int8),
        (np.float16, np.int64),
    ],
)
def test_dtypes_are_promoted(first, second, torch, rng):
    a, b = drawn(rng, (2, 3), first), drawn(rng, (2, 3), second)
    same_as_torch(torch, "index", lambda T, a, b: (T.cat((a, b)), T.stack((b, a, b))), a, b, length=3)
    same_as_torch(torch, "index", lambda T, a, b: T.stack((a.sum(), b[0, 0])), a.astype(np.float64), b)
    same_as_torch(torch, "index", lambda T, a, b: T.hstack((a[0], b[0, 0])), a.astype(np.float64), b)


def test_empty_vectors_are_left_out(torch, rng):
    x = drawn(rng, (2, 3))
    same_as_torch(torch, "index", lambda T, x, e: T.cat((e, x, e), 1), x, np.zeros(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_apart(shape, dtype, torch, rng):
    x = drawn(rng, shape, dtype)
    for dim in range(-len(shape), len(shape)):
        size = shape[dim]
        edges = sorted(rng.integers(0, size + 1, 2).tolist())
        sizes = [edges[0], edges[1] - edges[0], size - edges[1]]
        for call in (
            lambda T, x, d=dim: T.split(x, 2, d),
            lambda T, x, d=dim, s=sizes: x.split(s, d)[::-1],
            lambda T, x, d=dim: T.chunk(x, 3, d),
            lambda T, x, d=dim: x.tensor_split(3, d),
            lambda T, x, d=dim: T.tensor_split(x, (1, -1, 7), d),
            lambda T, x, d=dim: T.tensor_split(x, T.tensor([2]), dim=d),
            lambda T, x, d=dim: T.unbind(x, d),
            lambda T, x, d=dim: T.chunk(x, 2, d)[:1],
        ):
            same_as_torch(torch, "index", call, x)


def test_pieces_are_views():
    x = tinydl.zeros(4, 3)
    for pieces in (x.split(2), x.chunk(2, 1), x.unbind(1), x.tensor_split(2)):
        pieces[0][0] = 5
        assert (x == 5).sum().item() > 0
        assert pieces[0]._version is x._version
        x.zero_()
    x.requires_grad_()
    y = x * 1
    top, _ = y.split(2)
    with pytest.raises(RuntimeError, match="shares its memory"):
        top.add_(1)


X = np.arange(12.0).reshape(3, 4)
REFUSED = {
    "cat nothing": lambda T, x: T.cat([]),
    "cat a tensor": lambda T, x: T.cat(x),
    "cat an array": lambda T, x: T.cat([x, X]),
    "cat without axes": lambda T, x: T.cat([x[0, 0]]),
    "cat shapes": lambda T, x: T.cat((x, x[:, :2])),
    "cat axes": lambda T, x: T.cat((x, x[0])),
    "cat dim": lambda T, x: T.cat((x, x), 2),
    "stack nothing": lambda T, x: T.stack([]),
    "stack shapes": lambda T, x: T.stack((x, x[0])),
    "stack dim": lambda T, x: T.stack((x, x), 3),
    "split sizes": lambda T, x: T.split(x, [1, 1]),
    "split zero": lambda T, x: T.split(x, 0),
    "split negative": lambda T, x: T.split(x, [-1, 4]),
    "split without axes": lambda T, x: T.split(x[0, 0], 1),
    "chunk zero": lambda T, x: T.chunk(x, 0),
    "chunk dim": lambda T, x: T.chunk(x, 2, 5),
    "tensor_split zero": lambda T, x: T.tensor_split(x, 0),
    "unbind without axes": lambda T, x: T.unbind(x[0, 0]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_by_torch(name, torch):
    both_refuse(torch, REFUSED[name], X)
