"""Norms of vectors and matrices, under the names of `torch.linalg`."""

from . import refusal
from .ops.distance import linalg_norm as norm
from .ops.distance import matrix_norm, vector_norm

__all__ = ["matrix_norm", "norm", "vector_norm"]

refusal.guard(globals(), aliased=True)
