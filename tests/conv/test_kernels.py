"""Convolution kernels against the definition in float64."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.conftest import TIERS
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

from . import reference

# (n, c, h, w), (filters, kh, kw), stride, padding (top, bottom, left, right), dilation, groups
CASES = {
    "first layer": ((2, 1, 9, 8), (32, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "documents' second layer": ((2, 32, 7, 7), (64, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "alexnet's first layer": ((1, 3, 35, 33), (64, 11, 11), (4, 4), (2, 2, 2, 2), (1, 1), 1),
    "wide kernel": ((2, 5, 13, 11), (70, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    "uneven everything": ((2, 6, 17, 14), (10, 5, 3), (2, 3), (2, 1, 0, 3), (1, 2), 2),
    "stride over kernel": ((2, 3, 11, 13), (4, 2, 1), (3, 4), (0, 0, 0, 0), (1, 1), 1),
    "dilated": ((1, 4, 15, 15), (6, 3, 3), (2, 1), (4, 4, 2, 2), (3, 2), 1),
    "depthwise": ((2, 6, 8, 8), (12, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
    "depthwise, stride and a long row": ((2, 83, 5, 300), (83, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 83),
    "depthwise, wide kernel": ((2, 70, 9, 27), (70, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 70),
    "depthwise, wider kernel": ((1, 18, 8, 30), (18, 7, 7), (1, 1), (3, 3, 3, 3), (1, 1), 18),
    "depthwise, uneven": ((2, 5, 11, 14), (15, 4, 3), (3, 2), (2, 1, 0, 4), (1, 2), 5),
    "depthwise, stride over kernel": ((2, 7, 9, 9), (7, 2, 1), (3, 4), (0, 0, 0, 0), (1, 1), 7),
    "depthwise, padding over kernel": ((1, 3, 4, 4), (3, 2, 2), (1, 2), (5, 0, 3, 3), (1, 1), 3),
    "depthwise signal": ((3, 33, 1, 290), (33, 1, 4), (1, 1), (0, 0, 3, 0), (1, 1), 33),
    "depthwise, empty batch": ((0, 6, 8, 8), (6, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
    "narrow groups": ((2, 24, 7, 11), (24, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
    "groups of two, stride": ((2, 50, 9, 13), (50, 3, 3), (2, 2), (1, 0, 1, 1), (1, 1), 25),
    "groups of three": ((2, 21, 9, 21), (21, 3, 2), (1, 2), (1, 1, 1, 0), (1, 2), 7),
    "groups of eight": ((1, 40, 6, 19), (40, 1, 3), (1, 1), (0, 0, 1, 1), (1, 1), 5),
    "pointwise": ((3, 20, 5, 5), (33, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    # Channels that fill 16 bytes, in one group and several.
    "whole packs": ((2, 16, 9, 8), (24, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    "whole packs, groups, stride": ((2, 32, 9, 8), (48, 3, 2), (2, 3), (1, 2, 1, 0), (1, 1), 2),
    "whole packs, stride and dilation": ((1, 16, 15, 14), (16, 3, 4), (2, 4), (1, 2, 3, 0), (2, 2), 1),
    "whole packs, depthwise": ((2, 16, 7, 9), (16, 3, 3), (2, 1), (1, 1, 1, 1), (1, 2), 16),
    # From here on large enough for matrix tiles, forward and both gradients.
    "tiles": ((2, 32, 19, 17), (48, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    "tiles, stride and dilation": ((3, 50, 23, 25), (70, 3, 2), (2, 1), (0, 1, 2, 1), (1, 2), 1),
    "tiles, groups": ((2, 66, 21, 20), (70, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2),
    "few channels, but forward on tiles": ((2, 5, 40, 40), (40, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    # Batches whose input gradient is scattered.
    "scattered": ((5, 20, 9, 8), (37, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "scattered, three channels": ((4, 3, 35, 29), (40, 7, 7), (4, 3), (2, 1, 0, 2), (1, 1), 1),
    "scattered, many filters": ((4, 7, 6, 7), (150, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "scattered, dilated rows and gaps": ((6, 2, 14, 17), (9, 3, 2), (2, 5), (1, 0, 0, 3), (2, 1), 1),
    "padding over kernel": ((1, 2, 4, 4), (3, 2, 2), (1, 2), (5, 0, 3, 3), (1, 1), 1),
    "same, even kernel": ((1, 3, 6, 7), (5, 4, 2), (1, 1), (1, 2, 0, 1), (1, 1), 1),
    "empty batch": ((0, 3, 6, 6), (5, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "no channels": ((2, 0, 6, 6), (5, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
}


def gradient_for(y):
    """Some upstream gradient, the same for every tier."""
    return normal(np.random.default_rng(1), y.shape, y.dtype)


def check(kernels, rng, dtype, x_shape, filters, stride, padding, dilation, groups, every_layout=False):
    count, kh, kw = filters
    options = (stride, padding, dilation, groups)
    x, weight = normal(rng, x_shape, dtype), normal(rng, (count, x_shape[1] // groups, kh, kw), dtype)
    wide, wide_w = x.astype(np.float64), weight.astype(np.float64)
    expected = reference.conv2d(wide, wide_w, *options)
    scale = reference.conv2d(np.abs(wide), np.abs(wide_w), *options)
    grad = normal(rng, expected.shape, dtype)
    dx, dw = reference.gradients(wide, wide_w, grad, *options)
    dx_scale, dw_scale = reference.gradients(np.abs(wide), np.abs(wide_w), np.abs(grad), *options)
    sum_length = weight[:1].size
    forms = list(zip(layouts(x), layouts(weight), layouts(grad), strict=True))
    few = 1 if kernels is _cpu or dtype == np.float64 else 2
    for (_, lx), (_, lw), (_, lg) in forms if every_layout and kernels is _cpu else forms[-few:]:
        y = kernels.conv2d(lx, lw, None, *options, "none")
        assert_close(y, expected, "conv", length=sum_length, scale=scale)
        got = kernels.conv2d_input_grad(lg, lw, x.shape, *options)
        assert_close(got, dx, "conv", length=count * kh * kw, scale=dx_scale)
        got = kernels.conv2d_weight_grad(lx, lg, weight.shape, *options)
        assert_close(got, dw, "conv", length=max(1, grad[:, 0].size), scale=dw_scale)


@pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")
@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("tiles")])
def test_the_large_cases_run_on_tiles(case, rng):
    x_shape, (count, kh, kw), *options = CASES[case]
    x, weight = normal(rng, x_shape), normal(rng, (count, x_shape[1] // options[-1], kh, kw))
    results = []
    for isa in ("avx512", "amx"):
        with backend.use_isa(isa):
            y = _cpu.conv2d(x, weight, None, *options, "none")
            dx = _cpu.conv2d_input_grad(gradient_for(y), weight, x.shape, *options)
            results.append((y, dx, _cpu.conv2d_weight_grad(x, gradient_for(y), weight.shape, *options)))
    assert not any(np.array_equal(*pair) for pair in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_cases_on_every_tier(kernels, isa, case, dtype, rng):
    if kernels is not _cpu and ("on tiles" in case or (dtype == np.float64 and "tiles" in case)):
        pytest.skip("large only for the tiles of a CPU")
    check(kernels, rng, dtype, *CASES[case], every_layout=True)


def assert_rounded_once(got, exact, scale):
    """But for one rounding to got's type and the roundings of float32 sums."""
    unit = float(ml_dtypes.finfo(got.dtype).eps) / 2
    assert got.shape == exact.shape
    assert (np.abs(got.astype(np.float64) - exact) <= 1.01 * unit * np.abs(exact) + 2.0**-20 * scale + 2.0**-24).all()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("case", [case for case in CASES if "tiles" not in case])
