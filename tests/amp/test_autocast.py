"""The blocks: where they hold, how they nest, and the casts of weights that they keep."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tinydl
from tinydl import amp, autocast, capture, nn
from tinydl.nn import functional as F
from tinydl.ops import autocast as module

BFLOAT16, FLOAT16, FLOAT32 = tinydl.bfloat16, tinydl.float16, tinydl.float32


@pytest.fixture(autouse=True)
def closed():
    """All blocks are closed after each test, and what they kept is gone."""
    yield
    assert module.on == 0
    assert not module._state.outer
    assert not module._state.low
    assert not module._state.casts


@pytest.fixture
def x():
    return tinydl.ones(2, 3)


def product(x):
    return (x @ x.t()).dtype


# -- Blocks -----------------------------------------------------------------------------------------------------


def test_names():
    assert tinydl.autocast is amp.autocast
    assert tinydl.amp is amp


def test_a_block_ends(x):
    assert product(x) == FLOAT32
    with autocast("cpu"):
        assert product(x) == BFLOAT16
    assert product(x) == FLOAT32


def test_a_decorator(x):
    @autocast("cpu", dtype=BFLOAT16)
    def doubled(depth):
        """Its docstring."""
        return (product(x), *doubled(depth - 1)) if depth else ()

    assert doubled(3) == (BFLOAT16,) * 3
    assert doubled.__doc__ == "Its docstring."
    assert product(x) == FLOAT32


def test_nesting(x):
    with autocast("cpu"):
        with autocast("cpu", enabled=False):
            assert product(x) == FLOAT32
            assert not tinydl.is_autocast_enabled("cpu")
            with autocast("cpu"):
                assert product(x) == BFLOAT16
            assert product(x) == FLOAT32
        assert product(x) == BFLOAT16
        with autocast("cpu", dtype=FLOAT16):
            assert product(x) == FLOAT32
            assert tinydl.get_autocast_dtype("cpu") == FLOAT16
        assert tinydl.get_autocast_dtype("cpu") == BFLOAT16


def test_a_block_within_itself(x):
    block = autocast("cpu")
    with block:
        with block:
            assert product(x) == BFLOAT16
        assert product(x) == BFLOAT16
    assert product(x) == FLOAT32


def test_low_results_in_a_disabled_block(x):
    """What is low stays so, as outside of blocks."""
    with autocast("cpu"):
        y = x @ x.t()
        with autocast("cpu", enabled=False):
            assert product(y) == BFLOAT16
            with pytest.raises(TypeError, match="wanted one"):
                y @ x


def test_an_exception_ends_the_block(x):
    with pytest.raises(KeyError), autocast("cpu"), autocast("cpu", enabled=False):
        raise KeyError
    assert product(x) == FLOAT32

    @autocast("cpu")
    def fails():
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert product(x) == FLOAT32


def test_threads_have_their_own(x):
    inside, done = threading.Barrier(2, timeout=20), threading.Barrier(2, timeout=20)
    seen = []

    def other():
        inside.wait()
        seen.append(product(x))
        with autocast("cpu"):
            seen.append(product(x))
        seen.append(tinydl.is_autocast_enabled("cpu"))
        done.wait()

    thread = threading.Thread(target=other)
    thread.start()
    with autocast("cpu"):
        inside.wait()
        done.wait()
        assert product(x) == BFLOAT16
    thread.join()
    assert seen == [FLOAT32, BFLOAT16, False]


def test_devices_have_their_own(x, gpu_name):
    there = x.to(gpu_name)
    with autocast("cpu"):
        assert product(there) == FLOAT32
        with autocast(gpu_name):
            assert product(there) == FLOAT16
            assert product(x) == BFLOAT16
            with autocast("cpu", enabled=False):
                assert product(there) == FLOAT16
                assert product(x) == FLOAT32
    with autocast("cuda" if gpu_name == "cuda-emulated" else "cuda-emulated"):
        assert product(there) == FLOAT32


def test_questions():
    assert not tinydl.is_autocast_enabled()
    assert tinydl.get_autocast_dtype("cuda") == FLOAT16
    assert tinydl.get_autocast_dtype("cpu") == BFLOAT16
    with autocast("cuda", dtype="bfloat16"):
        assert tinydl.is_autocast_enabled()
        assert tinydl.get_autocast_dtype("cuda") == BFLOAT16


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (("tpu",), ValueError, "tpu"),
        (("cuda:0",), ValueError, "wanted 'cuda' or 'cpu'"),
        (("meta",), ValueError, "wanted 'cuda' or 'cpu'"),
        ((3,), TypeError, "got int"),
        (("cpu", FLOAT32), TypeError, "got dtype float32, wanted float16 or bfloat16"),
        (("cpu", "int16"), TypeError, "got dtype int16, wanted float16 or bfloat16"),
        (("cpu", "half a float"), TypeError, "wanted a dtype"),
    ],
)
def test_errors(args, error, message):
    with pytest.raises(error, match=message):
        autocast(*args)


def test_wrong_operands_are_named(x):
    with autocast("cpu"):
        with pytest.raises(TypeError, match="matmul: got None"):
            tinydl.matmul(x, None)
        with pytest.raises(TypeError, match="softmax"):
            tinydl.softmax([1.0], 0)


# -- Gradients and kept casts -----------------------------------------------------------------------------------


def grads(block, model, x):
    model.zero_grad()
    with block:
        loss = model(x).float().square().mean()
    loss.backward()
    return [p.grad.numpy().copy() for p in model.parameters()]


def test_gradients_of_a_model():
    tinydl.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 4))
    x = tinydl.randn(64, 16)
    exact = grads(autocast("cpu", enabled=False), model, x)
    low = grads(autocast("cpu"), model, x)
    for a, b in zip(low, exact, strict=True):
        assert a.dtype == np.float32
        error = np.abs(a - b).max() / np.abs(b).max()
        assert 1e-5 < error < 0.03  # low, but close


class Counted:
    """How often weights are cast, by the ids of their tensors."""

    def __init__(self, monkeypatch):
        self.inputs = []
        apply = module._Kept.apply
        monkeypatch.setattr(module._Kept, "apply", lambda node, t: (self.inputs.append(id(t)), apply(node, t))[1])

    def of(self, tensor):
        return self.inputs.count(id(tensor))


@pytest.fixture
def casts(monkeypatch):
    return Counted(monkeypatch)


def test_a_weight_is_cast_once(casts, x):
    w = tinydl.ones(3, 3, requires_grad=True)
    with autocast("cpu"):
        with autocast("cpu"):
            y = F.linear(x, w)
        y = F.linear(y, w)
        y.float().sum().backward()
        assert casts.of(w) == 1
        F.linear(x, w)
        assert casts.of(w) == 1
    with autocast("cpu"):
        F.linear(x, w)
    assert casts.of(w) == 2
    expected = tinydl.ones(3, 3, requires_grad=True)
    F.linear(F.linear(x, expected), expected).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), expected.grad.numpy())  # small integers are exact


@pytest.mark.parametrize("here", [True, False])
def test_a_captured_block_casts_by_itself(casts, x, monkeypatch, here):
    """Replays read the weights as they are then: no cast from before, and none that later blocks would find."""
    w = tinydl.ones(3, 3, requires_grad=True)
    active = capture.Capture(slots=None)
    active._thread += not here
    with autocast("cpu"):
        before = F.linear(x, w)
        monkeypatch.setattr(capture, "active", active)
        kept = dict(module._state.casts)
        w._data[...] = 2  # as a replay's own launches, without a new version
        captured = F.linear(x, w)
        assert module._state.casts == kept
        assert captured[0, 0].item() == (6 if here else before[0, 0].item())
        monkeypatch.setattr(capture, "active", None)
    captured.float().sum().backward()
    assert w.grad.dtype == FLOAT32


def test_a_weight_that_changed_is_cast_again(casts, x):
    w = tinydl.ones(3, 3, requires_grad=True)
    optimizer = tinydl.optim.SGD([w], lr=1.0)
    with autocast("cpu"):
        first = F.linear(x, w)
        first.float().sum().backward()
        optimizer.step()
        second = F.linear(x, w)
    assert casts.of(w) == 2
    assert first[0, 0].item() == 3
    assert second[0, 0].item() == -3


def test_two_backward_passes_through_one_cast(x):
    w = tinydl.ones(3, 3, requires_grad=True)
    with autocast("cpu"):
        for _ in range(2):
            F.linear(x, w).float().sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 3), 4.0))


def test_no_grad_keeps_a_cast_of_its_own(x):
    w = tinydl.ones(3, 3, requires_grad=True)
    with autocast("cpu"):
        with tinydl.no_grad():
            assert not F.linear(x, w).requires_grad
        F.linear(x, w).float().sum().backward()
    assert w.grad is not None


def test_activations_are_not_kept(x):
    w = tinydl.ones(3, 3, requires_grad=True)
    with autocast("cpu"):
        inner = w * 2
        F.linear(x, inner)
        F.linear(x, x)
        assert not module._state.casts
        F.linear(x, w)
        assert len(module._state.casts) == 1


def test_nothing_is_kept_where_nothing_should_be(x):
    w = tinydl.ones(3, 3, requires_grad=True)
    with autocast("cpu", cache_enabled=False):
        F.linear(x, w)
        assert not module._state.casts
        with autocast("cpu"):
            F.linear(x, w)
            assert not module._state.casts
        with autocast("cpu", cache_enabled=True):
            F.linear(x, w)
            assert len(module._state.casts) == 1


def test_casts_go_with_the_block(x):
    w = tinydl.ones(3, 3, requires_grad=True)
    ref = weakref.ref(w)
    with autocast("cpu"):
        F.linear(x, w)
    del w
    gc.collect()
    assert ref() is None


def test_retained_and_hooked_gradients(x):
    w = tinydl.ones(3, 3, requires_grad=True)
    seen = []
    w.register_hook(lambda grad: seen.append(grad.dtype))
    with autocast("cpu"):
        y = F.linear(x, w)
        y.retain_grad()
    y.float().sum().backward()
    assert seen == [FLOAT32]
    assert y.grad.dtype == BFLOAT16


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)
def test_backward_runs_in_the_dtypes_of_forward(dtype, gpu_name, monkeypatch):
    """The weight's gradient is a product of two 16-bit arrays, though backward is called outside of the block."""
    from tinydl.ops import matmul

    seen = []
    product = matmul._product

    def spied(a, b, *rest):
        seen.append((a.dtype, b.dtype))
        return product(a, b, *rest)

    monkeypatch.setattr(matmul, "_product", spied)
    w = tinydl.ones(3, 3).to(gpu_name).requires_grad_()
    x = tinydl.ones(2, 3).to(gpu_name).requires_grad_()
    with autocast(gpu_name, dtype=dtype):
        loss = F.linear(x, w).sum()
    assert loss.dtype == FLOAT32
    loss.backward()
    assert seen == [(dtype, dtype)] * 3
    assert (w.grad.dtype, x.grad.dtype) == (FLOAT32, FLOAT32)
