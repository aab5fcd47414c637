"""What chooses, replaces and adds by indices and masks, against PyTorch: values, gradients, refusals."""

import numpy as np
import pytest

import tinydl
from tests.support.peers import both_refuse, same_as_torch
from tinydl.autograd import gradcheck

SHAPES = [(5,), (1,), (3, 4), (4, 1, 3), (2, 3, 5, 2)]
DTYPES = [np.float32, np.float64, np.int64]


def drawn(rng, shape, dtype=np.float64):
    """Values with ties and zeros, so that equal elements and products are met."""
    return rng.integers(-2, 3, shape).astype(dtype)


def vector(rng, size, count=None):
    return rng.integers(0, size, int(rng.integers(0, 6)) if count is None else count)


def square(rng, shape, dim):
    """An index for gather and scatter: as long as it likes along dim, at most the shape elsewhere."""
    sizes = [int(rng.integers(0, 6)) if d == dim else int(rng.integers(0, n + 1)) for d, n in enumerate(shape)]
    return rng.integers(0, shape[dim], sizes)


def cases():
    for shape in SHAPES:
        for dim in range(-len(shape), len(shape)):
            yield shape, dim


EACH = pytest.mark.parametrize(("shape", "dim"), list(cases()), ids=str)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_slices(shape, dim, dtype, torch, rng):
    x, size = drawn(rng, shape, dtype), shape[dim]
    for _ in range(4):
        index = vector(rng, size)
        source = drawn(rng, np.take(x, index, dim).shape, dtype)
        distinct = rng.permutation(size)[: int(rng.integers(0, size + 1))]
        other = drawn(rng, np.take(x, distinct, dim).shape, dtype)
        same_as_torch(torch, "index", lambda T, x, i: T.index_select(x, dim, i), x, index)
        same_as_torch(torch, "index", lambda T, x, i, s: T.index_add(x, dim, i, s, alpha=2), x, index, source, length=6)
        same_as_torch(torch, "index", lambda T, x, i, s: x.index_copy(dim, i, s), x, distinct, other)
        same_as_torch(torch, "index", lambda T, x, i: T.index_fill(x, dim, i, 7), x, index - size)
        same_as_torch(torch, "index", lambda T, x, i: x.index_select(dim, i.to(T.int32)), x, index)
        same_as_torch(torch, "index", lambda T, x, i: x.repeat_interleave(i, dim), x, vector(rng, 3, size), length=3)
        same_as_torch(torch, "index", lambda T, x: T.repeat_interleave(x, 2, dim), x, length=2)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_elements(shape, dim, dtype, torch, rng):
    x = drawn(rng, shape, dtype)
    for _ in range(6):
        index = square(rng, shape, dim % len(shape))
        src = drawn(rng, [n + 1 for n in index.shape], dtype)
        same_as_torch(torch, "index", lambda T, x, i: T.gather(x, dim, i), x, index, length=6)
        same_as_torch(torch, "index", lambda T, x, i, s: T.scatter_add(x, dim, i, s.detach()), x, index, src)
        src = drawn(rng, index.shape, dtype)
        same_as_torch(torch, "index", lambda T, x, i, s: T.scatter_add(x, dim, i, s), x, index, src, length=6)
        same_as_torch(torch, "index", lambda T, x, i: T.scatter(x, dim, i, 3), x, index)
        same_as_torch(torch, "index", lambda T, x, i: x.scatter(dim, i, value=1), x, index)
        once = np.argsort(rng.random(shape), dim)
        same_as_torch(torch, "index", lambda T, x, i, s: x.scatter(dim, i, s), x, once, drawn(rng, shape, dtype))
        along = once if rng.random() < 0.5 else np.take(once, [0], -1)
        same_as_torch(torch, "index", lambda T, x, i: T.take_along_dim(x, i, dim), x, along - x.shape[dim], length=6)


