"""Systems of linear equations, inverses and determinants, computed by NumPy's LAPACK.

A is a matrix or a batch of them; the batch axes of two operands are broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import anywhere, backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .decomposition import check_matrix, eigvalsh, lapack, svdvals
from .matmul import _t, matmul
from .reduce import sum_to


class Slogdet(NamedTuple):
    """The result of `linalg.slogdet`."""

    sign: Tensor
    logabsdet: Tensor


class Lstsq(NamedTuple):
    """The result of `linalg.lstsq`."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


class Inv(Function):
    """Y = A^-1; dA = -Y^T dY Y^T."""

    def forward(self, a: Array) -> Array:
        y: Array = lapack("linalg.inv", np.linalg.inv, a)
        self.save(y)
        return y

    def backward(self, grad: Array) -> Array:
        y = _t(self.saved[0])
        return backend.asarray(-(y @ grad @ y))


def inv(A: Tensor) -> Tensor:
    """The inverse; LinAlgError where a matrix is singular.

    >>> import tinydl
    >>> tinydl.linalg.inv(tinydl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    check_matrix("linalg.inv", square=True, A=A)
    return Inv().apply(A)  # type: ignore[no-any-return]


class Solve(Function):
    """A X = B for matrices; dB = A^-T dX, dA = -dB X^T."""

    def forward(self, a: Array, b: Array) -> Array:
        x: Array = lapack("linalg.solve", anywhere.solve, a, b)
        self.shapes = a.shape, b.shape
        self.save(a, x)
        return x

    def backward(self, grad: Array) -> tuple[Array | None, Array]:
        a, x = self.saved
        db = anywhere.solve(_t(a), grad)
        da = sum_to(backend.asarray(-(db @ _t(x))), self.shapes[0]) if self.needs[0] else None
        return da, sum_to(db, self.shapes[1])


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of A X = B, or of X A = B where `left` is False; B is a matrix, or a vector for each A.

    Raises LinAlgError where A is singular, ValueError where the shapes do not fit.

    >>> import tinydl
    >>> tinydl.linalg.solve(tinydl.tensor([[2.0, 0.0], [0.0, 4.0]]), tinydl.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    check_matrix("linalg.solve", square=True, A=A)
    vector = isinstance(B, Tensor) and (B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]))
    if vector:
        if not left:
            raise ValueError(f"linalg.solve: left=False wants a matrix B, got shape {B.shape}")
        return _solved("linalg.solve", A, B.unsqueeze(-1)).squeeze(-1)
    return _solved("linalg.solve", A, B) if left else _solved("linalg.solve", A.mT, B.mT).mT


def _solved(op: str, A: Tensor, B: Tensor) -> Tensor:
    check_matrix(op, A=A, B=B)
    try:
        np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
        fits = A.shape[-1] == B.shape[-2]
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{op}: shapes {A.shape} and {B.shape} do not fit, wanted (..., n, n) and (..., n, k)")
    return Solve().apply(A, B)  # type: ignore[no-any-return]


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """`solve` with one triangle of A; a `unitriangular` one has ones on its diagonal, whatever stands there."""
    check_matrix("linalg.solve_triangular", square=True, A=A)
    inside = 1 if unitriangular else 0
    A = A.triu(inside) if upper else A.tril(-inside)
    if unitriangular:
        A = A + Tensor(anywhere.eye(A.shape[-1], A._data))
    return _solved("linalg.solve_triangular", A, B) if left else _solved("linalg.solve_triangular", A.mT, B.mT).mT


class Det(Function):
    """y = det A; dA = dy adj(A)^T, from the singular values, so that it holds where A is singular."""

    def forward(self, a: Array) -> Array:
        self.save(a)
        return backend.asarray(lapack("linalg.det", np.linalg.det, a))

    def backward(self, grad: Array) -> Array:
        u, s, vh = lapack("linalg.det", np.linalg.svd, self.saved[0])
        others = np.where(anywhere.eye(s.shape[-1], s) != 0, s.dtype.type(1), s[..., None, :]).prod(-1)
        scale = np.linalg.det(u) * np.linalg.det(vh) * grad
        return backend.asarray((u * others[..., None, :]) @ vh * scale[..., None, None])


def det(A: Tensor) -> Tensor:
    """The determinant.

    >>> import tinydl
    >>> tinydl.linalg.det(tinydl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(8.)
    """
    check_matrix("linalg.det", square=True, A=A)
    return Det().apply(A)  # type: ignore[no-any-return]


class SlogdetFunction(Function):
    """(sign, log |det A|); dA = dy A^-T."""

    def forward(self, a: Array) -> tuple[Array, Array]:
        self.save(a)
        sign, logabsdet = lapack("linalg.slogdet", np.linalg.slogdet, a)
        return backend.asarray(sign), backend.asarray(logabsdet)

    def backward(self, grad_sign: Array | None, grad: Array | None) -> Array:
        (a,) = self.saved
        if grad is None:
            return np.zeros_like(a)
        return backend.asarray(_t(lapack("linalg.slogdet", np.linalg.inv, a)) * grad[..., None, None])


def slogdet(A: Tensor) -> Slogdet:
    """The sign of the determinant (0 where A is singular) and the logarithm of its magnitude."""
    check_matrix("linalg.slogdet", square=True, A=A)
    return Slogdet(*SlogdetFunction().apply(A))


class Pinv(Function):
    """P = A^+; dA = -P^T dP P^T + (I - A P) dP^T P P^T + P^T P dP^T (I - P A)."""

    def __init__(self, cut: Array, hermitian: bool) -> None:
        self.cut = cut
        self.hermitian = hermitian

    def forward(self, a: Array) -> Array:
        u, s, vh = lapack("linalg.pinv", np.linalg.svd, a, full_matrices=False)
        with np.errstate(divide="ignore"):
            inverted = np.where(s > self.cut, 1 / s, s.dtype.type(0))
        p = backend.asarray(_t(vh) @ (inverted[..., None] * _t(u)))
        self.save(a, p)
        return p

    def backward(self, grad: Array) -> Array:
        a, p = self.saved
        return _through_pinv(a, p, grad)


def _through_pinv(a: Array, p: Array, grad: Array) -> Array:
    pt, gt = _t(p), _t(grad)
    left, right = gt @ p @ pt, pt @ p @ gt
    return backend.asarray(-(pt @ grad @ pt) + left - a @ (p @ left) + right - (right @ p) @ a)


def _tolerance(A: Tensor, s: Array, atol: Any, rtol: Any) -> Array:
    """Singular values up to max(atol, rtol s_max) count as 0; by default rtol = eps max(m, n), or 0 with an atol."""
    atol, rtol = (t._data if isinstance(t, Tensor) else t for t in (atol, rtol))
    if rtol is None:
        rtol = np.finfo(A.dtype).eps * max(A.shape[-2:]) if atol is None or np.all(atol == 0) else 0.0
    largest = s.max(-1) if s.shape[-1] else backend.zeros(s.shape[:-1], s)
    bounds = backend.beside(rtol, s, np.float64) * largest
    return backend.asarray(np.maximum(0.0 if atol is None else backend.beside(atol, s), bounds))


def pinv(A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """The pseudo-inverse, of singular values above max(atol, rtol s_max); rtol is eps max(m, n) by default.

    `hermitian` promises a symmetric A. The gradient holds while the rank does not change.
    """
    check_matrix("linalg.pinv", square=hermitian, A=A)
    s = np.linalg.svd(A._data, compute_uv=False)
    return Pinv(_tolerance(A, s, atol, rtol)[..., None], hermitian).apply(A)  # type: ignore[no-any-return]


def matrix_rank(A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """The number of singular values above max(atol, rtol s_max), int64; rtol is eps max(m, n) by default."""
    check_matrix("linalg.matrix_rank", square=hermitian, A=A)
    values = eigvalsh(A) if hermitian else svdvals(A)
    s = np.abs(values._data)
    return Tensor(anywhere.count_nonzero(s > _tolerance(A, s, atol, rtol)[..., None], -1))


class LeastSquares(Function):
    """X = A^+ B; dB = A^+T dX, and dA through A^+."""

    def __init__(self, cut: float | None) -> None:
        self.cut = cut

    def forward(self, a: Array, b: Array) -> Array:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        wide_a, wide_b = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
        x = backend.empty((*batch, a.shape[-1], b.shape[-1]), a)
        self.rank = backend.numpy_of(a).empty(batch, np.int64)
        for i in np.ndindex(batch):
            x[i], _, self.rank[i], _ = lapack("linalg.lstsq", np.linalg.lstsq, wide_a[i], wide_b[i], rcond=self.cut)
        self.save(a, b)
        return x

    def backward(self, grad: Array) -> tuple[Array | None, Array]:
        a, b = self.saved
        p = np.linalg.pinv(a)
        da = sum_to(_through_pinv(a, p, grad @ _t(b)), a.shape) if self.needs[0] else None
        return da, sum_to(backend.asarray(_t(p) @ grad), b.shape)


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Lstsq:
    """X that minimises |A X - B|, the smallest where there are several; B is a matrix (or a vector for each A).

    Singular values up to rcond s_max count as 0, by default eps max(m, n). `residuals` and `singular_values` stay
    empty, as with PyTorch's default driver, "gelsy", which is the one that may be named.
    """
    check_matrix("linalg.lstsq", A=A)
    if driver not in (None, "gelsy"):
        raise ValueError(f"linalg.lstsq: driver={driver!r} is not available; wanted None or 'gelsy'")
    vector = isinstance(B, Tensor) and B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]
    columns = B.unsqueeze(-1) if vector else B
    check_matrix("linalg.lstsq", A=A, B=columns)
    if A.shape[-2] != columns.shape[-2]:
        raise ValueError(f"linalg.lstsq: shapes {A.shape} and {B.shape} do not fit, wanted (..., m, n) and (..., m, k)")
    m, n = A.shape[-2:]
    function = LeastSquares(float(np.finfo(A.dtype).eps * max(m, n)) if rcond is None else rcond)
    solution = function.apply(A, columns)
    empty = backend.zeros(0, A._data)
    if vector:
        solution = solution.squeeze(-1)
    return Lstsq(solution, Tensor(empty), Tensor(backend.asarray(function.rank)), Tensor(empty.copy()))


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied n times with itself; the identity for n = 0, powers of the inverse below.

    >>> import tinydl
    >>> tinydl.linalg.matrix_power(tinydl.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    check_matrix("linalg.matrix_power", square=True, A=A)
    if not isinstance(n, (int, np.integer)):
        raise TypeError(f"linalg.matrix_power: n is {n!r}, wanted an integer")
    if n < 0:
        return matrix_power(inv(A), -n)
    out: Tensor | None = None
    while n:
        if n % 2:
            out = A if out is None else matmul(out, A)
        n //= 2
        A = matmul(A, A) if n else A
    if out is None:
        return Tensor(np.broadcast_to(anywhere.eye(A.shape[-1], A._data), A.shape).copy())
    return out


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices in the cheapest order; the first and the last may be vectors."""
    if len(tensors) < 2:
        raise ValueError(f"linalg.multi_dot: got {len(tensors)} tensors, wanted two or more")
    for i, t in enumerate(tensors):
        if t.ndim != 2 and not (t.ndim == 1 and i in (0, len(tensors) - 1)):
            raise ValueError(f"linalg.multi_dot: tensor {i} has shape {t.shape}, wanted a matrix")
    sizes = [1 if tensors[0].ndim == 1 else tensors[0].shape[0], *[t.shape[-1] for t in tensors]]
    sizes[-1] = 1 if tensors[-1].ndim == 1 else sizes[-1]
    for i, (a, b) in enumerate(pairwise(tensors)):
        if a.shape[-1] != b.shape[0]:
            raise ValueError(f"linalg.multi_dot: shapes {a.shape} and {b.shape} of tensors {i}, {i + 1} do not fit")

    @cache
    def cost(first: int, last: int) -> tuple[int, int]:
        """The fewest products of numbers for tensors first to last, and the last one of the left factor."""
        ends = [
            (cost(first, k)[0] + cost(k + 1, last)[0] + sizes[first] * sizes[k + 1] * sizes[last + 1], k)
            for k in range(first, last)
        ]
        return min(ends) if ends else (0, first)

    def product(first: int, last: int) -> Tensor:
        if first == last:
            return tensors[first]
        k = cost(first, last)[1]
        return matmul(product(first, k), product(k + 1, last))

    return product(0, len(tensors) - 1)
