"""Normalisation of tensors: gradients, running statistics, refusals, and PyTorch's values."""

import copy

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.nn import functional as F

DTYPES = [np.float32, np.float64]


def pair(torch, array, requires_grad=False):
    """The same tensor in both libraries."""
    return tinydl.tensor(array, requires_grad=requires_grad), torch.tensor(array, requires_grad=requires_grad)


# name, shape, arguments, the parameters' shape, whether there is a bias
FUNCTIONS = [
    ("batch_norm", (5, 3), {"training": True}, (3,), True),
    ("batch_norm", (4, 6, 5, 7), {"training": True, "eps": 0.1}, (6,), True),
    ("batch_norm", (2, 6, 3, 2, 4), {"training": True}, (6,), True),
    ("batch_norm", (4, 6, 5), {}, (6,), True),
    ("instance_norm", (3, 5, 7), {}, (5,), True),
    ("instance_norm", (3, 5, 4, 6), {"eps": 1e-3}, (5,), True),
    ("instance_norm", (3, 5, 4, 6), {"use_input_stats": False}, (5,), True),
    ("group_norm", (3, 6, 4, 5), {"num_groups": 3}, (6,), True),
    ("group_norm", (3, 6), {"num_groups": 2}, (6,), True),
    ("group_norm", (2, 6, 7), {"num_groups": 1, "eps": 0.5}, (6,), True),
    ("layer_norm", (5, 7), {"normalized_shape": (7,)}, (7,), True),
    ("layer_norm", (2, 5, 3, 4), {"normalized_shape": (5, 3, 4), "eps": 1e-2}, (5, 3, 4), True),
    ("rms_norm", (5, 7), {"normalized_shape": (7,)}, (7,), False),
    ("rms_norm", (3, 2, 4), {"normalized_shape": (2, 4), "eps": 0.25}, (2, 4), False),
]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "shape", "options", "size", "has_bias"), FUNCTIONS, ids=str)
def test_against_pytorch(torch, rng, name, shape, options, size, has_bias, dtype, affine):
    x, x_t = pair(torch, normal(rng, shape, dtype), True)
    values = {}
    if name in ("batch_norm", "instance_norm"):
        channels = shape[1]
        values["running_mean"] = normal(rng, (channels,), dtype)
        values["running_var"] = np.abs(normal(rng, (channels,), dtype)) + dtype(0.1)
    leaves = {}
    if affine:
        leaves["weight"] = 1 + normal(rng, size, dtype) / 4
        if has_bias:
            leaves["bias"] = normal(rng, size, dtype)
    ours = {k: tinydl.tensor(v) for k, v in values.items()} | {
        k: tinydl.tensor(v, requires_grad=True) for k, v in leaves.items()
    }
    theirs = {k: torch.tensor(v) for k, v in values.items()} | {
        k: torch.tensor(v, requires_grad=True) for k, v in leaves.items()
    }
    y, y_t = getattr(F, name)(x, **ours, **options), getattr(torch.nn.functional, name)(x_t, **theirs, **options)
    assert y.shape == y_t.shape
    assert_close(y, y_t.detach(), "norm", length=x.numel(), scale=8.0)
    upstream = normal(rng, shape, dtype)
    y.backward(tinydl.tensor(upstream))
    y_t.backward(torch.tensor(upstream))
    for got, expected in zip((x, *ours.values()), (x_t, *theirs.values()), strict=True):
        if got.requires_grad:
            scale = 16 * max(1.0, float(expected.grad.abs().max()))
            assert_close(got.grad, expected.grad, "gradient", length=x.numel(), scale=scale)
        else:
            assert_close(got, expected, "norm", scale=4.0)