@EACH
@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(shape, dim, reduce, include, torch, rng):
    x = drawn(rng, shape)
    for _ in range(4):
        index = square(rng, shape, dim % len(shape))
        src = drawn(rng, index.shape)

        def call(T, x, i, s):
            return T.scatter_reduce(x, dim, i, s, reduce, include_self=include)

        same_as_torch(torch, "index", call, x, index, src, length=6)
        same_as_torch(torch, "index", call, x.astype(np.int64), index, src.astype(np.int64))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scatter_with_a_reduction(torch):
    x, index = np.arange(6.0).reshape(2, 3), np.array([[0, 1, 0]])
    for reduce in ("add", "multiply"):
        for src in (2.0, tinydl.tensor([[2.0, 3.0, 4.0]], dtype="float64")):
            theirs = torch.tensor(src.numpy()) if isinstance(src, tinydl.Tensor) else src
            got = tinydl.scatter(tinydl.tensor(x), 0, tinydl.tensor(index), src, reduce=reduce)
            assert (
                got.tolist() == torch.scatter(torch.tensor(x), 0, torch.tensor(index), theirs, reduce=reduce).tolist()
            )


def test_flat_and_without_axes(torch, rng):
    x, one = drawn(rng, (3, 4)), np.array(2.5)
    same_as_torch(torch, "index", lambda T, x, i: T.take(x, i), x, rng.integers(-12, 12, (2, 3)), length=3)
    same_as_torch(torch, "index", lambda T, x, i: T.take_along_dim(x, i), x, rng.integers(0, 12, 5), length=3)
    same_as_torch(torch, "index", lambda T, x: T.repeat_interleave(x, 3), x, length=3)
    same_as_torch(torch, "index", lambda T, i: T.repeat_interleave(T.tensor([4, 5, 6]), i), np.array([0, 2, 1]))
    for index in (np.array(0), np.array([0])):
        same_as_torch(torch, "index", lambda T, x, i: T.index_select(x, 0, i), one, index)
        same_as_torch(torch, "index", lambda T, x, i: T.index_fill(x, 0, i, 1.0), one, index)
        same_as_torch(torch, "index", lambda T, x, i: T.gather(x, 0, i), one, index)
        same_as_torch(torch, "index", lambda T, x, i, s: T.scatter_add(x, 0, i, s), one, index, np.ones(index.shape))
        same_as_torch(torch, "index", lambda T, x, i, s: x.scatter(0, i, s), one, index, np.ones(index.shape))
    for empty in ((0, 3), (2, 0)):
        same_as_torch(torch, "index", lambda T, x: T.index_select(x, 0, T.tensor([], dtype=T.int64)), np.ones(empty))


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.bool_, np.uint8])
def test_masks(dtype, torch, rng):
    for shape, mask_shape in (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), (3, 1)), ((4,), (3, 4)), ((2, 1, 3), (4, 1))):
        x, mask = drawn(rng, shape, dtype), rng.random(mask_shape) < 0.5
        room = np.broadcast_shapes(shape, mask_shape)
        source = drawn(rng, (int(np.prod(room)) + 2,), dtype)
        same_as_torch(torch, "index", lambda T, x, m: T.masked_fill(x, m, 1), x, mask, length=4)
        same_as_torch(torch, "index", lambda T, x, m: T.masked_select(x, m), x, mask, length=4)
        same_as_torch(torch, "index", lambda T, x, m: T.nonzero(x, as_tuple=True), x, mask)
        same_as_torch(torch, "index", lambda T, x, m: (T.nonzero(x), T.argwhere(m)), x, mask)
        if room == shape:
            same_as_torch(torch, "index", lambda T, x, m, s: T.masked_scatter(x, m, s), x, mask, source)
    for x in (np.array(0.0), np.array(2.0)):
        same_as_torch(torch, "index", lambda T, x: (T.nonzero(x), T.argwhere(x), *T.nonzero(x, as_tuple=True)), x)


def test_masked_fill_with_a_tensor(torch, rng):
    x, mask = drawn(rng, (3, 4)), rng.random((3, 4)) < 0.5
    same_as_torch(torch, "index", lambda T, x, m, v: T.masked_fill(x, m, v), x, mask, np.array(2.5), length=12)
    same_as_torch(torch, "index", lambda T, x, m, v: T.masked_fill(x, m, v), x, mask, np.array(2, np.int64))


