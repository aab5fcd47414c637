"""Matrix products: matmul with batches and broadcasting, and the linear map with its bias and activation fused."""

from __future__ import annotations

import math

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .reduce import sum_to

PRODUCT_CHARS = "fdE"  # NumPy's letters of the dtypes that products are computed of: float32, float64, bfloat16
ACTIVATION_GRADS = {"relu": "relu_backward", "sigmoid": "sigmoid_backward", "tanh": "tanh_backward"}


def through_activation(activation: str | None, grad: Array, y: Array | None) -> Array:
    """The gradient before the activation, from the gradient after it and the output y = activation(z)."""
    if activation is None:
        return grad
    return getattr(backend.of(grad), ACTIVATION_GRADS[activation])(grad, y)  # type: ignore[no-any-return]


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _product(a: Array, b: Array, bias: Array | None = None, activation: str | None = None) -> Array:
    """activation(A B + bias) of arrays in float32, float64 or bfloat16."""
    kernels = backend.of(a)
    if backend.takes(a):
        return kernels.matmul(a, b, bias, activation or "none")  # type: ignore[no-any-return]
    wide = None if bias is None else bias.astype(np.float32)
    bits: Array = kernels.matmul_bfloat16(a.view(np.uint16), b.view(np.uint16), wide, activation or "none")
    return bits.view(a.dtype)


def _wide(x: Array) -> Array:
    """The array in a dtype that every kernel takes."""
    return x if backend.takes(x) else x.astype(np.float32)


class Matmul(Function):
    """C = A B over the last two axes; dA = dC B^T, dB = A^T dC, summed over broadcast batch axes."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        self.save(a if self.needs[1] else None, b if self.needs[0] else None)
        return _product(a, b)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        return (
            sum_to(_product(grad, _t(b)), self.shapes[0]) if self.needs[0] else None,
            sum_to(_product(_t(a), grad), self.shapes[1]) if self.needs[1] else None,
        )


class VectorMatmul(Function):
    """C = A B where A is a row or B a column without its axis of size 1, which C lacks too."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        c: Array = _product(_row(a), _column(b))
        c = c if b.ndim > 1 else c[..., 0]
        return c if a.ndim > 1 else backend.asarray(c[..., 0, :] if b.ndim > 1 else c[..., 0])

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        if b.ndim == 1:
            grad = grad[..., None]
        if a.ndim == 1:
            grad = grad[..., None, :]
        row, column = _row(a), _column(b)
        return (
            sum_to(_product(grad, _t(column)), row.shape).reshape(a.shape) if self.needs[0] else None,
            sum_to(_product(_t(row), grad), column.shape).reshape(b.shape) if self.needs[1] else None,
        )


def _row(a: Array) -> Array:
    return a if a.ndim > 1 else a[None]


def _column(b: Array) -> Array:
    return b if b.ndim > 1 else b[:, None]


class Linear(Function):
    """Y = f(X W^T + b): dZ = dY f'(Z), dX = dZ W, dW = dZ^T X, db = sum of dZ over rows.

    X and Y are matrices, or dense arrays whose axes before the last are the rows.
    """

    def __init__(self, activation: str | None) -> None:
        self.activation = activation

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y = _product(_rows(x), weight.T, bias, self.activation)
        if x.ndim != 2:
            y = y.reshape(*x.shape[:-1], weight.shape[0])
        self.save(x if self.needs[1] else None, weight if self.needs[0] else None, y if self.activation else None)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, weight, y = self.saved
        given = grad.dtype
        shape = grad.shape
        grad = through_activation(self.activation, _rows(_wide(grad)), None if y is None else _rows(_wide(y)))
        dbias: Array | None = backend.of(grad).sum(grad, (0,), False) if self.needs[2] else None
        if grad.dtype != given:
            grad, dbias = grad.astype(given), None if dbias is None else dbias.astype(given)
        dx: Array | None = None
        if self.needs[0]:
            dx = _product(grad, weight)
            if len(shape) != 2:
                dx = dx.reshape(*shape[:-1], weight.shape[1])
        return dx, _product(grad.T, _rows(x)) if self.needs[1] else None, dbias


