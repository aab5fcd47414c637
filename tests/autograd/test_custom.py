"""Functions in PyTorch's style: static forward and backward on tensors."""

import gc
import weakref

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck


def linear(lib):
    class Linear(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale, weight, bias=None):
            ctx.save_for_backward(x, weight, bias)
            ctx.scale = scale
            out = x.mm(weight.t()) * scale
            return out if bias is None else out + bias

        @staticmethod
        def backward(ctx, grad):
            x, weight, bias = ctx.saved_tensors
            grad_x = grad.mm(weight) * ctx.scale if ctx.needs_input_grad[0] else None
            grad_weight = grad.t().mm(x) * ctx.scale if ctx.needs_input_grad[2] else None
            return grad_x, None, grad_weight, None if bias is None else grad.sum(0)

    return Linear


def two(lib):
    class Two(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x, x * x, x.argmax()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.mark_non_differentiable(output[2])

        @staticmethod
        def backward(ctx, a, b, _):
            (x,) = ctx.saved_tensors
            return a + 2 * x * b

    return Two


@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_equal_torch(torch, rng, bias):
    arrays = [rng.standard_normal(shape) for shape in ((5, 4), (3, 4), (3,))][: 3 if bias else 2]
    upstream = rng.standard_normal((5, 3))
    results = []
    for lib in (tinydl, torch):
        x, *rest = [lib.tensor(a, requires_grad=True) for a in arrays]
        y = linear(lib).apply(x, 2.0, *rest)
        y.backward(lib.tensor(upstream))
        results.append([y.detach().numpy(), *[t.grad.numpy() for t in (x, *rest)]])
    for got, expected in zip(*results, strict=True):
        assert_close(got, expected, "gradient", length=5)


def test_several_outputs_and_a_separate_context():
    x = tinydl.tensor([1.0, 3.0], dtype="float64", requires_grad=True)
    a, b, index = two(tinydl).apply(x)
    assert (a.tolist(), b.tolist(), index.item()) == ([1, 3], [1, 9], 1)
    assert not index.requires_grad
    assert a._data is not x._data
    assert gradcheck(lambda x: two(tinydl).apply(x)[1], x)
    assert gradcheck(lambda x: sum(two(tinydl).apply(x)[:2]), x)


def test_changes_of_what_was_saved_and_second_walks_are_refused():
    x = tinydl.ones(2, 2, requires_grad=True) * 1
    y = linear(tinydl).apply(x, 1.0, tinydl.ones(2, 2, requires_grad=True)).sum()
    x.mul_(2)
    with pytest.raises(RuntimeError, match="saved was changed in place"):
        y.backward()
    x = tinydl.ones(2, requires_grad=True)
    y = two(tinydl).apply(x)[1].sum()
    y.backward()
    with pytest.raises(RuntimeError, match="walked before"):
        y.backward()


def test_nothing_is_recorded_without_gradients():
    x = tinydl.ones(2)
    assert not two(tinydl).apply(x)[1].requires_grad
    with tinydl.no_grad():
        assert not two(tinydl).apply(x.requires_grad_())[1].requires_grad


def test_the_record_goes_with_its_result():
    gc.disable()
    try:
        y = two(tinydl).apply(tinydl.ones(2, requires_grad=True))[1]
        record = weakref.ref(y.grad_fn)
        del y
        assert record() is None
    finally:
        gc.enable()


def test_wrong_results():
    class Bad(tinydl.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, grad):
            return grad

    class Number(tinydl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return np.ones(2)

    x = tinydl.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"Bad\.backward: returned 1 gradients for 2 arguments of forward"):
        Bad.apply(x, x).sum().backward()
    with pytest.raises(TypeError, match=r"Number\.forward: returned ndarray, wanted a tensor or several"):
        Number.apply(x)
