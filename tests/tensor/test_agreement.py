"""Functions of several families beside PyTorch's: values, dtypes, gradients and refusals."""

import numpy as np
import pytest

import tinydl
from tests.support.agreement import agree, same

# Each is evaluated with m as tinydl or torch, and x as tensors of the shapes below.
STATISTICS = [
    "m.cov(x)",
    "x.cov(correction=0)",
    "m.cov(x, correction=9)",
    "m.cov(x[0], fweights=m.arange(x.shape[1]))",
    "m.cov(x, fweights=m.arange(x.shape[1]), aweights=m.arange(x.shape[1]) * 0.5 + 1)",
    "m.cov(x * 1, aweights=m.arange(x.shape[1]) * 0.5 + 1, correction=0)",
    "m.cov(x, aweights=-m.ones(x.shape[1]))",
    "m.cov(x, fweights=m.ones(x.shape[1]))",
    "m.corrcoef(x)",
    "x.corrcoef()",
    "m.histc(x)",
    "m.histc(x, 5, -1, 1)",
    "x.histc(bins=3, min=0.5)",
    "m.histc(x, 0)",
    "m.histc(x, 3, 2, 1)",
]
INTEGRALS = [
    "m.trapezoid(x)",
    "m.trapz(x, dx=0.5)",
    "m.trapezoid(x, dim=0)",
    "m.trapezoid(x, x * x)",
    "m.trapz(x, m.arange(x.shape[-1]) ** 2)",
    "m.trapezoid(x, m.arange(x.shape[0]) ** 2, dim=0)",
    "m.trapezoid(x, m.arange(7))",
    "m.cumulative_trapezoid(x)",
    "m.cumulative_trapezoid(x, dx=2, dim=0)",
    "m.cumulative_trapezoid(x, m.arange(x.shape[-1]) ** 2)",
    "m.trapezoid(x, dim=4)",
]
PARTS = [
    "m.hsplit(x, 2)",
    "x.hsplit((1, 2))",
    "m.hsplit(x, 3)",
    "m.vsplit(x, 2)",
    "x.vsplit([1])",
    "m.dsplit(x, 2)",
    "x.dsplit(1)",
    "m.split_with_sizes(x, [1, x.shape[0] - 1])",
    "x.split_with_sizes([1, 1], dim=1)",
    "m.row_stack([x, x])",
    "m.block_diag(x, x[0], x[0, 0])",
    "m.block_diag()",
    "m.combinations(x)",
    "m.combinations(x[0], 3)",
    "m.combinations(x[0], 2, True)",
    "m.combinations(x[0], 0)",
    "m.combinations(x[0], r=-1)",
    "m.adjoint(x)",
    "x.adjoint()",
    "m.t(x)",
    "m.clone(x)",
    "m.detach(x)",
    "x.sum_to_size(1, x.shape[1])",
    "x.sum_to_size(x.shape[1])",
    "x.sum_to_size((7,))",
    "x[:, :0].sum_to_size(1, 1)",
    "m.index_put(x, (m.tensor([0, 0]), m.tensor([1, 1])), m.tensor(3.0, dtype=x.dtype))",
    "x.index_put((m.tensor([0, 0]), m.tensor([1, 1])), m.tensor([3.0, 4.0], dtype=x.dtype), accumulate=True)",
    "m.heaviside(x.detach(), m.tensor(0.5, dtype=x.dtype))",
    "m.heaviside(x.detach() * 0, x.detach())",
    "m.heaviside(x.detach(), m.tensor(1))",
    "m.sgn(x.detach())",
    "m.isin(x, x[0])",
    "m.isin(x.detach(), x[:1])",
    "x.detach()[:1, ..., :1].unique_consecutive(return_inverse=True, return_counts=True)",
    "x.detach()[:1, ..., :1].unique_consecutive(return_inverse=True, dim=0)",
    "m.vander(x[0].detach())",
    "m.vander(x[0].detach(), 3, increasing=True)",
    "m.vander(x.detach())",
    "m.vander(x[0], -1)",
]
IN_PLACE = [
    "(x * 1).addmm_(x[:, :2], x[:2], beta=0.5, alpha=2)",
    "(x[0] * 1).addmv_(x.mT, x[:, 0])",
    "(x * 1).addr_(x[:, 0], x[0])",
    "(x * 1).cumsum_(1)",
    "(x * 1).cumprod_(dim=0)",
    "(x.detach() * 2).sgn_()",
    "(x * 1).unsqueeze_(1).mul_(2)",
    "(x * 1)[:, None].squeeze_(1) * 3",
    "(x * 1)[None].squeeze_() * 3",
    "(x * 1).transpose_(0, 1) * x.mT",
    "(x * 1).swapaxes_(0, 1)",
    "(x * 1).swapdims_(0, -1).add_(1)",
    "(x * 1).t_() @ x",
    "(x * 1).unsqueeze_(5)",
    "x.detach().clone().apply_(lambda v: v * 2 + 1)",
    "x.detach().clone().map_(x.detach()[0], lambda a, b: a * b)",
]
SHAPES = [(2, 4), (4, 3), (3, 1), (4,), (2, 3, 4), (2, 3, 2)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", STATISTICS + INTEGRALS + PARTS + IN_PLACE)
def test_values_and_gradients(torch, rng, case, shape, dtype):
    agree(torch, case, {"x": rng.standard_normal(shape).astype(dtype)}, rng, length=8)


INTEGERS = [
    "m.cov(x)",
    "m.trapezoid(x)",
    "m.trapezoid(x, dx=0.5)",
    "m.unique_consecutive(x)",
    "m.unique_consecutive(x, return_inverse=True, return_counts=True)",
    "x.unique_consecutive(return_counts=True, dim=1)",
    "m.unique_consecutive(x, return_inverse=True, dim=0)",
    "x.unique_consecutive(dim=5)",
    "m.combinations(x[0])",
    "m.block_diag(x, x[0])",
    "m.unravel_index(x, (2, 2))",
    "m.unravel_index(x, (3, 2, 4))",
    "m.unravel_index(x, 4)",
    "m.heaviside(x, x)",
    "m.histc(x)",
    "m.sgn(x)",
    "m.cross(x[:, :3], x[:, :3], dim=1)",
    "m.vander(x[0])",
    "m.vander((x[0] * 9).to(m.uint8))",
    "m.linalg.vander(x.to(m.int8) * 50)",
    "x.clone().apply_(lambda v: v + 1)",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", INTEGERS)
def test_of_integers(torch, rng, case):
    x = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 3, 3], [1, 1, 0, 3, 3]], np.int64)
    agree(torch, case, {"x": x}, rng)


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_of_dtypes(torch, a, b):
    for lib in (tinydl, torch):
        assert lib.is_complex(lib.zeros(1, dtype=getattr(lib, a))) is False

    def name(dtype):
        return str(dtype).removeprefix("torch.")

    ours, theirs = ([getattr(lib, d) for d in (a, b)] for lib in (tinydl, torch))
    assert tinydl.can_cast(*ours) == torch.can_cast(*theirs)
    assert name(tinydl.promote_types(*ours)) == name(torch.promote_types(*theirs))
    assert tinydl.is_signed(tinydl.zeros(1, dtype=a)) == torch.zeros(1, dtype=theirs[0]).is_signed()
    for shape in [(), (1,)]:
        for value in (True, 1, 1.5):
            got = [lib.result_type(lib.zeros(shape, dtype=d), value) for lib, d in ((tinydl, a), (torch, theirs[0]))]
            assert name(got[0]) == name(got[1])
        pair = [
            lib.result_type(lib.zeros(1, dtype=d), lib.zeros(shape, dtype=e))
            for lib, (d, e) in ((tinydl, ours), (torch, theirs))
        ]
        assert name(pair[0]) == name(pair[1])