def _rows(x: Array) -> Array:
    """All axes but the last as one."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def check_operands(op: str, *tensors: Tensor | None) -> None:
    """TypeError unless all are tensors (or None) of one dtype."""
    first = None
    for t in tensors:  # one loop, as products are made by the thousand
        if t is None:
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"{op}: got {type(t).__name__}, wanted a tensor")
        dtype = t._data.dtype
        if first is None:
            first = dtype
        elif dtype is not first and dtype != first:
            kinds = {str(each.dtype) for each in tensors if isinstance(each, Tensor)}
            raise TypeError(f"{op}: got dtypes {' and '.join(sorted(kinds))}, wanted one")


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product C[..., i, j] = sum_k A[..., i, k] B[..., k, j].

    Shapes: (..., m, k) and (..., k, n) give (..., m, n), with the batch axes broadcast. A vector on the left is a
    row, on the right a column, and its axis is dropped from the result, as in PyTorch and NumPy.

    Raises ValueError where the shapes do not fit, TypeError where the dtypes differ.

    >>> import tinydl
    >>> a = tinydl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> tinydl.matmul(a, tinydl.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if autocast.on:
        input, other = autocast.inputs("matmul", input, other)
    check_operands("matmul", input, other)
    if input is None or other is None:
        raise TypeError("matmul: got None, wanted a tensor")
    if input.ndim == 0 or other.ndim == 0:
        raise ValueError(f"matmul: got shapes {input.shape} and {other.shape}, wanted at least one axis each")
    if not dtypes.is_floating_point(input.dtype):
        return Tensor(backend.asarray(np.matmul(input._data, other._data)))
    if input._data.dtype.char == "e" and not backend.takes(input._data):  # the CPU multiplies float16 in float32
        return matmul(input.to(dtypes.float32), other.to(dtypes.float32)).to(input.dtype)
    columns, rows = input.shape[-1], other.shape[-2 if other.ndim > 1 else 0]
    if columns != rows:
        raise ValueError(
            f"matmul: shapes {input.shape} and {other.shape} do not fit: "
            f"{columns} columns of the first against {rows} rows of the second"
        )
    function = VectorMatmul() if input.ndim == 1 or other.ndim == 1 else Matmul()
    return function.apply(input, other)  # type: ignore[no-any-return]


def rmatmul(input: Tensor, other: Array) -> Tensor:
    """`array @ tensor`."""
    return matmul(Tensor(backend.asarray(other)), input)


def _unfused_linear(input: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None) -> Tensor:
    """`linear` with one row of weights, or of dtypes that the kernels do not take."""
    if weight.ndim == 1:
        if activation is not None or bias is not None:
            raise ValueError(f"linear: weight {weight.shape} goes with neither bias nor activation")
        return matmul(input, weight)
    if dtypes.is_floating_point(weight.dtype):  # float16 is multiplied in float32
        wide = None if bias is None else bias.to(dtypes.float32)
        return linear(input.to(dtypes.float32), weight.to(dtypes.float32), wide, activation).to(weight.dtype)
    if activation is not None:
        raise TypeError(f"linear: activation {activation!r} goes with floating-point dtypes, got {weight.dtype}")
    out = matmul(input, weight.t())
    return out if bias is None else out + bias


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None) -> Tensor:
    """The linear map y = f(x W^T + b) in one kernel, with f one of None, "relu", "sigmoid" and "tanh".

    Shapes: x (..., in), W (out, in), b (out,), y (..., out); W may be one row (in,), which gives y (...).

    Raises ValueError where the shapes do not fit, naming them; TypeError where the dtypes differ.

    >>> import tinydl
    >>> x, w = tinydl.tensor([[1.0, -2.0]]), tinydl.tensor([[1.0, 1.0], [2.0, 0.5]])
    >>> linear(x, w, tinydl.tensor([0.5, 0.0]), activation="relu")
    tensor([[0., 1.]])
    """
    if autocast.on:
        input, weight, bias = autocast.inputs("linear", input, weight, bias)
    check_operands("linear", input, weight, bias)
    if activation not in (None, *ACTIVATION_GRADS):
        raise ValueError(f"linear: got activation {activation!r}, wanted None or one of {', '.join(ACTIVATION_GRADS)}")
    if weight.ndim == 1 or (weight._data.dtype.char not in PRODUCT_CHARS and not backend.takes(weight._data)):
        return _unfused_linear(input, weight, bias, activation)
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: input {input.shape} does not fit weight {weight.shape} (out, in)")
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"linear: bias {bias.shape} does not fit weight {weight.shape} (out, in)")
    if input.ndim == 2 or input._data.flags.c_contiguous:
        return Linear(activation).apply(input, weight, bias)  # type: ignore[no-any-return]
    batch = input.shape[:-1]  # what has no rows as it lies is copied once, for forward and backward
    rows = input.reshape(math.prod(batch), input.shape[-1])
    out: Tensor = Linear(activation).apply(rows, weight, bias)
    return out.reshape(*batch, weight.shape[0])
