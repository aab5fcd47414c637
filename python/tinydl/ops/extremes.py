"""The largest and smallest elements, and where they are. NaN counts as larger and smaller than every number."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import return_types
from .elementwise import apply_float
from .reduce import Dim, axes_of, axis_of


class Extreme(Function):
    """y = the largest (kernel amax) or smallest (amin) x over axes; the gradient is divided equally among ties."""

    def __init__(self, kernel: str, axes: tuple[int, ...], keepdim: bool) -> None:
        self.kernel = kernel
        self.axes = axes
        self.keepdim = keepdim

    def forward(self, x: Array) -> Array:
        y: Array = getattr(backend.of(x), self.kernel)(x, self.axes, self.keepdim)
        self.save(x, y)
        return y

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        kernels = backend.of(grad)
        if not self.keepdim:
            y, grad = np.expand_dims(y, self.axes), np.expand_dims(grad, self.axes)
        ties = kernels.sum(kernels.extreme_backward(x, y, backend.scalar(1, x)), self.axes, True)
        return kernels.extreme_backward(x, y, kernels.div(grad, ties))  # type: ignore[no-any-return]


class ExtremeOfAll(Extreme):
    """The same over all axes; where y is NaN, the NaNs share the gradient."""

    def backward(self, grad: Array) -> Array:
        x, y = self.saved
        on_host = backend.is_on_host(x)
        if on_host and not np.isnan(y):
            return super().backward(grad)
        nan = np.isnan(x)
        with np.errstate(all="ignore"):
            shared = np.where(nan, grad / backend.asarray(np.count_nonzero(nan), grad.dtype), grad.dtype.type(0))
            # On a GPU both are computed: to look at y would wait for it.
            return shared if on_host else np.where(np.isnan(y), shared, super().backward(grad))


class Choose(Function):
    """y = x[..., indices, ...] along an axis, elementwise in the others; an element chosen often sums its gradients."""

    def __init__(self, axis: int, indices: Array, keepdim: bool) -> None:
        self.axis = axis
        self.indices = indices
        self.keepdim = keepdim

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        y = np.take_along_axis(x, self.indices, self.axis)
        return y if self.keepdim else y.squeeze(self.axis)

    def backward(self, grad: Array) -> Array:
        out = backend.zeros(self.shape, grad)
        if self.indices.shape[self.axis] == 1:
            np.put_along_axis(out, self.indices, grad if self.keepdim else np.expand_dims(grad, self.axis), self.axis)
            return out
        places: list[Array] = anywhere.open_grid(self.indices.shape, grad)
        places[self.axis] = self.indices
        anywhere.add_at(out, tuple(places), grad if self.keepdim else np.expand_dims(grad, self.axis))
        return out


class ChooseExtreme(Choose):
    """The same for the indices of the largest or smallest elements, whose values a kernel finds."""

    def __init__(self, kernel: str, axis: int, indices: Array, keepdim: bool) -> None:
        self.kernel = kernel
        super().__init__(axis, indices, keepdim)

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return getattr(backend.of(x), self.kernel)(x, (self.axis,), self.keepdim)  # type: ignore[no-any-return]


def choose(input: Tensor, axis: int, indices: Array, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The elements at `indices` (of size 1 along the axis unless keepdim), and the indices as a tensor."""
    values: Tensor = Choose(axis, indices, keepdim).apply(input)
    return values, Tensor(backend.asarray(indices if keepdim else indices.squeeze(axis), dtype=np.int64))


def check_choice(op: str, input: Tensor, axes: tuple[int, ...]) -> None:
    """IndexError where an axis has nothing to choose from."""
    for d in axes:
        if input._data.shape[d] == 0:
            raise IndexError(f"{op}: nothing to choose from in shape {input.shape} along dim {d}")


def _extreme(op: str, kernel: str, function: type[Extreme], input: Tensor, dim: Dim, keepdim: bool) -> Tensor:
    axes = axes_of(op, dim, input.ndim)
    check_choice(op, input, axes)
    if backend.takes(input._data):
        return function(kernel, axes, keepdim).apply(input)  # type: ignore[no-any-return]
    if dtypes.is_floating_point(input.dtype):
        return apply_float(op, function(kernel, axes, keepdim), input)
    ufunc: Any = np.max if kernel == "amax" else np.min
    return Tensor(backend.asarray(ufunc(input._data, axis=axes, keepdims=keepdim)))


