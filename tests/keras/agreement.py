"""A layer's outputs and gradients beside those of a PyTorch function of the same input and weights."""

import numpy as np

import tinydl

from ..support.compare import assert_close


def channels_first(x):
    """N, C, ... from N, ..., C."""
    return x.movedim(-1, 1)


def channels_last(x):
    """N, ..., C from N, C, ...."""
    return x.movedim(1, -1)


def unsettle(layer, rng):
    """Give all weights values of which no two are equal, and none 0 or negative where that matters."""
    layer.set_weights([(rng.random(w.shape) + 0.5).astype(np.float32) for w in layer.get_weights()])


def grads_of(layer):
    """The gradients of the weights that are trained, in Keras's order of axes."""
    found = []
    for variable in layer._held():
        if variable.tensor.requires_grad:
            grad = variable.tensor.grad
            found.append((grad if variable.turn is None else variable.turn(grad)).numpy())
    return found


def assert_agrees(torch, rng, layer, x, function, family="gradient", length=1, training=True):
    """Compare with function(x, *weights) of float64 tensors: values, and gradients for a random upstream gradient."""
    layer.build((None, *x.shape[1:]))
    unsettle(layer, rng)
    given = tinydl.tensor(x, requires_grad=True)
    weights = [torch.tensor(w, dtype=torch.float64) for w in layer.get_weights()]
    trained = weights[: len(layer.trainable_weights)]
    for weight in trained:
        weight.requires_grad_(True)
    wanted_x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    wanted = function(wanted_x, *weights)
    got = layer(given, training=training)
    assert got.shape == (len(x), *layer.output_shape)
    scale = max(1.0, wanted.detach().abs().max().item())
    assert_close(got, wanted.detach().numpy(), family, length=length, scale=scale)
    upstream = rng.standard_normal(got.shape).astype(np.float32)
    got.backward(tinydl.tensor(upstream))
    wanted.backward(torch.tensor(upstream, dtype=torch.float64))
    pairs = [(given.grad.numpy(), wanted_x.grad)]
    pairs += zip(grads_of(layer), [w.grad for w in trained], strict=True)
    for got_grad, wanted_grad in pairs:
        scale = max(1.0, wanted_grad.abs().max().item())
        assert_close(got_grad, wanted_grad.numpy(), "gradient", length=max(length, got.numel()), scale=scale)
    return got