@pytest.mark.parametrize(("name", "shape", "options", "size", "has_bias"), FUNCTIONS, ids=str)
def test_gradcheck(rng, name, shape, options, size, has_bias):
    running = ()
    if name in ("batch_norm", "instance_norm"):
        running = tinydl.tensor(normal(rng, size, float)), tinydl.tensor(np.abs(normal(rng, size, float)) + 0.1)
        options = {**options, "momentum": 0.0}  # the differences call it many times
    leaves = [normal(rng, shape, float), normal(rng, size, float), *([normal(rng, size, float)] * has_bias)]
    leaves = [tinydl.tensor(a, requires_grad=True) for a in leaves]
    names = ("weight", "bias")[: len(leaves) - 1]

    def func(x, *parameters):
        return getattr(F, name)(x, *running, **dict(zip(names, parameters, strict=True)), **options)

    assert gradcheck(func, leaves)


def test_gradients_that_nobody_asked_for(rng):
    x = tinydl.tensor(normal(rng, (4, 3)))
    w, b = tinydl.ones(3, requires_grad=True), tinydl.zeros(3)
    F.batch_norm(x, None, None, w, b, True).sum().backward()
    assert w.grad is not None
    assert b.grad is None
    assert x.grad is None


def test_images_come_out_channels_last(rng):
    for x in (normal(rng, (2, 5, 3, 4)), np.ascontiguousarray(normal(rng, (2, 3, 4, 5))).transpose(0, 3, 1, 2)):
        for name, args in (("batch_norm", (None, None, None, None, True)), ("group_norm", (5,))):
            y = getattr(F, name)(tinydl.tensor(x), *args)
            assert y._data.transpose(0, 2, 3, 1).flags.c_contiguous


# -- Layers -------------------------------------------------------------------------------------------------------

LAYERS = [
    # name, arguments, options, the inputs' shapes
    ("BatchNorm1d", (5,), {}, [(4, 5), (3, 5, 7)]),
    ("BatchNorm1d", (5,), {"momentum": None}, [(4, 5)]),
    ("BatchNorm1d", (5,), {"momentum": 0.0}, [(4, 5)]),
    ("BatchNorm2d", (4,), {}, [(3, 4, 5, 6)]),
    ("BatchNorm2d", (4,), {"momentum": None, "affine": False}, [(3, 4, 5, 6)]),
    ("BatchNorm2d", (4,), {"eps": 0.1, "momentum": 0.7, "bias": False}, [(3, 4, 5, 6)]),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, [(3, 4, 5, 6)]),
    ("BatchNorm3d", (2,), {}, [(3, 2, 2, 3, 4)]),
    ("InstanceNorm1d", (5,), {}, [(3, 5, 4), (5, 4)]),
    ("InstanceNorm1d", (5,), {"affine": True, "track_running_stats": True}, [(3, 5, 4), (5, 4)]),
    ("InstanceNorm2d", (4,), {"track_running_stats": True, "momentum": 0.3}, [(3, 4, 5, 6), (4, 5, 6)]),
    ("InstanceNorm2d", (4,), {"affine": True, "bias": False}, [(3, 4, 5, 6)]),
    ("InstanceNorm3d", (2,), {"affine": True}, [(3, 2, 2, 3, 4), (2, 2, 3, 4)]),
    ("GroupNorm", (2, 6), {}, [(3, 6, 4, 5), (3, 6)]),
    ("GroupNorm", (3, 6), {"affine": False, "eps": 0.2}, [(3, 6, 4)]),
    ("GroupNorm", (3, 6), {"bias": False}, [(3, 6, 4)]),
    ("LayerNorm", (7,), {}, [(3, 7), (2, 3, 7), (7,)]),
    ("LayerNorm", ([3, 7],), {"bias": False, "eps": 0.3}, [(2, 3, 7)]),
    ("LayerNorm", (7,), {"elementwise_affine": False}, [(2, 7)]),
    ("RMSNorm", (7,), {}, [(3, 7), (2, 3, 7)]),
    ("RMSNorm", ((3, 7),), {"eps": 0.1, "elementwise_affine": False}, [(2, 3, 7)]),
    ("LocalResponseNorm", (5,), {"k": 2.0, "alpha": 0.3}, [(3, 9, 4, 5), (3, 9, 4), (2, 9, 2, 3, 4)]),
    ("LocalResponseNorm", (4,), {"alpha": 1.0, "beta": 0.5}, [(2, 3, 4, 5), (2, 1, 4)]),
]