def test_16_bit_cases(gpu_kernels, case, dtype, rng):
    x_shape, (count, kh, kw), *options = CASES[case]
    x = normal(rng, x_shape, dtype)
    weight = normal(rng, (count, x_shape[1] // options[-1], kh, kw), dtype)
    x, weight = list(layouts(x))[2][1], list(layouts(weight))[rng.integers(5)][1]
    bias = normal(rng, (count,), dtype)
    wide = [a.astype(np.float64) for a in (x, weight)]
    shift = bias.astype(np.float64)[:, None, None]
    exact = np.maximum(reference.conv2d(*wide, *options) + shift, 0)
    scale = reference.conv2d(*map(np.abs, wide), *options)
    y = gpu_kernels.conv2d(x, weight, bias, *options, "relu")
    assert y.dtype == dtype
    assert_rounded_once(y, exact, scale + np.abs(shift))
    grad = list(layouts(normal(rng, y.shape, dtype)))[2][1]
    wide_grad = grad.astype(np.float64)
    dx, dw = reference.gradients(*wide, wide_grad, *options)
    dx_scale, dw_scale = reference.gradients(*map(np.abs, (*wide, wide_grad)), *options)
    assert_rounded_once(gpu_kernels.conv2d_input_grad(grad, weight, x.shape, *options), dx, dx_scale)
    assert_rounded_once(gpu_kernels.conv2d_weight_grad(x, grad, weight.shape, *options), dw, dw_scale)


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3, 9]))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    size = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    for axis in (0, 1):
        padded = size[axis] + padding[2 * axis] + padding[2 * axis + 1]
        assume(padded >= dilation[axis] * (kernel[axis] - 1) + 1)
    channels, filters = draw(st.integers(1, 5)) * groups, draw(st.sampled_from([1, 2, 7, 16, 17])) * groups
    return (draw(st.integers(1, 5)), channels, *size), (filters, *kernel), stride, padding, dilation, groups


