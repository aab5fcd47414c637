"""Matrices taken apart: singular values, eigenvalues, QR and Cholesky factors, computed by NumPy's LAPACK.

A is a matrix or a batch of them, (..., m, n); the gradients are those of C. F. Van Loan's and M. Giles' collections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .arguments import check_tensors
from .matmul import _t


class LinAlgError(RuntimeError):
    """A matrix that is singular or not positive-definite, or an algorithm that did not converge."""


class SVD(NamedTuple):
    """The result of `linalg.svd`."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class QR(NamedTuple):
    """The result of `linalg.qr`."""

    Q: Tensor
    R: Tensor


class Eigh(NamedTuple):
    """The result of `linalg.eigh`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def check_matrix(op: str, square: bool = False, **matrices: Any) -> None:
    """ValueError where one is no matrix (or batch of them), TypeError where it is of another dtype than a float."""
    check_tensors(op, **matrices)
    dtypes = {t._data.dtype for t in matrices.values()}
    for name, t in matrices.items():
        if not backend.takes(t._data) or len(dtypes) > 1:
            raise TypeError(f"{op}: {name} has dtype {t.dtype}, wanted float32 or float64, and one for all")
        if t._data.ndim < 2 or (square and t._data.shape[-1] != t._data.shape[-2]):
            wanted = "square matrices" if square else "a matrix"
            raise ValueError(f"{op}: {name} has shape {t.shape}, wanted {wanted} in the last two axes")


def lapack(op: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """One of NumPy's functions; LinAlgError, with the operation's name, where it finds none. A GPU is waited for."""
    try:
        with anywhere.raising(args[0]):
            return function(*args, **kwargs)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{op}: {str(error).lower()}") from None


def _or_zeros(grad: Array | None, like: Array) -> Array:
    return np.zeros_like(like) if grad is None else grad


class Svd(Function):
    """A = U diag(S) Vh; with E_ij = s_j^2 - s_i^2 (1 on the diagonal) and skew(X) = X - X^T,

    dA = U ((skew(U^T dU) / E) S + S (skew(V^T dV) / E) + diag(dS)) Vh, and what dU and dV have outside the span.
    """

    def __init__(self, full: bool) -> None:
        self.full = full

    def forward(self, a: Array) -> tuple[Array, Array, Array]:
        u, s, vh = lapack("linalg.svd", np.linalg.svd, a, full_matrices=self.full)
        k = s.shape[-1]
        self.save(u[..., :k], s, vh[..., :k, :])
        return u, s, vh

    def backward(self, grad_u: Array | None, grad_s: Array | None, grad_vh: Array | None) -> Array:
        u, s, vh = self.saved
        k = s.shape[-1]
        inner = backend.zeros((*s.shape, k), s) if grad_s is None else grad_s[..., None] * anywhere.eye(k, s)
        if grad_u is None and grad_vh is None:
            return backend.asarray(u @ inner @ vh)
        squares = s * s
        e = squares[..., None, :] - squares[..., :, None] + anywhere.eye(k, s)
        du, dv = _or_zeros(None if grad_u is None else grad_u[..., :k], u), _t(vh) * 0
        if grad_vh is not None:
            dv = _t(grad_vh[..., :k, :])
        with np.errstate(divide="ignore", invalid="ignore"):
            for side, slope in ((_t(u) @ du, s[..., None, :]), (vh @ dv, s[..., :, None])):
                inner = inner + (side - _t(side)) / e * slope
            out = u @ inner @ vh
            if u.shape[-2] > k:
                out = out + ((du - u @ (_t(u) @ du)) / s[..., None, :]) @ vh
            if vh.shape[-1] > k:
                out = out + (u / s[..., None, :]) @ _t(dv - _t(vh) @ (vh @ dv))
        return backend.asarray(out)


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """A = U diag(S) Vh with orthogonal U and Vh, and the singular values S in descending order.

    With `full_matrices` U and Vh are square; what they have more than min(m, n) columns or rows has no gradient.
    U and Vh are unique up to the sign of their columns and rows. `driver` is a choice of PyTorch's for GPUs.

    >>> import tinydl
    >>> tinydl.linalg.svd(tinydl.tensor([[3.0, 0.0], [0.0, -4.0]])).S
    tensor([4., 3.])
    """
    check_matrix("linalg.svd", A=A)
    if driver is not None:
        raise ValueError(f"linalg.svd: driver={driver!r} is for GPUs; wanted None")
    return SVD(*Svd(full_matrices).apply(A))


def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values in descending order."""
    return svd(A, False, driver=driver).S


