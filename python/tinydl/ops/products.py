"""Products with PyTorch's names around `matmul`: of two shapes only, added to a tensor, outer, tensor, Kronecker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .elementwise import add, mul, sub
from .matmul import check_operands, matmul
from .reduce import axes_of
from .reduce import sum as sum_over


def _check_ndim(op: str, ndim: int, *operands: tuple[str, Tensor]) -> None:
    for name, t in operands:
        if not isinstance(t, Tensor):
            raise TypeError(f"{op}: got {type(t).__name__}, wanted a tensor")
        if t._data.ndim != ndim:
            raise ValueError(f"{op}: {name} has shape {t.shape}, wanted {ndim} {'axis' if ndim == 1 else 'axes'}")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, m) by (m, p); see `matmul`.

    >>> import tinydl
    >>> tinydl.mm(tinydl.tensor([[1.0, 2.0]]), tinydl.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    _check_ndim("mm", 2, ("input", input), ("mat2", mat2))
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of a batch of matrices, (b, n, m) by (b, m, p), without broadcasting."""
    _check_ndim("bmm", 3, ("input", input), ("mat2", mat2))
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: shapes {input.shape} and {mat2.shape} have different batch sizes")
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix (n, m) and a vector (m,)."""
    _check_ndim("mv", 2, ("input", input))
    _check_ndim("mv", 1, ("vec", vec))
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """sum of x_i y_i for two vectors of one length.

    >>> import tinydl
    >>> tinydl.dot(tinydl.tensor([1.0, 2.0]), tinydl.tensor([3.0, 4.0]))
    tensor(11.)
    """
    _check_ndim("dot", 1, ("input", input), ("tensor", tensor))
    return matmul(input, tensor)


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """`dot`, whose first vector would be conjugated if it were complex."""
    return dot(input, other)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """y[i, j] = x[i] v[j] for two vectors; also called `ger`.

    >>> import tinydl
    >>> tinydl.outer(tinydl.tensor([1.0, 2.0]), tinydl.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"outer: got shapes {input.shape} and {vec2.shape}, wanted vectors")
    return mul(input.unsqueeze(1), vec2)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products over the last axis of both: (..., k) and (..., k) give the first's axes, then the second's.

    A tensor without axes multiplies the other.
    """
    if autocast.on:
        input, other = autocast.inputs("inner", input, other)
    check_operands("inner", input, other)
    if input.ndim == 0 or other.ndim == 0:
        return mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise ValueError(f"inner: shapes {input.shape} and {other.shape} differ in their last axis")
    return tensordot(input, other, ([-1], [-1]))


# -- Products added to a tensor -----------------------------------------------------------------------------------


class Ignored(Function):
    """y = product; the other input, multiplied by 0, gets a gradient of 0 whatever it holds."""

    def forward(self, product: Array, input: Array) -> Array:
        self.shape = input.shape
        return product

    def backward(self, grad: Array) -> tuple[Array, Array]:
        return grad, backend.zeros(self.shape, grad)


class AddMM(Function):
    """Y = A B + c with the row c added in the product's kernel; dA = dY B^T, dB = A^T dY, dc = sum of dY over rows."""

    def forward(self, row: Array, a: Array, b: Array) -> Array:
        self.save(a if self.needs[2] else None, b if self.needs[1] else None)
        return backend.of(a).matmul(a, b, row)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        a, b = self.saved
        kernels = backend.of(grad)
        return (
            kernels.sum(grad, (0,), False) if self.needs[0] else None,
            kernels.matmul(grad, b.T) if self.needs[1] else None,
            kernels.matmul(a.T, grad) if self.needs[2] else None,
        )


def _check_sum(op: str, input: Tensor, shape: tuple[int, ...], beta: float, alpha: float) -> None:
    extra = len(shape) - input.ndim
    if extra < 0 or any(n not in (1, m) for n, m in zip(input.shape, shape[extra:], strict=True)):
        raise ValueError(f"{op}: input of shape {input.shape} does not broadcast to the product's {shape}")
    if not dtypes.is_floating_point(input.dtype) and not (isinstance(beta, int) and isinstance(alpha, int)):
        raise TypeError(f"{op}: got beta={beta} and alpha={alpha} for dtype {input.dtype}, wanted integers")


