"""Decompositions, inverses, linear systems and norms of matrices against PyTorch: values, gradients, refusals.

Factors that are unique up to signs are compared by their magnitudes.
"""

import numpy as np
import pytest

import tinydl
from tests.support.agreement import agree
from tinydl.autograd import gradcheck
from tinydl.linalg import LinAlgError

SQUARE = [
    "m.linalg.inv(a)",
    "m.inverse(a)",
    "a.inverse()",
    "m.linalg.det(a)",
    "a.det()",
    "m.linalg.slogdet(a)",
    "a.slogdet()",
    "m.logdet(a)",
    "m.linalg.matrix_power(a.detach(), 0)",
    "m.linalg.matrix_power(a, 1)",
    "m.matrix_power(a, 5)",
    "a.matrix_power(-2)",
    "m.linalg.pinv(a)",
    "m.linalg.cond(a)",
    "m.linalg.cond(a.detach(), 'fro')",
    "m.linalg.cond(a, -2)",
    "m.linalg.cond(a.detach() * 0 + 1, 'fro')",
    "m.linalg.cond(a.detach() * 0, -1)",
    "m.linalg.cond(a.detach()[..., :0, :0])",
    "m.linalg.cond(a.detach()[..., :0, :0], -2)",
    "m.linalg.cond(a.detach()[..., :0, :0], 1)",
    "m.linalg.cond(a.detach()[:0], 'nuc')",
    "m.linalg.cholesky(a @ a.mT)",
    "m.linalg.cholesky(a @ a.mT, upper=True)",
    "m.cholesky(a @ a.mT, True)",
    "(a @ a.mT).cholesky()",
    "m.linalg.eigh(a + a.mT)[0]",
    "m.linalg.eigh(a + a.mT)[1].abs()",
    "m.linalg.eigh(a, 'U')[0]",
    "m.linalg.eigh(a).eigenvalues",
    "m.linalg.eigvalsh(a)",
    "m.linalg.eigh(a, 'X')",
    "m.linalg.matrix_rank(a)",
    "m.linalg.matrix_rank(a + a.mT, hermitian=True, atol=1.0)",
]
ANY = [
    "[x.abs() for x in m.linalg.svd(a, False)]",
    "m.linalg.svd(a).S",
    "[x.abs()[..., :3, :3] for x in (m.linalg.svd(a, full_matrices=False).U, m.linalg.svd(a, False).Vh)]",
    "m.linalg.svd(a)[1:2]",
    "m.linalg.svdvals(a)",
    "[x.abs() for x in m.linalg.qr(a)]",
    "m.linalg.qr(a, 'r')[1].detach().abs()",
    "[x.detach().abs()[..., :3] for x in m.linalg.qr(a, mode='complete')]",
    "m.linalg.qr(a, 'other')",
    "m.linalg.pinv(a)",
    "m.pinverse(a)",
    "a.pinverse(1e-3)",
    "m.linalg.pinv(a, rtol=0.3)",
    "m.linalg.matrix_rank(a)",
    "m.linalg.matrix_rank(a, rtol=0.5)",
    "m.linalg.matrix_rank(a, atol=0.7)",
    "m.linalg.matrix_norm(a, 2)",
    "m.linalg.matrix_norm(a, -2, keepdim=True)",
    "m.linalg.matrix_norm(a.detach()[..., :0], 2)",
    "m.linalg.matrix_norm(a.detach()[..., :0, :], 2, keepdim=True)",
    "m.linalg.matrix_norm(a.detach()[..., :0], -2)",
    "m.linalg.matrix_norm(a.detach()[..., :0], 'nuc')",
    "m.linalg.matrix_norm(a, 'nuc')",
    "m.linalg.matrix_norm(a, 'nuc', (0, 1))",
    "m.linalg.cond(a)",
    "m.linalg.diagonal(a)",
    "m.linalg.vander(a)",
    "m.linalg.vander(a, N=2)",
    "m.norm(a, 'nuc', dim=(-2, -1))",
    "m.norm(a, 'nuc')",
]
PAIRS = [
    ("m.linalg.solve(a, b)", (3, 3), (3,)),
    ("m.linalg.solve(a, b)", (3, 3), (3, 2)),
    ("m.linalg.solve(a, b)", (2, 3, 3), (2, 3)),
    ("m.linalg.solve(a, b)", (2, 3, 3), (3, 2)),
    ("m.linalg.solve(a, b)", (3, 3), (2, 3, 4)),
    ("m.linalg.solve(a, b)", (5, 1, 3, 3), (2, 3, 4)),
    ("m.linalg.solve(a, b, left=False)", (3, 3), (2, 3)),
    ("m.linalg.solve(a, b)", (3, 3), (4, 2)),
    ("m.linalg.solve(a, b)", (3, 2), (3, 2)),
    ("m.linalg.solve(a, b)", (0, 0), (0, 2)),
    ("m.linalg.solve_triangular(a, b, upper=True)", (3, 3), (3, 2)),
    ("m.linalg.solve_triangular(a, b, upper=False, left=False)", (2, 3, 3), (2, 4, 3)),
    ("m.linalg.solve_triangular(a, b, upper=False, unitriangular=True)", (3, 3), (3, 2)),
    ("m.linalg.solve_triangular(a, b, upper=True)", (3, 3), (3,)),
    ("m.cholesky_solve(b, a.tril())", (3, 3), (3, 2)),
    ("b.cholesky_solve(a.triu(), upper=True)", (3, 3), (3, 2)),
    ("m.linalg.lstsq(a, b).solution", (5, 3), (5, 2)),
    ("m.linalg.lstsq(a.detach(), b.detach())", (5, 3), (5, 2)),
    ("m.linalg.lstsq(a, b)[0]", (2, 5, 3), (2, 5, 1)),
    ("m.linalg.lstsq(a, b).solution", (3, 5), (3, 2)),
    ("m.linalg.lstsq(a, b).solution", (3, 3), (3, 2)),
    ("m.linalg.lstsq(a, b)", (5, 3), (4, 2)),
    ("m.linalg.vecdot(a, b)", (2, 3), (3,)),
    ("m.linalg.vecdot(a, b, dim=0)", (3, 2), (3, 2)),
    ("m.linalg.cross(a, b)", (2, 3), (2, 3)),
    ("m.linalg.cross(a, b)", (4, 1, 3), (1, 2, 3)),
    ("m.linalg.cross(a, b, dim=0)", (3, 2), (3, 1)),
    ("m.linalg.cross(a, b)", (3, 2), (3, 2)),
    ("m.cross(a, b)", (4, 3, 3), (4, 3, 3)),
    ("a.cross(b, -1)", (4, 3), (4, 3)),
    ("m.cross(a, b)", (4, 2), (4, 2)),
    ("m.linalg.matmul(a, b)", (4, 2), (2, 3)),
    ("m.linalg.multi_dot([a, b])", (4, 2), (2, 3)),
    ("m.linalg.multi_dot([a, b, a, b])", (4, 2), (2, 4)),
    ("m.chain_matmul(a, b, a)", (4, 2), (2, 4)),
    ("m.linalg.multi_dot([b, a, b])", (4, 4), (4,)),
    ("m.linalg.multi_dot([a, b])", (4, 2), (3, 4)),
    ("m.linalg.multi_dot([a])", (4, 2), (3, 4)),
    ("m.linalg.multi_dot([b, b])", (4, 2), (3,)),
]


