"""The tape: accumulation, order, release, versions, modes, and gradcheck itself."""

import threading

import numpy as np
import pytest

import tinydl
from tinydl.autograd import Function, grad, gradcheck


def leaf(*values):
    return tinydl.tensor(list(values), requires_grad=True)


def test_gradients_accumulate_over_uses_and_calls():
    x = leaf(2.0)
    (x * x + 3 * x).backward()
    assert x.grad.tolist() == [7]
    (x * 5).backward()
    assert x.grad.tolist() == [12]


def test_a_diamond_is_walked_once_per_node():
    x = leaf(1.5)
    a = x * 2
    b = a.exp()
    c = a.tanh()
    (b * c + a).backward()
    e, t = np.exp(3.0), np.tanh(3.0)
    assert x.grad.item() == pytest.approx(2 * (e * t + e * (1 - t * t) + 1), rel=1e-6)


def test_leaves_do_not_share_one_gradient():
    x, y = leaf(1.0), leaf(2.0)
    (x + y).backward(tinydl.tensor([1.0]))
    x.grad.zero_()
    assert y.grad.tolist() == [1]


def test_the_upstream_gradient_is_not_kept():
    x, g = leaf(1.0), tinydl.tensor([1.0])
    (x + 1).backward(g)
    g.zero_()
    assert x.grad.tolist() == [1]


def test_a_leaf_can_be_the_root():
    x = leaf(1.0)
    x.backward()
    assert x.grad.tolist() == [1]


def test_deep_chains_need_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20000):
        y = y + 1
    y.backward()
    assert x.grad.tolist() == [1]


def test_a_second_walk_needs_retain_graph():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_changes_in_place_of_saved_tensors_are_caught():
    x, w = leaf(2.0), leaf(3.0)
    h = x * 1
    y = h * w
    h.add_(1)
    with pytest.raises(RuntimeError, match="Mul saved was changed in place afterwards"):
        y.backward()
    h = x * 1
    y = h.tanh()
    view = y[:]
    with tinydl.no_grad():
        view.mul_(2)
    with pytest.raises(RuntimeError, match="Tanh saved was changed in place"):
        y.backward()


def test_changes_in_place_of_what_is_not_saved_are_fine():
    x = leaf(2.0)
    h = x * 3
    y = h + 1
    h.add_(1)
    (y * 1).backward()
    assert x.grad.tolist() == [3]


def test_in_place_operations_are_recorded():
    x = leaf(2.0, -1.0)
    h = x * 3
    h += 1
    h *= tinydl.tensor([7.0, -2.0])
    h.relu_()
    h.backward(tinydl.ones(2))
    assert h.tolist() == [49, 4]
    assert x.grad.tolist() == [21, -6]


