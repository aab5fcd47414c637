"""Gradients with respect to some tensors, leaves or not, and of several tensors at once: against PyTorch's."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.autograd import Function, backward, grad

X, W = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]]), np.array([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.75]])


def net(lib):
    """Every tensor of a small network with a branch that joins again, by name."""
    x, w = lib.tensor(X, requires_grad=True), lib.tensor(W, requires_grad=True)
    hidden = x @ w
    act = hidden.tanh()
    left, right = act.split(1, dim=1)
    joined = left * right + act.exp()[:, :1]
    loss = (joined * joined).sum() + hidden.sum()
    return {n: t for n, t in locals().items() if n not in ("lib",)}


CASES = [
    ("loss", "hidden"),
    ("loss", "hidden act"),
    ("loss", "x hidden left w"),
    ("loss", "right left right"),
    ("loss", "loss"),
    ("loss", "joined loss x"),
    ("loss hidden", "x act"),
    ("joined hidden", "hidden w"),
    ("act", "act x"),
    ("x", "x"),
]


@pytest.mark.parametrize(("outputs", "inputs"), CASES)
def test_gradients_of_any_tensors(torch, rng, outputs, inputs):
    ours, theirs = net(tinydl), net(torch)
    outputs, inputs = outputs.split(), inputs.split()
    start = [rng.standard_normal(tuple(ours[n].shape)) for n in outputs]
    got, wanted = (
        lib.autograd.grad([t[n] for n in outputs], [t[n] for n in inputs], [lib.tensor(g) for g in start])
        for lib, t in ((tinydl, ours), (torch, theirs))
    )
    for mine, other in zip(got, wanted, strict=True):
        assert_close(mine.numpy(), other.numpy(), family="gradient")
    assert all(t.grad is None for t in ours.values())


def test_gradients_of_a_walk_that_is_repeated(torch):
    ours, theirs = net(tinydl), net(torch)
    for _ in range(2):
        got = grad(ours["loss"], ours["hidden"], retain_graph=True)
        wanted = torch.autograd.grad(theirs["loss"], theirs["hidden"], retain_graph=True)
        assert_close(got[0].numpy(), wanted[0].numpy(), family="gradient")
    grad(ours["loss"], ours["act"])
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        grad(ours["loss"], ours["act"])


def test_what_lies_before_the_inputs_is_left_for_a_walk_of_its_own(torch):
    both = []
    for lib in (tinydl, torch):
        t = net(lib)
        (g,) = lib.autograd.grad(t["loss"] * 1, t["act"], retain_graph=True)
        t["act"].backward(g)
        both.append(t)
    for name in "xw":
        assert_close(both[0][name].grad.numpy(), both[1][name].grad.numpy(), family="gradient")


class Fails(Function):
    """An identity whose backward must not be reached."""

    def forward(self, x):
        return x.copy()

    def backward(self, grad):
        raise AssertionError("the walk went further than the inputs")


def test_the_walk_goes_no_further_than_the_inputs():
    x = tinydl.ones(2, requires_grad=True)
    other = tinydl.ones(2, requires_grad=True)
    h = Fails().apply(x) * 3
    loss = (h * h * Fails().apply(other)).sum()
    assert grad(loss, h)[0].tolist() == [6, 6]


def test_hooks_see_what_is_asked_for(torch):
    got = []
    for lib in (tinydl, torch):
        x, w = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
        calls = []
        w.register_hook(lambda g, calls=calls: calls.append("w"))
        x.register_hook(lambda g, calls=calls: calls.append("x"))
        k = x * w
        k.register_hook(lambda g: g * 10)
        k.retain_grad()
        loss = (k * 2).sum()
        only = [g.tolist() for g in lib.autograd.grad(loss, k, retain_graph=True)]
        both = [g.tolist() for g in lib.autograd.grad(loss, [k, x])]
        got.append((only, both[1], k.grad.tolist(), calls))
    assert got[0] == got[1]


def test_returned_gradients_are_the_callers_own():
    x = tinydl.ones(2, requires_grad=True)
    h = x * 1
    start = tinydl.ones(2)
    first, second = grad(h + h * 0, [h, x], start)
    first.zero_()
    assert start.tolist() == second.tolist() == [1, 1]


def test_unused_inputs(torch):
    x, y = tinydl.ones(2, requires_grad=True), tinydl.ones(3, requires_grad=True)
    loss, unused = (x * x).sum(), y * 2
    for t in (y, unused):
        with pytest.raises(RuntimeError, match="do not depend on input 1; allow_unused=True gives None"):
            grad(loss, [x, t], retain_graph=True)
        assert grad(loss, [x, t], retain_graph=True, allow_unused=True)[1] is None
        assert grad(loss, [x, t], retain_graph=True, materialize_grads=True)[1].tolist() == [0, 0, 0]


def test_gradients_are_accumulated_into_any_tensor(torch):
    both = []
    for lib in (tinydl, torch):
        t = net(lib)
        t["act"].retain_grad()
        t["loss"].backward(inputs=[t["hidden"], t["act"], t["w"]])
        both.append(t)
    ours, theirs = both
    assert ours["x"].grad is None
    for name in ("hidden", "act", "w"):
        assert_close(ours[name].grad.numpy(), theirs[name].grad.numpy(), family="gradient")


@pytest.mark.parametrize("inputs", [None, "x hidden", "x hidden hidden x"])
def test_several_tensors_walked_at_once(torch, inputs):
    both = []
    for lib in (tinydl, torch):
        t = net(lib)
        chosen = None if inputs is None else [t[n] for n in inputs.split()]
        lib.autograd.backward([t["loss"], t["act"]], [None, lib.ones_like(t["act"])], inputs=chosen)
        both.append(t)
    for name in ("x", "w") if inputs is None else inputs.split():
        assert_close(both[0][name].grad.numpy(), both[1][name].grad.numpy(), family="gradient")


def test_wrong_calls():
    x = tinydl.ones(2, requires_grad=True)
    y = x * x
    with pytest.raises(ValueError, match="grad: got no inputs"):
        grad(y.sum(), [])
    with pytest.raises(TypeError, match="grad: an input is of type str"):
        grad(y.sum(), ["x"])
    with pytest.raises(ValueError, match=r"grad: an input of shape \(3,\) requires no gradient"):
        grad(y.sum(), tinydl.ones(3))
    with pytest.raises(ValueError, match="grad: got 1 gradients for 2 tensors"):
        grad([y, y], x, [tinydl.ones(2)])
    with pytest.raises(RuntimeError, match=r"grad: a tensor of shape \(2,\) has no default gradient"):
        grad(y, x)
    with pytest.raises(RuntimeError, match="requires no gradient and has no grad_fn"):
        grad(tinydl.ones(1), x)
    with pytest.raises(ValueError, match="contradicts materialize_grads"):
        grad(y.sum(), x, allow_unused=False, materialize_grads=True)
    with pytest.raises(NotImplementedError, match="is_grads_batched"):
        grad(y.sum(), x, is_grads_batched=True)
    with pytest.raises(NotImplementedError, match="create_graph"):
        backward(y.sum(), create_graph=True)
    with pytest.raises(ValueError, match="both grad_tensors and grad_variables"):
        backward(y, tinydl.ones(2), grad_variables=tinydl.ones(2))
    with pytest.warns(FutureWarning, match="grad_variables"):
        backward(y, grad_variables=tinydl.ones(2))
    assert x.grad.tolist() == [2, 2]
