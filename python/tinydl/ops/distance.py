"""Norms, and distances and similarities made of them."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import check_tensors
from .decomposition import check_matrix, svdvals
from .elementwise import add, apply_float, cast, div, mul, operands, quiet, sub
from .extremes import amax, amin
from .reduce import Dim, _Reduction, axes_of
from .reduce import sum as sum_over
from .selection import where
from .solve import inv


def _sign(x: Array) -> Array:
    """-1, 0 or 1; 0 for NaN, as PyTorch has it in gradients."""
    return backend.asarray(np.subtract(x > 0, x < 0, dtype=x.dtype))


class VectorNorm(_Reduction):
    """y = (sum of |x|^p)^(1/p) over axes; dx = dy sign(x) (|x| / y)^(p - 1), and 0 where y = 0.

    For p = inf and -inf the largest and smallest |x|, whose ties share the gradient; for p = 0 the number of x that
    are not 0.
    """

    def __init__(self, p: float, axes: tuple[int, ...], keepdim: bool) -> None:
        self.p = p
        self.axes = axes
        self.keepdim = keepdim

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        kernels = backend.of(x)
        p = self.p
        if p == 2:
            y = kernels.sqrt(kernels.sum(kernels.mul(x, x), self.axes, self.keepdim))
        elif np.isinf(p):
            y = (kernels.amax if p > 0 else kernels.amin)(backend.asarray(np.abs(x)), self.axes, self.keepdim)
        elif p == 0:
            y = anywhere.count_nonzero(x, self.axes, self.keepdim).astype(x.dtype)
        elif p == 1:
            y = kernels.sum(backend.asarray(np.abs(x)), self.axes, self.keepdim)
        else:
            powers = quiet(np.power, np.abs(x), backend.scalar(p, x))
            y = quiet(np.power, kernels.sum(powers, self.axes, self.keepdim), backend.scalar(1 / p, x))
        self.save(x, y)
        return y  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        kernels = backend.of(x)
        p = self.p
        if p == 2:
            scale = np.where(y == 0, x.dtype.type(0), kernels.div(grad, y))
            return kernels.mul(x, self.spread(scale))  # type: ignore[no-any-return]
        if p == 0:
            return np.zeros_like(x)
        if p == 1:
            return kernels.mul(_sign(x), self.spread(grad))  # type: ignore[no-any-return]
        if np.isinf(p):
            return self.through_extreme(x, self.spread(y), grad)
        return self.through_power(x, y, grad)

    def through_extreme(self, x: Array, y: Array, grad: Array) -> Array:
        chosen = (np.abs(x) == y) | (np.isnan(x) & np.isnan(y))
        ties = anywhere.count_nonzero(chosen, self.axes, True)
        return backend.asarray(self.spread(grad) / ties * _sign(x) * chosen, x.dtype)

    def through_power(self, x: Array, y: Array, grad: Array) -> Array:
        p = self.p
        with np.errstate(all="ignore"):
            powers = np.power(np.abs(x), backend.scalar(p - 1, x))
            if p < 1:
                powers[x == 0] = 0
                scale = grad * np.power(y, backend.scalar(1 - p, x))
            else:
                scale = np.where(y == 0, x.dtype.type(0), grad / np.power(y, backend.scalar(p - 1, x)))
            return backend.asarray(_sign(x) * powers * self.spread(scale), x.dtype)


def _norm(op: str, input: Tensor, p: float, dim: Dim, keepdim: bool, dtype: Any) -> Tensor:
    if autocast.on and dtype is None:
        (input,) = autocast.inputs(op, input)
    if not isinstance(p, numbers.Real):
        raise TypeError(f"{op}: got the order {p!r}, wanted a number")
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted a floating-point dtype")
    if dtype is not None:
        input = cast(input, np.dtype(dtype))
    axes = axes_of(op, dim, input.ndim)
    if (p < 0 or p == np.inf) and 0 in [input.shape[d] for d in axes]:
        raise ValueError(f"{op}: the norm of order {p} of no elements is undefined; got shape {input.shape}")
    function = VectorNorm(p, axes, keepdim)
    if backend.takes(input._data):
        return function.apply(input)
    return apply_float(op, function, input)


def norm(input: Tensor, p: Any = "fro", dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The norm (sum of |x|^p)^(1/p) over one axis, several, or (by default) all; "fro" is p = 2.

    p = inf and -inf are the largest and the smallest |x|, p = 0 counts the x that are not 0, and "nuc" sums a matrix's
    singular values. The gradient is 0 where the norm is 0. Raises TypeError for integers.

    >>> import tinydl
    >>> tinydl.norm(tinydl.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p == "nuc":
        return matrix_norm(input, "nuc", tuple(range(input.ndim)) if dim is None else dim, keepdim, dtype=dtype)  # type: ignore[arg-type]
    return _norm("norm", input, 2 if p is None or (isinstance(p, str) and p == "fro") else p, dim, keepdim, dtype)


def vector_norm(x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm (sum of |x|^ord)^(1/ord) over one axis, several, or (by default) all elements: see `tinydl.norm`."""
    return _norm("linalg.vector_norm", x, ord, dim, keepdim, dtype)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of matrices over two axes: "fro"; 1 and -1, the largest and smallest sum of |a| over a column; inf and
    -inf, over a row; 2 and -2, the largest and smallest singular value; "nuc", the sum of the singular values.
    """
    axes = axes_of("linalg.matrix_norm", dim, A.ndim)
    if len(axes) != 2 or A.ndim < 2:
        raise ValueError(f"linalg.matrix_norm: got dim={dim} for shape {A.shape}, wanted two axes")
    if isinstance(ord, str) and ord == "fro":
        return _norm("linalg.matrix_norm", A, 2, axes, keepdim, dtype)
    if ord in (2, -2, "nuc"):
        s = svdvals((A if dtype is None else cast(A, np.dtype(dtype))).movedim(axes, (-2, -1)))
        out = sum_over(s, -1) if ord == "nuc" or (ord == 2 and not s.shape[-1]) else (amax if ord == 2 else amin)(s, -1)
        return out.reshape([1 if d in axes else n for d, n in enumerate(A.shape)]) if keepdim else out
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"linalg.matrix_norm: got the order {ord!r}, wanted 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    summed, chosen = axes if abs(ord) == 1 else axes[::-1]
    sums = _norm("linalg.matrix_norm", A, 1, summed, True, dtype)
    if ord > 0 and A.shape[chosen] == 0:
        out = sum_over(sums, chosen, True)  # 0 over no rows or columns
    else:
        out = (amax if ord > 0 else amin)(sums, chosen, True)
    return out if keepdim else out.squeeze(axes)


def linalg_norm(input: Tensor, ord: Any = None, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`matrix_norm` where `ord` is given and `dim` names two axes (or none, of a matrix), else `vector_norm`."""
    if ord is None:
        return _norm("linalg.norm", input, 2, dim, keepdim, dtype)
    if dim is None and input.ndim not in (1, 2):
        raise ValueError(f"linalg.norm: got ord={ord} and no dim for shape {input.shape}, wanted one axis or two")
    axes = axes_of("linalg.norm", dim, input.ndim)
    if len(axes) == 2:
        return matrix_norm(input, ord, axes, keepdim, dtype=dtype)
    return _norm("linalg.norm", input, ord, axes, keepdim, dtype)


