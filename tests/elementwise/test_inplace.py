"""In-place forms: the values and gradients of the function, in the tensor's own memory, as in PyTorch."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import ops

# The arguments behind the tensor itself; "other" stands for a second tensor.
WITH_OTHER = """
    add sub mul div subtract multiply divide true_divide pow float_power floor_divide remainder fmod hypot atan2 arctan2
    xlogy eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor
    heaviside
"""
ARGUMENTS = {
    **dict.fromkeys(WITH_OTHER.split(), ("other",)),
    "clamp": (0.2, 1.1),
    "clip": (0.2, 1.1),
    "clamp_min": (0.2,),
    "clamp_max": (1.1,),
    "lerp": ("other", 0.3),
    "addcmul": ("other", "other"),
    "addcdiv": ("other", "other"),
}
NAMES = sorted(
    name.removesuffix("_")
    for name in ops.elementwise_methods.METHODS
    if name.endswith("_") and not name.startswith("_")
)
BITS = [name for name in NAMES if name.startswith("bitwise")]
FLAT = (
    "eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not "
    "heaviside sgn"
)
NOT_IN_TORCH = ("acosh", "asinh", "atanh", "arccosh", "arcsinh", "arctanh")  # no derivative in place


def changed(name, x, other):
    arguments = [other if a == "other" else a for a in ARGUMENTS.get(name, ())]
    y = x * 1
    if name in NOT_IN_TORCH and not isinstance(x, tinydl.Tensor):
        return getattr(y, name)()
    result = getattr(y, f"{name}_")(*arguments)
    assert result is y
    return y


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BITS and name != "float_power"])
def test_values_and_gradients(name, torch, rng):
    x, other = rng.uniform(0.1, 0.9, (2, 3, 5)).astype(np.float32)
    if name in ("acosh", "arccosh"):
        x = x + 1
    ours = [tinydl.tensor(v, requires_grad=True) for v in (x, other)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (x, other)]
    if name in FLAT.split() or name == "floor_divide":
        ours, theirs = ([t.detach() for t in pair] for pair in (ours, theirs))
    y, expected = changed(name, *ours), changed(name, *theirs)
    assert y.dtype == np.float32
    assert_close(y, expected.detach().numpy(), "function", scale=1 + np.abs(expected.detach().numpy()))
    if not expected.requires_grad:
        return
    upstream = normal(rng, (3, 5))
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    for mine, peer in zip(ours, theirs, strict=True):
        assert (mine.grad is None) == (peer.grad is None)
        if peer.grad is not None:
            slopes = peer.grad.numpy()
            assert_close(mine.grad, slopes, "gradient", scale=np.abs(slopes) + np.abs(upstream).max())


@pytest.mark.parametrize("name", BITS)
def test_bits(name, torch):
    x, other = np.array([12, 5, 7]), np.array([10, 3, 1])
    arguments = [] if name == "bitwise_not" else [other]
    y, expected = tinydl.tensor(x), torch.tensor(x)
    assert getattr(y, f"{name}_")(*[tinydl.tensor(a) for a in arguments]) is y
    getattr(expected, f"{name}_")(*[torch.tensor(a) for a in arguments])
    assert y.tolist() == expected.tolist()


def test_there_are_the_methods_that_torch_has(torch):
    for name in NAMES:
        assert hasattr(torch.Tensor, f"{name}_"), name
    for name in ops.elementwise_methods.METHODS:
        if hasattr(torch.Tensor, f"{name}_") and not name.endswith("_") and name not in ("where",):
            assert name in NAMES, name


def test_operators_change_the_tensor(torch):
    for statement in ("+= 3", "-= 2", "*= 2", "/= 2", "//= 2", "%= 3", "**= 2"):
        results = []
        for lib in (tinydl, torch):
            scope = {"x": lib.tensor([5.0, -7.0])}
            before = scope["x"]
            exec(f"x {statement}", scope)
            assert scope["x"] is before
            results.append(before.tolist())
        assert results[0] == results[1], statement
    x = tinydl.tensor([True, False])
    x &= tinydl.tensor([True, True])
    x |= tinydl.tensor([False, False])
    x ^= tinydl.tensor([True, True])
    assert x.tolist() == [False, True]


def test_the_tensor_itself_as_operand():
    """Both gradients of x * x read what x was."""
    x = tinydl.tensor([3.0, -2.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    y.sin_()
    y.sum().backward()
    assert_close(
        x.grad, np.cos(np.array([9.0, 4.0])) * 2 * np.array([3.0, -2.0]), "gradient", scale=6, dtype=np.float32
    )


def test_an_operand_that_shares_the_memory_is_refused():
    w = tinydl.tensor([1.0, 1.0], requires_grad=True)
    y = tinydl.tensor([[1.0, 2.0], [3.0, 4.0]])
    view = y.reshape(2, 2)
    with pytest.raises(RuntimeError, match="shares its memory with a view"):
        y.mul_(view * w)


def test_a_tensor_that_requires_no_gradient_takes_one_over():
    w = tinydl.tensor([1.0, 1.0], requires_grad=True)
    y = tinydl.tensor([[1.0, 2.0], [3.0, 4.0]])
    y.mul_(w)
    y.sum().backward()
    assert w.grad.tolist() == [4, 6]


def test_what_was_saved_before_is_still_guarded():
    x = tinydl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    z = y.sin()
    y.cos_()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


def test_refusals():
    leaf = tinydl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="sin_: a leaf that requires a gradient cannot be changed in place"):
        leaf.sin_()
    with tinydl.no_grad():
        assert leaf.sin_() is leaf
    with pytest.raises(TypeError, match="exp_: a result of dtype float32 does not fit in place into int64"):
        tinydl.tensor([1, 2]).exp_()
    with pytest.raises(TypeError, match="div_: a result of dtype float32 does not fit in place into int64"):
        tinydl.tensor([1, 2]).div_(2)
    with pytest.raises(ValueError, match=r"add_: the result has shape \(2, 2\), the tensor changed in place \(2,\)"):
        tinydl.ones(2).add_(tinydl.ones(2, 2))
    with pytest.raises(TypeError, match="clamp_: a result of dtype float32 does not fit"):
        tinydl.tensor([1, 2]).clamp_(0.5)
