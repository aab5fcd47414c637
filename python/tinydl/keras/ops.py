"""Functions on tensors with Keras's names and arguments: for losses, metrics and layers of one's own.

What they take may be tensors, arrays, lists or numbers; what they return are tensors, recorded for gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinydl

from ..creation import as_tensor, one_hot
from ..tensor import Array, Tensor
from .activations import (
    celu,
    elu,
    gelu,
    hard_sigmoid,
    hard_silu,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    squareplus,
    tanh,
)

Axis = int | Sequence[int] | None

td: Any = tinydl


def _unary(name: str, formula: str) -> Callable[[Any], Tensor]:
    function = getattr(td, name)

    def of(x: Any) -> Tensor:
        return function(as_tensor(x))  # type: ignore[no-any-return]

    of.__name__, of.__qualname__, of.__doc__ = name, name, f"{formula}, elementwise."
    return of


def _binary(name: str, known: str, formula: str) -> Callable[[Any, Any], Tensor]:
    function = getattr(td, known)

    def of(x1: Any, x2: Any) -> Tensor:
        return function(as_tensor(x1), as_tensor(x2))  # type: ignore[no-any-return]

    of.__name__, of.__qualname__, of.__doc__ = name, name, f"{formula}, elementwise with broadcasting."
    return of


def _reduction(name: str, known: str, what: str) -> Callable[..., Tensor]:
    function = getattr(td, known)

    def of(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
        x = as_tensor(x)
        over = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        return function(x, over, keepdim=keepdims)  # type: ignore[no-any-return]

    of.__name__, of.__qualname__, of.__doc__ = name, name, f"{what} over one axis, several, or all."
    return of


abs = absolute = _unary("abs", "|x|")
ceil = _unary("ceil", "The least integer that is not below x")
cos = _unary("cos", "cos x")
erf = _unary("erf", "The error function")
exp = _unary("exp", "e^x")
floor = _unary("floor", "The greatest integer that is not above x")
isfinite = _unary("isfinite", "Whether x is finite")
isnan = _unary("isnan", "Whether x is not a number")
log = _unary("log", "The natural logarithm")
log1p = _unary("log1p", "log(1 + x)")
negative = _unary("neg", "-x")
reciprocal = _unary("reciprocal", "1/x")
round = _unary("round", "The nearest integer")
rsqrt = _unary("rsqrt", "1/√x")
sign = _unary("sign", "The sign")
sin = _unary("sin", "sin x")
sqrt = _unary("sqrt", "√x")
square = _unary("square", "x²")

add = _binary("add", "add", "x1 + x2")
divide = true_divide = _binary("divide", "div", "x1/x2")
equal = _binary("equal", "eq", "x1 = x2")
greater = _binary("greater", "gt", "x1 > x2")
greater_equal = _binary("greater_equal", "ge", "x1 ≥ x2")
less = _binary("less", "lt", "x1 < x2")
less_equal = _binary("less_equal", "le", "x1 ≤ x2")
maximum = _binary("maximum", "maximum", "The larger one")
minimum = _binary("minimum", "minimum", "The smaller one")
multiply = _binary("multiply", "mul", "x1 x2")
not_equal = _binary("not_equal", "ne", "x1 ≠ x2")
power = _binary("power", "pow", "x1 to the power of x2")
subtract = _binary("subtract", "sub", "x1 - x2")

logsumexp = _reduction("logsumexp", "logsumexp", "log Σ e^x")
max = amax = _reduction("max", "amax", "The maximum")
min = amin = _reduction("min", "amin", "The minimum")
sum = _reduction("sum", "sum", "The sum")


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over one axis, several, or all; of integers and booleans as float32.

    >>> mean([[1.0, 2.0], [3.0, 4.0]], axis=-1)
    tensor([1.5, 3.5])
    """
    return _floating(x).mean(_axes(axis), keepdim=keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean squared distance from the mean.

    >>> var([1.0, 3.0])
    tensor(1.)
    """
    return _floating(x).var(_axes(axis), correction=0, keepdim=keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The square root of `var`."""
    return _floating(x).std(_axes(axis), correction=0, keepdim=keepdims)


def _floating(x: Any) -> Tensor:
    x = as_tensor(x)
    return x.float() if x.dtype.kind in "biu" else x  # type: ignore[no-any-return]


def _axes(axis: Axis) -> Any:
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the first maximum.

    >>> argmax([[1.0, 5.0, 2.0]], axis=-1)
    tensor([1])
    """
    return as_tensor(x).argmax(axis, keepdim=keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the first minimum."""
    return as_tensor(x).argmin(axis, keepdim=keepdims)


def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """x, at least x_min and at most x_max.

    >>> clip([-1.0, 0.5, 3.0], 0.0, 1.0)
    tensor([0. , 0.5, 1. ])
    """
    return as_tensor(x).clamp(x_min, x_max)


def where(condition: Any, x1: Any, x2: Any) -> Tensor:
    """x1 where the condition holds, x2 elsewhere."""
    return td.where(as_tensor(condition), as_tensor(x1), as_tensor(x2))  # type: ignore[no-any-return]


def matmul(x1: Any, x2: Any) -> Tensor:
    """The product of matrices, of the last two axes."""
    return td.matmul(as_tensor(x1), as_tensor(x2))  # type: ignore[no-any-return]


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """A sum of products over the axes that the letters name."""
    return td.einsum(subscripts, *[as_tensor(x) for x in operands])  # type: ignore[no-any-return]


def reshape(x: Any, newshape: int | Sequence[int]) -> Tensor:
    """The elements in another shape; -1 stands for one size that follows."""
    return as_tensor(x).reshape(newshape if isinstance(newshape, int) else tuple(newshape))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, by default backwards."""
    x = as_tensor(x)
    return x.permute(tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))  # type: ignore[no-any-return]


def expand_dims(x: Any, axis: int) -> Tensor:
    """A new axis of size 1."""
    return as_tensor(x).unsqueeze(axis)


def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """Without the axes of size 1, or without some of them."""
    x = as_tensor(x)
    return x.squeeze() if axis is None else x.squeeze(_axes(axis))  # type: ignore[no-any-return]


def concatenate(xs: Sequence[Any], axis: int = -1) -> Tensor:
    """Tensors one after the other along an axis."""
    return td.cat([as_tensor(x) for x in xs], axis)  # type: ignore[no-any-return]


def stack(x: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return td.stack([as_tensor(value) for value in x], axis)  # type: ignore[no-any-return]


def shape(x: Any) -> tuple[int, ...]:
    """The sizes of the axes."""
    return as_tensor(x).shape


def cast(x: Any, dtype: Any) -> Tensor:
    """x in another dtype; "int" is int32 and "float" float32, as Keras has them.

    >>> cast([1.7, 2.2], "int32")
    tensor([1, 2], dtype=int32)
    """
    return as_tensor(x).to({"int": "int32", "float": "float32"}.get(dtype, dtype) if isinstance(dtype, str) else dtype)


def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """A tensor."""
    return as_tensor(x) if dtype is None else as_tensor(x).to(dtype)


def convert_to_numpy(x: Any) -> Array:
    """An array."""
    return as_tensor(x).detach().numpy()


def zeros(shape: Sequence[int], dtype: Any = "float32") -> Tensor:
    """Every element 0."""
    return Tensor(np.zeros(tuple(shape), dtype))


def ones(shape: Sequence[int], dtype: Any = "float32") -> Tensor:
    """Every element 1."""
    return Tensor(np.ones(tuple(shape), dtype))


def zeros_like(x: Any) -> Tensor:
    """Zeros of x's shape and dtype."""
    return td.zeros_like(as_tensor(x))  # type: ignore[no-any-return]


def ones_like(x: Any) -> Tensor:
    """Ones of x's shape and dtype."""
    return td.ones_like(as_tensor(x))  # type: ignore[no-any-return]


__all__ = [
    "abs",
    "absolute",
    "add",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cast",
    "ceil",
    "celu",
    "clip",
    "concatenate",
    "convert_to_numpy",
    "convert_to_tensor",
    "cos",
    "divide",
    "einsum",
    "elu",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "floor",
    "gelu",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "hard_silu",
    "isfinite",
    "isnan",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "power",
    "reciprocal",
    "relu",
    "relu6",
    "reshape",
    "round",
    "rsqrt",
    "selu",
    "shape",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "squareplus",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "true_divide",
    "var",
    "where",
    "zeros",
    "zeros_like",
]
