"""Adaptive and one-dimensional pooling and unpooling: definitions, gradients, PyTorch, wrong calls."""

import itertools

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import backend, nn
from tinydl.autograd import gradcheck

F = nn.functional


def bins(size, count):
    """Which positions each window holds, by exact fractions of the axis."""
    return [[p for p in range(size) if (p + 1) * count > i * size and p * count < (i + 1) * size] for i in range(count)]


def definition(x, size, reduce):
    rows, columns = bins(x.shape[2], size[0]), bins(x.shape[3], size[1])
    y = np.zeros((*x.shape[:2], *size))
    for (i, hs), (j, ws) in itertools.product(enumerate(rows), enumerate(columns)):
        y[:, :, i, j] = reduce(x[:, :, hs][:, :, :, ws].astype(np.float64), axis=(2, 3))
    return y


def distinct(rng, shape, dtype=np.float64):
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype) / 10


SIZES = [(1, 1), (2, 3), (3, 3), (6, 4), (5, 7), (1, 4), (9, 2)]


@pytest.mark.parametrize("size", SIZES)
def test_against_the_definition(isa, size, rng):
    x = normal(rng, (2, 19, 6, 8))
    for _, view in layouts(x):
        tensor = tinydl.from_numpy(view)
        got = F.adaptive_avg_pool2d(tensor, size)
        assert_close(got, definition(x, size, np.mean), "pool", length=48, scale=np.abs(x).max())
        assert np.array_equal(F.adaptive_max_pool2d(tensor, size), definition(x, size, np.max))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (0, 2, 6, 8), (3, 6, 8)])
def test_gradcheck(size, shape, rng):
    for _, view in layouts(distinct(rng, shape)):
        x = tinydl.Tensor(view, requires_grad=True)
        assert gradcheck(lambda x: F.adaptive_avg_pool2d(x, size), x)
        assert gradcheck(lambda x: F.adaptive_max_pool2d(x, size), x)


def outcome(f, *args, **kwargs):
    """The results as a tuple, or None where the call is refused."""
    try:
        result = f(*args, **kwargs)
    except (ValueError, TypeError, RuntimeError):
        return None
    return result if isinstance(result, tuple) else (result,)


def compare(torch, rng, name, x, *args, **options):
    """Values, indices, gradients and refusals equal PyTorch's."""
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got, expected = (
        outcome(getattr(of, name), t, *args, **options) for of, t in ((F, ours), (torch.nn.functional, theirs))
    )
    assert (got is None) == (expected is None), (name, x.shape, args, options)
    if got is None:
        return False
    assert_close(
        got[0], expected[0].detach().numpy(), "pool", length=64, scale=max(1.0, np.nanmax(np.abs(x), initial=0))
    )
    if np.isneginf(got[0].detach().numpy()).any():
        return True  # a window without taps inside: PyTorch's index then lies outside, and its backward crashes
    if len(got) == 2:
        assert np.array_equal(got[1].numpy(), expected[1].numpy())
        assert got[1].dtype == np.int64
    if got[0].numel() == 0 and x.size:
        return True  # PyTorch refuses to go back
    grad = normal(rng, got[0].shape)
    got[0].backward(tinydl.tensor(grad))
    expected[0].backward(torch.tensor(grad))
    assert_close(ours.grad, theirs.grad.numpy(), "pool", length=64, scale=64 * np.abs(grad).max(initial=0.0))
    return True


def images(rng, shape):
    """Numbers of which some are equal, and some NaN."""
    x = rng.integers(-3, 3, shape).astype(np.float32)
    x[rng.random(shape) < 0.05] = np.nan
    return x


def test_adaptive_equals_pytorch(torch, rng):
    done = 0
    for size in itertools.product((1, 2, 3, 5, 7, None), repeat=2):
        for shape in ((2, 3, 5, 7), (1, 1, 1, 9), (3, 6, 4)):
            done += compare(torch, rng, "adaptive_avg_pool2d", normal(rng, shape), size)
            done += compare(torch, rng, "adaptive_max_pool2d", images(rng, shape), size, return_indices=True)
    for size in (1, 2, 3, 4, 11, 12, (5,)):
        for shape in ((2, 3, 11), (3, 12), (0, 2, 6)):
            done += compare(torch, rng, "adaptive_avg_pool1d", normal(rng, shape), size)
            done += compare(torch, rng, "adaptive_max_pool1d", images(rng, shape), size, return_indices=True)
    assert done == 36 * 3 * 2 + 7 * 3 * 2


