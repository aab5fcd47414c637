"""conv2d as a differentiable operation."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck
from tinydl.ops.conv import conv2d


def double(rng, shape):
    return tinydl.tensor(rng.standard_normal(shape), requires_grad=True)


OPTIONS = [
    {},
    {"padding": 1, "stride": 2},
    {"padding": "same"},
    {"padding": (0, 1), "stride": (1, 2), "dilation": (2, 1)},
    {"padding": (1, 0, 2, 1)},
    {"groups": 2},
    {"activation": "relu"},
    {"activation": "tanh", "padding": 1},
    {"activation": "sigmoid", "padding": "valid"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradcheck(options, rng):
    per_group = 4 // options.get("groups", 1)
    x, w, b = double(rng, (2, 4, 5, 6)), double(rng, (6, per_group, 3, 2)), double(rng, (6,))
    gradcheck(lambda *args: conv2d(*args, **options), [x, w, b])


def test_gradcheck_of_layouts_and_empty_batches(rng):
    w = double(rng, (2, 3, 2, 2))
    for _, array in layouts(rng.standard_normal((2, 3, 4, 4))):
        x = tinydl.from_numpy(array).requires_grad_()
        gradcheck(lambda a, b: conv2d(a, b, padding=1), [x, w])
    gradcheck(conv2d, [double(rng, (0, 3, 4, 4)), w])
    gradcheck(conv2d, [double(rng, (3, 4, 4)), w])
    gradcheck(lambda a, b: conv2d(a.expand(2, 3, 4, 4), b), [double(rng, (1, 3, 1, 4)), w])


TORCH_HAS = [o for o in OPTIONS if "activation" not in o and o.get("padding") != (1, 0, 2, 1)]


@pytest.mark.filterwarnings("ignore:Using padding=.same.")
@pytest.mark.parametrize("options", TORCH_HAS, ids=str)
def test_equals_torch(options, torch, rng):
    per_group = 4 // options.get("groups", 1)
    arrays = [normal(rng, s) for s in [(3, 4, 9, 10), (6, per_group, 3, 2), (6,)]]
    ours = [tinydl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, expected = conv2d(*ours, **options), torch.nn.functional.conv2d(*theirs, **options)
    upstream = normal(rng, y.shape)
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    assert_close(y, expected.detach().numpy(), "gradient", length=24, scale=10)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a.grad, b.grad.numpy(), "gradient", length=270, scale=10)


def test_wrong_calls():
    x, w = tinydl.ones(2, 3, 8, 8), tinydl.ones(5, 3, 3, 3)
    with pytest.raises(ValueError, match="'same' needs stride 1"):
        conv2d(x, w, padding="same", stride=2)
    with pytest.raises(ValueError, match="padding='full'"):
        conv2d(x, w, padding="full")
    with pytest.raises(ValueError, match=r"stride=\(1, 2, 3\)"):
        conv2d(x, w, stride=(1, 2, 3))
    with pytest.raises(ValueError, match="activation 'gelu'"):
        conv2d(x, w, activation="gelu")
    with pytest.raises(ValueError, match=r"weight of shape \(3, 3, 3\)"):
        conv2d(x, w[0])
    with pytest.raises(TypeError, match="float32 and float64"):
        conv2d(x, w.double())
    with pytest.raises(TypeError, match="int64"):
        conv2d(x.long(), w.long())
    with pytest.raises(ValueError, match=r"bias of shape \(4,\), wanted \(5,\)"):
        conv2d(x, w, tinydl.ones(4))
    assert np.isfinite(conv2d(x, w).numpy()).all()
