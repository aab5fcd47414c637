"""New tensors beside PyTorch's: values, dtypes and refusals; and the distributions of random ones."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.compare import assert_close

LIKE = np.arange(6, dtype=np.int32).reshape(2, 3)


def dtype_name(tensor):
    return str(tensor.dtype).removeprefix("torch.")


def assert_same(got, expected):
    assert dtype_name(got) == dtype_name(expected)
    assert got.requires_grad == expected.requires_grad
    expected = expected.detach().numpy()
    if got.dtype.kind == "f":
        assert_close(got, expected, "elementwise", scale=np.abs(expected).max(initial=0))
    else:
        assert np.array_equal(got.numpy(), expected)
        assert got.shape == expected.shape


# Each is called with the module, tinydl or torch.
CALLS = {
    "linspace": lambda t: t.linspace(0, 10, 5),
    "linspace float64": lambda t: t.linspace(-1, 0.5, 7, dtype=t.float64),
    "linspace int64": lambda t: t.linspace(-3, 3, 8, dtype=t.int64),
    "linspace of tensors": lambda t: t.linspace(t.tensor(1.0), 2, 3),
    "linspace of none": lambda t: t.linspace(0, 1, 0),
    "linspace of one": lambda t: t.linspace(3, 1, 1),
    "linspace that requires a gradient": lambda t: t.linspace(0, 1, 3, requires_grad=True),
    "logspace": lambda t: t.logspace(0, 3, 7),
    "logspace base": lambda t: t.logspace(0, 3, 4, base=2, dtype=t.int64),
    "logspace float64": lambda t: t.logspace(-2, 2.5, 5, 3, dtype=t.float64),
    "eye": lambda t: t.eye(3),
    "eye m": lambda t: t.eye(2, 4, dtype=t.bool),
    "eye of none": lambda t: t.eye(0, 2),
    "arange": lambda t: t.arange(5),
    "arange end": lambda t: t.arange(end=3),
    "arange float": lambda t: t.arange(10.0, 1, -3),
    "arange float64": lambda t: t.arange(1, 4, dtype=t.float64),
    "arange fractions cut": lambda t: t.arange(0.5, 3, dtype=t.int64),
    "arange of a tensor": lambda t: t.arange(t.tensor(3.0)),
    "arange empty": lambda t: t.arange(2, 2),
    "arange small steps": lambda t: t.arange(0, 1, 0.1),
    "full bool": lambda t: t.full((2,), True),
    "full float64": lambda t: t.full((2, 1), 1, dtype=t.float64),
    "full cut": lambda t: t.full((2,), -1.5, dtype=t.int64),
    "full requires": lambda t: t.full((), 2.5, requires_grad=True),
    "zeros": lambda t: t.zeros(2, 3, device="cpu"),
    "zeros scalar": lambda t: t.zeros(()),
    "ones list": lambda t: t.ones([2, 3], dtype=t.int8),
    "scalar_tensor": lambda t: t.scalar_tensor(3),
    "scalar_tensor int64": lambda t: t.scalar_tensor(3, dtype=t.int64),
    "zeros_like": lambda t: t.zeros_like(t.tensor(LIKE)),
    "ones_like": lambda t: t.ones_like(t.tensor(LIKE), dtype=t.float64, requires_grad=True),
    "full_like": lambda t: t.full_like(t.tensor(LIKE), 1.5),
    "full_like float": lambda t: t.full_like(t.tensor(LIKE), 1.5, dtype=t.float32),
    "new_zeros": lambda t: t.tensor(LIKE).new_zeros(2, 3),
    "new_ones": lambda t: t.tensor(LIKE).new_ones((4,), dtype=t.float32, requires_grad=True),
    "new_full": lambda t: t.tensor(LIKE).new_full((2,), 7.5),
    "new_tensor": lambda t: t.tensor(LIKE).new_tensor([1.5, 2]),
    "new_tensor float": lambda t: t.ones(1).new_tensor([1, 2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_equals_pytorch(name, torch):
    assert_same(CALLS[name](tinydl), CALLS[name](torch))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bounds=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
    steps=st.integers(0, 40),
    dtype=st.sampled_from(["float32", "float64", "int64", "uint8", "float16"]),
)
def test_lines_equal_pytorch(torch, bounds, steps, dtype):
    bounds = [abs(b) for b in bounds] if dtype == "uint8" else bounds
    got, expected = (t.linspace(*bounds, steps, dtype=getattr(t, dtype)) for t in (tinydl, torch))
    if dtype.startswith("float"):
        assert_same(got, expected)
    else:  # where a fraction is cut, PyTorch's own rounding may fall on either side
        assert np.abs(got.numpy().astype(int) - expected.numpy()).max(initial=0) <= 1
        exact = np.linspace(*bounds, steps)
        assert np.array_equal(got.numpy(), np.trunc(exact))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from([0, 3, -7, 0.5, -2.25]),
    length=st.sampled_from([0, 1, 5, 17, 2.5]),
    step=st.sampled_from([1, 2, 3, 0.25, 0.3]),
    sign=st.sampled_from([1, -1]),
    dtype=st.sampled_from([None, "float32", "float64", "int32"]),
)
def test_ranges_equal_pytorch(torch, start, length, step, sign, dtype):
    if dtype == "int32" and step < 1:
        return
    got, expected = (
        t.arange(start, start + sign * length, sign * step, dtype=dtype and getattr(t, dtype)) for t in (tinydl, torch)
    )
    assert_same(got, expected)


WRONG = {
    "zeros negative": (ValueError, "zeros: got sizes", lambda t: t.zeros(-1)),
    "zeros float": (TypeError, "zeros: got sizes", lambda t: t.zeros(2.0)),
    "zeros bool": (TypeError, "zeros: got sizes", lambda t: t.zeros(True)),
    "zeros nested": (TypeError, "zeros: got sizes", lambda t: t.zeros(2, [3])),
    "zeros nothing": (TypeError, "got no size", lambda t: t.zeros()),
    "zeros_like number": (TypeError, "zeros_like: got int, wanted a tensor", lambda t: t.zeros_like(3)),
    "ones integer gradient": (TypeError, "gradients", lambda t: t.ones(2, dtype=t.int64, requires_grad=True)),
    "eye negative": (ValueError, "eye: got sizes", lambda t: t.eye(-1)),
    "linspace negative": (ValueError, "linspace: got -1 steps", lambda t: t.linspace(0, 1, -1)),
    "linspace float": (TypeError, "linspace: got sizes", lambda t: t.linspace(0, 1, 2.5)),
    "arange sign": (ValueError, "arange: no steps of 1 lead from 3 to 1", lambda t: t.arange(3, 1)),
    "arange 0": (ValueError, "step must not be 0", lambda t: t.arange(0, 1, 0)),
    "arange infinite": (ValueError, "arange: no steps", lambda t: t.arange(float("inf"))),
    "arange cut step": (ValueError, "step must not be 0", lambda t: t.arange(0, 2, 0.5, dtype=t.int64)),
    "rand integer": (TypeError, "rand: got dtype int64", lambda t: t.rand(2, dtype=t.int64)),
    "rand_like integer": (TypeError, "rand_like: got dtype", lambda t: t.rand_like(t.zeros(2, dtype=t.int64))),
    "randint empty": (ValueError, r"range \[3, 3\)", lambda t: t.randint(3, 3, (2,))),
    "randint float": (TypeError, "randint: got sizes", lambda t: t.randint(2.5, (2,))),
    "randint narrow": (ValueError, "does not hold", lambda t: t.randint(257, (2,), dtype=t.uint8)),
    "randperm negative": (ValueError, "randperm: got sizes", lambda t: t.randperm(-1)),
    "randperm narrow": (ValueError, "does not hold", lambda t: t.randperm(300, dtype=t.uint8)),
    "normal no size": (TypeError, "normal: wanted", lambda t: t.normal(0.0, 1.0)),
    "normal negative": (ValueError, "negative std", lambda t: t.normal(t.zeros(2), -1.0)),
    "normal shapes": (ValueError, "do not fit", lambda t: t.normal(t.zeros(2), t.ones(3))),
    "normal integers": (TypeError, "normal: got dtype", lambda t: t.normal(t.zeros(2, dtype=t.int64), 1.0)),
    "bernoulli above 1": (ValueError, "from 0 to 1", lambda t: t.bernoulli(t.tensor([0.5, 2]))),
    "bernoulli integers": (TypeError, "bernoulli: got dtype", lambda t: t.bernoulli(t.tensor([0, 1]))),
    "multinomial too many": (ValueError, "cannot draw 4", lambda t: t.multinomial(t.ones(3), 4)),
    "multinomial none": (ValueError, "cannot draw 0", lambda t: t.multinomial(t.ones(3), 0)),
    "multinomial negative": (ValueError, "wanted finite", lambda t: t.multinomial(t.tensor([1.0, -1.0]), 1)),
    "multinomial zero": (ValueError, "one of them above 0", lambda t: t.multinomial(t.zeros(2), 1, True)),
    "multinomial axes": (ValueError, "one axis or two", lambda t: t.multinomial(t.ones(2, 2, 2), 1)),
    "multinomial integers": (TypeError, "multinomial: got dtype", lambda t: t.multinomial(t.tensor([1, 2]), 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name, torch):
    kind, message, call = WRONG[name]
    with pytest.raises(kind, match=message):
        call(tinydl)
    with pytest.raises((RuntimeError, TypeError, ValueError, NotImplementedError)):
        call(torch)


def test_likes_keep_the_order_of_axes():
    x = tinydl.ones(2, 3, 4).permute(2, 0, 1)
    for y in (tinydl.zeros_like(x), tinydl.empty_like(x), tinydl.full_like(x, 3)):
        assert y.stride() == x.stride()
        assert y.shape == x.shape


def test_empty():
    x = tinydl.empty(2, 3, dtype=tinydl.float64, requires_grad=True)
    assert (x.shape, x.dtype, x.requires_grad) == ((2, 3), np.float64, True)
    assert x.detach().new_empty((4,)).dtype == np.float64
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        tinydl.empty(2, device="cuda")


# -- Random ----------------------------------------------------------------------------------------------------

DRAWS = {
    "rand": lambda g: tinydl.rand(4, 5, generator=g),
    "randn_like": lambda g: tinydl.randn_like(tinydl.ones(3, 2), generator=g),
    "normal": lambda g: tinydl.normal(0.0, 2.0, (3, 4), generator=g),
    "normal tensors": lambda g: tinydl.normal(tinydl.zeros(4), tinydl.ones(3, 1), generator=g),
    "randint": lambda g: tinydl.randint(10**12, (5,), generator=g),
    "randint_like": lambda g: tinydl.randint_like(tinydl.ones(2, 3), -5, 5, generator=g),
    "randperm": lambda g: tinydl.randperm(20, generator=g),
    "bernoulli": lambda g: tinydl.bernoulli(tinydl.full((20,), 0.5), generator=g),
    "multinomial": lambda g: tinydl.multinomial(tinydl.ones(2, 9), 5, generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_depend_on_the_generator_alone(name):
    first, again, other = tinydl.Generator(3), tinydl.Generator(3), tinydl.Generator(4)
    draw = DRAWS[name](first)
    assert draw.tolist() == DRAWS[name](again).tolist()
    assert draw.tolist() != DRAWS[name](first).tolist()
    assert draw.tolist() != DRAWS[name](other).tolist()


def frequencies(values, classes):
    return np.bincount(values.numpy().astype(int).reshape(-1), minlength=classes) / values.numel()


def assert_frequencies(values, expected):
    """Each frequency lies within five standard deviations."""
    expected = np.asarray(expected, np.float64)
    spread = np.sqrt(expected * (1 - expected) / values.numel())
    assert (np.abs(frequencies(values, len(expected)) - expected) <= 5 * spread).all()


def test_distributions():
    g = tinydl.Generator(0)
    n = 200_000
    assert_frequencies(tinydl.randint(2, 9, (n,), generator=g), [0, 0] + [1 / 7] * 7)
    assert_frequencies(tinydl.bernoulli(tinydl.full((n,), 0.3), generator=g), [0.7, 0.3])
    weights = np.array([1.0, 0, 4, 5])
    assert_frequencies(tinydl.multinomial(tinydl.tensor(weights), n, True, generator=g), weights / 10)
    rows = tinydl.tensor(np.broadcast_to(weights, (n, 4)).copy())
    pairs = tinydl.multinomial(rows, 2, generator=g).numpy()
    assert_frequencies(tinydl.tensor(pairs[:, 0]), weights / 10)
    second = [0.4 * 1 / 6 + 0.5 * 1 / 5, 0, 0.1 * 4 / 9 + 0.5 * 4 / 5, 0.1 * 5 / 9 + 0.4 * 5 / 6]
    assert_frequencies(tinydl.tensor(pairs[:, 1]), second)
    noise = tinydl.normal(tinydl.full((n,), 3.0), 2.0, generator=g).numpy()
    assert abs(noise.mean() - 3) < 5 * 2 / np.sqrt(n)
    assert abs(noise.std() - 2) < 5 * 2 / np.sqrt(2 * n)


def test_orders_are_permutations():
    g = tinydl.Generator(1)
    orders = np.stack([tinydl.randperm(4, generator=g).numpy() for _ in range(20_000)])
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    numbers = tinydl.tensor(orders @ [64, 16, 4, 1])
    found = frequencies(numbers, 256)
    assert (found > 0).sum() == 24
    assert (np.abs(found[found > 0] - 1 / 24) < 5 * np.sqrt(1 / 24 / 20_000)).all()
    assert tinydl.randperm(5, dtype=tinydl.float32).dtype == np.float32
    assert tinydl.randperm(0).shape == (0,)


def test_samples_without_replacement_are_distinct():
    drawn = tinydl.multinomial(tinydl.tensor([[0.2, 0, 0.7, 0.1]] * 50), 4).numpy()
    assert (np.sort(drawn, axis=1) == np.arange(4)).all()
    assert (drawn[:, 3] == 1).all()  # the weight 0 comes last
    assert tinydl.multinomial(tinydl.ones(0, 2), 1).shape == (0, 1)
    assert tinydl.multinomial(tinydl.ones(0, 2), 3, True).shape == (0, 3)


def test_the_forms_of_random_calls():
    assert tinydl.randint(3, (2, 2)).dtype == np.int64
    assert tinydl.randint(0, 3, [2], dtype=tinydl.float32).dtype == np.float32
    assert tinydl.randint(low=1, high=2, size=(3,)).tolist() == [1, 1, 1]
    assert tinydl.rand(2, requires_grad=True).requires_grad
    assert tinydl.rand_like(tinydl.ones(2, 3), dtype=tinydl.float64).dtype == np.float64
    assert tinydl.bernoulli(tinydl.ones(3, dtype=tinydl.int64), 1.0).tolist() == [1, 1, 1]
    assert tinydl.ones(2).bernoulli().tolist() == [1, 1]
    x = tinydl.normal(0.0, 1.0, size=(2,), dtype=tinydl.float64)
    assert (x.shape, x.dtype) == ((2,), np.float64)
    extremes = tinydl.randint(-(2**63), 2**63 - 1, (4,))
    assert extremes.dtype == np.int64
    assert len(set(extremes.tolist())) == 4


@pytest.mark.parametrize("kinds", ["fp", "ip", "if", "fF", "pi", "bp", "bi", "iIf"])
def test_dtypes_of_mixed_items(kinds, torch):
    """f, F, i, I and b are tensors of one element (float32, float64, int64, int32, bool), p is a Python float."""
    dtypes = {"f": "float32", "F": "float64", "i": "int64", "I": "int32", "b": "bool"}

    def items(lib):
        return [lib.tensor(1, dtype=getattr(lib, dtypes[k])) if k in dtypes else 2.5 for k in kinds]

    assert str(torch.tensor(items(torch)).dtype) == f"torch.{tinydl.tensor(items(tinydl)).dtype}"