def test_turned_in_place(torch):
    for lib, error in ((tinydl, RuntimeError), (torch, RuntimeError)):
        x = lib.ones((2, 3))
        view = x[0]
        assert x.t_() is x
        assert tuple(x.shape) == (3, 2)
        assert tuple(view.shape) == (3,)
        x[0, 0] = 5
        assert view.tolist() == [5, 1, 1]
        leaf = lib.ones((2, 3), requires_grad=True)
        with pytest.raises(error, match="leaf"):
            leaf.unsqueeze_(0)
        with lib.no_grad():
            assert tuple(leaf.unsqueeze_(0).shape) == (1, 2, 3)
        assert leaf.is_leaf


def test_what_a_tensor_says_of_itself(torch):
    for lib in (tinydl, torch):
        x = lib.zeros(2)
        assert x.is_cpu
        assert x.get_device() == -1
        assert isinstance(x.dtype, lib.dtype)
        assert isinstance(x.shape, lib.Size)
        assert lib.Size([2]) == (2,) == x.shape
        assert lib.bfloat16 == x.bfloat16().dtype


def test_the_state_of_the_generator(torch):
    for lib in (tinydl, torch):
        lib.manual_seed(3)
        lib.rand(5)
        state = lib.get_rng_state()
        first = lib.rand(4).tolist()
        assert isinstance(lib.seed(), int)
        assert lib.rand(4).tolist() != first
        lib.set_rng_state(state)
        assert lib.rand(4).tolist() == first
        assert lib.default_generator.initial_seed() == 3
    with pytest.raises(ValueError, match="wanted get_rng_state"):
        tinydl.set_rng_state(tinydl.zeros(2))


