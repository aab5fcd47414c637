"""`x[key]` and `x[key] = value` with PyTorch's rules.

A key is split in two: what gives a view (integers, slices, None, Ellipsis), and then arrays of indices. NumPy alone
would count an integer among the arrays and so move axes: `x[0, :, [1, 2]]` has the axes (slice, list) in PyTorch.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import anywhere, backend, dtypes
from ..autograd import Function, is_grad_enabled
from ..tensor import Array, Tensor
from .elementwise import cast, move
from .inplace import bump, check_writable, replace
from .reduce import sum_to

Key = tuple[Any, ...]
_WHOLE = slice(None)


class View(Function):
    """y = x[key] for a key of integers, slices, None and a last Ellipsis."""

    returns_view = True

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return x[self.key]  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        out = backend.zeros(self.shape, grad)
        out[self.key] = grad
        return out


class Take(Function):
    """y = the slices of x at `index`, of any shape, along an axis; a slice gets the sum of its copies' gradients.

    The sum's order is that of the indices. Negative indices count from the end if `wrap`.
    """

    def __init__(self, axis: int, index: Array, wrap: bool) -> None:
        self.axis = axis
        self.index = index
        self.wrap = wrap

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        index = self.index
        if self.needs[0]:
            self.index = index.copy()
        y: Array = take(x, index, self.axis, self.wrap)
        return y if index.ndim == 1 else y.reshape(*x.shape[: self.axis], *index.shape, *x.shape[self.axis + 1 :])

    def backward(self, grad: Array) -> Array:
        if self.index.ndim != 1:
            grad = grad.reshape(*self.shape[: self.axis], self.index.size, *self.shape[self.axis + 1 :])
        return take_backward(grad, self.index, self.axis, self.shape[self.axis], self.wrap)


class Pick(Function):
    """y = x[key] for a key of index arrays and full slices; elements named several times get the sum of gradients."""

    def __init__(self, key: Key) -> None:
        self.key = key

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return backend.asarray(x[self.key])

    def backward(self, grad: Array) -> Array:
        out = backend.zeros(self.shape, grad)
        anywhere.add_at(out, self.key, grad)
        return out


class SetIndex(Function):
    """y = x with y[key] = value."""

    def __init__(self, view: Key, arrays: Key | None) -> None:
        self.view = view
        self.arrays = arrays

    def forward(self, x: Array, value: Array) -> Array:
        self.value_shape = value.shape
        y = x.copy(order="K")
        assign(y, self.view, self.arrays, value)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        value_grad = rest = None
        if self.needs[1]:
            region = grad[self.view]
            region = region.copy() if self.arrays is None else region[self.arrays]
            extra = len(self.value_shape) - region.ndim
            value_grad = sum_to(region.reshape((1,) * extra + region.shape), self.value_shape)
        if self.needs[0]:
            rest = grad.copy(order="K")
            assign(rest, self.view, self.arrays, backend.scalar(0, grad))
        return rest, value_grad


def take(x: Array, index: Array, axis: int, wrap: bool) -> Array:
    """The slices of x at the flattened index along an axis; IndexError where one is out of range."""
    if backend.takes(x):
        return backend.of(x).take(x, index, axis, wrap)  # type: ignore[no-any-return]
    return np.take(x, check_range("take", index.reshape(-1), x.shape[axis], wrap), axis)


def take_backward(grad: Array, index: Array, axis: int, size: int, wrap: bool) -> Array:
    """Zeros with `size` places along an axis, to which the slices of grad are added at `index`."""
    if backend.takes(grad):
        return backend.of(grad).take_backward(grad, index, axis, size, wrap)  # type: ignore[no-any-return]
    out: Array = backend.numpy_of(grad).zeros(
        (size, *grad.shape[:axis], *grad.shape[axis + 1 :]), np.float32 if grad.dtype.kind in "fV" else grad.dtype
    )
    anywhere.add_at(out, index.reshape(-1), np.moveaxis(grad, axis, 0).astype(out.dtype))
    return np.moveaxis(out, 0, axis).astype(grad.dtype)


def check_range(op: str, index: Array, size: int, wrap: bool = False) -> Array:
    """The indices counted from 0; IndexError unless all are in [0, size), or with `wrap` in [-size, size)."""
    low = -size if wrap else 0
    if index.size and not (index.min() >= low and index.max() < size):
        wrong = index[(index < low) | (index >= size)].flat[0]
        raise IndexError(f"{op}: index {wrong} is out of range for size {size}")
    return np.where(index < 0, index + size, index) if wrap else index


def assign(target: Array, view: Key, arrays: Key | None, value: Array) -> None:
    """target[view][arrays] = value."""
    region = target[view]
    try:
        region[... if arrays is None else arrays] = value
    except ValueError:
        shape = region.shape if arrays is None else region[arrays].shape
        raise ValueError(
            f"setitem: a value of shape {value.shape} does not broadcast to the indexed shape {shape}"
        ) from None


# -- Keys ---------------------------------------------------------------------------------------------------------


def _parts(key: Any) -> Key:
    """A key's parts; a list that holds more than numbers stands for a tuple, as in PyTorch."""
    if isinstance(key, tuple):
        return key
    if isinstance(key, Sequence) and not isinstance(key, str):
        special = (Tensor, Sequence, slice, type(None), type(Ellipsis))
        if any(isinstance(part, special) or backend.is_array(part) for part in key):
            return tuple(key)
    return (key,)