def compare_states(ours, theirs):
    mine, state = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(state)
    for name, value in mine.items():
        assert_close(value, state[name], "gradient", scale=8.0, dtype=np.float32)
        assert str(value.dtype) == str(state[name].dtype).split(".")[1]


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS, ids=str)
def test_layers_against_pytorch_over_several_steps(torch, rng, name, args, options, shapes):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    compare_states(ours, theirs)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        value = normal(rng, p.shape)
        p.data.copy_(tinydl.tensor(value))
        q.data.copy_(torch.tensor(value))
    for step in range(5):
        if step == 3:
            ours.eval()
            theirs.eval()
        for shape in shapes:
            x, x_t = pair(torch, 2 * normal(rng, shape) + 1, True)
            y, y_t = ours(x), theirs(x_t)
            assert_close(y, y_t.detach(), "gradient", length=x.numel(), scale=8.0)
            upstream = normal(rng, shape)
            y.backward(tinydl.tensor(upstream))
            y_t.backward(torch.tensor(upstream))
            assert_close(x.grad, x_t.grad, "gradient", length=x.numel(), scale=8.0)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert_close(p.grad, q.grad, "gradient", length=200, scale=max(8.0, float(q.grad.abs().max())))
        compare_states(ours, theirs)


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS, ids=str)
def test_state_dicts_go_both_ways(torch, rng, name, args, options, shapes):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    theirs(torch.tensor(normal(rng, shapes[0])))
    ours.load_state_dict(theirs.state_dict())
    compare_states(ours, theirs)
    ours(tinydl.tensor(normal(rng, shapes[0])))
    theirs.load_state_dict({k: torch.tensor(np.asarray(v)) for k, v in ours.state_dict().items()})
    compare_states(ours, theirs)
    compare_states(copy.deepcopy(ours), theirs)


def test_resetting():
    layer = nn.BatchNorm1d(2)
    layer(tinydl.tensor([[1.0, 2.0], [3.0, 5.0]]))
    layer.weight.data.fill_(3)
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.weight.tolist() == [3, 3]
    layer.reset_parameters()
    assert layer.weight.tolist() == layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0


def test_conversion_leaves_the_count_of_batches():
    layer = nn.BatchNorm2d(3).double()
    assert layer.running_var.dtype == layer.weight.dtype == tinydl.float64
    assert layer.num_batches_tracked.dtype == tinydl.int64
    assert layer(tinydl.ones(2, 3, 2, 2, dtype=tinydl.float64)).dtype == tinydl.float64


def test_running_statistics_count_as_changed(rng):
    layer = nn.BatchNorm1d(3)
    frozen = layer.running_mean * tinydl.ones(3, requires_grad=True)
    layer(tinydl.tensor(normal(rng, (4, 3))))
    with pytest.raises(RuntimeError, match="changed in place"):
        frozen.sum().backward()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_gradcheck_of_the_local_response(rng, size):
    x = tinydl.tensor(normal(rng, (2, 5, 2, 2), float), requires_grad=True)
    assert gradcheck(lambda x: F.local_response_norm(x, size, 0.5, 0.75, 1.5), x)


def test_no_elements():
    assert F.batch_norm(tinydl.zeros(0, 3), None, None, training=True).shape == (0, 3)
    layer = nn.BatchNorm1d(3)
    layer(tinydl.zeros(0, 3))
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert F.local_response_norm(tinydl.zeros(2, 0, 4), 3).shape == (2, 0, 4)
    assert F.layer_norm(tinydl.zeros(0, 3), (3,)).shape == (0, 3)


