"""sum, mean and argmax as operations."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 2), (2, 1), (), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_gradcheck_and_torch(name, dim, keepdim, torch, rng):
    array = normal(rng, (3, 5, 7))
    for _, view in layouts(array.astype(np.float64)):
        x = tinydl.from_numpy(view).requires_grad_()
        gradcheck(lambda x: getattr(tinydl, name)(x, dim, keepdim), [x])
    expected = getattr(torch, name)(torch.tensor(array), dim, keepdim)
    got = getattr(tinydl, name)(tinydl.tensor(array), dim, keepdim)
    assert_close(got, expected.numpy(), "reduce", length=105, scale=20)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)], ids=str)
def test_small_shapes(shape, rng):
    x = tinydl.tensor(rng.standard_normal(shape), requires_grad=True)
    gradcheck(tinydl.sum, [x])
    if x.numel():
        gradcheck(tinydl.mean, [x])
    else:
        assert np.isnan(tinydl.mean(x.detach()).item())


def test_integers_and_bools_sum_to_int64(torch):
    for array in (np.array([[True, False]]), np.array([[200, 100]], np.uint8), np.array([[1, 2]], np.int32)):
        got, expected = tinydl.tensor(array).sum(1), torch.tensor(array).sum(1)
        assert got.dtype == np.int64
        assert got.tolist() == expected.tolist()


def test_argmax(torch, rng):
    array = rng.integers(0, 3, (4, 5)).astype(np.float32)
    for dim in (None, 0, -1):
        for keepdim in (False, True):
            got = tinydl.argmax(tinydl.tensor(array), dim, keepdim)
            assert got.tolist() == np.argmax(array, axis=dim, keepdims=keepdim).tolist()
    assert got.dtype == np.int64


def test_wrong_calls():
    x = tinydl.ones(2, 3)
    with pytest.raises(IndexError, match="sum: dim 2 is out of range for a tensor of 2 axes"):
        x.sum(2)
    with pytest.raises(ValueError, match="names an axis twice"):
        x.sum((0, -2))
    with pytest.raises(TypeError, match="mean: got dtype int64"):
        tinydl.tensor([1, 2]).mean()
    with pytest.raises(IndexError, match="nothing to choose"):
        tinydl.zeros(0, 3).argmax(0)