class EighFunction(Function):
    """A = V diag(L) V^T; with E_ij = l_j - l_i, dA = V (diag(dL) + (V^T dV) / E off the diagonal) V^T."""

    def __init__(self, uplo: str) -> None:
        self.uplo = uplo

    def forward(self, a: Array) -> tuple[Array, Array]:
        values, vectors = lapack("linalg.eigh", np.linalg.eigh, a, self.uplo)
        self.save(values, vectors)
        return values, vectors

    def backward(self, grad_values: Array | None, grad_vectors: Array | None) -> Array:
        values, vectors = self.saved
        one = anywhere.eye(values.shape[-1], values)
        inner = _or_zeros(grad_values, values)[..., None] * one
        if grad_vectors is not None:
            e = values[..., None, :] - values[..., :, None] + one
            with np.errstate(divide="ignore", invalid="ignore"):
                inner = inner + (_t(vectors) @ grad_vectors) / e * (1 - one)
        return backend.asarray(vectors @ inner @ _t(vectors))


def eigh(A: Tensor, UPLO: str = "L") -> Eigh:
    """A = V diag(L) V^T of a symmetric matrix, of which one triangle is read; L in ascending order.

    >>> import tinydl
    >>> tinydl.linalg.eigh(tinydl.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    check_matrix("linalg.eigh", square=True, A=A)
    if str(UPLO).upper() not in ("L", "U"):
        raise ValueError(f"linalg.eigh: got UPLO={UPLO!r}, wanted 'L' or 'U'")
    return Eigh(*EighFunction(UPLO.upper()).apply(A))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of a symmetric matrix, in ascending order."""
    return eigh(A, UPLO).eigenvalues


class Qr(Function):
    """A = Q R; for n <= m, with M = R dR^T - dQ^T Q, dA = (dQ + Q copyltu(M)) R^-T, where copyltu copies the lower
    triangle onto the upper. For n > m the columns beyond the m-th are Q^T times A's."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def forward(self, a: Array) -> tuple[Array, Array]:
        if self.mode == "r":
            r = lapack("linalg.qr", np.linalg.qr, a, "r")
            return backend.zeros(0, a), r
        q, r = lapack("linalg.qr", np.linalg.qr, a, self.mode)
        self.save(a, q, r)
        return q, r

    def backward(self, grad_q: Array | None, grad_r: Array | None) -> Array:
        if self.mode == "r":
            raise ValueError("linalg.qr: mode='r' has no gradient; use mode='reduced'")
        a, q, r = self.saved
        m, n = a.shape[-2:]
        if self.mode == "complete" and m > n:
            raise ValueError("linalg.qr: mode='complete' has a gradient only for m <= n; use mode='reduced'")
        dq, dr = _or_zeros(grad_q, q), _or_zeros(grad_r, r)
        if m >= n:
            return _through_qr(q, r, dq, dr)
        rest = dr[..., m:]
        first = _through_qr(q, r[..., :m], dq + a[..., m:] @ _t(rest), dr[..., :m])
        return np.concatenate([first, q @ rest], -1)


def _through_qr(q: Array, r: Array, dq: Array, dr: Array) -> Array:
    m = r @ _t(dr) - _t(dq) @ q
    lower = np.tril(m, -1)
    inner = dq + q @ (np.tril(m) + _t(lower))
    return backend.asarray(_t(lapack("linalg.qr", anywhere.solve, r, _t(inner))))


def qr(A: Tensor, mode: str = "reduced") -> QR:
    """A = Q R with orthonormal columns of Q and an upper triangular R.

    mode: "reduced" gives Q of shape (..., m, min(m, n)), "complete" a square one, "r" R alone.

    >>> import tinydl
    >>> q, r = tinydl.linalg.qr(tinydl.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> tinydl.allclose(q @ r, tinydl.tensor([[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    check_matrix("linalg.qr", A=A)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"linalg.qr: got mode={mode!r}, wanted 'reduced', 'complete' or 'r'")
    return QR(*Qr(mode).apply(A))


class Cholesky(Function):
    """A = L L^T; dA is the symmetric part of L^-T P(L^T dL) L^-1, where P takes the lower triangle and half the
    diagonal."""

    def forward(self, a: Array) -> Array:
        lower: Array = lapack("linalg.cholesky", np.linalg.cholesky, a)
        self.save(lower)
        return lower

    def backward(self, grad: Array) -> Array:
        (lower,) = self.saved
        p = np.tril(_t(lower) @ grad) * (1 - anywhere.eye(lower.shape[-1], lower) / 2)
        upper = _t(lower)
        s = anywhere.solve(upper, _t(anywhere.solve(upper, _t(p))))
        return backend.asarray((s + _t(s)) / 2, lower.dtype)


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L of A = L L^T for a symmetric positive-definite A, or `upper` U of U^T U.

    Raises LinAlgError where A is not positive-definite.

    >>> import tinydl
    >>> tinydl.linalg.cholesky(tinydl.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    check_matrix("linalg.cholesky", square=True, A=A)
    out: Tensor = Cholesky().apply(A.mT if upper else A)
    return out.mT if upper else out
