"""Embeddings, bags and one-hot vectors, as functions and layers, against PyTorch: values, gradients, refusals."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tests.support.peers import both_refuse, same_as_torch
from tinydl import nn
from tinydl.autograd import gradcheck


def functional(T):
    return T.nn.functional


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("by_frequency", [False, True])
@pytest.mark.parametrize("padding", [None, 0, 3, -1])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 9), (2, 0, 3), (2, 3, 4)], ids=str)
def test_embedding(shape, padding, by_frequency, dtype, torch, rng):
    weight, index = rng.standard_normal((6, 5)).astype(dtype), rng.integers(0, 6, shape)

    def call(T, w, i):
        return functional(T).embedding(i, w, padding, scale_grad_by_freq=by_frequency)

    same_as_torch(torch, "embedding", call, weight, index, length=24)
    same_as_torch(torch, "embedding", call, weight, index.astype(np.int32), length=24)


def test_gradcheck_and_other_dtypes(torch, rng):
    index = tinydl.tensor([[1, 0], [1, 3]])
    gradcheck(
        lambda w: nn.functional.embedding(index, w), tinydl.tensor(rng.standard_normal((4, 3)), requires_grad=True)
    )
    for dtype in (np.float16, np.int64):
        weight = rng.integers(0, 9, (4, 3)).astype(dtype)
        same_as_torch(torch, "embedding", lambda T, w, i: functional(T).embedding(i, w), weight, np.array([2, 0, 2]))


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_max_norm(norm_type, torch, rng):
    array, index = rng.standard_normal((6, 5)), np.array([[0, 3], [3, 5]])
    ours, theirs = tinydl.tensor(array), torch.tensor(array)
    got = nn.functional.embedding(tinydl.tensor(index), ours, None, 1.0, norm_type)
    expected = torch.nn.functional.embedding(torch.tensor(index), theirs, None, 1.0, norm_type)
    assert_close(got, expected.numpy(), "embedding", length=5)
    assert_close(ours, theirs.numpy(), "embedding", length=5)
    assert ours.numpy()[1].tolist() == array[1].tolist()


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode, padding, torch, rng):
    weight = rng.standard_normal((6, 5))
    matrix, line = rng.integers(0, 6, (4, 3)), rng.integers(0, 6, 10)

    def call(T, w, i, *offsets, **more):
        return functional(T).embedding_bag(i, w, *offsets, mode=mode, padding_idx=padding, **more)

    same_as_torch(torch, "embedding", call, weight, matrix, length=12)
    for offsets in ([0], [0, 3, 3, 7], [0, 0, 10], [0, 4]):
        same_as_torch(torch, "embedding", call, weight, line, np.array(offsets), length=12)

    def with_end(T, w, i, o):
        return call(T, w, i, o, include_last_offset=True)

    same_as_torch(torch, "embedding", with_end, weight, line, np.array([0, 2, 2, 10]), length=12)
    if mode == "sum":
        factors = rng.standard_normal(10)

        def weighted(T, w, i, o, f):
            return call(T, w, i, o, per_sample_weights=f)

        same_as_torch(torch, "embedding", weighted, weight, line, np.array([0, 3, 3, 7]), factors, length=12)


def test_one_hot(torch, rng):
    for shape in ((), (4,), (2, 3), (0,)):
        index = rng.integers(0, 4, shape)
        same_as_torch(torch, "embedding", lambda T, i: functional(T).one_hot(i, 5), index)
        if index.size:
            same_as_torch(torch, "embedding", lambda T, i: functional(T).one_hot(i), index)


def test_layer(torch, rng):
    array = rng.standard_normal((6, 5)).astype(np.float32)
    index = np.array([[1, 2], [2, 0]])
    for options in ({}, {"padding_idx": -4}, {"max_norm": 1.0}, {"scale_grad_by_freq": True}):
        ours, theirs = nn.Embedding(6, 5, **options), torch.nn.Embedding(6, 5, **options)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        ours.load_state_dict({"weight": array})
        theirs.load_state_dict({"weight": torch.tensor(array)})
        same_as_torch(torch, "embedding", lambda T, i, a=ours, b=theirs: (a if T is tinydl else b)(i), index)
        assert_close(ours.weight.grad, theirs.weight.grad.numpy(), "embedding", scale=10)


def test_layers_set_up():
    tinydl.manual_seed(0)
    layer = nn.Embedding(1000, 50, padding_idx=3)
    assert not layer.weight.detach().numpy()[3].any()
    assert abs(layer.weight.detach().numpy().std() - 1) < 0.02
    table = tinydl.tensor(np.arange(6.0, dtype=np.float32).reshape(3, 2))
    for kind in (nn.Embedding, nn.EmbeddingBag):
        frozen = kind.from_pretrained(table)
        assert not frozen.weight.requires_grad
        assert kind.from_pretrained(table, freeze=False).weight.requires_grad
        assert frozen.weight.tolist() == table.tolist()
        with pytest.raises(ValueError, match="wanted two axes"):
            kind.from_pretrained(table[0])
        for wrong in ({"padding_idx": 3}, {"sparse": True}, {"_weight": table[:2]}):
            with pytest.raises(ValueError, match=kind.__name__):
                kind(3, 2, **wrong)
    with pytest.raises(ValueError, match="num_embeddings=-1"):
        nn.Embedding(-1, 2)
    with pytest.raises(ValueError, match="mode 'min'"):
        nn.EmbeddingBag(3, 2, mode="min")


def test_bag_layer(torch, rng):
    array = rng.standard_normal((6, 5))
    for options in (
        {},
        {"mode": "sum", "padding_idx": 1, "max_norm": 2.0},
        {"mode": "max", "include_last_offset": True},
    ):
        ours, theirs = (
            nn.EmbeddingBag(6, 5, **options, dtype="float64"),
            torch.nn.EmbeddingBag(6, 5, **options).double(),
        )
        assert repr(ours) == repr(theirs)
        ours.load_state_dict({"weight": array})
        theirs.load_state_dict({"weight": torch.tensor(array)})
        same_as_torch(
            torch,
            "embedding",
            lambda T, i, o, a=ours, b=theirs: (a if T is tinydl else b)(i, o),
            rng.integers(0, 6, 9),
            np.array([0, 4, 9]),
            length=9,
        )


WEIGHT = np.ones((4, 3))
REFUSED = {
    "far": lambda T, w: functional(T).embedding(T.tensor([4]), w),
    "negative": lambda T, w: functional(T).embedding(T.tensor([-1]), w),
    "float": lambda T, w: functional(T).embedding(T.tensor([1.0]), w),
    "int16": lambda T, w: functional(T).embedding(T.tensor([1], dtype=T.int16), w),
    "vector": lambda T, w: functional(T).embedding(T.tensor([1]), w[0]),
    "padding": lambda T, w: functional(T).embedding(T.tensor([1]), w, 4),
    "max_norm and far": lambda T, w: functional(T).embedding(T.tensor([9]), w, None, 1.0),
    "bag far": lambda T, w: functional(T).embedding_bag(T.tensor([[4]]), w),
    "bag without offsets": lambda T, w: functional(T).embedding_bag(T.tensor([1]), w),
    "bag offsets for rows": lambda T, w: functional(T).embedding_bag(T.tensor([[1]]), w, T.tensor([0])),
    "bag first offset": lambda T, w: functional(T).embedding_bag(T.tensor([1]), w, T.tensor([1])),
    "bag last offset": lambda T, w: functional(T).embedding_bag(T.tensor([1]), w, T.tensor([0, 2])),
    "bag mode": lambda T, w: functional(T).embedding_bag(T.tensor([[1]]), w, mode="min"),
    "bag weights": lambda T, w: functional(T).embedding_bag(T.tensor([[1]]), w, per_sample_weights=w[:1, :1]),
    "one_hot far": lambda T, w: functional(T).one_hot(T.tensor([4]), 4),
    "one_hot negative": lambda T, w: functional(T).one_hot(T.tensor([-1]), 4),
    "one_hot float": lambda T, w: functional(T).one_hot(w),
    "one_hot empty": lambda T, w: functional(T).one_hot(T.tensor([], dtype=T.int64)),
    "one_hot classes": lambda T, w: functional(T).one_hot(T.tensor([0]), 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_by_torch(name, torch):
    both_refuse(torch, REFUSED[name], WEIGHT)


def test_sparse_is_refused_with_a_reason():
    with pytest.raises(ValueError, match="sparse gradients are not available"):
        nn.functional.embedding(tinydl.tensor([0]), tinydl.ones(2, 2), sparse=True)