def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number |A| |A^-1| in a matrix norm; by default (and for 2, -2) from the singular values.

    Infinite where A is singular, 0 where it has no elements.
    """
    check_matrix("linalg.cond", square=p not in (None, 2, -2), A=A)
    if 0 in A.shape[-2:]:
        return Tensor(backend.zeros(A.shape[:-2], A._data))
    if p in (None, 2, -2):
        s = svdvals(A)
        largest, smallest = s.select(-1, 0), s.select(-1, -1)
        return div(smallest, largest) if p == -2 else div(largest, smallest)
    singular = backend.asarray(np.linalg.slogdet(A._data)[0] == 0)
    regular = where(Tensor(singular[..., None, None]), Tensor(anywhere.eye(A.shape[-1], A._data)), A)
    return mul(matrix_norm(regular, p), matrix_norm(inv(regular), p)).masked_fill(Tensor(singular), np.inf)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other, over all elements.

    >>> import tinydl
    >>> tinydl.dist(tinydl.tensor([1.0, 1.0]), tinydl.tensor([4.0, 5.0]))
    tensor(5.)
    """
    if autocast.on:
        input, other = autocast.inputs("dist", input, other)
    return _norm("dist", sub(input, other), p, None, False, None)


class AtLeast(Function):
    """y = max(x, bound), whose gradient is passed on where x >= bound, or everywhere if `straight`."""

    def __init__(self, bound: float, straight: bool) -> None:
        self.bound = bound
        self.straight = straight

    def forward(self, x: Array) -> Array:
        self.keep = x >= self.bound
        return backend.asarray(np.maximum(x, backend.scalar(self.bound, x)))

    def backward(self, grad: Array) -> Array:
        return grad if self.straight else np.where(self.keep, grad, grad.dtype.type(0))