def _plain(part: Any) -> Any:
    """A part as an int, a slice, None, Ellipsis, or an array of int64 or bool."""
    if part is None or part is Ellipsis or type(part) is int:
        return part
    if isinstance(part, slice):
        if part.step is not None and operator.index(part.step) <= 0:
            raise ValueError(f"getitem: got a slice with step {part.step}, wanted a step above 0; use flip")
        return part
    if isinstance(part, Tensor):
        part = part._data
    elif isinstance(part, bool | np.bool_):
        return np.asarray(part)
    elif isinstance(part, int | np.integer):
        return int(part)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        part = np.asarray(part) if len(part) else np.zeros(0, np.int64)
    if not backend.is_array(part):
        raise IndexError(
            f"getitem: got an index of type {type(part).__name__}, wanted integers, slices, ..., None, or arrays of "
            "integers or bools"
        )
    if part.dtype == np.uint8:  # PyTorch reads it as a mask
        return part != 0
    if part.dtype not in (dtypes.bool, dtypes.int32, dtypes.int64):
        raise IndexError(f"getitem: got an index of dtype {part.dtype}, wanted int64, int32 or bool")
    return int(part) if part.ndim == 0 and part.dtype != dtypes.bool else part


def _is_plain(key: Any, axes: int) -> bool:
    """Whether the key has only integers and slices without a step: nothing that `split_key` would change or refuse."""
    parts = key if type(key) is tuple else (key,)
    if len(parts) > axes:
        return False
    for part in parts:
        kind = type(part)
        if kind is not int and (kind is not slice or part.step is not None):
            return False
    return True


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if backend.is_array(part) and part.dtype == dtypes.bool else 1


def split_key(key: Any, x: Array) -> tuple[Key, Key | None]:
    """The key for the view and, if there are arrays of indices, the key into the view; these lie where x does.

    IndexError where an index is out of range, a mask does not fit, or there are too many.
    """
    shape = x.shape
    parts = [_plain(part) for part in _parts(key)]
    room = len(shape) - sum(map(_axes_used, parts))
    if room < 0:
        raise IndexError(f"getitem: too many indices for shape {shape}: {len(shape) - room}")
    view: list[Any] = []
    arrays: list[Any] = []
    axis = 0
    for part in parts:
        if part is None:
            view.append(None)
            arrays.append(_WHOLE)
        elif part is Ellipsis:
            view += [_WHOLE] * room
            arrays += [_WHOLE] * room
            axis, room = axis + room, 0
        elif backend.is_array(part):
            used = _axes_used(part)
            view += [_WHOLE] * used if used else [None]
            arrays += [_beside(index, x) for index in _index_arrays(part, axis, shape)]
            axis += used
        else:
            view.append(part)
            if isinstance(part, slice):
                arrays.append(_WHOLE)
            axis += 1
    view.append(Ellipsis)
    found = any(part is not _WHOLE for part in arrays)
    return tuple(view), tuple(arrays) if found else None


def _beside(index: Array, x: Array) -> Array:
    """The index where x lies."""
    return index if type(index) is type(x) else backend.place(index, backend.device_of(x))


