"""The activations against PyTorch and formulas, by name, as functions, and in layers."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import activations, layers

from ..support.compare import assert_close
from .agreement import assert_agrees

SAME_NAME = ["celu", "elu", "leaky_relu", "mish", "relu", "relu6", "selu", "silu", "softplus", "softsign"]


def squareplus(torch, x):
    return (x + (x * x + 4).sqrt()) / 2


def sparse_plus(torch, x):
    return torch.where(x <= -1, 0 * x, torch.where(x < 1, (x + 1) ** 2 / 4, x))


# name: the function of (torch, x) that it is
FUNCTIONS = {
    **{name: lambda t, x, f=name: getattr(t.nn.functional, f)(x) for name in SAME_NAME if name != "leaky_relu"},
    "leaky_relu": lambda t, x: t.nn.functional.leaky_relu(x, 0.2),
    "exponential": lambda t, x: t.exp(x),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "hard_shrink": lambda t, x: t.nn.functional.hardshrink(x),
    "hard_sigmoid": lambda t, x: t.nn.functional.hardsigmoid(x),
    "hard_silu": lambda t, x: t.nn.functional.hardswish(x),
    "hard_swish": lambda t, x: t.nn.functional.hardswish(x),
    "hard_tanh": lambda t, x: t.nn.functional.hardtanh(x),
    "linear": lambda t, x: x * 1.0,
    "log_sigmoid": lambda t, x: t.nn.functional.logsigmoid(x),
    "log_softmax": lambda t, x: x.log_softmax(-1),
    "sigmoid": lambda t, x: x.sigmoid(),
    "soft_shrink": lambda t, x: t.nn.functional.softshrink(x),
    "softmax": lambda t, x: x.softmax(-1),
    "sparse_plus": sparse_plus,
    "squareplus": squareplus,
    "swish": lambda t, x: t.nn.functional.silu(x),
    "tanh": lambda t, x: x.tanh(),
    "tanh_shrink": lambda t, x: x - x.tanh(),
    "glu": lambda t, x: t.nn.functional.glu(x, -1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 4, 6)])
def test_values_and_gradients(torch, rng, name, shape):
    x = (rng.standard_normal(shape) * 3).astype(np.float32)
    assert_agrees(torch, rng, layers.Activation(name), x, lambda x: FUNCTIONS[name](torch, x), "softmax", length=6)
    if name != "glu":
        dense = layers.Dense(6, name)
        assert_agrees(torch, rng, dense, x / 6, lambda x, w, b: FUNCTIONS[name](torch, x @ w + b), "matmul", length=6)


def test_every_name_is_tested():
    assert set(activations.KNOWN) - set(FUNCTIONS) == {"threshold"}  # it needs arguments


@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("highest", [None, 1.5, 6.0])
@pytest.mark.parametrize("threshold", [0.0, 0.75])
def test_relu_by_parts(rng, slope, highest, threshold):
    x = np.concatenate([rng.standard_normal(200) * 4, [0.0, 0.75, 1.5]]).astype(np.float32)
    top = np.inf if highest is None else highest
    wanted = np.where(x >= top, top, np.where(x > threshold, x, slope * (x - threshold)))
    assert_close(activations.relu(x, slope, highest, threshold), wanted, "elementwise", scale=8.0)


def test_options(torch, rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    wide = torch.tensor(x, dtype=torch.float64)
    f = torch.nn.functional
    for got, wanted in (
        (activations.gelu(x, approximate=True), f.gelu(wide, approximate="tanh")),
        (activations.elu(x, 0.5), f.elu(wide, 0.5)),
        (activations.celu(x, 0.5), f.celu(wide, 0.5)),
        (activations.softmax(x, axis=0), wide.softmax(0)),
        (activations.log_softmax(x, axis=0), wide.log_softmax(0)),
        (activations.threshold(x, 0.5, -2.0), f.threshold(wide, 0.5, -2.0)),
        (activations.hard_shrink(x, 0.2), f.hardshrink(wide, 0.2)),
        (activations.soft_shrink(x, 0.2), f.softshrink(wide, 0.2)),
        (activations.glu(x, 1), f.glu(wide, 1)),
    ):
        assert_close(got, wanted.numpy(), "softmax", length=4, scale=2.0)


def test_functions_of_ones_own_see_channels_last(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
    seen = []

    def weighted(x):
        seen.append(x.shape)
        return x * tinydl.tensor([1.0, 2.0, 3.0])

    got = layers.Activation(weighted)(x)
    assert seen == [(1, 4, 5, 3), (2, 4, 5, 3)]  # the first for the shape of the output
    assert_close(got, x * np.array([1, 2, 3]), "elementwise")
    conv = layers.Conv2D(3, 1, activation=weighted, kernel_initializer="ones")
    assert_close(
        conv(x), x.sum(-1, keepdims=True, dtype=np.float64) * np.array([1, 2, 3]), "conv", length=3, scale=20.0
    )


def test_names():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get(activations.relu) is activations.relu
    assert layers.Dense(3, "relu").activation is activations.relu
    with pytest.raises(ValueError, match="Unknown activation: 'magic'"):
        activations.get("magic")