REFUSED = [
    (2, (2, 3, 0, 4), 2),
    (2, (4, 4), 2),
    (2, (2, 3, 4, 4), -1),
    (2, (2, 3, 4, 4), (2, 2, 2)),
    (2, (2, 3, 4, 4), 1.5),
    (1, (2, 3, 4), None),
    (1, (2, 3, 4), (1, 2)),
    (1, (2, 3, 0), 1),
    (1, (4,), 1),
]


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize(("axes", "shape", "size"), REFUSED)
def test_adaptive_refuses_what_pytorch_refuses(torch, rng, kind, axes, shape, size):
    if shape == (2, 3, 0) and kind == "avg":
        pytest.skip("PyTorch averages a signal without elements to NaN, an image not")
    assert not compare(torch, rng, f"adaptive_{kind}_pool{axes}d", np.zeros(shape, np.float32), size)


def test_sizes_of_zero_equal_pytorch(torch, rng):
    for size in (0, (0, 2), (3, 0)):
        for kind in ("avg", "max"):
            compare(torch, rng, f"adaptive_{kind}_pool2d", normal(rng, (2, 3, 4, 6)), size)


@pytest.mark.filterwarnings("ignore")
def test_signals_equal_pytorch_on_every_small_geometry(torch, rng):
    done = 0
    for length, kernel, stride, ceil_mode in itertools.product((1, 2, 5, 8), (1, 2, 3, 4), (1, 2, 3), (False, True)):
        for padding in range(kernel // 2 + 2):
            x = normal(rng, (2, 3, length))
            for include in (True, False):
                done += compare(torch, rng, "avg_pool1d", x, kernel, stride, padding, ceil_mode, include)
            for dilation in (1, 2):
                options = {"dilation": dilation, "ceil_mode": ceil_mode}
                if dilation == 1 or kernel * stride > 0:
                    done += compare(
                        torch, rng, "max_pool1d", x, kernel, stride, padding, **options, return_indices=True
                    )
    assert done > 300


def test_signals(rng):
    for _, view in layouts(distinct(rng, (2, 3, 7))):
        x = tinydl.Tensor(view, requires_grad=True)
        assert gradcheck(lambda x: F.max_pool1d(x, 3, 2, 1), x)
        assert gradcheck(lambda x: F.avg_pool1d(x, (3,), (2,), (1,), True, False), x)
        assert gradcheck(lambda x: F.adaptive_avg_pool1d(x, 3), x)
        assert gradcheck(lambda x: F.adaptive_max_pool1d(x, 3), x)


def test_unpooling_equals_pytorch(torch, rng):
    x = distinct(rng, (2, 3, 7, 9), np.float32)
    for kernel, stride, padding, size in [
        ((1, 3), None, 0, None),
        (3, 2, 1, None),
        (2, 2, 0, (7, 9)),
        ((2, 3), (2, 3), 0, (2, 3, 7, 9)),
        (3, 3, 1, (7, 9)),
    ]:
        y, indices = torch.nn.functional.max_pool2d(torch.tensor(x), kernel, stride, padding, return_indices=True)
        for part in (slice(None), 0):
            theirs = y[part].clone().requires_grad_()
            ours = tinydl.tensor(y[part].numpy(), requires_grad=True)
            wanted = size[-2:] if size and part == 0 else size
            expected = torch.nn.functional.max_unpool2d(theirs, indices[part], kernel, stride, padding, wanted)
            got = F.max_unpool2d(ours, tinydl.tensor(indices[part].numpy()), kernel, stride, padding, wanted)
            assert np.array_equal(got.detach(), expected.detach())
            grad = normal(rng, got.shape)
            got.backward(tinydl.tensor(grad))
            expected.backward(torch.tensor(grad))
            assert np.array_equal(ours.grad, theirs.grad)
    layer, peer = nn.MaxUnpool2d((2, 3), 2), torch.nn.MaxUnpool2d((2, 3), 2)
    assert repr(layer) == repr(peer)
    y, indices = F.max_pool1d(tinydl.tensor(x[0, 0]), 2, return_indices=True)
    assert np.array_equal(F.max_pool1d(F.max_unpool1d(y, indices, 2), 2), y)


def test_wrong_unpooling():
    y, indices = F.max_pool2d(tinydl.arange(16.0).reshape(1, 1, 4, 4), 2, return_indices=True)
    with pytest.raises(IndexError, match=r"max_unpool2d: indices from 5 to 16 do not fit into an output of \(4, 4\)"):
        F.max_unpool2d(y, tinydl.tensor([[[[5, 7], [13, 16]]]]), 2)
    with pytest.raises(ValueError, match=r"output_size=\(6, 4\), wanted less than \(2, 2\) from \(4, 4\)"):
        F.max_unpool2d(y, indices, 2, output_size=(6, 4))
    with pytest.raises(ValueError, match="wanted 2 or 4 sizes"):
        F.max_unpool2d(y, indices, 2, output_size=(4,))
    with pytest.raises(ValueError, match="wanted one shape"):
        F.max_unpool2d(y, indices[0], 2)
    with pytest.raises(TypeError, match="got dtypes float32 and float32"):
        F.max_unpool2d(y, y, 2)
    with pytest.raises(TypeError, match="wanted a tensor"):
        F.max_unpool2d(y, indices.numpy(), 2)


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x = tinydl.tensor(normal(rng, (3, 40, 48, 36)), requires_grad=True)
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            for size in (1, 12):
                y = F.adaptive_avg_pool2d(x, size)
                x.grad = None
                (y * y).sum().backward()
                results.add((size, y.detach().numpy().tobytes() + x.grad.numpy().tobytes()))
    assert len(results) == 2


WRONG = [
    (lambda x: F.adaptive_avg_pool2d(x, 2.5), TypeError, "adaptive_avg_pool2d: got output_size=2.5, wanted 2 integers"),
    (lambda x: F.adaptive_max_pool2d(x, (1, -1)), ValueError, r"output_size=\(1, -1\), wanted at least 0"),
    (lambda x: F.adaptive_avg_pool2d(x[0, 0], 1), ValueError, r"shape \(4, 4\), wanted \(N, C, H, W\) or \(C, H, W\)"),
    (lambda x: F.adaptive_avg_pool2d(x[:, :0], 1), ValueError, r"shape \(1, 0, 4, 4\) has no channels"),
    (lambda x: F.adaptive_avg_pool2d(x.long(), 1), TypeError, "adaptive_avg_pool2d: got dtype int64"),
    (lambda x: F.adaptive_avg_pool1d(x, 1), ValueError, r"adaptive_avg_pool1d: got an input of shape \(1, 2, 4, 4\)"),
    (lambda x: F.adaptive_max_pool1d(x[0], None), TypeError, "adaptive_max_pool1d: got output_size=None"),
    (lambda x: F.max_pool1d(x[0], 0), ValueError, "max_pool1d: got kernel_size 0, stride 0 and dilation 1"),
    (lambda x: F.max_pool1d(x[0], 2, padding=2), ValueError, "max_pool1d: got padding 2, wanted from 0 to half of the"),
    (lambda x: F.avg_pool1d(x[0], 5), ValueError, "avg_pool1d: windows that span 5 do not fit into 4 with padding 0"),
    (lambda x: F.avg_pool1d(x[0], (2, 2)), ValueError, r"avg_pool1d: got kernel_size=\(2, 2\), wanted one integer"),
    (lambda x: F.avg_pool1d(x.long()[0], 2), TypeError, "avg_pool1d: got dtype int64"),
    (lambda x: F.avg_pool1d(x.numpy(), 2), TypeError, "avg_pool1d: got ndarray, wanted a tensor"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(tinydl.zeros(1, 2, 4, 4))
