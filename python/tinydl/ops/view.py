"""Other shapes of the same elements: NumPy's views, with gradients; and indexing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Function, is_grad_enabled
from ..creation import shape_from as _sizes
from ..tensor import Array, Tensor
from .elementwise import cast
from .inplace import bump, check_writable, replace
from .reduce import axes_of, sum_to

Shape = tuple[int, ...]


class Reshape(Function):
    """The elements in row-major order under another shape; a view where the strides allow one."""

    returns_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.before = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Array) -> Array:
        return grad.reshape(self.before)


class Permute(Function):
    """The axes in another order."""

    returns_view = True

    def __init__(self, axes: Shape) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes)

    def backward(self, grad: Array) -> Array:
        return grad.transpose(np.argsort(self.axes))


class Expand(Function):
    """Axes of size 1 repeated without a copy."""

    returns_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.before = x.shape
        return np.broadcast_to(x, self.shape)

    def backward(self, grad: Array) -> Array:
        return sum_to(grad, self.before)


class Index(Function):
    """y = x[key]; elements that the key names several times get the sum of their gradients."""

    returns_view = True

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return np.asarray(x[self.key])

    def backward(self, grad: Array) -> Array:
        out = np.zeros(self.shape, grad.dtype)
        if _is_basic(self.key):
            out[self.key] = grad
        else:
            np.add.at(out, self.key, grad)
        return out


class SetIndex(Function):
    """y = x with y[key] = value."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: Array, value: Array) -> Array:
        self.value_shape = value.shape
        y = x.copy(order="K")
        y[self.key] = value
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        value_grad = sum_to(grad[self.key].copy(), self.value_shape) if self.needs[1] else None
        if not self.needs[0]:
            return None, value_grad
        rest = grad.copy(order="K")
        rest[self.key] = 0
        return rest, value_grad


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts)


def _plain(key: Any) -> Any:
    """An index with its tensors replaced by arrays, copied: the backward pass reads them again."""
    if isinstance(key, tuple):
        return tuple([_plain(part) for part in key])
    if isinstance(key, Tensor):
        return int(key) if key.ndim == 0 and key._data.dtype.kind in "iu" else key._data.copy()
    return np.array(key) if isinstance(key, list | np.ndarray) else key


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in row-major order under another shape; one size may be -1.

    A view where the strides allow one, else a copy. ValueError where the number of elements differs.

    >>> import tinydl
    >>> tinydl.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    sizes = _sizes("reshape", shape)
    try:
        return Reshape(sizes).apply(input)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError(f"reshape: a tensor of shape {input.shape} cannot take the shape {sizes}") from None


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one, in row-major order.

    >>> import tinydl
    >>> tinydl.zeros(2, 3, 4).flatten(1).shape
    (2, 12)
    """
    if input.ndim == 0:
        return reshape(input, 1)
    (start,) = axes_of("flatten", start_dim, input.ndim)
    (end,) = axes_of("flatten", end_dim, input.ndim)
    if end < start:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} for shape {input.shape}")
    middle = int(np.prod(input.shape[start : end + 1], dtype=np.int64))
    return reshape(input, (*input.shape[:start], middle, *input.shape[end + 1 :]))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The axes in the order `dims`: a view."""
    wanted = _sizes("permute", dims)
    axes = axes_of("permute", wanted, input.ndim) if wanted else ()
    if len(axes) != input.ndim:
        raise ValueError(f"permute: got {len(axes)} axes for a tensor of shape {input.shape}")
    return Permute(axes).apply(input)  # type: ignore[no-any-return]


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged: a view."""
    axes = list(range(input.ndim))
    (a,), (b,) = axes_of("transpose", dim0, input.ndim), axes_of("transpose", dim1, input.ndim)
    axes[a], axes[b] = axes[b], axes[a]
    return permute(input, axes)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or scalar as it is."""
    if input.ndim > 2:
        raise ValueError(f"t: got a tensor of shape {input.shape}, wanted at most two axes")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 before axis `dim`: a view."""
    (at,) = axes_of("unsqueeze", dim, input.ndim + 1)
    return reshape_view(input, (*input.shape[:at], 1, *input.shape[at:]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of size 1 (all, or those that `dim` names): a view."""
    named: Sequence[int] = range(input.ndim)
    if dim is not None:
        named = axes_of("squeeze", dim, input.ndim) if isinstance(dim, int) or dim else ()
    return reshape_view(input, tuple(n for d, n in enumerate(input.shape) if n != 1 or d not in named))


def reshape_view(input: Tensor, shape: Shape) -> Tensor:
    """A reshape that adds or drops axes of size 1 only."""
    return Reshape(shape).apply(input)  # type: ignore[no-any-return]


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Axes of size 1 repeated to `sizes` without a copy; -1 keeps a size."""
    wanted = list(_sizes("expand", sizes))
    extra = len(wanted) - input.ndim
    for d in range(len(wanted)):
        if wanted[d] == -1 and d >= extra:
            wanted[d] = input.shape[d - extra]
    try:
        return Expand(tuple(wanted)).apply(input)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError(f"expand: a tensor of shape {input.shape} cannot take the shape {tuple(wanted)}") from None


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself where its elements lie in row-major order, else a copy that does."""
    if input.is_contiguous():
        return input
    return Contiguous().apply(input)  # type: ignore[no-any-return]


class Contiguous(Function):
    """A row-major copy."""

    def forward(self, x: Array) -> Array:
        return np.ascontiguousarray(x)

    def backward(self, grad: Array) -> Array:
        return grad


def getitem(input: Tensor, key: Any) -> Tensor:
    """`input[key]`: a view for slices and integers, a copy for arrays of indices or bools."""
    return Index(_plain(key)).apply(input)  # type: ignore[no-any-return]


def setitem(input: Tensor, key: Any, value: Any) -> None:
    """`input[key] = value`, in place; recorded, so that gradients flow to `value` and to the untouched elements."""
    key = _plain(key)
    value = cast(value, input.dtype) if isinstance(value, Tensor) else Tensor(np.asarray(value, dtype=input.dtype))
    if is_grad_enabled() and (input.requires_grad or value.requires_grad):
        replace("setitem", input, SetIndex(key).apply(input, value))
        return
    check_writable("setitem", input, recorded=False)
    input._data[key] = value._data
    bump(input)
