"""Hooks: in which order they are called, what they see, and what they may change; as in PyTorch."""

import copy
import pickle

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn


def net(lib, seed=0):
    rng = np.random.default_rng(seed)
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2))
    for p in model.parameters():
        p.data.copy_(lib.tensor(normal(rng, tuple(p.shape))))
    return model


def run(lib, model, x):
    leaf = lib.tensor(x, requires_grad=True)
    out = model(leaf)
    (out * out).sum().backward()
    return [out.detach(), leaf.grad, *(p.grad for p in model.parameters())]


def show(value):
    """Nested tensors as rounded lists, for logs that are compared."""
    if isinstance(value, tuple):
        return tuple(show(v) for v in value)
    return None if value is None else np.round(np.asarray(value.detach(), np.float64), 4).tolist()


def build_log(lib, register):
    model, log = net(lib), []
    register(model, log)
    results = run(lib, model, np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    return log, results


def forward_hooks(model, log):
    model[0].register_forward_pre_hook(lambda m, args: log.append(("pre", show(args))))
    model[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    model[0].register_forward_pre_hook(lambda m, args: log.append(("first", show(args))), prepend=True)
    model[0].register_forward_hook(lambda m, args, out: log.append(("after", show(args), show(out))))
    model[2].register_forward_hook(lambda m, args, out: out + 1)
    model.register_forward_pre_hook(lambda m, args, kwargs: (args, kwargs), with_kwargs=True)
    model.register_forward_hook(lambda m, args, kwargs, out: log.append((show(out), kwargs)), with_kwargs=True)


def single_value(m, args):
    return args[0] + 1


def pre_hook_of_one_value(model, log):
    model[1].register_forward_pre_hook(single_value)


def backward_hooks(model, log):
    for i, layer in enumerate(model):
        layer.register_full_backward_hook(lambda m, gi, go, i=i: log.append((i, show(gi), show(go))))
        layer.register_full_backward_pre_hook(lambda m, go, i=i: log.append((i, show(go))))
    model[2].register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
    model[1].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
    model[1].register_full_backward_hook(lambda m, gi, go: log.append(("first", show(gi))), prepend=True)


@pytest.mark.parametrize("register", [forward_hooks, pre_hook_of_one_value, backward_hooks])
def test_module_hooks_are_pytorchs(torch, register):
    ours, results = build_log(tinydl, register)
    theirs, expected = build_log(torch, register)
    assert len(ours) == len(theirs)
    for got, wanted in zip(ours, theirs, strict=True):
        assert str(got).count("None") == str(wanted).count("None")
        flat = [np.asarray(v, np.float64) for v in _numbers(got)], [np.asarray(v, np.float64) for v in _numbers(wanted)]
        for a, b in zip(*flat, strict=True):
            assert np.abs(a - b).max() < 2e-3
    for got, wanted in zip(results, expected, strict=True):
        assert_close(got, wanted, "gradient", length=10, scale=max(1.0, float(wanted.abs().max())))


def _numbers(value):
    if isinstance(value, tuple):
        return [n for v in value for n in _numbers(v)]
    return [value] if isinstance(value, list) else []


def test_without_a_gradient_of_the_input_the_hook_is_called_all_the_same():
    layer, seen = nn.Linear(2, 2), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(tinydl.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1, 1]])]
    with tinydl.no_grad():
        layer(tinydl.ones(1, 2))
    assert len(seen) == 1


def test_several_inputs_and_outputs():
    class Swap(nn.Module):
        def forward(self, a, index, b):
            return b * 2, a * 3

    module, seen = Swap(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((show(gi), show(go))))
    a, b = tinydl.ones(1, requires_grad=True), tinydl.ones(1, requires_grad=True)
    first, second = module(a, tinydl.tensor([7]), b)
    second.sum().backward()
    assert seen == [(([3.0], None, None), (None, [1.0]))]
    assert first.requires_grad
    module.register_full_backward_hook(lambda m, gi, go: (None,))
    with pytest.raises(ValueError, match="returned 1 gradients, wanted 3"):
        module(a, tinydl.tensor([7]), b)[0].sum().backward()


