"""`keras.ops` against NumPy, and inside of losses and layers of one's own."""

import numpy as np
import pytest

import tinydl
from tinydl import keras
from tinydl.keras import Sequential, layers, ops

from ..support.compare import assert_close

SAME_UNARY = "abs absolute ceil cos exp floor isfinite isnan log log1p reciprocal round sign sin sqrt square"
UNARY = {
    **{name: getattr(np, name) for name in SAME_UNARY.split(" ")},
    "negative": np.negative,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}
BINARY = [
    *("add", "divide", "maximum", "minimum", "multiply", "power", "subtract", "true_divide"),
    *("equal", "greater", "greater_equal", "less", "less_equal", "not_equal"),
]
REDUCTIONS = {
    **{name: getattr(np, name) for name in ("amax", "amin", "max", "mean", "min", "std", "sum", "var")},
    "logsumexp": lambda x, **o: np.log(np.exp(x).sum(**o)),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(rng, name):
    x = (rng.random((3, 4)) * 3 + 0.1).astype(np.float32)
    assert_close(getattr(ops, name)(x), UNARY[name](x.astype(np.float64)), "function", dtype=np.float32)


@pytest.mark.parametrize("name", BINARY)
def test_binary(rng, name):
    a, b = (rng.integers(1, 4, shape).astype(np.float32) for shape in ((3, 4), (4,)))
    assert_close(getattr(ops, name)(a, b), getattr(np, name)(a, b), "function", dtype=np.float32)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, -1, (0, 2), [1]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(rng, name, axis, keepdims):
    x = rng.standard_normal((3, 4, 5)).astype(np.float32)
    over = tuple(axis) if isinstance(axis, list) else axis
    wanted = REDUCTIONS[name](x.astype(np.float64), axis=over, keepdims=keepdims)
    assert_close(getattr(ops, name)(x, axis=axis, keepdims=keepdims), np.asarray(wanted), "reduce", length=60, scale=60)


def test_the_rest(rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    for got, wanted in (
        (ops.argmax(x, axis=1), x.argmax(1)),
        (ops.argmin(x), x.argmin()),
        (ops.clip(x, -0.5, 0.5), x.clip(-0.5, 0.5)),
        (ops.where(x > 0, x, 0.0), np.where(x > 0, x, 0)),
        (ops.reshape(x, (2, -1)), x.reshape(2, -1)),
        (ops.reshape(x, -1), x.reshape(-1)),
        (ops.transpose(x), x.T),
        (ops.transpose(x[None], (1, 0, 2)), x[:, None]),
        (ops.expand_dims(x, 1), x[:, None]),
        (ops.squeeze(x[None]), x),
        (ops.squeeze(x[None], 0), x),
        (ops.concatenate([x, x]), np.concatenate([x, x], -1)),
        (ops.stack([x, x], 1), np.stack([x, x], 1)),
        (ops.cast(x, "int"), x.astype(np.int32)),
        (ops.mean([1, 2]), np.float32(1.5)),
        (ops.zeros((2, 3)), np.zeros((2, 3), np.float32)),
        (ops.ones_like(x), np.ones_like(x)),
        (ops.convert_to_tensor(x, "float64"), x.astype(np.float64)),
    ):
        assert np.array_equal(got.numpy(), wanted)
        assert got.numpy().dtype.kind == np.asarray(wanted).dtype.kind
    assert_close(ops.matmul(x, x.T), x.astype(np.float64) @ x.T, "matmul", length=4, scale=16.0)
    assert_close(ops.einsum("ij,ij->i", x, x), (x.astype(np.float64) ** 2).sum(1), "matmul", length=4)
    assert ops.shape(x) == (3, 4)
    assert isinstance(ops.convert_to_numpy(tinydl.tensor(x)), np.ndarray)


def test_every_name_exists():
    assert all(callable(getattr(ops, name)) for name in ops.__all__)


def test_in_a_loss_and_a_layer(rng):
    x = rng.standard_normal((128, 3)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5]])).astype(np.float32) ** 2
    model = Sequential([layers.Input((3,)), layers.Dense(8), layers.Lambda(ops.square), layers.Dense(1)])

    def distance(y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    model.compile(keras.optimizers.Adam(0.03), distance)
    losses = model.fit(x, y, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
