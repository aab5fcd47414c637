"""interpolate: gradients, properties, refusals, and the comparison with PyTorch over drawn arguments."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.ops.resample import AXES, interpolate

FACTORS = (0.3, 1 / 3, 0.5, 0.7, 0.99, 1.0, 1.1, 1.5, 2.0, 2.3, 3.0)
FLAGS = {"recompute_scale_factor": st.booleans(), "align_corners": st.booleans(), "antialias": st.booleans()}


@st.composite
def calls(draw, mode):
    """(shape, arguments) of a call, right or wrong."""
    axes = draw(st.sampled_from([*AXES[mode]] * 4 + [1, 2, 3]))
    shape = draw(st.tuples(st.integers(0, 2), st.integers(1, 3), *[st.integers(1, 11)] * axes))
    if draw(st.booleans()):
        arguments = {"size": draw(st.tuples(*[st.integers(0, 24)] * axes))}
    else:
        arguments = {"scale_factor": draw(st.tuples(*[st.sampled_from(FACTORS)] * axes))}
    arguments |= draw(st.fixed_dictionaries({}, optional=FLAGS))
    if mode == "lanczos":
        arguments["antialias"] = draw(st.sampled_from([True, True, False]))
    return shape, {"mode": mode, **arguments}


def outcome(function, *args, **kwargs):
    """The result, or None where the call is refused."""
    try:
        return function(*args, **kwargs)
    except (ValueError, RuntimeError, NotImplementedError):
        return None


def errs(shape, after, arguments):
    """Whether PyTorch errs in (values, gradients).

    Antialiased images of width 1 repeat their first row; gradients of those that keep a size are not the values'.
    "nearest" drops the factor, in some memory layouts, where the size stays or doubles.
    """
    pairs = list(zip(shape[2:], after[2:], strict=True))
    if arguments.get("antialias"):
        return after[-1] == 1, any(n == m for n, m in pairs)
    factors = arguments.get("scale_factor", [m / n for n, m in pairs])
    dropped = any(m in (n, 2 * n) and m != n * f for (n, m), f in zip(pairs, factors, strict=True))
    return (arguments["mode"] == "nearest" and dropped,) * 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", AXES)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_equals_pytorch(torch, mode, data):
    shape, arguments = data.draw(calls(mode))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    for dtype in (np.float32, np.float64):
        x = normal(rng, shape, dtype)
        ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        got = outcome(interpolate, ours, **arguments)
        expected = outcome(torch.nn.functional.interpolate, theirs, **arguments)
        assert (got is None) == (expected is None)
        assume(got is not None)
        wrong_values, wrong_gradients = errs(shape, got.shape, arguments)
        assume(not wrong_values)
        assert_close(got, expected.detach().numpy(), "gradient", scale=np.abs(x).max(initial=0))
        if got.numel() == 0 or wrong_gradients:
            continue
        grad = normal(rng, got.shape, dtype)
        got.backward(tinydl.tensor(grad))
        expected.backward(torch.tensor(grad))
        shared = max(1, got.numel() / x.size)
        assert_close(ours.grad, theirs.grad.numpy(), "gradient", scale=np.abs(grad).max() * shared)


CASES = [
    ("nearest", (2, 3, 5), {"size": 7}),
    ("nearest", (1, 2, 3, 4), {"scale_factor": 2}),
    ("nearest-exact", (1, 2, 2, 3, 2), {"size": (3, 2, 5)}),
    ("area", (2, 1, 5, 4), {"size": (3, 6)}),
    ("linear", (1, 3, 4), {"scale_factor": 1.7, "align_corners": True}),
    ("bilinear", (2, 2, 4, 3), {"size": (5, 2)}),
    ("bilinear", (2, 2, 4, 3), {"size": (2, 7), "antialias": True}),
    ("bicubic", (1, 2, 4, 3), {"size": (7, 2)}),
    ("bicubic", (1, 2, 5, 3), {"size": (2, 3), "antialias": True}),
    ("lanczos", (1, 2, 5, 3), {"size": (2, 4), "antialias": True}),
    ("trilinear", (1, 2, 3, 2, 3), {"scale_factor": (2, 0.7, 1)}),
    ("nearest", (0, 2, 3, 4), {"size": 2}),
    ("area", (1, 2, 3, 4), {"size": (2, 0)}),
]


@pytest.mark.parametrize(("mode", "shape", "arguments"), CASES)
def test_gradcheck(mode, shape, arguments, rng):
    for _, view in layouts(normal(rng, shape, np.float64)):
        assert gradcheck(lambda x: interpolate(x, mode=mode, **arguments), tinydl.Tensor(view, requires_grad=True))


@pytest.mark.parametrize(("mode", "shape", "arguments"), CASES)
def test_a_constant_stays_constant(isa, mode, shape, arguments):
    got = interpolate(tinydl.ones(shape), mode=mode, **arguments)
    assert_close(got, np.ones(got.shape), "resample", length=4)


@given(before=st.integers(1, 40), factor=st.floats(0.1, 5))
def test_nearest_is_the_formula(before, factor):
    assume(int(before * factor) > 0)
    x = tinydl.arange(float(before)).reshape(1, 1, before)
    step = np.float32(1 / factor)
    i = np.arange(int(before * factor))
    for mode, index in (("nearest", i.astype(np.float32) * step), ("nearest-exact", (i + 0.5) * float(step))):
        expected = np.minimum(np.floor(index.astype(np.float32)), before - 1)
        assert np.array_equal(interpolate(x, scale_factor=factor, mode=mode).numpy()[0, 0], expected)


@pytest.mark.parametrize("mode", AXES)
def test_the_same_size_is_a_copy(mode, rng):
    x = tinydl.tensor(normal(rng, (2, 3, 4, 5, 6)[: 2 + AXES[mode][-1]]))
    got = interpolate(x, x.shape[2:], mode=mode, antialias=mode == "lanczos")
    assert np.array_equal(got.numpy(), x.numpy())
    assert not np.shares_memory(got.numpy(), x.numpy())


def test_antialiased_columns_are_rows_transposed(rng):
    x = normal(rng, (1, 2, 9, 1))
    for mode in ("bilinear", "bicubic", "lanczos"):
        rows = interpolate(tinydl.tensor(x), (4, 1), mode=mode, antialias=True)
        columns = interpolate(tinydl.tensor(x.transpose(0, 1, 3, 2)), (1, 4), mode=mode, antialias=True)
        assert np.array_equal(rows.numpy(), columns.numpy().transpose(0, 1, 3, 2))


def test_images_are_stored_channels_last(rng):
    x = tinydl.tensor(normal(rng, (2, 3, 4, 5)), requires_grad=True)
    y = interpolate(x, scale_factor=2, mode="bilinear")
    y.backward(tinydl.ones(y.shape))
    for array in (y._data, x.grad._data):
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_other_dtypes(torch, rng):
    for mode, options in (("nearest", {}), ("bilinear", {}), ("bilinear", {"antialias": True})):
        pixels = rng.integers(0, 256, (1, 3, 7, 6), np.uint8)
        got = interpolate(tinydl.tensor(pixels), (5, 11), mode=mode, **options)
        expected = torch.nn.functional.interpolate(torch.tensor(pixels), (5, 11), mode=mode, **options)
        assert got.dtype == np.uint8
        difference = np.abs(got.numpy().astype(int) - expected.numpy())
        assert difference.max() <= (0 if mode == "nearest" else 1)  # PyTorch rounds its weights to 16 bits
    pixels = tinydl.tensor(pixels)
    cubic = interpolate(pixels.float(), (5, 11), mode="bicubic").numpy()
    assert np.array_equal(interpolate(pixels, (5, 11), mode="bicubic").numpy(), np.rint(cubic).clip(0, 255))
    half = tinydl.tensor(normal(rng, (1, 2, 4)), dtype="float16")
    assert interpolate(half, 7, mode="linear").dtype == np.float16
    for mode, dtype in (("nearest", "int64"), ("bilinear", "int64"), ("nearest", "bool"), ("area", "uint8")):
        with pytest.raises(TypeError, match=r"want(ed|s) a floating-point"):
            interpolate(tinydl.ones(1, 2, 3, 4, dtype=dtype), 2, mode=mode)


WRONG = [
    ((1, 2, 4), {"size": 2, "mode": "cubic"}, "got mode 'cubic', wanted one of nearest"),
    ((1, 2, 4), {"size": 2, "mode": "bilinear"}, r"mode 'bilinear' wants 2 axes after \(N, C\), got shape \(1, 2, 4\)"),
    ((2, 4), {"size": 2}, "wants 1 or 2 or 3 axes"),
    ((1, 2, 4), {}, "got size=None and scale_factor=None, wanted one of them"),
    ((1, 2, 4), {"size": 2, "scale_factor": 2}, "got size=2 and scale_factor=2"),
    ((1, 2, 4), {"size": (2, 3)}, r"got size=\(2, 3\), wanted one number or 1"),
    ((1, 2, 4, 4), {"scale_factor": (2.0,)}, r"got scale_factor=\(2.0,\), wanted one number or 2"),
    ((1, 2, 4), {"size": 0}, r"got \(4,\) elements and an output of \(0,\)"),
    ((1, 2, 4), {"scale_factor": -1}, "an output of"),
    ((1, 2, 4), {"scale_factor": float("nan")}, "wanted finite numbers"),
    ((1, 0, 4), {"size": 2}, "wanted at least one channel"),
    ((1, 2, 4), {"size": 2, "align_corners": False}, "align_corners has no meaning in mode 'nearest'"),
    ((1, 2, 4), {"size": 2, "antialias": True}, "antialias wants one of the modes bilinear"),
    ((1, 2, 4, 4), {"size": 2, "mode": "lanczos"}, "'lanczos' wants antialias=True"),
    ((1, 2, 4), {"size": 2, "recompute_scale_factor": True}, "no meaning with a size"),
]


@pytest.mark.parametrize(("shape", "arguments", "message"), WRONG)
def test_wrong_calls(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        interpolate(tinydl.ones(shape), **arguments)


def test_wrong_types():
    with pytest.raises(TypeError, match="got list, wanted a tensor"):
        interpolate([1.0], 2)
    with pytest.raises(TypeError, match=r"got size=2\.5, wanted integers"):
        interpolate(tinydl.ones(1, 1, 2), 2.5)
    with pytest.raises(TypeError, match="got scale_factor='2x', wanted numbers"):
        interpolate(tinydl.ones(1, 1, 2), scale_factor="2x")


LAYERS = [
    ("Upsample", {"scale_factor": 2, "mode": "bilinear", "align_corners": True}),
    ("Upsample", {"size": (3, 5)}),
    ("Upsample", {"scale_factor": (1.5, 2), "mode": "bicubic", "recompute_scale_factor": True}),
    ("UpsamplingNearest2d", {"scale_factor": 2}),
    ("UpsamplingBilinear2d", {"size": 7}),
]


@pytest.mark.parametrize(("name", "arguments"), LAYERS)
def test_layers_equal_pytorch(torch, name, arguments, rng):
    x = normal(rng, (2, 3, 4, 5))
    ours, theirs = getattr(nn, name)(**arguments), getattr(torch.nn, name)(**arguments)
    expected = theirs(torch.tensor(x)).numpy()
    assert_close(ours(tinydl.tensor(x)), expected, "gradient", scale=np.abs(x).max())
    assert repr(ours) == repr(theirs)