def normalize(input: Tensor, p: float = 2.0, dim: Dim = 1, eps: float = 1e-12) -> Tensor:
    """y = x / max(p-norm of x, eps) along an axis.

    >>> import tinydl
    >>> normalize(tinydl.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    if autocast.on:
        (input,) = autocast.inputs("normalize", input)
    return div(input, AtLeast(eps, False).apply(_norm("normalize", input, p, dim, True, None)))


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """sum of x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis, with broadcasting; |x| is the 2-norm.

    Raises TypeError for integers.

    >>> import tinydl
    >>> cosine_similarity(tinydl.tensor([[3.0, 4.0]]), tinydl.tensor([[4.0, 3.0]]))
    tensor([0.96000004])
    """
    if autocast.on:
        x1, x2 = autocast.inputs("cosine_similarity", x1, x2)
    a, b = operands(x1, x2)
    shape = _broadcast("cosine_similarity", a, b)
    a, b = (x if x.shape == shape else x.expand(shape) for x in (a, b))
    unit = [div(x, AtLeast(eps, True).apply(_norm("cosine_similarity", x, 2, dim, True, None))) for x in (a, b)]
    return sum_over(mul(unit[0], unit[1]), dim)


def _broadcast(op: str, a: Tensor, b: Tensor) -> tuple[int, ...]:
    check_tensors(op, x1=a, x2=b)
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(f"{op}: shapes {a.shape} and {b.shape} do not broadcast") from None


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis, with broadcasting.

    >>> import tinydl
    >>> pairwise_distance(tinydl.tensor([[3.0, 4.0]]), tinydl.tensor([[0.0, 0.0]]))
    tensor([5.0000014])
    """
    if autocast.on:
        x1, x2 = autocast.inputs("pairwise_distance", x1, x2)
    _broadcast("pairwise_distance", x1, x2)
    return _norm("pairwise_distance", add(sub(x1, x2), eps), p, -1, keepdim, None)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norms of x1[..., i, :] - x2[..., j, :]: shapes (..., P, M) and (..., R, M) give (..., P, R).

    `compute_mode` is accepted for PyTorch's sake: the differences are always taken, which is the accurate way.
    Raises ValueError where the shapes do not fit or p < 0.

    >>> import tinydl
    >>> tinydl.cdist(tinydl.zeros(1, 2), tinydl.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if autocast.on:
        x1, x2 = autocast.inputs("cdist", x1, x2)
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1] or p < 0:
        raise ValueError(
            f"cdist: got shapes {x1.shape} and {x2.shape} and p={p}, wanted (..., P, M), (..., R, M), p >= 0"
        )
    return _norm("cdist", sub(x1.unsqueeze(-2), x2.unsqueeze(-3)), p, -1, False, None)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows i < j of a matrix, in that order."""
    if autocast.on:
        (input,) = autocast.inputs("pdist", input)
    if input.ndim != 2 or p < 0:
        raise ValueError(f"pdist: got shape {input.shape} and p={p}, wanted a matrix and p >= 0")
    i, j = np.triu_indices(input.shape[0], 1)
    return _norm("pdist", sub(input[i], input[j]), p, -1, False, None)
