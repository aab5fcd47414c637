"""Clipping of gradients: PyTorch's numbers, in place, for gradients of every layout."""

import inspect
import math

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.nn import utils

SHAPES = [(4, 3, 5, 5), (7,), (), (0, 4), (33, 17)]
NORMS = [0, 0.5, 1, 2, 2.5, 3, "inf", math.inf]


def parameters(rng, dtype=np.float32, norm_type=2):
    """(PyTorch has no maximum of an empty gradient.)"""
    shapes = [shape for shape in SHAPES if 0 not in shape or float(norm_type) < math.inf]
    out = [tinydl.tensor(normal(rng, shape, dtype), requires_grad=True) for shape in shapes]
    for p in out[1:]:
        p.grad = tinydl.tensor(normal(rng, p.shape, dtype))
    return out


def to_torch(torch, params):
    out = []
    for p in params:
        q = torch.from_numpy(p.detach().numpy().copy()).requires_grad_()
        q.grad = None if p.grad is None else torch.from_numpy(np.array(p.grad.numpy()))
        out.append(q)
    return out


def compare_gradients(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert_close(p.grad, q.grad.numpy(), "optimizer")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_norm", [0.3, 1e6, 0.0, -1.0, math.inf])
@pytest.mark.parametrize("norm_type", NORMS)
def test_clip_grad_norm_equals_torch(torch, rng, norm_type, max_norm, dtype):
    ours = parameters(rng, dtype, norm_type)
    theirs = to_torch(torch, ours)
    got = utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    wanted = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert_close(got, wanted.numpy(), "optimizer", length=600)
    compare_gradients(ours, theirs)


@pytest.mark.parametrize("norm_type", [-math.inf, -1.0])
def test_negative_orders_equal_torch(torch, rng, norm_type):
    arrays = [normal(rng, (5, 3)), normal(rng, (7,))]
    got = utils.get_total_norm([tinydl.tensor(a) for a in arrays], norm_type)
    wanted = torch.nn.utils.get_total_norm([torch.from_numpy(a) for a in arrays], norm_type)
    assert_close(got, wanted.numpy(), "optimizer", length=20)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("norm_type", [1, 2, 3, math.inf])
def test_special_numbers_equal_torch(torch, rng, norm_type, special):
    ours = parameters(rng, norm_type=norm_type)
    ours[1].grad[2] = special
    theirs = to_torch(torch, ours)
    with pytest.raises(RuntimeError, match=r"get_total_norm: the norm of order \d|inf"):
        utils.clip_grad_norm_(ours, 1.0, norm_type, error_if_nonfinite=True)
    compare_gradients(ours, theirs)
    utils.clip_grad_norm_(ours, 1.0, norm_type)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0, norm_type)
    compare_gradients(ours, theirs)


def test_mixed_dtypes_equal_torch(torch, rng):
    ours = parameters(rng) + parameters(rng, np.float64)
    theirs = to_torch(torch, ours)
    got, wanted = utils.clip_grad_norm_(ours, 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    assert got.dtype == tinydl.float64
    assert_close(got, wanted.numpy(), "optimizer", dtype=np.float32)
    compare_gradients(ours[:5], theirs[:5])


@pytest.mark.parametrize("limit", [0.3, 0.0, -0.5, math.inf])
def test_clip_grad_value_equals_torch(torch, rng, limit):
    ours = parameters(rng)
    ours[1].grad[2] = np.nan
    theirs = to_torch(torch, ours)
    utils.clip_grad_value_(ours, limit)
    torch.nn.utils.clip_grad_value_(theirs, limit)
    compare_gradients(ours, theirs)


def test_clips_gradients_of_every_layout(rng):
    values = normal(rng, (3, 5, 7, 2))
    frozen = np.broadcast_to(np.float32(2), values.shape)
    for name, view in [*layouts(values), ("frozen", frozen)]:
        p = tinydl.tensor(values, requires_grad=True)
        p.grad = tinydl.Tensor(view)
        expected = view / np.linalg.norm(view.reshape(-1).astype(np.float64))
        utils.clip_grad_norm_([p], 1.0)
        assert_close(p.grad, expected.astype(np.float32), "optimizer")
        if name != "frozen":
            assert np.shares_memory(p.grad.numpy(), view)
        utils.clip_grad_value_([p], 1e-3)
        assert np.abs(p.grad.numpy()).max() == np.float32(1e-3)


def test_a_gradient_of_two_parameters_is_scaled_for_each(torch):
    shared = tinydl.tensor([3.0, 4.0])
    params = [tinydl.ones(2, requires_grad=True) for _ in range(2)]
    for p in params:
        p.grad = shared
    utils.clip_grad_value_(params, 3.5)
    assert shared.tolist() == [3.0, 3.5]


def test_a_change_counts_up_the_version():
    p = tinydl.ones(2, requires_grad=True)
    p.grad = tinydl.tensor([3.0, 4.0])
    utils.clip_grad_norm_(p, 1.0)
    utils.clip_grad_value_(p, 0.5)
    assert p.grad._version[0] == 2


def test_nothing_to_clip():
    assert utils.get_total_norm([]).item() == 0
    assert utils.clip_grad_norm_([tinydl.ones(2, requires_grad=True)], 1.0).item() == 0
    with pytest.warns(UserWarning, match="empty generator"):
        utils.clip_grad_norm_((p for p in ()), 1.0)


@pytest.mark.parametrize("name", utils.__all__)
def test_signatures_are_those_of_torch(torch, name):
    if not hasattr(torch.nn.utils, name):
        pytest.skip("of another module")
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (utils, torch.nn.utils))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


def test_wrong_calls():
    with pytest.raises(TypeError, match="clip_grad_norm_: item 0 is a float, wanted a tensor"):
        utils.clip_grad_norm_([1.0], 1.0)
    with pytest.raises(TypeError, match="total_norm: got dtype int64"):
        utils.get_total_norm([tinydl.tensor([1, 2])], 3)
    with pytest.raises(TypeError, match="get_total_norm: norm_type is 'largest', wanted a number"):
        utils.get_total_norm([tinydl.ones(1)], "largest")
