"""Random rotations, translations and zooms against loops over pixels of padded images, and what they draw."""

import numpy as np
import pytest

import tinydl
from tinydl.autograd import gradcheck
from tinydl.keras import Sequential, layers

from ..support.compare import assert_close

PADS = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}
WIDE = 24  # how far beyond the edges the oracle's images reach


def sample(image, y, x, fill_mode, interpolation, fill_value):
    """The value of an image (H, W, C) between its pixels, from a padded copy."""
    options = {"constant_values": fill_value} if fill_mode == "constant" else {}
    padded = np.pad(image, ((WIDE, WIDE), (WIDE, WIDE), (0, 0)), mode=PADS[fill_mode], **options)
    y, x = y + WIDE, x + WIDE
    if interpolation == "nearest":
        return padded[round(y), round(x)]
    i, j = int(np.floor(y)), int(np.floor(x))
    v, u = y - i, x - j
    above = (1 - u) * padded[i, j] + u * padded[i, j + 1]
    below = (1 - u) * padded[i + 1, j] + u * padded[i + 1, j + 1]
    return (1 - v) * above + v * below


def moved(images, place, *options):
    """out(i, j) = in(place(i, j)) for each image; float64."""
    out = np.empty(images.shape)
    for n, image in enumerate(images.astype(np.float64)):
        for i in range(images.shape[1]):
            for j in range(images.shape[2]):
                out[n, i, j] = sample(image, *place(i, j), *options)
    return out


def turned(turns, h, w):
    a, cy, cx = 2 * np.pi * turns, (h - 1) / 2, (w - 1) / 2
    return lambda i, j: (
        cy + np.cos(a) * (i - cy) + np.sin(a) * (j - cx),
        cx - np.sin(a) * (i - cy) + np.cos(a) * (j - cx),
    )


def shifted(down, right, h, w):
    return lambda i, j: (i - down * h, j - right * w)


def zoomed(tall, wide, h, w):
    return lambda i, j: ((h - 1) / 2 * -tall + i * (1 + tall), (w - 1) / 2 * -wide + j * (1 + wide))


CASES = [
    (lambda **o: layers.RandomRotation((0.1, 0.1), **o), lambda h, w: turned(0.1, h, w)),
    (lambda **o: layers.RandomRotation((-0.43, -0.43), **o), lambda h, w: turned(-0.43, h, w)),
    (lambda **o: layers.RandomTranslation((0.31, 0.31), (-0.2, -0.2), **o), lambda h, w: shifted(0.31, -0.2, h, w)),
    (lambda **o: layers.RandomTranslation((-0.92, -0.92), 0.0, **o), lambda h, w: shifted(-0.92, 0.0, h, w)),
    (lambda **o: layers.RandomZoom((0.33, 0.33), **o), lambda h, w: zoomed(0.33, 0.33, h, w)),
    (lambda **o: layers.RandomZoom((-0.4, -0.4), (0.77, 0.77), **o), lambda h, w: zoomed(-0.4, 0.77, h, w)),
]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill_mode", PADS)
@pytest.mark.parametrize(("make", "place"), CASES, ids=lambda v: "")
def test_values(rng, make, place, fill_mode, interpolation):
    options = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 1.5}
    for shape in [(2, 7, 6, 3), (1, 5, 11, 1), (3, 1, 4, 2)]:
        x = rng.standard_normal(shape).astype(np.float32)
        got = make(**options)(x, training=True)
        assert_close(got, moved(x, place(*shape[1:3]), *options.values()), "resample", scale=4.0)


@pytest.mark.parametrize("fill_mode", PADS)
def test_gradients(rng, fill_mode):
    layer = layers.RandomRotation((0.07, 0.07), fill_mode)
    layer.build((None, 4, 5, 2))
    assert gradcheck(layer.noisy, tinydl.tensor(rng.standard_normal((2, 4, 5, 2)), requires_grad=True))


def test_what_is_not_seen_does_not_count():
    x = np.full((1, 4, 4, 1), np.nan, np.float32)
    y = layers.RandomTranslation((1.0, 1.0), 0.0, "constant", "nearest", fill_value=2.0)(x, training=True)
    assert np.array_equal(y.detach().numpy(), np.full((1, 4, 4, 1), 2.0))


def ramps(count):
    """Images whose channels are the row and the column, so that differences beside the middle show A."""
    return np.tile(np.stack(np.mgrid[:9, :9], -1).astype(np.float32), (count, 1, 1, 1))


