"""The public pooling operations: gradients, errors, and the comparison with PyTorch."""

import itertools

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck
from tinydl.ops.pool import avg_pool2d, max_pool2d


def distinct(rng, shape):
    """Values that differ by at least 0.1, so that no difference quotient changes a maximum."""
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 10


SHAPES = [(1, 1, 1, 1), (0, 2, 4, 4), (2, 0, 4, 4), (2, 3, 5, 4), (1, 17, 3, 4), (3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", [(1,), (2, 1, 1), ((2, 3), 2, 1), (2, 1, 1, 2), (3, 2, 1, 1, True)])
def test_max_gradcheck(shape, options, rng):
    for _, view in layouts(distinct(rng, shape)):
        x = tinydl.Tensor(view, requires_grad=True)
        assert gradcheck(lambda x: max_pool2d(x, *(options if 1 not in shape[-2:] else (1,))), x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options", [(1,), (2, 1, 1), ((2, 3), 2, 1), (3, 2, 1, True, False), (2, 1, 1, False, True, 3)]
)
def test_average_gradcheck(shape, options, rng):
    for _, view in layouts(normal(rng, shape, np.float64)):
        x = tinydl.Tensor(view, requires_grad=True)
        assert gradcheck(lambda x: avg_pool2d(x, *(options if 1 not in shape[-2:] else (1,))), x)


def geometries():
    for kernel, stride, dilation, ceil_mode in itertools.product((1, 2, 3, 4), (1, 2, 3), (1, 2), (False, True)):
        for padding in range(kernel // 2 + 2):
            yield kernel, stride, padding, dilation, ceil_mode


def outcome(f, *args, **kwargs):
    """The result, or None where the call is refused."""
    try:
        return f(*args, **kwargs)
    except (ValueError, RuntimeError):
        return None


@pytest.mark.filterwarnings("ignore")
def test_max_equals_pytorch_on_every_small_geometry(torch, rng):
    for size in (1, 2, 4, 7):
        x = rng.integers(-3, 3, (2, 3, size, size)).astype(np.float32)
        x[rng.random(x.shape) < 0.05] = np.nan
        for geometry in geometries():
            theirs = torch.tensor(x, requires_grad=True)
            expected = outcome(torch.nn.functional.max_pool2d, theirs, *geometry, return_indices=True)
            ours = tinydl.tensor(x, requires_grad=True)
            got = outcome(max_pool2d, ours, *geometry, return_indices=True)
            assert (got is None) == (expected is None), (size, geometry)
            if got is None:
                continue
            assert_close(got[0], expected[0].detach().numpy(), "pool")
            if np.isneginf(got[0].detach().numpy()).any():
                continue  # a window without taps inside: PyTorch's index then lies outside the image
            assert np.array_equal(got[1].numpy(), expected[1].numpy()), (size, geometry)
            grad = normal(rng, got[0].shape)
            got[0].backward(tinydl.tensor(grad))
            expected[0].backward(torch.tensor(grad))
            assert_close(ours.grad, theirs.grad.numpy(), "pool", length=16, scale=16 * np.abs(grad).max())


@pytest.mark.filterwarnings("ignore")
def test_average_equals_pytorch_on_every_small_geometry(torch, rng):
    for size, (kernel, stride, padding, dilation, ceil_mode) in itertools.product((1, 2, 4, 7), geometries()):
        if dilation != 1:
            continue
        x = normal(rng, (2, 3, size, size))
        for include_pad, divisor in ((True, None), (False, None), (True, 5)):
            options = kernel, stride, padding, ceil_mode, include_pad, divisor
            theirs = torch.tensor(x, requires_grad=True)
            expected = outcome(torch.nn.functional.avg_pool2d, theirs, *options)
            ours = tinydl.tensor(x, requires_grad=True)
            got = outcome(avg_pool2d, ours, *options)
            assert (got is None) == (expected is None), (size, options)
            if got is None:
                continue
            assert_close(got, expected.detach().numpy(), "pool", length=16, scale=4)
            grad = normal(rng, got.shape)
            got.backward(tinydl.tensor(grad))
            expected.backward(torch.tensor(grad))
            assert_close(ours.grad, theirs.grad.numpy(), "pool", length=16, scale=16 * np.abs(grad).max())


@pytest.mark.parametrize("channels", [1, 32])
def test_equals_pytorch_channels_last(torch, isa, channels, rng):
    x = np.ascontiguousarray(normal(rng, (4, 13, 11, channels))).transpose(0, 3, 1, 2)
    theirs = torch.from_numpy(x).clone(memory_format=torch.channels_last).requires_grad_()
    ours = tinydl.Tensor(x, requires_grad=True)
    expected = torch.nn.functional.max_pool2d(theirs, 3, 2, 1)
    got = max_pool2d(ours, 3, 2, 1)
    grad = normal(rng, got.shape)
    got.backward(tinydl.tensor(grad))
    expected.backward(torch.tensor(grad))
    assert_close(got, expected.detach().numpy(), "pool")
    assert_close(ours.grad, theirs.grad.numpy(), "pool", scale=4 * np.abs(grad).max())
    assert ours.grad.stride() == ours.stride()


def test_one_image(rng):
    x = tinydl.tensor(normal(rng, (3, 5, 5)), requires_grad=True)
    y, indices = max_pool2d(x, 2, return_indices=True)
    assert y.shape == indices.shape == (3, 2, 2)
    assert indices.dtype == np.int64
    y.sum().backward()
    assert x.grad.shape == (3, 5, 5)
    assert avg_pool2d(x, 5).shape == (3, 1, 1)


def test_nothing_is_recorded_without_a_gradient(rng):
    x = tinydl.tensor(normal(rng, (1, 2, 4, 4)))
    assert max_pool2d(x, 2).grad_fn is None
    with tinydl.no_grad():
        assert max_pool2d(x.detach().requires_grad_(), 2).grad_fn is None


WRONG = [
    (("2",), TypeError, r"got kernel_size='2', wanted one integer or 2"),
    (((2, 2, 2),), ValueError, r"got kernel_size=\(2, 2, 2\), wanted one integer or 2"),
    ((2.0,), TypeError, "got kernel_size=2.0"),
    ((0,), ValueError, r"got kernel_size \(0, 0\), wanted integers from 1"),
    ((2, 0), ValueError, r"got stride \(0, 0\), wanted integers from 1"),
    ((2, 2, -1), ValueError, r"got padding \(-1, -1\), wanted integers from 0"),
    ((3, 2, (1, 2)), ValueError, r"got padding \(1, 2\), wanted at most half of the kernel_size \(3, 3\)"),
    ((5,), ValueError, r"windows that span \(5, 5\) pixels do not fit into \(4, 4\) pixels with padding \(0, 0\)"),
]


@pytest.mark.parametrize("op", [max_pool2d, avg_pool2d])
@pytest.mark.parametrize(("args", "error", "message"), WRONG)
def test_wrong_sizes(op, args, error, message):
    with pytest.raises(error, match=f"{op.__name__}: {message}"):
        op(tinydl.zeros(1, 2, 4, 4), *args)


@pytest.mark.parametrize("op", [max_pool2d, avg_pool2d])
def test_wrong_inputs(op):
    with pytest.raises(ValueError, match=r"got an input of shape \(4, 4\), wanted \(N, C, H, W\) or \(C, H, W\)"):
        op(tinydl.zeros(4, 4), 2)
    with pytest.raises(ValueError, match=r"an input of shape \(1, 2, 0, 4\) has no pixels"):
        op(tinydl.zeros(1, 2, 0, 4), 1)
    with pytest.raises(TypeError, match="got dtype int64"):
        op(tinydl.zeros(1, 2, 4, 4, dtype="int64"), 2)
    with pytest.raises(TypeError, match="got ndarray, wanted a tensor"):
        op(np.zeros((1, 2, 4, 4), np.float32), 2)


def test_other_wrong_calls():
    with pytest.raises(ValueError, match=r"got dilation \(0, 0\)"):
        max_pool2d(tinydl.zeros(1, 2, 4, 4), 2, dilation=0)
    with pytest.raises(ValueError, match="avg_pool2d: got divisor_override 0, wanted another integer"):
        avg_pool2d(tinydl.zeros(1, 2, 4, 4), 2, divisor_override=0)
