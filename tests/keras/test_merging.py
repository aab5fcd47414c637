"""Layers of several inputs: values and gradients against NumPy, shapes, settings, wrong inputs."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Input, Model, layers, models

from ..support.compare import assert_close

SHAPES = [(3, 5), (2, 4, 3), (2, 4, 5, 3)]


def cosines(a, b, i, j):
    dots = np.moveaxis(a, i, -1).reshape(len(a), -1, a.shape[i]), np.moveaxis(b, j, -1).reshape(len(b), -1, b.shape[j])
    return np.einsum("npk,nqk->npq", *[x / np.linalg.norm(x, axis=-1, keepdims=True) for x in dots])


TABLE = [
    (layers.Add, lambda a, b, c: a + b + c),
    (layers.Multiply, lambda a, b, c: a * b * c),
    (layers.Average, lambda a, b, c: (a + b + c) / 3),
    (layers.Maximum, lambda a, b, c: np.maximum(np.maximum(a, b), c)),
    (layers.Minimum, lambda a, b, c: np.minimum(np.minimum(a, b), c)),
    (layers.Concatenate, lambda a, b, c: np.concatenate([a, b, c], -1)),
    (lambda: layers.Concatenate(1), lambda a, b, c: np.concatenate([a, b, c], 1)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("make", "function"), TABLE)
def test_values_and_gradients(rng, make, function, shape):
    layer = make()
    arrays = [rng.standard_normal(shape) for _ in range(3)]
    given = [tinydl.tensor(a.astype(np.float32), requires_grad=True) for a in arrays]
    out = layer(given, training=True)
    wanted = function(*arrays)
    assert out.shape == wanted.shape == (shape[0], *layer.output_shape)
    assert_close(out.detach(), wanted, "gradient", length=3, scale=4.0)
    upstream = rng.standard_normal(wanted.shape)
    out.backward(tinydl.tensor(upstream.astype(np.float32)))
    step = 1e-6
    for number, tensor in enumerate(given):
        direction = rng.standard_normal(shape)
        ends = [[a + s * step * direction * (i == number) for i, a in enumerate(arrays)] for s in (1, -1)]
        slope = ((function(*ends[0]) - function(*ends[1])) * upstream).sum() / (2 * step)
        found = (tensor.grad.numpy().astype(np.float64) * direction).sum()
        assert_close(np.float32(found), np.array(slope), "gradient", length=out.numel(), scale=max(1.0, abs(slope)))


@pytest.mark.parametrize("axis", [2, 3, -2, -3])
def test_concatenate_along_an_axis_of_images(rng, axis):
    arrays = [rng.standard_normal((2, 4, 5, 3)).astype(np.float32) for _ in range(2)]
    assert np.array_equal(layers.Concatenate(axis)(arrays), np.concatenate(arrays, axis))


@pytest.mark.parametrize("shape", SHAPES)
def test_subtract(rng, shape):
    a, b = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    assert np.array_equal(layers.Subtract()([a, b]), a - b)


def test_broadcasting(rng):
    a, b = rng.standard_normal((2, 4, 5, 3)).astype(np.float32), rng.standard_normal((2, 1, 5, 1)).astype(np.float32)
    assert np.array_equal(layers.Multiply()([a, b]), a * b)
    assert layers.Multiply().compute_output_shape([(None, 4, 1), (None, 1, 3)]) == (None, 4, 3)


@pytest.mark.parametrize(
    ("shapes", "axes", "equation"),
    [
        (((3, 4), (3, 4)), 1, "ni,ni->n"),
        (((3, 4, 5), (3, 6, 5)), 2, "nik,njk->nij"),
        (((3, 4, 5), (3, 6, 4)), (1, 2), "nki,njk->nij"),
        (((3, 4, 5), (3, 5)), (2, 1), "nik,nk->ni"),
        (((3, 4, 5), (3, 6, 5)), -1, "nik,njk->nij"),
        (((3, 2, 4, 5), (3, 6, 5)), (3, 2), "nabk,njk->nabj"),
    ],
)
def test_dot(rng, shapes, axes, equation):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    given = [a.astype(np.float32), b.astype(np.float32)]
    layer = layers.Dot(axes)
    wanted = np.einsum(equation, a, b)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    found = layer(given)
    assert found.shape == (3, *layer.output_shape)
    assert_close(found, wanted, "gradient", length=5, scale=4.0)
    i, j = (axes, axes) if isinstance(axes, int) else axes
    angles = cosines(a, b, i, j).reshape(wanted.shape)
    assert_close(layers.Dot(axes, normalize=True)(given), angles, "gradient", length=5, scale=1.0)


def test_functions_and_files(tmp_path, rng):
    a, b = Input((4, 4, 2), name="a"), Input((4, 4, 2), name="b")
    x, y = layers.Flatten()(a), layers.Flatten()(b)
    kinds = ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]
    outputs = {name: getattr(layers, name)([a, b]) for name in kinds} | {"dot": layers.dot([x, y], axes=1)}
    model = Model([a, b], outputs)
    model.save(tmp_path / "m.safetensors")
    data = [rng.standard_normal((3, 4, 4, 2)).astype(np.float32) for _ in range(2)]
    wanted, found = model(data), models.load_model(tmp_path / "m.safetensors")(data)
    assert set(found) == {*kinds, "dot"}
    for name, value in wanted.items():
        assert np.array_equal(found[name], value), name
    assert np.array_equal(found["subtract"], data[0] - data[1])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: layers.Add()(Input((3,))), "wanted a list of inputs, got one of shape (None, 3)"),
        (lambda: layers.Add()({"a": Input((3,))}), "wanted a list of inputs, got a dict"),
        (
            lambda: layers.Add()([Input((3,)), Input((4,))]),
            "inputs of shapes (None, 3), (None, 4) do not fit each other",
        ),
        (lambda: layers.Add()([Input((3,)), Input((3, 3))]), "do not fit each other"),
        (lambda: layers.Subtract()([Input((3,))] * 3), "wanted exactly 2 inputs, got 3"),
        (lambda: layers.Concatenate()([Input((3, 2)), Input((4, 2))]), "must be equal but for axis 2"),
        (lambda: layers.Concatenate(0)([Input((3,))] * 2), "got axis=0 for inputs of 2 axes"),
        (lambda: layers.Dot(1)([Input((3,)), Input((4,))]), "inputs of shapes (None, 3), (None, 4) differ on the axes"),
        (lambda: layers.Dot(1)([Input((3,))] * 3), "wanted exactly 2 inputs, got 3"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        action()
    assert message in str(error.value)
