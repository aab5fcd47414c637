"""Padding, as a function and as layers, against PyTorch: values, gradients, refusals."""

import numpy as np
import pytest

import tinydl
from tests.support.peers import both_refuse, same_as_torch
from tinydl import nn

SHAPES = {1: [(2, 5), (2, 3, 4)], 2: [(2, 4, 3), (2, 3, 4, 5)], 3: [(1, 3, 4, 3), (1, 2, 3, 4, 2)]}


def functional(T):
    return T.nn.functional


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(4,), (0,), (3, 5), (2, 1, 3), (2, 3, 4, 5)], ids=str)
def test_constant(shape, dtype, torch, rng):
    x = rng.integers(-3, 3, shape).astype(dtype)
    for axes in range(len(shape) + 1):
        for low in (0, -2):
            pad = [int(n) for n in rng.integers(low, 4, 2 * axes)]
            for i, n in enumerate(shape[::-1][:axes]):  # no more may be cut than there is
                pad[2 * i] = max(pad[2 * i], -n)
                pad[2 * i + 1] = max(pad[2 * i + 1], -n - min(pad[2 * i], 0))
            for value in (None, 1.0):
                same_as_torch(torch, "index", lambda T, x, p=pad, v=value: functional(T).pad(x, p, "constant", v), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_other_modes(axes, mode, dtype, torch, rng):
    for shape in SHAPES[axes]:
        x = rng.standard_normal(shape).astype(dtype)
        for _ in range(6):
            room = [n - (mode == "reflect") for n in shape[::-1] for _ in range(2)][: 2 * axes]
            pad = [int(rng.integers(0, n + 1)) for n in room]
            same_as_torch(torch, "index", lambda T, x, p=pad: functional(T).pad(x, p, mode), x, length=30)
        same_as_torch(torch, "index", lambda T, x: functional(T).pad(x, [0] * (2 * axes), mode), x)


def test_channels_last_images(torch, rng):
    x = rng.standard_normal((2, 5, 4, 3)).transpose(0, 3, 1, 2)
    for mode in ("constant", "reflect", "replicate", "circular"):
        same_as_torch(torch, "index", lambda T, x, m=mode: functional(T).pad(x, (1, 2, 0, 3), m), x, length=30)


LAYERS = [f"{kind}Pad{n}d" for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular") for n in (1, 2, 3)]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, torch, rng):
    axes = int(name[-2])
    extra = (2.5,) if name.startswith("Constant") else ()
    for shape in SHAPES[axes]:
        x = rng.standard_normal(shape)
        for padding in (1, tuple(range(2)) * axes):
            same_as_torch(torch, "index", lambda T, x, p=padding: getattr(T.nn, name)(p, *extra)(x), x, length=8)
    assert repr(getattr(nn, name)(1, *extra)) == repr(getattr(torch.nn, name)(1, *extra))
    with pytest.raises(ValueError, match=f"{name}: got padding="):
        getattr(nn, name)((1, 2, 3), *extra)


IMAGE = np.ones((1, 2, 3, 4))
REFUSED = {
    "odd": lambda T, x: functional(T).pad(x, (1, 2, 3)),
    "too many": lambda T, x: functional(T).pad(x, [1] * 10),
    "mode": lambda T, x: functional(T).pad(x, (1, 1), "mirror"),
    "cut too much": lambda T, x: functional(T).pad(x, (-3, -2)),
    "cut more than there is": lambda T, x: functional(T).pad(x, (3, -5)),
    "reflect too far": lambda T, x: functional(T).pad(x, (4, 0, 0, 0), "reflect"),
    "circular too far": lambda T, x: functional(T).pad(x, (5, 0, 0, 0), "circular"),
    "reflect axes": lambda T, x: functional(T).pad(x, (1, 1), "reflect"),
    "replicate vector": lambda T, x: functional(T).pad(x[0, 0, 0], (1, 1), "replicate"),
    "circular axes": lambda T, x: functional(T).pad(x, [1] * 8, "circular"),
    "float": lambda T, x: functional(T).pad(x, (1.5, 1)),
    "value with a mode": lambda T, x: functional(T).pad(x, (1, 1, 0, 0), "reflect", 3.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_by_torch(name, torch):
    both_refuse(torch, REFUSED[name], IMAGE)


def test_half_precision():
    x = tinydl.tensor([[1.0, 2.0]], dtype="float16", requires_grad=True)
    y = nn.functional.pad(x, (1, 0), value=5)
    y.sum().backward()
    assert y.tolist() == [[5, 1, 2]]
    assert x.grad.tolist() == [[1, 1]]
