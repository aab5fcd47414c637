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


def build_and_print(lib):
    """The printed forms of containers after each change, in either library."""
    n = lib.nn
    out = []
    row = n.Sequential(n.ReLU(), n.Tanh(), n.Sigmoid())
    for change in (
        lambda: row.insert(1, n.Linear(1, 2)),
        lambda: row.extend([n.ReLU(), n.Tanh()]),
        lambda: row.pop(0),
        lambda: row.__delitem__(slice(0, 2)),
        lambda: row.append(n.Flatten()),
        lambda: row + n.Sequential(n.ReLU()),
        lambda: row * 2,
        lambda: 2 * row,
        lambda: row.__imul__(2),
        lambda: row.__iadd__(n.Sequential(n.Tanh())),
        lambda: row[1:3],
    ):
        out += [repr(change()), repr(row)]
    named = n.Sequential(OrderedDict(a=n.ReLU(), b=n.Tanh(), c=n.Sigmoid()))
    del named[1]
    items = n.ModuleList([n.ReLU(), n.ReLU(), n.Linear(1, 2)])
    out += [repr(named), repr(items)]
    for change in (
        lambda: items.insert(1, n.Tanh()),
        lambda: items.pop(0),
        lambda: items.__delitem__(-1),
        lambda: items + n.ModuleList([n.ReLU()]),
        lambda: items.__iadd__([n.ReLU(), n.Sequential(n.ReLU())]),
        lambda: items.__setitem__(0, n.Sigmoid()),
        lambda: items[::2],
    ):
        change()
        out.append(repr(items))
    out.append(repr(items + n.ModuleList([n.ReLU()])))
    book = n.ModuleDict({"a": n.ReLU()})
    book["b"] = n.Linear(1, 2)
    book.update([("c", n.Tanh()), ("a", n.Sigmoid())])
    out += [repr(book), list(book), "a" in book, "x" in book, len(book), repr(book.pop("b"))]
    out += [[k for k, _ in book.items()], [type(m).__name__ for m in book.values()], list(book.keys())]
    book.update(n.ModuleDict({"z": n.ReLU()}))
    del book["c"]
    out.append(repr(book))
    book.clear()
    out += [repr(book), repr(n.ModuleList())]
    return out


def test_changed_containers_are_pytorchs(torch):
    ours, theirs = build_and_print(tinydl), build_and_print(torch)
    ours = [o for o in ours if o != "None"]
    theirs = [t for t in theirs if t != "None"]
    assert ours == theirs


def parameters(lib):
    n, zeros = lib.nn, lib.zeros
    out = []
    items = n.ParameterList([zeros(2), n.Parameter(zeros(3))])
    items.append(zeros(4)).extend([5, zeros(1)])
    items[0] = zeros(6)
    items += [zeros(7)]
    out += [[k for k, _ in items.named_parameters()], len(items), items[3], tuple(items[-1].shape), len(items[1:3])]
    out += [list(items.state_dict()), isinstance(items[0], n.Parameter)]
    book = n.ParameterDict({"a": zeros(1), "b": zeros(2)})
    book["c"] = n.Parameter(zeros(3))
    book.update({"d": zeros(4)})
    book.update([("e", zeros(5))])
    out += [[k for k, _ in book.named_parameters()], list(book), "a" in book, len(book), list(reversed(book))]
    out += [tuple(book.pop("b").shape), book.popitem()[0], book.get("x", 7), tuple(book.get("a").shape)]
    out += [tuple(book.setdefault("f", zeros(6)).shape), tuple(book.setdefault("a").shape)]
    out += [list(book.copy()), list(book | n.ParameterDict({"q": zeros(1)})), list({"r": zeros(1)} | book)]
    book |= n.ParameterDict({"g": zeros(1)})
    out += [list(book.keys()), [k for k, _ in book.items()], len(list(book.values())), list(book.state_dict())]
    out.append(list(book.fromkeys(["u", "v"], 3).items()))
    del book["a"]
    out += [list(book), [k for k, _ in book.named_parameters()]]
    book.clear()
    out.append(len(book))
    return out


def test_parameter_containers_are_pytorchs(torch):
    assert parameters(tinydl) == parameters(torch)


def test_printed_parameter_containers():
    assert repr(nn.ParameterList([tinydl.zeros(2, 3), 5])) == (
        "ParameterList(\n    (0): Parameter containing: [float32 of size 2x3]\n    (1): Object of type: int\n)"
    )
    assert (
        repr(nn.ParameterDict({"a": tinydl.zeros(2)}))
        == "ParameterDict(  (a): Parameter containing: [float32 of size 2])"
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Sequential(nn.ReLU()) + 3, TypeError, "only a Sequential can be added"),
        (lambda: nn.Sequential(nn.ReLU()) * 0, ValueError, "positive integer"),
        (lambda: nn.Sequential(nn.ReLU()) * 1.5, TypeError, "by an integer only"),
        (lambda: nn.Sequential(nn.ReLU()).insert(3, nn.ReLU()), IndexError, "index 3 is out of range"),
        (lambda: nn.Sequential().insert(0, 3), TypeError, "int is not a Module"),
        (lambda: nn.ModuleList([nn.ReLU()]).pop(1), IndexError, "index 1 is out of range"),
        (lambda: nn.ModuleList([nn.ReLU()])["a"], TypeError, "integer"),
        (lambda: nn.ModuleList().extend(3), TypeError, "extend: got int"),
        (lambda: nn.ModuleList([3]), TypeError, "int is not a Module"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), KeyError, "contain a dot"),
        (lambda: nn.ModuleDict({"keys": nn.ReLU()}), KeyError, "already exists"),
        (lambda: nn.ModuleDict()["a"], KeyError, "a"),
        (lambda: nn.ModuleDict(3), TypeError, "wanted a mapping or pairs"),
        (lambda: nn.ModuleDict([("a", nn.ReLU(), 1)]), ValueError, "a pair of name and module"),
        (lambda: nn.ParameterList(3), TypeError, "extend: got int"),
        (lambda: nn.ParameterList(tinydl.zeros(3)), TypeError, "extend: got Tensor"),
        (lambda: nn.ParameterList()[0], IndexError, "index 0 is out of range"),
        (lambda: nn.ParameterList()(1), TypeError, "should not be called"),
        (lambda: nn.ParameterDict({"forward": tinydl.zeros(1)}), KeyError, "'forward'"),
        (lambda: nn.ParameterDict({3: tinydl.zeros(1)}), TypeError, "must be a string"),
        (lambda: nn.ParameterDict(5), TypeError, "wanted a mapping or pairs"),
        (lambda: nn.ParameterDict()["a"], KeyError, "a"),
        (lambda: nn.ParameterDict().popitem(), KeyError, "empty"),
    ],
)
def test_wrong_containers(call, error, message):
    with pytest.raises(error, match=message):
        call()
