"""Convolutions on the matrix tiles, from planes of the images: as accurate as multiply-adds, on hard inputs too."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tinydl
from tests.conftest import TIERS
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend
from tinydl.ops.conv import conv2d_max_pool

from . import reference

pytestmark = pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")

# x (n, c, h, w), filters (count, kh, kw), stride, padding (top, bottom, left, right), dilation, groups: large enough
# for tiles, forward and both gradients.
CASES = {
    "32 images": ((32, 32, 7, 6), (64, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "16 images, padded": ((16, 64, 6, 7), (32, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    "an odd number of everything": ((45, 59, 5, 5), (91, 3, 2), (1, 1), (1, 0, 2, 1), (1, 1), 1),
    "one pixel": ((61, 61, 1, 2), (125, 1, 2), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    "stride over image": ((16, 64, 3, 5), (64, 2, 2), (1, 2**30), (0, 0, 0, 0), (1, 1), 1),
    "long signals": ((31, 32, 1, 150), (32, 1, 5), (1, 1), (0, 0, 3, 40), (1, 1), 1),
    "long signals of 16 images": ((16, 32, 1, 151), (32, 1, 5), (1, 2), (0, 0, 0, 3), (1, 3), 1),
    "stride and dilation": ((31, 32, 11, 10), (64, 3, 3), (2, 3), (2, 1, 0, 2), (1, 2), 1),
    "several blocks of channels": ((13, 150, 4, 5), (60, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    "wide kernel": ((16, 60, 5, 6), (32, 5, 5), (1, 1), (2, 2, 2, 2), (1, 1), 1),
    "groups": ((32, 64, 6, 5), (128, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2),
    "padding over kernel": ((16, 64, 4, 4), (64, 2, 2), (1, 1), (5, 0, 3, 3), (1, 1), 1),
    "images split a part at a time": ((70, 32, 21, 20), (32, 2, 2), (1, 1), (0, 0, 0, 0), (1, 1), 1),
}
PLAIN = ((1, 1), (1, 1, 1, 1), (1, 1), 1)  # the options of most tests
SHAPES = (29, 52, 7, 6), (60, 52, 3, 3)  # and their images and weights


def traced(call, *arguments):
    """The result, and the notes about how it was computed."""
    backend.start_trace()
    result = call(*arguments)
    return result, backend.stop_trace()


def forward(x, weight, options=PLAIN, bias=None, activation="none"):
    return _cpu.conv2d(x, weight, bias, *options, activation)


def runs_on_planes(notes):
    return "matrix tiles" in notes and "(planes of the images" in notes


@pytest.mark.parametrize("case", CASES)
def test_values_and_layouts(case, rng):
    x_shape, (count, kh, kw), *options = CASES[case]
    x, weight = normal(rng, x_shape), normal(rng, (count, x_shape[1] // options[-1], kh, kw))
    wide, wide_w = x.astype(np.float64), weight.astype(np.float64)
    y = reference.conv2d(wide, wide_w, *options)
    y_scale = reference.conv2d(np.abs(wide), np.abs(wide_w), *options)
    grad = normal(rng, y.shape)
    dx, dw = reference.gradients(wide, wide_w, grad, *options)
    dx_scale, dw_scale = reference.gradients(np.abs(wide), np.abs(wide_w), np.abs(grad), *options)
    found = set()
    with backend.use_isa("amx"):
        for (_, lx), (_, lw), (_, lg) in zip(layouts(x), layouts(weight), layouts(grad), strict=True):
            got, notes = traced(forward, lx, lw, options)
            assert runs_on_planes(notes)
            assert_close(got, y, "conv", length=weight[:1].size, scale=y_scale)
            got_dx, notes = traced(_cpu.conv2d_input_grad, lg, lw, x.shape, *options)
            assert runs_on_planes(notes)
            assert_close(got_dx, dx, "conv", length=count * kh * kw, scale=dx_scale)
            got_dw, notes = traced(_cpu.conv2d_weight_grad, lx, lg, weight.shape, *options)
            assert runs_on_planes(notes)
            assert_close(got_dw, dw, "conv", length=grad[:, 0].size, scale=dw_scale)
            found.add(got.tobytes() + got_dx.tobytes() + got_dw.tobytes())
    assert len(found) == 1, "the layout of the operands changed the bits"


def worst_error(y, x, weight):
    """The largest |y - x * weight| / (|x| * |weight|)."""
    wide, wide_w = x.astype(np.float64), weight.astype(np.float64)
    scale = reference.conv2d(np.abs(wide), np.abs(wide_w), *PLAIN)
    return float((np.abs(y - reference.conv2d(wide, wide_w, *PLAIN)) / np.where(scale > 0, scale, 1)).max())


def one_after_another(x, weight):
    """The float32 sums of a loop of fused multiply-adds over taps and channels: one rounding for each."""
    total = np.float32(0)
    for _, r, s, window, framed in reference.taps(x, weight, *PLAIN):
        for c, channel in enumerate(framed[window].transpose(1, 0, 2, 3)):
            term = channel[:, None] * weight[:, c, r, s].astype(np.float64)[:, None, None]
            total = (total + term).astype(np.float32)
    return total


def log_uniform(rng, shape, low, high):
    """Of either sign, magnitudes 10^low to 10^high."""
    return (10.0 ** rng.uniform(low, high, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


def cancelling(rng):
    """Channels whose products cancel but for rounding."""
    x, weight = (normal(rng, shape) for shape in SHAPES)
    x[:, 1::2], weight[:, 1::2] = x[:, ::2], -weight[:, ::2] * np.float32(1 + 1e-6)
    return x, weight


def with_pixel(rng, value):
    x, weight = (normal(rng, shape) for shape in SHAPES)
    x[20, :, 3, 4] *= np.float32(value)
    return x, weight


def scaled(rng, of_x, of_weight):
    return normal(rng, SHAPES[0]) * np.float32(of_x), normal(rng, SHAPES[1]) * np.float32(of_weight)


# The operands, and whether the tiles hold them.
HARD = {
    "uniform": (lambda rng: tuple(rng.random(shape, np.float32) for shape in SHAPES), True),
    "both 1e-10": (lambda rng: scaled(rng, 1e-10, 1e-10), True),
    "both 1e-16": (lambda rng: scaled(rng, 1e-16, 1e-16), False),
    "1e-20 by 1e15": (lambda rng: scaled(rng, 1e-20, 1e15), True),
    "1e-36 by 1e30": (lambda rng: scaled(rng, 1e-36, 1e30), False),
    "a huge pixel": (lambda rng: with_pixel(rng, 1e30), True),
    "a tiny pixel": (lambda rng: with_pixel(rng, 1e-30), False),
    "wide ranges": (lambda rng: tuple(log_uniform(rng, shape, -12, 12) for shape in SHAPES), True),
    "wider ranges": (lambda rng: tuple(log_uniform(rng, shape, -25, 15) for shape in SHAPES), False),
    "cancellation": (cancelling, True),
    "sums near the largest": (lambda rng: tuple(log_uniform(rng, shape, 17, 18) for shape in SHAPES), False),
    "mostly zeros": (lambda rng: (np.maximum(normal(rng, SHAPES[0]) - 2, 0), normal(rng, SHAPES[1])), True),
}


@pytest.mark.parametrize("case", HARD)
def test_as_accurate_as_fused_multiply_adds(case, rng):
    operands, tiles_hold = HARD[case]
    x, weight = operands(rng)
    with backend.use_isa("avx512"):
        plain = forward(x, weight)
    with backend.use_isa("amx"):
        tiles, notes = traced(forward, x, weight)
    assert np.isfinite(plain).all()
    assert runs_on_planes(notes) == tiles_hold
    if not tiles_hold:
        assert "range is too wide" in notes
        assert np.array_equal(tiles, plain)
        return
    allowed = max(worst_error(one_after_another(x, weight), x, weight), worst_error(plain, x, weight))
    # Where a few terms outweigh the others, each of their planes' products rounds the sum once: a little worse.
    assert worst_error(tiles, x, weight) <= allowed + 2**-22


@pytest.mark.parametrize("count", [29, 16])
@pytest.mark.parametrize("draw", [normal, lambda rng, shape: rng.random(shape, np.float32)])
def test_weight_gradients_as_accurate_as_a_loop_of_multiply_adds(count, draw, rng):
    x, grad = draw(rng, (count, *SHAPES[0][1:])), draw(rng, (count, 60, 7, 6))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
    columns, rows = seen.reshape(-1, 52 * 9).astype(np.float64), grad.transpose(0, 2, 3, 1).reshape(-1, 60)
    loop = np.zeros((60, 52 * 9), np.float32)
    for row, column in zip(rows, columns, strict=True):
        loop = (loop + np.outer(row, column)).astype(np.float32)
    with backend.use_isa("amx"):
        tiles = _cpu.conv2d_weight_grad(x, grad, SHAPES[1], *PLAIN).reshape(60, -1)
    exact, scale = rows.T @ columns, np.abs(rows).T @ np.abs(columns)
    assert np.max(np.abs(tiles - exact) / scale) <= np.max(np.abs(loop - exact) / scale)


@pytest.mark.parametrize("operand", [0, 1])
def test_weight_gradients_of_a_wide_range_take_the_other_loop(operand, rng):
    pair = [normal(rng, SHAPES[0]), normal(rng, (29, 60, 7, 6))]
    pair[operand][20, :, 3, 4] *= np.float32(1e-32)
    with backend.use_isa("avx512"):
        plain = _cpu.conv2d_weight_grad(*pair, SHAPES[1], *PLAIN)
    with backend.use_isa("amx"):
        tiles, notes = traced(_cpu.conv2d_weight_grad, *pair, SHAPES[1], *PLAIN)
    assert "range is too wide" in notes
    assert np.array_equal(tiles, plain)


@pytest.mark.parametrize("special", [np.inf, np.nan, np.float32(3.4e38)])
@pytest.mark.parametrize("operand", [0, 1])
def test_specials_take_the_other_loop(special, operand, rng):
    pair = [normal(rng, shape) for shape in SHAPES]
    pair[operand][7, 5, 1, 1] = special
    results = []
    for isa in ("avx512", "amx"):
        with backend.use_isa(isa):
            y = forward(*pair)
            dx = _cpu.conv2d_input_grad(y, pair[1], pair[0].shape, *PLAIN)
            dw = _cpu.conv2d_weight_grad(pair[0], y, pair[1].shape, *PLAIN)
            results.append(y.tobytes() + dx.tobytes() + dw.tobytes())
    assert results[0] == results[1]


def test_images_split_earlier_count_too(rng):
    """Where a later part of the images leaves the range, all of them are computed anew."""
    x, weight = normal(rng, (70, 32, 21, 20)), normal(rng, (32, 32, 2, 2))
    x[69, 3, 2, 1] = np.inf
    options = (1, 1), (0,) * 4, (1, 1), 1
    with backend.use_isa("amx"):
        tiles, notes = traced(forward, x, weight, options)
    with backend.use_isa("avx512"):
        assert np.array_equal(tiles, forward(x, weight, options), equal_nan=True)
    assert "range is too wide" in notes


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "tanh"])
def test_bias_and_activation(activation, rng):
    (x, weight), bias = (normal(rng, shape) for shape in SHAPES), normal(rng, SHAPES[1][:1])
    with backend.use_isa("amx"):
        z = forward(x, weight) + bias[:, None, None]
        got, notes = traced(forward, x, weight, PLAIN, bias[::-1][::-1], activation)
        shift = normal(rng, SHAPES[0][1:2])
        dx = _cpu.conv2d_input_grad(z, weight, x.shape, *PLAIN)
        shifted = _cpu.conv2d_input_grad(z, weight, x.shape, *PLAIN, shift)
    f = {"none": lambda z: z, "relu": lambda z: np.maximum(z, 0), "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    assert runs_on_planes(notes)
    assert_close(got, f.get(activation, np.tanh)(z), "conv", scale=np.maximum(np.abs(z), 1))
    assert np.array_equal(shifted, dx + shift[:, None, None])


def test_pooled_with_the_convolution(rng):
    x, weight = (tinydl.from_numpy(normal(rng, shape)) for shape in SHAPES)
    bias = tinydl.from_numpy(normal(rng, SHAPES[1][:1]))
    windows = (2, 2), (2, 2), (0, 0), (1, 1), False
    with backend.use_isa("amx"):
        y = tinydl.nn.functional.conv2d(x, weight, bias, padding=1).relu()
        pooled, notes = traced(conv2d_max_pool, x, weight, bias, 1, 1, 1, 1, "relu", windows)
    assert runs_on_planes(notes)
    assert np.array_equal(pooled.numpy(), tinydl.nn.functional.max_pool2d(y, 2).numpy())


def test_a_value_depends_on_neither_its_image_nor_its_pixel(rng):
    patch, weight = normal(rng, (52, 5, 5)), normal(rng, SHAPES[1])
    found = set()
    with backend.use_isa("amx"):
        for image, row, column in (0, 1, 1), (15, 3, 2), (31, 5, 5), (32, 5, 3), (44, 1, 4):
            x = normal(rng, (45, 52, 11, 11))
            x[image, :, row : row + 5, column : column + 5] = patch
            y, notes = traced(forward, x, weight)
            assert runs_on_planes(notes)
            found.add(y[image, :, row + 1 : row + 4, column + 1 : column + 4].tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("case", ["an odd number of everything", "several blocks of channels", "32 images"])
def test_bits_do_not_depend_on_the_threads(case, rng):
    x_shape, (count, kh, kw), *options = CASES[case]
    x, weight = normal(rng, x_shape), normal(rng, (count, x_shape[1], kh, kw))
    found = set()
    with backend.use_isa("amx"):
        for threads in (1, 2, 3, 5, 2):
            with backend.use_threads(threads):
                y = forward(x, weight, options)
                dx = _cpu.conv2d_input_grad(y, weight, x.shape, *options)
                dw = _cpu.conv2d_weight_grad(x, y, weight.shape, *options)
                found.add(y.tobytes() + dx.tobytes() + dw.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(("precision", "bound"), [("highest", 2**-22), ("high", 2**-16), ("medium", 2**-7)])
def test_precisions(precision, bound, rng):
    x, weight = (normal(rng, shape) for shape in SHAPES)
    tinydl.set_float32_matmul_precision(precision)
    try:
        with backend.use_isa("amx"):
            y, notes = traced(forward, x, weight)
    finally:
        tinydl.set_float32_matmul_precision("highest")
    count = {"highest": "six products", "high": "three products", "medium": "one product"}[precision]
    assert f"product of (1218, 468) and (468, 60): matrix tiles, {count} of bfloat16 parts (planes of" in notes
    assert bound / 64 < worst_error(y, x, weight) <= bound  # no worse than promised, and not the precision above it


def test_which_convolutions_take_tiles_by_default():
    show = """
import numpy as np
from tinydl import _cpu, backend
for n, c, o, size, k in (32, 32, 32, 19, 3), (32, 32, 31, 19, 3), (12, 32, 32, 32, 3), (11, 32, 32, 32, 3), \
(10, 32, 32, 32, 3), (32, 22, 32, 40, 3), (32, 21, 32, 40, 3), (32, 32, 32, 7, 3), (32, 64, 64, 40, 1):
    x, w = np.ones((n, c, size, size), np.float32), np.ones((o, c, k, k), np.float32)
    backend.start_trace()
    _cpu.conv2d(x, w, None, (1, 1), (0,) * 4, (1, 1), 1, "none")
    print("(planes of" in backend.stop_trace())
"""
    command = [sys.executable, "-c", show]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TINYDL_ISA": ""})
    expected = ["True", "False", "True", "True", "False", "True", "False", "False", "False"]
    assert shown.stdout.split() == expected