def test_settings(torch):
    try:
        for lib in (tinydl, torch):
            assert lib.get_float32_matmul_precision() == "highest"
            lib.set_float32_matmul_precision("medium")
            assert lib.get_float32_matmul_precision() == "medium"
            lib.use_deterministic_algorithms(True)
            assert lib.are_deterministic_algorithms_enabled()
        with pytest.raises(ValueError, match="got 'low', wanted 'highest', 'high' or 'medium'"):
            tinydl.set_float32_matmul_precision("low")
    finally:
        for lib in (tinydl, torch):
            lib.set_float32_matmul_precision("highest")
            lib.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    "draw", [lambda x: x.log_normal_(0.5, 2), lambda x: x.cauchy_(2, 3), lambda x: x.geometric_(0.25)]
)
def test_distributions(torch, draw):
    tinydl.manual_seed(1)
    torch.manual_seed(1)
    ours, theirs = (draw(lib.zeros(40001, dtype=lib.float64)).numpy() for lib in (tinydl, torch))
    for bound in (-5, 0.5, 1, 2, 3, 7):
        assert abs(np.mean(ours <= bound) - np.mean(theirs <= bound)) < 0.02
    assert draw(tinydl.zeros(3)).dtype == np.float32


def test_wrong_draws():
    x = tinydl.zeros(2)
    for call in (lambda: x.log_normal_(0, 0), lambda: x.cauchy_(0, 0), lambda: x.geometric_(1)):
        with pytest.raises(ValueError, match="wanted"):
            call()
    with pytest.raises(TypeError, match="cauchy_: got dtype int64"):
        tinydl.tensor([1]).cauchy_()


def test_histograms_of_edges(torch, rng):
    x = np.concatenate([rng.integers(0, 7, 50) / 2, [np.nan]]).astype(np.float32)
    for arguments in ((6, 0, 3), (5, 0.5, 2.5), (7, 0, 3.5)):
        same(tinydl.histc(tinydl.tensor(x), *arguments), torch.histc(torch.tensor(x), *arguments), 1)


def test_the_step_function_has_no_gradient(torch):
    for lib in (tinydl, torch):
        y = lib.heaviside(lib.ones(2, requires_grad=True), lib.zeros(1))
        with pytest.raises(RuntimeError, match="heaviside"):
            y.sum().backward()