def linear_part(layer):
    """A of out(p) = in(A (p - c) + c - d), (N, 2, 2), and A's and d's part in the middle pixel, (N, 2)."""
    y = layer(ramps(300), training=True).detach().numpy().astype(np.float64)
    return np.stack([y[:, 5, 4] - y[:, 4, 4], y[:, 4, 5] - y[:, 4, 4]], -1), y[:, 4, 4]


def check_spread(numbers, lower, upper):
    """Draws of an interval, one for each image."""
    assert len(numbers) == 300
    assert len(np.unique(numbers.round(4))) > 250
    shares = (numbers - lower) / (upper - lower)
    assert -1e-4 < shares.min() < 0.05  # float32 images show the draws
    assert 0.95 < shares.max() < 1 + 1e-4


@pytest.mark.parametrize(("factor", "bounds"), [(0.2, (-0.2, 0.2)), ((0.3, -0.1), (-0.1, 0.3)), (-0.2, (-0.2, 0.2))])
def test_what_is_drawn(factor, bounds):
    a, _ = linear_part(layers.RandomRotation(factor, seed=0))
    check_spread(np.arctan2(a[:, 0, 1], a[:, 0, 0]) / (2 * np.pi), *bounds)
    _, middle = linear_part(layers.RandomTranslation(factor, (0.1, 0.2), seed=0))
    check_spread((4 - middle[:, 0]) / 9, *bounds)
    check_spread((4 - middle[:, 1]) / 9, 0.1, 0.2)
    a, _ = linear_part(layers.RandomZoom(factor, seed=0))
    check_spread(a[:, 0, 0] - 1, *bounds)
    assert_close(a[:, 0, 0].astype(np.float32), a[:, 1, 1], "resample", scale=9.0)
    a, _ = linear_part(layers.RandomZoom(factor, 0.2, seed=0))
    check_spread(a[:, 1, 1] - 1, -0.2, 0.2)
    assert abs(np.corrcoef(a[:, 0, 0], a[:, 1, 1])[0, 1]) < 0.2


def test_within_a_model(rng):
    """In training only, and from the stream of the seed or the global one."""
    x = rng.standard_normal((4, 6, 6, 1)).astype(np.float32)
    made = [layers.RandomRotation(0.2), layers.RandomTranslation(0.2, 0.2, seed=1), layers.RandomZoom(0.2)]
    model = Sequential([layers.Input((6, 6, 1)), *made])
    assert np.array_equal(model(x).numpy(), x)
    ends = []
    for _ in range(2):
        tinydl.manual_seed(0)
        ends.append(model(x, training=True).numpy())
    assert not np.array_equal(*ends)  # the translation's own stream goes on
    assert model.output_shape == (None, 6, 6, 1)
    again = layers.RandomTranslation.from_config(made[1].get_config())
    first = layers.RandomTranslation(0.2, 0.2, seed=1)
    assert np.array_equal(*[layer(x, training=True).numpy() for layer in (again, first)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomRotation(1.5), "RandomRotation: got factor=1.5, wanted one or two numbers in [-1, 1]"),
        (lambda: layers.RandomRotation("0.1"), "RandomRotation: got factor='0.1', wanted one or two numbers"),
        (lambda: layers.RandomTranslation((0, 0.1, 0.2), 0), "got height_factor=(0, 0.1, 0.2), wanted one or two"),
        (lambda: layers.RandomTranslation(0, None), "RandomTranslation: got width_factor=None, wanted one or two"),
        (lambda: layers.RandomZoom(-1.0), "RandomZoom: got height_factor=-1.0, wanted one or two numbers in (-1, 1]"),
        (lambda: layers.RandomZoom(0.1, (0.1, -1)), "got width_factor=(0.1, -1), wanted one or two numbers in (-1, 1]"),
        (lambda: layers.RandomZoom(0.1, fill_mode="mirror"), "got fill_mode='mirror', wanted one of 'constant', "),
        (lambda: layers.RandomZoom(0.1, interpolation="cubic"), "got interpolation='cubic', wanted one of 'nearest'"),
        (lambda: layers.RandomZoom(0.1, data_format="channels_first"), "data_format='channels_first' is not available"),
        (lambda: layers.RandomRotation(0.1)(np.ones((2, 3))), "expected ndim=4 (N, H, W, C)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)