def test_assignment_by_index_is_recorded():
    x, v = leaf(1.0, 2.0, 3.0), leaf(5.0)
    h = x * 2
    h[1] = v[0]
    (h * tinydl.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [2, 0, 200]
    assert v.grad.tolist() == [10]


def test_leaves_and_views_cannot_be_changed_in_place():
    x = leaf(1.0, 2.0)
    with pytest.raises(
        RuntimeError, match=r"leaf that requires a gradient cannot be changed in place; use no_grad\(\)"
    ):
        x.add_(1)
    h = x * 1
    with pytest.raises(RuntimeError, match="view"):
        h[:1].add_(1)
    with tinydl.no_grad():
        x.add_(1)
        x[0] = 7
    assert x.tolist() == [7, 3]


def test_filling_cuts_the_history_and_copying_takes_over_the_sources():
    x, w = leaf(1.0, 2.0), leaf(5.0)
    h = x * 2
    h.zero_()
    assert not h.requires_grad
    h = x * 2
    h.copy_(w)
    h.sum().backward()
    assert h.tolist() == [5, 5]
    assert x.grad is None
    assert w.grad.tolist() == [2]
    with tinydl.no_grad():
        x.fill_(7)
    assert x.tolist() == [7, 7]
    assert x.requires_grad


def test_a_view_cannot_be_left_with_a_stale_history():
    x, w = leaf(1.0, 2.0), leaf(5.0, 6.0)
    h = x * 2
    view = h[:1]
    with pytest.raises(RuntimeError, match="shares its memory with a view"):
        h.mul_(3)
    base = tinydl.zeros(2)
    view = base[:1]
    with pytest.raises(RuntimeError, match="shares its memory with a view"):
        base += w
    del view
    base += w
    assert base.requires_grad


def test_the_last_holder_of_a_storage_may_change_it():
    x = leaf(1.0, -2.0, 3.0, -4.0)
    h = (x * 2).reshape(2, 2)
    h.relu_()
    h.sum().backward()
    assert x.grad.tolist() == [2, 0, 2, 0]


def test_indices_are_kept_as_they_were():
    x = leaf(1.0, 2.0)
    for index in (tinydl.tensor([0, 0]), np.array([0, 0])):
        x.grad = None
        y = x[index]
        index[0] = 1
        y.sum().backward()
        assert x.grad.tolist() == [2, 0]


def test_changes_in_place_keep_the_dtype_of_gradients():
    x, w = leaf(1.0, 2.0), tinydl.tensor([3.0, 4.0], dtype="float64", requires_grad=True)
    h = x * 1
    h.mul_(w)
    h.sum().backward()
    assert (h.dtype, x.grad.dtype, w.grad.dtype) == (np.float32, np.float32, np.float64)
    h = tinydl.zeros(2)
    w.grad = None
    h[:] = w
    h.sum().backward()
    assert w.grad.dtype == np.float64


def test_an_in_place_result_must_fit():
    x = tinydl.ones(3)
    with pytest.raises(ValueError, match=r"result has shape \(2, 3\)"):
        x.add_(tinydl.ones(2, 3))
    with pytest.raises(TypeError, match="float32 does not fit in place into int64"):
        tinydl.tensor([1, 2]).add_(0.5)


def test_no_grad_and_enable_grad():
    x = leaf(1.0)
    with tinydl.no_grad():
        assert not (x * 2).requires_grad
        with tinydl.enable_grad():
            assert (x * 2).requires_grad
    assert (x * 2).requires_grad

    @tinydl.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad


def test_the_mode_belongs_to_the_thread():
    seen = []
    with tinydl.no_grad():
        worker = threading.Thread(target=lambda: seen.append(tinydl.is_grad_enabled()))
        worker.start()
        worker.join()
    assert seen == [True]


def test_detach_cuts_and_shares():
    x = leaf(1.0)
    y = x.detach()
    assert not y.requires_grad
    assert y.numpy() is x.detach().numpy()


def test_grad_leaves_other_gradients_alone():
    x, y = leaf(2.0), leaf(3.0)
    (gx,) = grad((x * y).sum(), x)
    assert gx.tolist() == [3]
    assert x.grad is None
    assert y.grad is None
    grad(x.sum(), x)[0].add_(1)
    with pytest.raises(RuntimeError, match="do not depend on input 0"):
        grad((x * y).sum(), x * 1)


def test_wrong_roots():
    with pytest.raises(RuntimeError, match="requires no gradient"):
        tinydl.ones(1).backward()
    with pytest.raises(RuntimeError, match="no default gradient"):
        (leaf(1.0, 2.0) * 1).backward()
    with pytest.raises(ValueError, match=r"gradient of shape \(3,\) for a tensor of shape \(2,\)"):
        (leaf(1.0, 2.0) * 1).backward(tinydl.ones(3))
    with pytest.raises(TypeError, match="only floating-point"):
        tinydl.tensor([1, 2], requires_grad=True)


class Two(Function):
    """(2x, 3x): two outputs."""

    def forward(self, x):
        return 2 * x, 3 * x

    def backward(self, first, second):
        return (0 if first is None else 2 * first) + (0 if second is None else 3 * second)


def test_functions_with_two_outputs():
    x = leaf(1.0)
    a, b = Two().apply(x)
    (a * b).backward()
    assert x.grad.tolist() == [12]
    x.grad = None
    Two().apply(x)[1].backward()
    assert x.grad.tolist() == [3]


class Wrong(Function):
    """A square with a wrong derivative."""

    def __init__(self, slope):
        self.slope = slope

    def forward(self, x):
        self.save(x)
        return x * x

    def backward(self, grad):
        return self.slope * self.saved[0] * grad


def test_gradcheck_catches_wrong_derivatives(rng):
    x = tinydl.tensor(rng.standard_normal((3, 2)), requires_grad=True)
    assert gradcheck(lambda t: Wrong(2).apply(t), x)
    with pytest.raises(AssertionError, match="input 0, element"):
        gradcheck(lambda t: Wrong(2.01).apply(t), x)
    with pytest.raises(AssertionError):
        gradcheck(lambda t: Wrong(-2).apply(t), x)
    with pytest.raises(TypeError, match="float32, wanted float64"):
        gradcheck(lambda t: t * 2, leaf(1.0))


def test_backward_into_some_leaves():
    a, b = (tinydl.tensor([2.0, 3.0], requires_grad=True) for _ in range(2))
    (a * b).backward(tinydl.ones(2), inputs=[a])
    assert a.grad.tolist() == [2, 3]
    assert b.grad is None
    with pytest.raises(ValueError, match=r"backward: an input of shape \(2,\) requires no gradient"):
        (a * b).sum().backward(inputs=tinydl.ones(2))
    with pytest.raises(NotImplementedError, match="create_graph=True, gradients of gradients, is not supported"):
        (a * b).sum().backward(create_graph=True)