X = tinydl.ones(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.batch_norm(X, None, None), ValueError, "evaluation .* needs running_mean"),
        (lambda: F.batch_norm(tinydl.ones(1, 3), None, None, training=True), ValueError, "more than 1 value per chan"),
        (lambda: F.batch_norm(X, None, tinydl.ones(3), training=True), ValueError, "come together"),
        (lambda: F.batch_norm(tinydl.ones(3), None, None, training=True), ValueError, r"batch_norm.*\(3,\)"),
        (lambda: F.batch_norm(X, None, None, tinydl.ones(4), training=True), ValueError, r"batch_norm: got weight of"),
        (lambda: F.batch_norm(X, tinydl.ones(2), tinydl.ones(3)), ValueError, r"batch_norm: got running_mean of"),
        (lambda: F.instance_norm(X, bias=tinydl.ones(2)), ValueError, r"instance_norm: got bias of shape \(2,\)"),
        (lambda: F.instance_norm(X, tinydl.ones(3)), ValueError, "come together"),
        (lambda: F.group_norm(X, 3, tinydl.ones(2)), ValueError, r"group_norm: got weight of shape \(2,\)"),
        (lambda: F.batch_norm([1.0], None, None, training=True), TypeError, "batch_norm: got list"),
        (lambda: F.batch_norm(tinydl.ones(2, 3).long(), None, None, training=True), TypeError, "int64"),
        (lambda: F.instance_norm(tinydl.ones(2, 3, 1)), ValueError, "more than 1 spatial element"),
        (lambda: F.instance_norm(tinydl.ones(2, 3)), ValueError, r"instance_norm.*\(2, 3\)"),
        (lambda: F.instance_norm(X, use_input_stats=False), ValueError, "needs running_mean"),
        (lambda: F.group_norm(X, 2), ValueError, "3 channels cannot be split into 2"),
        (lambda: F.group_norm(X, 0), ValueError, "cannot be split into 0"),
        (lambda: F.group_norm(tinydl.ones(1, 2), 2), ValueError, "more than 1 value per channel"),
        (lambda: F.layer_norm(X, (3,)), ValueError, r"normalized_shape \(3,\) for an input of shape \(2, 3, 4\)"),
        (lambda: F.layer_norm(X, (4,), tinydl.ones(3)), ValueError, r"weight of shape \(3,\), wanted \(4,\)"),
        (lambda: F.layer_norm(X, ()), ValueError, "normalized_shape"),
        (lambda: F.rms_norm(X, 5), ValueError, "rms_norm"),
        (lambda: F.local_response_norm(tinydl.ones(2, 3), 3), ValueError, "local_response_norm"),
        (lambda: F.local_response_norm(X, 0), ValueError, "size 0"),
        (lambda: F.local_response_norm(X.long(), 3), TypeError, "int64"),
        (lambda: nn.BatchNorm2d(3)(X), ValueError, r"BatchNorm2d\(3.*\(2, 3, 4\), wanted \(N, C, H, W\)"),
        (lambda: nn.BatchNorm1d(4)(X), ValueError, r"BatchNorm1d\(4.*\(2, 3, 4\)"),
        (lambda: nn.BatchNorm1d(-1), ValueError, "negative"),
        (lambda: nn.BatchNorm1d(2, device="cuda"), ValueError, "'cuda' is not available"),
        (lambda: nn.InstanceNorm1d(4, affine=True)(X), ValueError, "3 channels"),
        (lambda: nn.GroupNorm(2, 3), ValueError, "multiple of num_groups=2"),
        (lambda: nn.GroupNorm(2, 4)(X), ValueError, r"wanted \(N, 4, ...\)"),
        (lambda: nn.LayerNorm(3)(X), ValueError, "normalized_shape"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_instance_norm_of_other_channels_warns():
    with pytest.warns(UserWarning, match="3 channels"):
        assert nn.InstanceNorm1d(7)(X).shape == X.shape