@pytest.mark.parametrize("dtype", [*DTYPES, np.bool_])
def test_triangles(dtype, torch, rng):
    for shape in ((3, 4), (4, 3), (2, 5, 5), (0, 3), (2, 3, 0), (1, 1)):
        for diagonal in (-9, -1, 0, 2, 9):
            for name in ("tril", "triu"):
                x = drawn(rng, shape, dtype)
                same_as_torch(torch, "index", lambda T, x, n=name, d=diagonal: getattr(T, n)(x, d), x)
            for name in ("tril_indices", "triu_indices"):
                same_as_torch(torch, "index", lambda T, n=name, d=diagonal, s=shape: getattr(T, n)(*s[-2:], d))


IN_PLACE = {
    "index_add_": lambda T, x: x.index_add_(0, T.tensor([0, 2, 0]), T.ones(3, 4, dtype=T.float64), alpha=3),
    "index_copy_": lambda T, x: x.index_copy_(0, T.tensor([2]), T.ones(1, 4, dtype=T.float64)),
    "index_fill_": lambda T, x: x.index_fill_(1, T.tensor([-1]), 5.0),
    "scatter_": lambda T, x: x.scatter_(1, T.tensor([[1], [0]]), 5.0),
    "scatter_ source": lambda T, x: x.scatter_(1, T.tensor([[1], [0]]), T.ones(2, 1, dtype=T.float64)),
    "scatter_add_": lambda T, x: x.scatter_add_(0, T.tensor([[1, 1]]), T.ones(1, 2, dtype=T.float64)),
    "scatter_reduce_": lambda T, x: x.scatter_reduce_(0, T.tensor([[1]]), T.ones(1, 1, dtype=T.float64), "mean"),
    "masked_fill_": lambda T, x: x.masked_fill_(x.detach() > 0, -1.0),
    "masked_scatter_": lambda T, x: x.masked_scatter_(x.detach() > 0, T.ones(12, dtype=T.float64)),
    "tril_": lambda T, x: x.tril_(),
    "triu_": lambda T, x: x.triu_(1),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name, torch, rng):
    x = drawn(rng, (3, 4))
    same_as_torch(torch, "index", lambda T, x: IN_PLACE[name](T, x * 1), x)
    plain = tinydl.tensor(x)
    assert IN_PLACE[name](tinydl, plain) is plain


def test_gradients_in_float64(rng):
    x, src = tinydl.tensor(rng.standard_normal((4, 3))), tinydl.tensor(rng.standard_normal((5, 3)))
    x, src = x.requires_grad_(), src.requires_grad_()
    index = tinydl.tensor(rng.integers(0, 4, (5, 3)))
    gradcheck(lambda x: tinydl.gather(x, 0, index), x)
    gradcheck(lambda x, s: tinydl.scatter_add(x, 0, index, s), [x, src])
    gradcheck(lambda x, s: tinydl.index_add(x, 0, index[:, 0], s), [x, src])
    for reduce in ("prod", "mean", "amax", "amin"):
        gradcheck(lambda x, s, r=reduce: tinydl.scatter_reduce(x, 0, index, s, r), [x, src])


def test_an_index_may_change_after_the_call(rng):
    x, index = tinydl.tensor(rng.standard_normal((4, 3)), requires_grad=True), tinydl.tensor([0, 1])
    y = tinydl.index_select(x, 0, index) + x[index] + tinydl.gather(x, 0, tinydl.tensor([[0] * 3, [1] * 3]))
    index[0] = 3
    y.sum().backward()
    assert x.grad.tolist() == [[3] * 3, [3] * 3, [0] * 3, [0] * 3]