def amax(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The largest element over one axis, several, or (by default) all; its gradient is shared equally among ties.

    Raises IndexError where `dim` is out of range or has no elements.

    >>> import tinydl
    >>> tinydl.amax(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([5., 7.])
    """
    return _extreme("amax", "amax", Extreme, input, dim, keepdim)


def amin(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The smallest element over one axis, several, or (by default) all; its gradient is shared equally among ties.

    Raises IndexError where `dim` is out of range or has no elements.

    >>> import tinydl
    >>> tinydl.amin(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1., 2.])
    """
    return _extreme("amin", "amin", Extreme, input, dim, keepdim)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> return_types.aminmax:
    """(min, max): the smallest and the largest element along an axis, or of all.

    >>> import tinydl
    >>> tinydl.aminmax(tinydl.tensor([3.0, 1.0, 2.0]))
    aminmax(min=tensor(1.), max=tensor(3.))
    """
    axes: Dim = () if dim is None else axis_of("aminmax", dim, input.ndim)
    low = _extreme("aminmax", "amin", Extreme, input, axes, keepdim)
    return return_types.aminmax(low, _extreme("aminmax", "amax", Extreme, input, axes, keepdim))


def _along(op: str, kernel: str, find: Any, input: Tensor, dim: Any, keepdim: bool) -> tuple[Tensor, Tensor]:
    axis = axis_of(op, dim, input.ndim)
    if input.ndim == 0:
        input, keepdim = input.reshape(1), False
    check_choice(op, input, (axis,))
    indices = find(input._data, axis=axis, keepdims=True)
    if not backend.takes(input._data):
        return choose(input, axis, indices, keepdim)
    values: Tensor = ChooseExtreme(kernel, axis, indices, keepdim).apply(input)
    return values, Tensor(indices if keepdim else indices.squeeze(axis))


def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The largest element; along an axis with its index; or the larger of two tensors.

    max(input) is the largest of all, whose gradient ties share. max(input, dim, keepdim) is a named tuple (values,
    indices), with the first of equal elements. max(input, other) is `maximum`.

    Raises IndexError where `dim` is out of range or has no elements.

    >>> import tinydl
    >>> tinydl.max(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    max(values=tensor([5., 7.]), indices=tensor([1, 0]))
    """
    if dim is None and other is None:
        return _extreme("max", "amax", ExtremeOfAll, input, (), keepdim)
    if other is not None or isinstance(dim, Tensor):
        from .bounds import maximum

        return maximum(input, dim if other is None else other)
    return return_types.max(*_along("max", "amax", np.argmax, input, dim, keepdim))


def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The smallest element; along an axis with its index; or the smaller of two tensors: as `max`.

    >>> import tinydl
    >>> tinydl.min(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
    min(values=tensor([1., 2.]), indices=tensor([0, 1]))
    """
    if dim is None and other is None:
        return _extreme("min", "amin", ExtremeOfAll, input, (), keepdim)
    if other is not None or isinstance(dim, Tensor):
        from .bounds import minimum

        return minimum(input, dim if other is None else other)
    return return_types.min(*_along("min", "amin", np.argmin, input, dim, keepdim))


def _arg(op: str, find: Any, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if input._data.dtype == np.bool_:
        raise TypeError(f"{op}: got dtype bool, wanted numbers")
    axis = None if dim is None else axis_of(op, dim, input.ndim)
    if input.ndim == 0:
        axis = None
    if (input.numel() if axis is None else input.shape[axis]) == 0:
        raise IndexError(f"{op}: nothing to choose from in shape {input.shape} along dim {dim}")
    return Tensor(backend.asarray(find(input._data, axis=axis, keepdims=keepdim), dtype=np.int64))


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the largest element along an axis, or of the flattened tensor; the first of equals.

    Raises IndexError where `dim` is out of range or has no elements, TypeError for bools.

    >>> import tinydl
    >>> tinydl.argmax(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _arg("argmax", np.argmax, input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the smallest element along an axis, or of the flattened tensor; the first of equals.

    Raises IndexError where `dim` is out of range or has no elements, TypeError for bools.

    >>> import tinydl
    >>> tinydl.argmin(tinydl.tensor([[1.0, 5.0], [7.0, 2.0]]))
    tensor(0)
    """
    return _arg("argmin", np.argmin, input, dim, keepdim)