def well_conditioned(rng, shape, dtype):
    """Random matrices with singular values from 0.5 to 2, well apart; other shapes as they come."""
    a = rng.standard_normal(shape)
    if len(shape) > 1 and a.size:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        a = u * np.linspace(2, 0.5, s.shape[-1]) @ vh
    return a.astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (1, 1), (2, 3), (3,)])
@pytest.mark.parametrize("case", SQUARE)
def test_of_square_matrices(torch, rng, case, shape, dtype):
    agree(torch, case, {"a": well_conditioned(rng, shape, dtype)}, rng, length=16)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 3), (3,), (4, 0)])
@pytest.mark.parametrize("case", ANY)
def test_of_any_matrices(torch, rng, case, shape, dtype):
    if shape == (4, 0) and "vander" in case:
        pytest.skip("PyTorch refuses N < 1")
    agree(torch, case, {"a": well_conditioned(rng, shape, dtype)}, rng, length=16)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("case", "a", "b"), PAIRS)
def test_of_two(torch, rng, case, a, b, dtype):
    agree(torch, case, {"a": well_conditioned(rng, a, dtype), "b": well_conditioned(rng, b, dtype)}, rng, length=16)


@pytest.mark.parametrize(
    "function",
    [
        lambda a: tinydl.linalg.det(a),
        lambda a: tinydl.linalg.svd(a, False).S,
        lambda a: tinydl.linalg.pinv(a),
        lambda a: tinydl.linalg.qr(a @ a + a)[1],
        lambda a: tinydl.linalg.lstsq(a, a[:, :1] * 2 + 1).solution,
    ],
)
def test_gradients(rng, function):
    assert gradcheck(function, tinydl.tensor(well_conditioned(rng, (3, 3), "float64"), requires_grad=True))


def test_the_gradient_of_a_vanishing_determinant():
    a = tinydl.tensor([[1.0, 2.0], [2.0, 4.0]], dtype="float64", requires_grad=True)
    tinydl.linalg.det(a).backward()
    np.testing.assert_array_equal(a.grad.numpy().round(12), [[4, -2], [-2, 1]])


@pytest.mark.parametrize("call", ["inv(a)", "solve(a, a)", "cholesky(-b)", "svd(a * float('nan'))"])
def test_what_has_no_result(torch, call):
    for lib, error in ((tinydl, LinAlgError), (torch, torch.linalg.LinAlgError)):
        with pytest.raises(error, match="linalg"):
            eval(f"lib.linalg.{call}", {"lib": lib, "a": lib.ones(2, 2), "b": lib.eye(2)})


def test_the_condition_of_a_batch_with_a_singular_matrix(torch):
    values = np.array([[[1.0, 1.0], [1.0, 1.0]], [[2.0, 1.0], [0.0, 1.0]]])
    a = tinydl.tensor(values, requires_grad=True)
    found = tinydl.linalg.cond(a, 1)
    assert found.tolist() == torch.linalg.cond(torch.tensor(values), 1).tolist() == [np.inf, 3]
    found[1].backward()
    assert np.isfinite(a.grad.numpy()[1]).all()


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match=r"linalg.inv: A has dtype int64, wanted float32 or float64"):
        tinydl.linalg.inv(tinydl.tensor([[1]]))
    with pytest.raises(TypeError, match="one for all"):
        tinydl.linalg.solve(tinydl.eye(2), tinydl.eye(2, dtype="float64"))
    with pytest.raises(ValueError, match=r"linalg.det: A has shape \(2, 3\), wanted square matrices"):
        tinydl.linalg.det(tinydl.ones(2, 3))