def test_always_called_hooks_see_the_failure():
    class Broken(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    module, seen = Broken(), []
    module.register_forward_hook(lambda m, args, out: seen.append("never"))
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ZeroDivisionError):
        module(1)
    assert seen == [None]


def test_removal():
    layer, seen = nn.ReLU(), []
    x = tinydl.ones(1)
    handle = layer.register_forward_hook(lambda *_: seen.append(1))
    layer(x)
    handle.remove()
    handle.remove()
    layer(x)
    with layer.register_forward_pre_hook(lambda *_: seen.append(2)):
        layer(x)
    layer(x)
    assert seen == [1, 2]


def test_a_pre_hook_with_kwargs_returns_two_things():
    layer = nn.ReLU()
    layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(TypeError, match="None or \\(args, kwargs\\)"):
        layer(tinydl.ones(1))


def test_fused_layers_keep_their_hooks():
    model, seen = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), []
    model[1].register_forward_hook(lambda m, args, out: seen.append("relu"))
    model(tinydl.ones(1, 2))
    model[0].register_forward_hook(lambda m, args, out: seen.append(float(out[0, 0])))
    model[0].weight.data.fill_(-1)
    model[0].bias.data.fill_(0)
    model(tinydl.ones(1, 2))
    assert seen == ["relu", -2.0, "relu"]


# -- Tensors ------------------------------------------------------------------------------------------------------


def tensor_log(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    log = []
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: log.append(("y", g.tolist())))
    y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: log.append(("x", g.tolist())))
    x.register_hook(lambda g: g + 1)
    gone = x.register_hook(lambda g: log.append("removed"))
    gone.remove()
    (y * y + x).sum().backward()
    return log, y.grad.tolist(), x.grad.tolist(), y.retains_grad, x.retains_grad


def test_tensor_hooks_are_pytorchs(torch):
    assert tensor_log(tinydl) == tensor_log(torch)


def test_the_root_has_hooks_too():
    x = tinydl.tensor([2.0], requires_grad=True)
    x.register_hook(lambda g: g * 5)
    x.backward()
    assert x.grad.tolist() == [5]
    y = x * 1
    y.register_hook(lambda g: g * 7)
    y.backward()
    assert x.grad.tolist() == [40]


def test_wrong_tensor_hooks():
    with pytest.raises(RuntimeError, match="register_hook: the tensor requires no gradient"):
        tinydl.ones(1).register_hook(print)
    with pytest.raises(RuntimeError, match="retain_grad: the tensor requires no gradient"):
        tinydl.ones(1).retain_grad()
    x = tinydl.ones(2, requires_grad=True)
    x.register_hook(lambda g: g[:1])
    with pytest.raises(ValueError, match=r"returned shape \(1,\)"):
        x.sum().backward()
    y = tinydl.ones(2, requires_grad=True)
    y.register_hook(lambda g: 3)
    with pytest.raises(TypeError, match="returned int"):
        y.sum().backward()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_of_tensors(duplicate):
    x = tinydl.tensor([1.0, 2.0], requires_grad=True)
    view = x[0]
    twin = duplicate(x)
    assert twin.requires_grad
    assert twin.tolist() == [1, 2]
    assert twin._data is not x._data
    with pytest.raises(RuntimeError, match="only leaves can be copied"):
        duplicate(view)


def test_deep_copies_keep_gradients_and_identities():
    layer = nn.Linear(2, 2)
    layer(tinydl.ones(1, 2)).sum().backward()
    twin, again = copy.deepcopy([layer, layer])
    assert twin is again
    assert twin.weight.grad.tolist() == layer.weight.grad.tolist()
    assert twin.weight.grad is not layer.weight.grad
    assert isinstance(twin.weight, nn.Parameter)
