"""Recording switched on and off under PyTorch's other names, and what `grad` refuses."""

import pytest

import tinydl
from tinydl import autograd


def test_set_grad_enabled_acts_at_once_and_for_a_block():
    tinydl.set_grad_enabled(False)
    try:
        assert not tinydl.is_grad_enabled()
        with tinydl.set_grad_enabled(True):
            assert tinydl.is_grad_enabled()
        assert not tinydl.is_grad_enabled()
    finally:
        tinydl.set_grad_enabled(True)
    with tinydl.set_grad_enabled(False):
        assert not tinydl.is_grad_enabled()
    assert tinydl.is_grad_enabled()


def test_inference_mode():
    x = tinydl.ones(2, requires_grad=True)

    @tinydl.inference_mode()
    def evaluate(depth):
        assert not tinydl.is_grad_enabled()
        return evaluate(depth - 1) if depth else x * 2

    assert not evaluate(3).requires_grad
    assert tinydl.is_grad_enabled()
    with tinydl.inference_mode(False):
        assert (x * 2).requires_grad


def test_grad_retains_the_graph_and_refuses_second_derivatives():
    x = tinydl.tensor(3.0, requires_grad=True)
    y = x * x
    assert autograd.grad(y, x, retain_graph=True)[0].item() == autograd.grad(y, x)[0].item() == 6
    with pytest.raises(NotImplementedError, match="create_graph=True, gradients of gradients"):
        autograd.grad(x * x, x, create_graph=True)


@pytest.mark.parametrize(("name", "enabled"), [("no_grad", False), ("enable_grad", True), ("inference_mode", False)])
def test_decorators_need_no_parentheses(torch, name, enabled):
    for lib in (tinydl, torch):
        mode = getattr(lib, name)

        @mode
        def bare(a, *, b, lib=lib):
            return lib.is_grad_enabled(), a + b

        assert bare(1, b=2) == mode()(bare)(1, b=2) == (enabled, 3)
        assert bare.__name__ == "bare"
        with lib.no_grad():
            assert bare(1, b=2) == (enabled, 3)
        assert lib.is_grad_enabled()
