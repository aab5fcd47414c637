"""Modules: how parameters, buffers and submodules are found, changed and printed."""

import copy
import pickle

import numpy as np
import pytest

import tinydl
from tinydl import nn


class Block(nn.Module):
    def __init__(self, features=3):
        super().__init__()
        self.fc = nn.Linear(features, 2)
        self.scale = nn.Parameter(tinydl.ones(2))
        self.register_buffer("count", tinydl.zeros(1))
        self.register_buffer("scratch", tinydl.zeros(4), persistent=False)

    def forward(self, x):
        return self.fc(x) * self.scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.body = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        self.register_parameter("absent", None)

    def forward(self, x):
        return self.body(self.first(x))


NAMES = ["first.scale", "first.fc.weight", "first.fc.bias", "body.0.weight", "body.0.bias"]


def test_names_and_order():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters(prefix="net", recurse=True)] == [f"net.{n}" for n in NAMES]
    assert [name for name, _ in net.first.named_parameters(recurse=False)] == ["scale"]
    assert [name for name, _ in net.named_buffers()] == ["first.count", "first.scratch"]
    assert [name for name, _ in net.named_children()] == ["first", "body"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "first.fc", "body", "body.0", "body.1"]
    assert len(list(net.parameters())) == 5
    assert len(list(net.modules())) == 6
    assert list(net.children()) == [net.first, net.body]
    assert list(net.buffers()) == [net.first.count, net.first.scratch]
    assert list(net.state_dict()) == [
        "first.scale",
        "first.count",
        "first.fc.weight",
        "first.fc.bias",
        "body.0.weight",
        "body.0.bias",
    ]


def test_names_equal_pytorch(torch):
    def build(lib):
        net = lib.nn.Module()
        net.conv = lib.nn.Conv2d(1, 2, 3, bias=False)
        net.body = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.ReLU())
        net.again = net.body
        net.register_buffer("steps", lib.zeros(1))
        return net

    ours, theirs = build(tinydl), build(torch)
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, listing)()] == [n for n, _ in getattr(theirs, listing)()], listing
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_shared_parameters_count_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    everything = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    assert everything == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(net.state_dict()) == everything


def test_a_module_that_refers_to_its_parent():
    net, child = nn.Module(), nn.Module()
    net.child = child
    child.parent = net
    child.w = nn.Parameter(tinydl.zeros(1))
    assert [name for name, _ in net.named_parameters()] == ["child.w"]


def test_assignment():
    net = Net()
    with pytest.raises(TypeError, match="cannot assign Tensor as parameter 'scale'"):
        net.first.scale = tinydl.ones(2)
    with pytest.raises(TypeError, match="cannot assign int as child module 'fc'"):
        net.first.fc = 3
    with pytest.raises(TypeError, match="cannot assign str as buffer 'count'"):
        net.first.count = "x"
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'missing'"):
        net.missing  # noqa: B018
    new = tinydl.ones(1)
    net.first.count = new
    assert net.first.count is new
    assert next(net.buffers()) is new
    net.first.scale = None
    assert net.first.scale is None
    assert "first.scale" not in net.state_dict()
    del net.first
    assert not hasattr(net, "first")
    net.plain = 1
    net.plain = nn.Parameter(tinydl.zeros(1))
    assert "plain" in dict(net.named_parameters())
    assert "plain" in dir(net)


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self, value):
            self.x = value
            super().__init__()

    for value, what in ((nn.Parameter(tinydl.zeros(1)), "parameters"), (nn.ReLU(), "module")):
        with pytest.raises(AttributeError, match=rf"cannot assign {what} before Module.__init__\(\) call"):
            Early(value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.register_parameter("w", tinydl.zeros(1)), TypeError, "Parameter or None expected"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "contain a dot"),
        (lambda m: m.register_parameter("", None), KeyError, "empty"),
        (lambda m: m.register_parameter("forward", None), KeyError, "'forward' already exists"),
        (lambda m: m.register_buffer("b", np.zeros(1)), TypeError, "Tensor or None expected"),
        (lambda m: m.add_module("m", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.add_module(3, nn.ReLU()), TypeError, "must be a string"),
        (lambda m: m.train("yes"), TypeError, "mode must be a bool"),
        (lambda m: m(1), NotImplementedError, 'Module \\[Module\\] is missing the required "forward"'),
        (lambda m: m.to("cuda"), ValueError, "device 'cuda' is not available"),
        (lambda m: m.to("int64"), TypeError, "wanted a floating-point dtype"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.Module())


def test_parameter():
    source = tinydl.ones(2)
    p = nn.Parameter(source)
    assert p.requires_grad
    assert p.is_leaf
    with tinydl.no_grad():
        p.mul_(3)
    assert source.tolist() == [3, 3]
    assert repr(p) == "Parameter containing:\ntensor([3., 3.], requires_grad=True)"
    assert not nn.Parameter(np.ones(2, np.float32), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="only floating-point"):
        nn.Parameter(tinydl.arange(3))
    with pytest.raises(TypeError, match="got list, wanted a tensor"):
        nn.Parameter([1.0])


def test_modes():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.first.train()
    assert net.first.fc.training
    assert not net.body.training


def test_freezing_and_zero_grad():
    net = Net()
    net.first.requires_grad_(False)
    net(tinydl.ones(1, 3)).sum().backward()
    assert net.first.scale.grad is None
    grad = net.body[0].bias.grad
    assert grad.shape == (2,)
    net.zero_grad(set_to_none=False)
    assert grad.tolist() == [0, 0]
    net.zero_grad()
    assert net.body[0].bias.grad is None


def test_to_keeps_the_objects():
    net = Net()
    net.first.register_buffer("index", tinydl.arange(2))
    net(tinydl.ones(1, 3)).sum().backward()
    before = list(net.parameters())
    values = [p.tolist() for p in before]
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in before} == {p.grad.dtype for p in before} == {tinydl.float64}
    assert net.first.count.dtype == tinydl.float64
    assert net.first.index.dtype == tinydl.int64
    assert net.to("cpu", "float32").first.scale.dtype == tinydl.float32
    assert [p.tolist() for p in net.float().parameters()] == values


