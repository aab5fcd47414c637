"""Norms, decompositions, inverses and linear systems, under the names of `torch.linalg`."""

from . import refusal
from .ops.decomposition import LinAlgError, cholesky, eigh, eigvalsh, qr, svd, svdvals
from .ops.diagonal import linalg_diagonal as diagonal
from .ops.distance import cond, matrix_norm, vector_norm
from .ops.distance import linalg_norm as norm
from .ops.matmul import matmul
from .ops.powers import linalg_vander as vander
from .ops.products import linalg_cross as cross
from .ops.products import vecdot
from .ops.solve import (
    det,
    inv,
    lstsq,
    matrix_power,
    matrix_rank,
    multi_dot,
    pinv,
    slogdet,
    solve,
    solve_triangular,
)

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vander",
    "vecdot",
    "vector_norm",
]

refusal.guard(globals(), aliased=True)
