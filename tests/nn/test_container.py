"""Containers: indexing, slicing, names; and that fusing an activation changes nothing."""

from collections import OrderedDict

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn


def test_indexing_and_slicing():
    a, b, c = nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3)
    net = nn.Sequential(a, b, c)
    assert len(net) == 3
    assert net[0] is a
    assert net[-1] is c
    assert list(net) == [a, b, c]
    part = net[1:]
    assert isinstance(part, nn.Sequential)
    assert list(part) == [b, c]
    assert list(part.state_dict()) == ["2.weight", "2.bias"]
    net[1] = new = nn.Tanh()
    assert list(net) == [a, new, c]
    assert net.append(b) is net
    assert net[3] is b
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index {index} is out of range for Sequential of 4"):
            net[index]


def test_names():
    net = nn.Sequential(OrderedDict(fc=nn.Linear(1, 2), act=nn.ReLU()))
    assert list(net.state_dict()) == ["fc.weight", "fc.bias"]
    assert net.fc is net[0]
    assert list(net[:1].state_dict()) == ["fc.weight", "fc.bias"]
    with pytest.raises(TypeError, match="function is not a Module"):
        nn.Sequential(lambda x: x)


def test_empty():
    x = tinydl.ones(2)
    assert nn.Sequential()(x) is x
    assert len(nn.Sequential()[:]) == 0


def test_module_list():
    layers = nn.ModuleList([nn.Linear(1, 2)])
    layers.append(nn.ReLU()).extend([nn.Linear(2, 3)])
    assert len(layers) == 3
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(layers[1:].state_dict()) == ["1.weight", "1.bias"]
    with pytest.raises(NotImplementedError):
        layers(1)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
@pytest.mark.parametrize("layer", [lambda: nn.Linear(5, 7), lambda: nn.Conv2d(3, 4, 2, padding="same")])
def test_fused_activations_equal_separate_ones(rng, layer, activation):
    layer = layer()
    x = normal(rng, (2, 5) if isinstance(layer, nn.Linear) else (2, 3, 4, 5))
    fused, plain = tinydl.tensor(x, requires_grad=True), tinydl.tensor(x, requires_grad=True)
    net = nn.Sequential(layer, activation())
    out, expected = net(fused), activation()(layer(plain))
    upstream = tinydl.tensor(normal(rng, out.shape))
    assert_close(out, expected, "elementwise", scale=1.0)
    (out * upstream).sum().backward()
    grads = [p.grad for p in net.parameters()]
    net.zero_grad()
    (expected * upstream).sum().backward()
    assert_close(fused.grad, plain.grad, "gradient", scale=1.0)
    for got, p in zip(grads, net.parameters(), strict=True):
        assert_close(got, p.grad, "gradient", length=40, scale=np.abs(np.asarray(p.grad)).max())


def test_subclasses_are_not_fused():
    class Doubled(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    class Leaky(nn.ReLU):
        def forward(self, input):
            return input

    x = tinydl.tensor([[1.0, -2.0]])
    for net in (nn.Sequential(Doubled(2, 3), nn.ReLU()), nn.Sequential(nn.Linear(2, 3), Leaky())):
        assert net(x).tolist() == net[1](net[0](x)).tolist()