def _index_arrays(part: Array, axis: int, shape: tuple[int, ...]) -> list[Array]:
    """An array of the key as arrays of indices, copied and counted from 0; a mask becomes one for each of its axes."""
    if part.dtype != dtypes.bool:
        return [check_range("getitem", part.astype(np.int64), shape[axis], wrap=True)]
    if part.ndim == 0:
        return [np.zeros(int(part), np.int64)]
    if part.shape != shape[axis : axis + part.ndim]:
        raise IndexError(f"getitem: a mask of shape {part.shape} at axis {axis} does not fit the shape {shape}")
    return list(np.nonzero(part))


# -- The tensor's operators -----------------------------------------------------------------------------------------


def getitem(input: Tensor, key: Any) -> Tensor:
    """`input[key]`: a view for integers, slices, None and ..., a copy for tensors (or lists) of indices and masks.

    On a GPU, masks, lists and several tensors of indices are checked first, which waits for it; one tensor is not.

    Raises:
        IndexError: an index is out of range, a mask has another shape, there are too many, or one is of a wrong type.
        ValueError: a slice with a negative step.

    >>> import tinydl
    >>> x = tinydl.arange(6).reshape(2, 3)
    >>> x[:, -1], x[tinydl.tensor([1, 0, 1]), 0], x[x > 3]
    (tensor([2, 5]), tensor([3, 0, 3]), tensor([4, 5]))
    """
    if type(key) is int and input._data.ndim:
        return View((key, Ellipsis)).apply(input)  # type: ignore[no-any-return]
    if _is_plain(key, input._data.ndim):
        return View((*key, Ellipsis) if type(key) is tuple else (key, Ellipsis)).apply(input)  # type: ignore[no-any-return]
    if isinstance(key, Tensor) and key._data.dtype == dtypes.int64 and key._data.ndim and input._data.ndim:
        return Take(0, _beside(key._data, input._data), True).apply(input)  # type: ignore[no-any-return]
    view, arrays = split_key(key, input._data)
    if arrays is None or any(part is not _WHOLE for part in view[:-1]):
        input = View(view).apply(input)
    if arrays is None:
        return input
    places = [axis for axis, part in enumerate(arrays) if part is not _WHOLE]
    if len(places) == 1:
        return Take(places[0], arrays[places[0]], False).apply(input)  # type: ignore[no-any-return]
    return Pick(_broadcast(arrays)).apply(input)  # type: ignore[no-any-return]


def _broadcast(arrays: Key) -> Key:
    try:
        np.broadcast_shapes(*[part.shape for part in arrays if part is not _WHOLE])
    except ValueError:
        shapes = ", ".join(str(part.shape) for part in arrays if part is not _WHOLE)
        raise IndexError(f"getitem: indices of shapes {shapes} do not broadcast") from None
    return arrays


def _value(input: Tensor, value: Any, by_arrays: bool) -> Tensor:
    """What is assigned, as a tensor of the input's dtype."""
    if isinstance(value, Tensor):
        if by_arrays and value.ndim and value.dtype != input.dtype:
            raise TypeError(f"setitem: got values of dtype {value.dtype} for indices of a tensor of {input.dtype}")
        return move(cast(value, input.dtype), input.device)
    if isinstance(value, np.ndarray | np.number | np.bool_ | int | float):
        array = np.asarray(value).astype(input.dtype)
        return Tensor(backend.beside(array, input._data) if array.ndim else backend.scalar(array, input._data))
    raise TypeError(f"setitem: got a value of type {type(value).__name__}, wanted a tensor, an array or a number")


def setitem(input: Tensor, key: Any, value: Any) -> None:
    """`input[key] = value`, in place; recorded, so that gradients flow to `value` and to the untouched elements.

    `value` is broadcast to the shape of `input[key]`, and copied to the tensor's device. Errors are those of `getitem`,
    and TypeError or ValueError where the value's dtype or shape does not fit.
    """
    view, arrays = split_key(key, input._data)
    value = _value(input, value, arrays is not None)
    if arrays is not None:
        _broadcast(arrays)
    if is_grad_enabled() and (input.requires_grad or value.requires_grad):
        replace("setitem", input, SetIndex(view, arrays).apply(input, value))
        return
    check_writable("setitem", input, recorded=False)
    assign(input._data, view, arrays, value._data)
    bump(input)
