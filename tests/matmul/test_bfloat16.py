"""Products of bfloat16 matrices: summed in float32, rounded once, whatever the layout, the tier and the threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydl
from tests.conftest import TIERS
from tests.support.arrays import layouts, normal
from tinydl import _cpu, backend

BFLOAT16 = pytest.importorskip("ml_dtypes").bfloat16
UNIT = 2.0**-8  # half a unit in the last of bfloat16's 8 bits, relative

SHAPES = [(1, 1, 1), (17, 33, 15), (32, 32, 32), (50, 70, 90), (16, 2000, 17), (100, 513, 65), (70, 1100, 1030)]


def draw(rng, shape):
    return normal(rng, shape).astype(BFLOAT16)


def product(a, b, bias=None, activation="none", kernels=_cpu):
    return kernels.matmul_bfloat16(a.view(np.uint16), b.view(np.uint16), bias, activation).view(BFLOAT16)


def assert_rounded_once(got, a, b, bias=0.0, function=lambda x: x):
    """The float64 result, but for one rounding to bfloat16 and the roundings of float32 sums."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    exact = function(wide_a @ wide_b + bias)
    scale = np.abs(wide_a) @ np.abs(wide_b) + np.abs(bias)
    assert got.dtype == BFLOAT16
    assert got.shape == exact.shape
    assert (np.abs(got.astype(np.float64) - exact) <= UNIT * np.abs(exact) + 2.0**-20 * scale).all()


@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_layouts(m, k, n, kernels, isa, rng):
    if kernels is not _cpu and m * k * n > 2**23:
        pytest.skip("too large for the emulation")
    a, b = draw(rng, (m, k)), draw(rng, (k, n))
    expected = product(a, b, kernels=kernels)
    assert_rounded_once(expected, a, b)
    for name_a, la in layouts(a):
        for name_b, lb in layouts(b):
            assert product(la, lb, kernels=kernels).tobytes() == expected.tobytes(), (name_a, name_b)


@given(m=st.integers(0, 70), k=st.integers(0, 140), n=st.integers(0, 70), seed=st.integers(0, 2**32 - 1))
def test_any_shape(m, k, n, seed):
    rng = np.random.default_rng(seed)
    a, b = draw(rng, (m, k)), draw(rng, (k, n))
    for tier in TIERS:
        with backend.use_isa(tier):
            assert_rounded_once(product(a, b), a, b)


@pytest.mark.parametrize("activation", ["none", "relu", "tanh"])
@pytest.mark.parametrize(("m", "k", "n"), [(9, 8, 7), (64, 64, 64), (40, 100, 41), (32, 3000, 40)])
def test_bias_and_activation(activation, m, k, n, kernels, isa, rng):
    functions = {"none": lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}
    a, b, bias = draw(rng, (m, k)), draw(rng, (k, n)), normal(rng, (n,))
    assert_rounded_once(product(a, b, bias, activation, kernels), a, b, bias, functions[activation])


def test_batches(kernels, isa, rng):
    a, b = draw(rng, (3, 1, 40, 33)), draw(rng, (2, 33, 50))
    got = product(a, b, kernels=kernels)
    assert got.shape == (3, 2, 40, 50)
    for i in range(3):
        for j in range(2):
            assert got[i, j].tobytes() == product(a[i, 0], b[j], kernels=kernels).tobytes()


@pytest.mark.parametrize("k", [7, 64])
def test_specials(k, kernels, isa, rng):
    a, b = draw(rng, (40, k)), draw(rng, (k, 40))
    a[3, 5], a[4, 2], b[1, 7] = np.inf, np.nan, -np.inf
    with np.errstate(all="ignore"):
        expected = a.astype(np.float64) @ b.astype(np.float64)
    got = product(a, b, kernels=kernels).astype(np.float64)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.array_equal(got[np.isinf(expected)], expected[np.isinf(expected)])
    huge = np.full((40, k), 3e38, np.float32).astype(BFLOAT16)
    one = np.zeros((k, 40), np.float32).astype(BFLOAT16)
    one[0] = 1
    assert (product(huge, one, kernels=kernels) == huge[0, 0]).all(), "the largest values stay finite"
    assert np.isinf(product(huge, one + one, kernels=kernels).astype(np.float32)).all()


def test_rounds_to_even(kernels, isa):
    """1 + 2^-8 lies in the middle of two bfloat16 values, 1 + 3 2^-8 too: both go to the even one."""
    a = np.zeros((40, 40), np.float32)
    a[:, 0], a[:20, 1], a[20:, 1] = 1, 2.0**-8, 3 * 2.0**-8
    got = product(a.astype(BFLOAT16), np.ones((40, 40), BFLOAT16), kernels=kernels).astype(np.float64)
    assert (got[:20] == 1).all()
    assert (got[20:] == 1 + 2.0**-6).all()


@pytest.mark.parametrize(("m", "k", "n"), [(300, 700, 900), (64, 5000, 64)])
def test_bits_do_not_depend_on_the_threads(m, k, n, isa, rng):
    a, b = draw(rng, (m, k)), draw(rng, (k, n))
    results = set()
    for threads in (1, 2, 3, 5, 2):
        with backend.use_threads(threads):
            results.add(product(a, b).tobytes())
    assert len(results) == 1


@pytest.mark.skipif("amx" not in TIERS, reason="this machine has no matrix tiles")
def test_explain():
    a = tinydl.ones(128, 128).bfloat16()
    with backend.use_isa("amx"):
        assert "matrix tiles, one product of bfloat16" in str(tinydl.explain(tinydl.matmul, a, a))
        assert "widened to float32: too small" in str(tinydl.explain(tinydl.matmul, a[:1], a))
    with backend.use_isa("avx512"):
        assert "widened to float32: the instruction set in use has no matrix tiles" in str(
            tinydl.explain(tinydl.matmul, a, a)
        )


def test_wrong_calls(kernels, rng):
    a = draw(rng, (3, 4)).view(np.uint16)
    with pytest.raises(TypeError, match=r"matmul_bfloat16: got .*float32.*, wanted uint16"):
        kernels.matmul_bfloat16(normal(rng, (3, 4)), a.T)
    with pytest.raises(ValueError, match="4 columns, the second 3 rows"):
        kernels.matmul_bfloat16(a, a)
    with pytest.raises(TypeError, match="got dtypes float32 and uint16"):
        kernels.matmul_bfloat16(a, a.T, a[0, :3])


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_linear_and_its_gradients(activation, batch, torch, rng):
    arrays = [normal(rng, shape) for shape in ((*batch, 5, 40), (33, 40), (33,), (*batch, 5, 33))]
    ours = [tinydl.tensor(x).bfloat16().requires_grad_() for x in arrays]
    theirs = [torch.tensor(x).bfloat16().requires_grad_() for x in arrays]
    y = tinydl.nn.functional.linear(*ours[:3], activation=activation)
    z = torch.nn.functional.linear(*theirs[:3])
    z = z if activation is None else getattr(z, activation)()
    assert y.dtype == BFLOAT16
    y.backward(ours[3].detach())
    z.backward(theirs[3].detach())
    for got, expected in [(y, z), *((a.grad, b.grad) for a, b in zip(ours[:3], theirs[:3], strict=True))]:
        wide = expected.detach().double().numpy()
        assert np.abs(got.detach().numpy().astype(np.float64) - wide).max() <= 4 * UNIT * np.abs(wide).max()