def _sum(op: str, input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """beta input + alpha product, without reading the input where beta is 0."""
    _check_sum(op, input, product.shape, beta, alpha)
    if alpha != 1:
        product = mul(product, alpha)
    if beta == 0:
        return Ignored().apply(product, input)  # type: ignore[no-any-return]
    return add(product, input if beta == 1 else mul(input, beta))


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha mat1 mat2, with the input broadcast to (n, p); an input of beta = 0 is not read.

    With one row as input and factors of 1, product and sum are one kernel. Raises ValueError where the shapes do not
    fit, TypeError where the dtypes differ.

    >>> import tinydl
    >>> tinydl.addmm(tinydl.ones(2), tinydl.tensor([[1.0, 2.0]]), tinydl.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([[14., 17.]])
    """
    if autocast.on:
        input, mat1, mat2 = autocast.inputs("addmm", input, mat1, mat2)
    _check_ndim("addmm", 2, ("mat1", mat1), ("mat2", mat2))
    check_operands("addmm", input, mat1, mat2)
    fused = beta == alpha == 1 and input.shape == mat2.shape[1:] and mat1.shape[1] == mat2.shape[0]
    if fused and backend.takes(mat2._data):
        return AddMM().apply(input, mat1, mat2)  # type: ignore[no-any-return]
    return _sum("addmm", input, matmul(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha mat vec, with the input broadcast to (n,); an input of beta = 0 is not read."""
    if autocast.on:
        input, mat, vec = autocast.inputs("addmv", input, mat, vec)
    _check_ndim("addmv", 2, ("mat", mat))
    _check_ndim("addmv", 1, ("vec", vec))
    check_operands("addmv", input, mat)
    return _sum("addmv", input, matmul(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha outer(vec1, vec2), with the input broadcast; an input of beta = 0 is not read."""
    if autocast.on:
        input, vec1, vec2 = autocast.inputs("addr", input, vec1, vec2)
    _check_ndim("addr", 1, ("vec1", vec1), ("vec2", vec2))
    return _sum("addr", input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha bmm(batch1, batch2), with the input broadcast; an input of beta = 0 is not read."""
    if autocast.on:
        input, batch1, batch2 = autocast.inputs("baddbmm", input, batch1, batch2)
    check_operands("baddbmm", input, batch1)
    _check_ndim("baddbmm", 3, ("batch1", batch1), ("batch2", batch2))
    return _sum("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta input + alpha times the sum of bmm(batch1, batch2) over the batch, computed as one product."""
    if autocast.on:
        input, batch1, batch2 = autocast.inputs("addbmm", input, batch1, batch2)
    check_operands("addbmm", input, batch1)
    _check_ndim("addbmm", 3, ("batch1", batch1), ("batch2", batch2))
    if batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        raise ValueError(f"addbmm: shapes {batch1.shape} and {batch2.shape} do not fit")
    b, n, m = batch1.shape
    wide = batch1.permute(1, 0, 2).reshape(n, b * m)
    return _sum("addbmm", input, matmul(wide, batch2.reshape(b * m, batch2.shape[2])), beta, alpha)


# -- Tensor products ----------------------------------------------------------------------------------------------


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sums of products over axes of both: the last `dims` of a with the first of b, or the two lists of axes.

    The result has a's other axes, then b's. Raises ValueError where the sizes differ.

    >>> import tinydl
    >>> tinydl.tensordot(tinydl.ones(2, 3, 4), tinydl.ones(3, 4, 5)).shape
    (2, 5)
    """
    if autocast.on:
        a, b = autocast.inputs("tensordot", a, b)
    check_operands("tensordot", a, b)
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: got dims={dims} for shapes {a.shape} and {b.shape}")
        dims = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    axes_a, axes_b = (_axes("tensordot", d, t.ndim) for d, t in zip(dims, (a, b), strict=True))
    sizes = [a.shape[d] for d in axes_a]
    if sizes != [b.shape[d] for d in axes_b]:
        raise ValueError(f"tensordot: axes {axes_a} of {a.shape} do not fit axes {axes_b} of {b.shape}")
    rest_a = [d for d in range(a.ndim) if d not in axes_a]
    rest_b = [d for d in range(b.ndim) if d not in axes_b]
    kept = [a.shape[d] for d in rest_a], [b.shape[d] for d in rest_b]
    rows, columns, depth = (int(np.prod(n, dtype=np.int64)) for n in (*kept, sizes))
    left = a.permute(*rest_a, *axes_a).reshape(rows, depth)
    right = b.permute(*axes_b, *rest_b).reshape(depth, columns)
    return matmul(left, right).reshape(*kept[0], *kept[1])


def _axes(op: str, dims: int | Sequence[int] | Tensor, ndim: int) -> tuple[int, ...]:
    wanted = dims.tolist() if isinstance(dims, Tensor) else dims
    return axes_of(op, wanted, ndim) if wanted != [] and wanted != () else ()


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of the input times the whole other tensor, side by side.

    >>> import tinydl
    >>> tinydl.kron(tinydl.tensor([1.0, 10.0]), tinydl.tensor([1.0, 2.0]))
    tensor([ 1.,  2., 10., 20.])
    """
    ndim = max(input.ndim, other.ndim)
    left = (1,) * (ndim - input.ndim) + input.shape
    right = (1,) * (ndim - other.ndim) + other.shape
    wide = (
        input.reshape([n for size in left for n in (size, 1)]),
        other.reshape([n for size in right for n in (1, size)]),
    )
    return mul(*wide).reshape([n * m for n, m in zip(left, right, strict=True)])


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = sum over i, j of x1[..., i] W[o, i, j] x2[..., j] + b[o].

    Shapes: x1 (..., in1), x2 (..., in2) with equal leading axes, W (out, in1, in2), b (out,), y (..., out).

    Raises ValueError where the shapes do not fit, TypeError where the dtypes differ.
    """
    if autocast.on:
        input1, input2, weight, bias = autocast.inputs("bilinear", input1, input2, weight, bias)
    check_operands("bilinear", input1, input2, weight, bias)
    if weight.ndim != 3 or input1.shape[-1:] != weight.shape[1:2] or input2.shape[-1:] != weight.shape[2:]:
        raise ValueError(
            f"bilinear: inputs {input1.shape} and {input2.shape} do not fit weight {weight.shape} (out, in1, in2)"
        )
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ValueError(f"bilinear: inputs {input1.shape} and {input2.shape} differ in their leading axes")
    out, in1, in2 = weight.shape
    if bias is not None and bias.shape != (out,):
        raise ValueError(f"bilinear: bias {bias.shape} does not fit weight {weight.shape} (out, in1, in2)")
    rows = int(np.prod(input1.shape[:-1], dtype=np.int64))
    left = matmul(input1.reshape(rows, in1), weight.permute(1, 0, 2).reshape(in1, out * in2))
    y = matmul(left.reshape(rows, out, in2), input2.reshape(rows, in2, 1)).reshape(*input1.shape[:-1], out)
    return y if bias is None else add(y, bias)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """sum of x_i y_i along an axis, with broadcasting."""
    if autocast.on:
        x, y = autocast.inputs("linalg.vecdot", x, y)
    check_operands("linalg.vecdot", x, y)
    return sum_over(mul(x, y), dim)


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors of 3 elements along an axis, by default the first of size 3.

    >>> import tinydl
    >>> tinydl.cross(tinydl.tensor([1.0, 0.0, 0.0]), tinydl.tensor([0.0, 1.0, 0.0]), dim=0)
    tensor([0., 0., 1.])
    """
    if dim is None:
        if 3 not in input.shape:
            raise ValueError(f"cross: shape {input.shape} has no axis of size 3")
        dim = input.shape.index(3)
    return linalg_cross(input, other, dim=dim)


def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of 3 elements along an axis, with broadcasting of the others."""
    if autocast.on:
        input, other = autocast.inputs("cross", input, other)
    axes = [axes_of("cross", dim, t.ndim)[0] for t in (input, other)]
    if input.ndim != other.ndim or input.shape[axes[0]] != 3 or other.shape[axes[1]] != 3:
        raise ValueError(f"cross: got shapes {input.shape} and {other.shape}, wanted as many axes and size 3 at {dim}")
    a, b = (t.roll(-1, dim) for t in (input, other))
    return sub(mul(a, other.roll(-2, dim)), mul(input.roll(-2, dim), b))
