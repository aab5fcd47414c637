"""The functions of matrices that PyTorch has in its main module and as methods, beside those of `linalg`."""

from __future__ import annotations

from ..tensor import Tensor
from . import decomposition, solve
from .decomposition import check_matrix
from .solve import Slogdet, inv, multi_dot, pinv, solve_triangular


def det(input: Tensor) -> Tensor:
    """`linalg.det`."""
    return solve.det(input)


def slogdet(input: Tensor) -> Slogdet:
    """`linalg.slogdet`."""
    return solve.slogdet(input)


def matrix_power(input: Tensor, n: int) -> Tensor:
    """`linalg.matrix_power`."""
    return solve.matrix_power(input, n)


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """`linalg.cholesky`."""
    return decomposition.cholesky(input, upper=upper)


def inverse(input: Tensor) -> Tensor:
    """`linalg.inv`."""
    return inv(input)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` with the relative tolerance `rcond`."""
    return pinv(input, rtol=rcond)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant: -inf where it is 0, NaN where it is negative."""
    sign, logabsdet = slogdet(input)
    return logabsdet.masked_fill(sign < 0, float("nan"))


def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """X of A X = input, where `input2` is the Cholesky factor of A."""
    check_matrix("cholesky_solve", input=input)
    check_matrix("cholesky_solve", square=True, input2=input2)
    lower = input2.mT if upper else input2
    halfway = solve_triangular(lower, input, upper=False)
    return solve_triangular(lower.mT, halfway, upper=True)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """`linalg.multi_dot` of the matrices."""
    return multi_dot(matrices)