@given(case=convolutions(), seed=st.integers(0, 2**32 - 1))
def test_drawn_geometries(kernels, case, seed):
    check(kernels, np.random.default_rng(seed), np.float32, *case)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize(("groups", "filters"), [(1, 37), (6, 6), (6, 12), (3, 6)])
def test_bias_and_activation(kernels, isa, activation, groups, filters, rng):
    x, weight, bias = normal(rng, (2, 6, 9, 9)), normal(rng, (filters, 6 // groups, 3, 3)), normal(rng, (filters,))
    options = ((1, 1), (1, 1, 1, 1), (1, 1), groups)
    z = reference.conv2d(x, weight, *options) + bias[:, None, None]
    f = {"relu": lambda z: np.maximum(z, 0), "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh}[activation]
    scale = reference.conv2d(np.abs(x), np.abs(weight), *options) + np.abs(bias)[:, None, None]
    assert_close(kernels.conv2d(x, weight, bias, *options, activation), f(z), "conv", length=54, scale=scale)


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("filters", [6, 12])
def test_bias_of_the_input_gradient(kernels, isa, batch, groups, filters, rng):
    weight, bias = normal(rng, (filters, 6 // groups, 3, 2)), normal(rng, (6,))
    grad, options = normal(rng, (batch, filters, 5, 4)), ((1, 1), (0,) * 4, (1, 1), groups)
    plain = kernels.conv2d_input_grad(grad, weight, (batch, 6, 7, 5), *options)
    shifted = kernels.conv2d_input_grad(grad, weight, (batch, 6, 7, 5), *options, bias[::-1])
    assert np.array_equal(shifted, plain + bias[::-1, None, None])


@pytest.mark.parametrize("groups", [4, 12, 48])
def test_a_value_does_not_depend_on_its_position(kernels, isa, groups, rng):
    x, weight = normal(rng, (1, 48, 9, 30)), normal(rng, (48, 48 // groups, 3, 3))
    options = ((1, 1), (0,) * 4, (1, 1), groups)
    whole = kernels.conv2d(x, weight, None, *options, "none")
    for column in (0, 1, 7, 13, 27):
        assert np.array_equal(
            kernels.conv2d(x[..., column : column + 3], weight, None, *options, "none"), whole[..., column, None]
        )


def test_groups_do_not_see_each_other(kernels, isa, rng):
    x = normal(rng, (1, 8, 6, 6))
    x[:, :4] = np.nan
    for groups in (2, 4, 8):
        y = kernels.conv2d(x, normal(rng, (8, 8 // groups, 3, 3)), None, (1, 1), (1,) * 4, (1, 1), groups, "none")
        assert np.isnan(y[:, :4]).all()
        assert np.isfinite(y[:, 4:]).all()


def test_results_are_channels_last(kernels, rng):
    y = kernels.conv2d(normal(rng, (2, 3, 8, 8)), normal(rng, (5, 3, 3, 3)), None, (1, 1), (0,) * 4, (1, 1), 1, "none")
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_scattered_gradient_does_not_depend_on_its_position(kernels, isa, rng):
    weight, patch = normal(rng, (70, 5, 3, 3)), normal(rng, (70, 6, 6))
    found = set()
    for row, column in ((2, 2), (5, 3), (11, 9)):
        grad = np.zeros((4, 70, 20, 19), np.float32)
        grad[3, :, row : row + 6, column : column + 6] = patch
        dx = kernels.conv2d_input_grad(grad, weight, (4, 5, 22, 21), (1, 1), (0,) * 4, (1, 1), 1)
        found.add(dx[3, :, row : row + 8, column : column + 8].tobytes())
    assert len(found) == 1


def test_an_infinite_gradient_reaches_only_what_its_output_read(kernels, isa, rng):
    weight, grad = normal(rng, (30, 3, 3, 3)), normal(rng, (4, 30, 8, 8))
    grad[1, 4, 3, 5] = np.inf
    dx = kernels.conv2d_input_grad(grad, weight, (4, 3, 10, 10), (1, 1), (0,) * 4, (1, 1), 1)
    reached = np.zeros(dx.shape, bool)
    reached[1, :, 3:6, 5:8] = True
    assert np.array_equal(~np.isfinite(dx), reached)


@pytest.mark.parametrize(("groups", "padding"), [(1, 1), (1, 0), (4, 1), (12, 1), (48, 1)])
def test_bits_do_not_depend_on_the_threads(isa, groups, padding, rng):
    x, weight = normal(rng, (9, 48, 20, 19)), normal(rng, (48, 48 // groups, 3, 3))
    grad = normal(rng, (9, 48, 18 + 2 * padding, 17 + 2 * padding))
    options = ((1, 1), (padding,) * 4, (1, 1), groups)
    results = set()
    for threads in (1, 2, 3, 5, 2):
        with backend.use_threads(threads):
            parts = (
                _cpu.conv2d(x, weight, None, *options, "none"),
                _cpu.conv2d_input_grad(grad, weight, x.shape, *options),
                _cpu.conv2d_weight_grad(x, grad, weight.shape, *options),
            )
            results.add(b"".join(part.tobytes() for part in parts))
    assert len(results) == 1


WRONG = {
    r"weight has 4 input channels per group, input \(N=2, C=3, H=8, W=8\) with groups=1 needs 3": {
        "weight": (5, 4, 3, 3)
    },
    "reaches over 9 elements .* padded input has 8 along H": {"weight": (5, 3, 9, 3)},
    "got stride 0 along H, wanted 1 to 2147483647": {"stride": (0, 1)},
    "got dilation -1 along W": {"dilation": (1, -1)},
    "got padding -1 along W": {"padding": (0, 0, -1, 0)},
    "got dilation 2305843009213693952": {"dilation": (2**61, 1)},
    "got padding 4611686018427387904": {"padding": (2**62, 0, 0, 0)},
    "exceed the address space": {"padding": (2**31 - 1,) * 4},
    "groups=2 does not divide": {"groups": 2},
    "groups=0": {"groups": 0},
    "wanted .N, C, H, W.": {"x": (3, 8, 8)},
    "got kernel size 0 along H": {"weight": (5, 3, 0, 3)},
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_calls(kernels, message):
    call = {"x": (2, 3, 8, 8), "weight": (5, 3, 3, 3), "stride": (1, 1), "padding": (0,) * 4, "dilation": (1, 1)}
    call |= {"groups": 1} | WRONG[message]
    x, weight = (np.ones(call.pop(name), np.float32) for name in ("x", "weight"))
    with pytest.raises(ValueError, match=message):
        kernels.conv2d(x, weight, None, *call.values(), "none")


def test_a_stride_beyond_the_image_costs_nothing(kernels):
    x, weight = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    options = ((2**31 - 1, 2**31 - 1), (0,) * 4, (1, 1), 1)
    dx = kernels.conv2d_input_grad(np.ones((1, 1, 1, 1), np.float32), weight, x.shape, *options)
    assert dx[0, 0].tolist() == [[1, 1, 1, 0]] * 3 + [[0, 0, 0, 0]]


def test_wrong_gradients(kernels):
    x, weight = np.ones((2, 3, 8, 8), np.float32), np.ones((5, 3, 3, 3), np.float32)
    options = ((1, 1), (0,) * 4, (1, 1), 1)
    grad = np.ones((2, 5, 7, 6), np.float32)
    with pytest.raises(ValueError, match=r"output gradient of shape \(2, 5, 7, 6\), wanted \(2, 5, 6, 6\)"):
        kernels.conv2d_input_grad(grad, weight, x.shape, *options)
    with pytest.raises(ValueError, match=r"output gradient of shape \(2, 5, 7, 6\), wanted \(2, 5, 6, 6\)"):
        kernels.conv2d_weight_grad(x, grad, weight.shape, *options)
    with pytest.raises(ValueError, match="negative size"):
        kernels.conv2d_input_grad(grad, weight, (2, 3, -8, 8), *options)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("scattered")])
def test_which_input_gradients_are_scattered(case, rng):
    x_shape, (count, kh, kw), *options = CASES[case]
    weight = normal(rng, (count, x_shape[1], kh, kw))
    grad = gradient_for(_cpu.conv2d(normal(rng, x_shape), weight, None, *options, "none"))
    _cpu.start_trace()
    _cpu.conv2d_input_grad(grad, weight, x_shape, *options)
    assert "scattered" in _cpu.stop_trace()


@pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")
@pytest.mark.parametrize(("size", "on_tiles"), [(10, "tiles"), (4, "scattered")])
def test_tiles_gather_unless_margins_outweigh_them(size, on_tiles, rng):
    weight, grad = normal(rng, (64, 64, 3, 3)), normal(rng, (8, 64, size - 2, size - 2))
    for isa, expected in (("avx512", "scattered"), ("amx", on_tiles)):
        with backend.use_isa(isa):
            _cpu.start_trace()
            _cpu.conv2d_input_grad(grad, weight, (8, 64, size, size), (1, 1), (0,) * 4, (1, 1), 1)
            assert expected in _cpu.stop_trace()