X, FAR = np.arange(12.0).reshape(3, 4), [3, -1, 2**40]
REFUSED = {
    "index_select matrix": lambda T, x: T.index_select(x, 0, T.tensor([[0]])),
    "index_select float": lambda T, x: T.index_select(x, 0, T.tensor([0.0])),
    "index_select dim": lambda T, x: T.index_select(x, 2, T.tensor([0])),
    "gather axes": lambda T, x: T.gather(x, 0, T.tensor([0])),
    "gather longer": lambda T, x: T.gather(x, 0, T.zeros(1, 5).to(T.int64)),
    "gather float": lambda T, x: T.gather(x, 0, x),
    "take int32": lambda T, x: T.take(x, T.tensor([0], dtype=T.int32)),
    "take far": lambda T, x: T.take(x, T.tensor([12])),
    "take_along_dim shape": lambda T, x: T.take_along_dim(x, T.zeros(2, 3).to(T.int64), 0),
    "scatter source": lambda T, x: T.scatter(x, 0, T.zeros(2, 2).to(T.int64), T.ones(1, 2, dtype=T.float64)),
    "scatter dtype": lambda T, x: T.scatter(x, 0, T.tensor([[0]]), T.ones(1, 1)),
    "scatter_add dtype": lambda T, x: T.scatter_add(x, 0, T.tensor([[0]]), T.ones(1, 1)),
    "scatter reduce": lambda T, x: T.scatter(x, 0, T.tensor([[0]]), 1.0, reduce="mean"),
    "scatter_reduce name": lambda T, x: T.scatter_reduce(x, 0, T.tensor([[0]]), x, "median"),
    "index_add dtype": lambda T, x: T.index_add(x, 0, T.tensor([0]), T.ones(1, 4)),
    "index_add count": lambda T, x: T.index_add(x, 0, T.tensor([0, 1]), x[:1]),
    "index_add shape": lambda T, x: T.index_add(x, 0, T.tensor([0]), x[:1, :3]),
    "index_copy int32": lambda T, x: T.index_copy(x, 0, T.tensor([0], dtype=T.int32), x[:1]),
    "index_fill value": lambda T, x: T.index_fill(x, 0, T.tensor([0]), T.tensor([1.0])),
    "index_fill far": lambda T, x: T.index_fill(x, 0, T.tensor([-4]), 1.0),
    "masked_fill mask": lambda T, x: T.masked_fill(x, x, 1.0),
    "masked_fill shape": lambda T, x: T.masked_fill(x, T.tensor([True, False]), 1.0),
    "masked_fill value": lambda T, x: T.masked_fill(x, x > 0, T.tensor([1.0])),
    "masked_select mask": lambda T, x: T.masked_select(x, x),
    "masked_scatter few": lambda T, x: T.masked_scatter(x, x > 0, T.ones(3, dtype=T.float64)),
    "repeat_interleave count": lambda T, x: T.repeat_interleave(x, T.tensor([1, 2]), 0),
    "repeat_interleave negative": lambda T, x: T.repeat_interleave(x, T.tensor([1, -2, 1]), 0),
    "tril vector": lambda T, x: T.tril(x[0]),
    "tril_indices": lambda T, x: T.tril_indices(-1, 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_by_torch(name, torch):
    both_refuse(torch, REFUSED[name], X)


@pytest.mark.parametrize("bad", FAR)
def test_indices_out_of_range(bad, torch):
    for call in (
        lambda T, x: T.index_select(x, 0, T.tensor([0, bad])),
        lambda T, x: T.gather(x, 0, T.tensor([[0, bad]])),
        lambda T, x: T.scatter(x, 0, T.tensor([[0, bad]]), 1.0),
        lambda T, x: T.scatter_add(x, 0, T.tensor([[0, bad]]), x),
        lambda T, x: T.scatter_reduce(x, 0, T.tensor([[0, bad]]), x, "prod"),
        lambda T, x: T.index_add(x, 0, T.tensor([0, bad]), x[:2]),
        lambda T, x: T.index_copy(x, 0, T.tensor([0, bad]), x[:2]),
    ):
        both_refuse(torch, call, X)
        with pytest.raises(IndexError, match=f"index {bad} is out of range for size 3"):
            call(tinydl, tinydl.tensor(X))
