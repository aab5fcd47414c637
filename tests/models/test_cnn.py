"""The documents' networks: their shapes, and the same numbers as in PyTorch."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.models import MODELS, cnn_single_conv, cnn_three_pools, cnn_two_pools

CNNS = [cnn_two_pools, cnn_three_pools, cnn_single_conv]


def in_pytorch(torch, model):
    """The same layers from torch.nn."""
    twins = []
    for layer in model:
        name = type(layer).__name__
        args = {
            "Conv2d": lambda m: (m.in_channels, m.out_channels, m.kernel_size),
            "Linear": lambda m: (m.in_features, m.out_features),
            "MaxPool2d": lambda m: (m.kernel_size,),
        }.get(name, lambda m: ())(layer)
        twins.append(getattr(torch.nn, name)(*args))
    return torch.nn.Sequential(*twins)


def shapes_through(model, x):
    shapes = []
    for layer in model:
        x = layer(x)
        if not isinstance(layer, nn.ReLU):
            shapes.append(x.shape[1:])
    return shapes


def test_the_layers():
    """The output shapes that Keras prints for the documents' models, channels first."""
    x = tinydl.zeros(2, 1, 28, 28)
    first = [(32, 26, 26), (32, 13, 13), (64, 11, 11), (64, 5, 5), (64, 3, 3)]
    assert shapes_through(cnn_two_pools(), x) == [*first, (576,), (64,), (10,)]
    assert shapes_through(cnn_three_pools(), x) == [*first, (64, 1, 1), (64,), (64,), (10,)]
    assert shapes_through(cnn_single_conv(), x) == [*first[:2], (5408,), (64,), (10,)]


@pytest.mark.parametrize(("build", "count"), list(zip(CNNS, (93_322, 60_554, 347_146), strict=True)))
def test_the_number_of_parameters(build, count):
    assert sum(p.numel() for p in build().parameters()) == count


@pytest.mark.parametrize("build", CNNS)
def test_outputs_and_gradients_are_pytorchs(torch, rng, build):
    ours = build()
    theirs = in_pytorch(torch, ours)
    ours.load_state_dict(theirs.state_dict())
    x, labels = normal(rng, (3, 1, 28, 28)), np.array([3, 0, 9])
    a, b = ours(tinydl.tensor(x)), theirs(torch.tensor(x))
    assert_close(a, b.detach(), "gradient", length=576, scale=1.0)
    nn.CrossEntropyLoss()(a, tinydl.tensor(labels)).backward()
    torch.nn.CrossEntropyLoss()(b, torch.tensor(labels)).backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, "gradient", length=3 * 26 * 26, scale=q.grad.abs().max().item())


@pytest.mark.parametrize("build", CNNS)
def test_a_few_steps_learn_where_a_square_is(build):
    tinydl.manual_seed(0)
    model, loss = build(classes=4), nn.CrossEntropyLoss()
    images = np.zeros((4, 1, 28, 28), np.float32)
    for quadrant in range(4):
        images[quadrant, 0, 14 * (quadrant // 2) :, 14 * (quadrant % 2) :][:, :14][:14] = 1
    x, labels = tinydl.tensor(images), tinydl.arange(4)
    first = loss(model(x), labels).item()
    for _ in range(60):
        model.zero_grad()
        loss(model(x), labels).backward()
        with tinydl.no_grad():
            for p in model.parameters():
                p.sub_(0.1 * p.grad)
    assert abs(first - np.log(4)) < 0.1
    assert loss(model(x), labels).item() < 0.5 * first
    assert model(x).argmax(1).tolist() == [0, 1, 2, 3]


def test_every_model_by_name():
    images = ["mlp", "cnn_two_pools", "cnn_three_pools", "cnn_single_conv"]
    of_text = ["lstm_text", "gpt"]
    assert list(MODELS) == ["linear_regression", *images, "rnn_predictor", *of_text]
    shapes = {"linear_regression": ((2, 1), (2, 1)), "rnn_predictor": ((2, 10, 10), (2, 10))}
    for name, build in MODELS.items():
        model = build(5) if name in of_text else build()
        assert isinstance(model, nn.Module)
        if name not in of_text:
            given, wanted = shapes.get(name, ((2, 1, 28, 28), (2, 10)))
            assert model(tinydl.ones(*given)).shape == wanted
        else:
            assert model(tinydl.zeros(2, 3, dtype=tinydl.int64)).shape == (2, 3, 5)


def test_the_seed_fixes_a_model():
    def weights():
        tinydl.manual_seed(11)
        return [p.tolist() for p in cnn_three_pools().parameters()]

    assert weights() == weights()


def test_a_wrong_image():
    with pytest.raises(ValueError, match=r"Conv2d\(1, 32.*\(2, 3, 28, 28\), wanted \(N, 1, H, W\)"):
        cnn_two_pools()(tinydl.ones(2, 3, 28, 28))
    with pytest.raises(ValueError, match=r"Linear\(in_features=576"):
        cnn_two_pools()(tinydl.ones(2, 1, 32, 32))