def test_a_change_of_dtype_keeps_the_memory_order():
    conv = nn.Conv2d(3, 5, 2)
    order = np.argsort(conv.weight.stride())
    assert np.argsort(conv.double().weight.stride()).tolist() == order.tolist()


def test_apply_visits_children_first():
    visited = []
    net = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    assert net.apply(lambda m: visited.append(type(m).__name__)) is net
    assert visited == ["ReLU", "Sequential", "Tanh", "Sequential"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(duplicate):
    net = Net()
    twin = duplicate(net)
    assert [name for name, _ in twin.named_parameters()] == NAMES
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in twin.parameters())
    with tinydl.no_grad():
        twin.first.scale.fill_(7)
    assert net.first.scale.tolist() == [1, 1]


def build_for_printing(lib):
    class Outer(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = lib.nn.Conv2d(4, 8, (3, 5), stride=2, padding=1, dilation=(1, 2), groups=2, bias=False)
            self.plain = lib.nn.Conv2d(1, 2, 3, padding="same")
            self.body = lib.nn.Sequential(
                lib.nn.Linear(3, 2, bias=False),
                lib.nn.ReLU(),
                lib.nn.ReLU(inplace=True),
                lib.nn.Sigmoid(),
                lib.nn.Tanh(),
                lib.nn.Softmax(dim=1),
                lib.nn.Dropout(0.25),
                lib.nn.Flatten(),
                lib.nn.MaxPool2d(2),
                lib.nn.AvgPool2d((2, 3), stride=1),
            )
            self.empty = lib.nn.Sequential()
            self.items = lib.nn.ModuleList([lib.nn.Linear(1, 1)])
            self.loss = lib.nn.CrossEntropyLoss()
            self.mse = lib.nn.MSELoss()

        def extra_repr(self):
            return "extra=1"

    return Outer()


def test_printed_form_is_pytorchs(torch):
    assert repr(build_for_printing(tinydl)) == repr(build_for_printing(torch))


def test_lookup_by_dotted_names():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("first.fc") is net.first.fc
    assert net.get_parameter("first.fc.weight") is net.first.fc.weight
    assert net.get_buffer("first.count") is net.first.count
    for call in (
        lambda: net.get_submodule("first.nothing"),
        lambda: net.get_submodule("first.scale"),
        lambda: net.get_parameter("first.count"),
        lambda: net.get_parameter("absent"),
        lambda: net.get_buffer("first.fc.weight"),
        lambda: net.set_submodule("first.new", nn.ReLU(), strict=True),
    ):
        with pytest.raises(AttributeError, match=r"has no (submodule|parameter|buffer) '\w+' \(of "):
            call()
    net.set_submodule("body.1", nn.Tanh())
    assert isinstance(net.body[1], nn.Tanh)
    with pytest.raises(ValueError, match="got int"):
        net.set_submodule("body.1", 3)
    with pytest.raises(ValueError, match="empty"):
        net.set_submodule("", nn.Tanh())


def test_modules_that_appear_twice():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert [name for name, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1", "2"]
    assert len(list(net.modules(remove_duplicate=False))) == 4
    assert [name for name, _ in net.named_modules({shared}, "top")] == ["top", "top.1"]
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert len([*net.named_parameters(remove_duplicate=False)]) == 4


def test_conversions():
    net = Net()
    net.register_buffer("index", tinydl.arange(2))
    assert net.to(tinydl.zeros(1, dtype=tinydl.float64)).first.scale.dtype == tinydl.float64
    assert net.half().first.scale.dtype == net.first.count.dtype == tinydl.float16
    assert net.index.dtype == tinydl.int64
    assert net.type(tinydl.float32).index.dtype == tinydl.float32
    assert net.cpu() is net


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1)
        self.seen = 0

    def get_extra_state(self):
        return {"seen": self.seen}

    def set_extra_state(self, state):
        self.seen = state["seen"]


def test_extra_state():
    net = nn.Sequential(Counting())
    net[0].seen = 3
    state = net.state_dict()
    assert list(state) == ["0._extra_state", "0.fc.weight", "0.fc.bias"]
    other = nn.Sequential(Counting())
    assert other.load_state_dict(state) == ([], [])
    assert other[0].seen == 3
    del state["0._extra_state"]
    with pytest.raises(ValueError, match=r'"0\._extra_state"'):
        other.load_state_dict(state)
    with pytest.raises(RuntimeError, match="has no extra state"):
        nn.Module().get_extra_state()


def test_new_data_for_a_parameter():
    p = nn.Parameter(tinydl.ones(2))
    p.data = p.data * 3
    assert p.is_leaf
    assert p.requires_grad
    assert p.tolist() == [3, 3]
    out = (p * p).sum()
    p.data.fill_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        out.backward()
    with pytest.raises(TypeError, match="got list"):
        p.data = [1.0]
    with pytest.raises(TypeError, match="dtype int64"):
        p.data = tinydl.arange(2)
