"""New tensors: from data, filled, counted, drawn at random."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import backend, cuda, dtypes, random
from .tensor import Array, Tensor

DTypeLike = Any


def tensor(data: Any, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists, an array or a tensor.

    Arrays keep their dtype; Python floats become float32, integers int64. Arrays of a GPU (CuPy's, and objects with
    the CUDA array interface) stay there unless a device is given.

    >>> tensor([[1, 2], [3, 4]], dtype="float32")
    tensor([[1., 2.],
            [3., 4.]])
    """
    return Tensor(backend.place(_array(data, dtype, copy=True), device), requires_grad)


def as_tensor(data: Any, dtype: DTypeLike = None, device: str | None = None) -> Tensor:
    """Like `tensor`, but sharing memory with `data` where it is an array (or tensor) of the right dtype."""
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype) and backend.lies_on(data._data, device):
        return data
    return Tensor(backend.place(_array(data, dtype, copy=False), device))


def from_numpy(ndarray: Array) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: got {type(ndarray).__name__}, wanted a numpy.ndarray")
    return Tensor(_array(ndarray, None, copy=False))


def _array(data: Any, dtype: DTypeLike, copy: bool) -> Array:
    if isinstance(data, Tensor):
        data = data._data
    if not backend.is_on_host(data):
        return _array_there(data, dtype, copy)
    if type(data) is not np.ndarray and hasattr(data, "__cuda_array_interface__"):
        return _array_there(cuda.array_over(data), dtype, copy)
    typed = hasattr(data, "dtype") or hasattr(data, "__array__")
    if not typed and isinstance(data, list | tuple):
        data = [backend.to_host(item._data) if isinstance(item, Tensor) else item for item in data]
        typed = any(hasattr(item, "dtype") for item in data)
        if typed and dtype is None:
            dtype = functools.reduce(dtypes.promote, map(_dtype_of_item, data))
    try:
        out = np.array(data, copy=True, order="K") if copy else np.asarray(data)
    except ValueError as error:
        raise ValueError(f"tensor: the data has no regular shape ({error})") from None
    if out.dtype.kind not in "biufV":
        raise TypeError(f"tensor: got data of dtype {out.dtype}, wanted numbers")
    if dtype is None:
        dtype = dtypes.float32 if not typed and out.dtype == np.float64 else out.dtype
    return np.require(out.astype(np.dtype(dtype).newbyteorder("="), copy=False, order="K"), requirements="A")


def _array_there(data: Any, dtype: DTypeLike, copy: bool) -> Array:
    """A device's array of a dtype that tensors have, aligned to it: itself, or a copy where asked for or needed."""
    if data.dtype.kind not in "biufV" or data.dtype.type is np.void:
        raise TypeError(f"tensor: got data of dtype {data.dtype}, wanted numbers")
    aligned = data.data.ptr % data.dtype.itemsize == 0
    wanted = data.dtype if dtype is None else np.dtype(dtype)
    return data.astype(wanted, order="K", copy=copy or not aligned)  # type: ignore[no-any-return]


def _dtype_of_item(item: Any) -> np.dtype[Any]:
    """The dtype that one of several items asks for: numbers of Python's, alone or in lists, are float32 or int64."""
    dtype = np.asarray(item).dtype
    return dtypes.float32 if dtype == np.float64 and not hasattr(item, "dtype") else dtype


# -- Filled -----------------------------------------------------------------------------------------------------


def shape_from(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape from f(2, 3) or f((2, 3)); TypeError where its parts are no integers."""
    flat = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes
    try:
        return tuple([n if type(n) is int else _whole(n) for n in flat])
    except TypeError:
        raise TypeError(f"{op}: got sizes {flat}, wanted integers") from None


def _whole(n: Any) -> int:
    if isinstance(n, bool):
        raise TypeError
    return operator.index(n)


def _new_shape(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of a new tensor."""
    if not sizes:
        raise TypeError(f"{op}: got no size; a tensor without axes has the size ()")
    shape = shape_from(op, sizes)
    if min(shape, default=0) < 0:
        raise ValueError(f"{op}: got sizes {shape}, wanted at least 0")
    return shape


def require_tensor(op: str, input: Any) -> None:
    """TypeError unless the input is a tensor."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")


def _filled(shape: tuple[int, ...], value: float, dtype: DTypeLike, device: str | None, requires_grad: bool) -> Tensor:
    numpy = backend.home_of(device).numpy
    array = numpy.zeros(shape, dtype) if value == 0 else numpy.empty(shape, dtype)
    if value != 0:  # an integer dtype takes a number's integer part
        array.fill(np.asarray(value).astype(array.dtype).item())
    return Tensor(backend.place(array, device), requires_grad)


def _filled_like(
    op: str, input: Tensor, value: float, dtype: DTypeLike, device: str | None, requires_grad: bool
) -> Tensor:
    """A tensor of one value with the input's shape and order of axes in memory."""
    require_tensor(op, input)
    array = np.empty_like(input._data, dtype=dtype)
    array.fill(np.asarray(value).astype(array.dtype).item())
    return Tensor(backend.place(array, device), requires_grad)


def full(
    size: Any, fill_value: float, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value; without a dtype it gets the value's (float32, int64 or bool)."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    dtype = dtypes.scalar_dtype(value) if dtype is None else dtype
    return _filled(_new_shape("full", (size,)), value, dtype, device, requires_grad)


def zeros(
    *size: Any, dtype: DTypeLike = dtypes.float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros: `zeros(2, 3)` or `zeros((2, 3))`."""
    return _filled(_new_shape("zeros", size), 0, dtype, device, requires_grad)


def ones(
    *size: Any, dtype: DTypeLike = dtypes.float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones: `ones(2, 3)` or `ones((2, 3))`."""
    return _filled(_new_shape("ones", size), 1, dtype, device, requires_grad)


def empty(
    *size: Any, dtype: DTypeLike = dtypes.float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor whose elements are whatever its memory held."""
    return Tensor(backend.empty_on(_new_shape("empty", size), dtype, device), requires_grad)


def zeros_like(
    input: Tensor, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of a tensor's shape and (unless given) dtype."""
    return _filled_like("zeros_like", input, 0, dtype, device, requires_grad)


def ones_like(input: Tensor, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of a tensor's shape and (unless given) dtype."""
    return _filled_like("ones_like", input, 1, dtype, device, requires_grad)


def full_like(
    input: Tensor, fill_value: float, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """One value in a tensor's shape and (unless given) dtype."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return _filled_like("full_like", input, value, dtype, device, requires_grad)


def empty_like(
    input: Tensor, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of another's shape and (unless given) dtype, whose elements are whatever its memory held."""
    require_tensor("empty_like", input)
    return Tensor(backend.place(np.empty_like(input._data, dtype=dtype), device), requires_grad)


def scalar_tensor(
    s: float, dtype: DTypeLike = dtypes.float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor without axes; float32 unless a dtype is given."""
    return full((), s, dtype, device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    dtype: DTypeLike = dtypes.float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The n x m matrix (by default n x n) with ones where row and column are equal.

    >>> eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    matrix = np.eye(*_new_shape("eye", (n, n if m is None else m)), dtype=dtype)
    return Tensor(backend.place(matrix, device), requires_grad)


# -- By the example of a tensor: its methods --------------------------------------------------------------------


def _of(self: Tensor, dtype: DTypeLike) -> DTypeLike:
    return self.dtype if dtype is None else dtype


def new_tensor(
    self: Tensor, data: Any, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of `data`, by default in this tensor's dtype and on its device."""
    return tensor(data, _of(self, dtype), device or self.device, requires_grad)


def new_zeros(
    self: Tensor, *size: Any, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros, by default in this tensor's dtype and on its device."""
    return zeros(*size, dtype=_of(self, dtype), device=device or self.device, requires_grad=requires_grad)


def new_ones(
    self: Tensor, *size: Any, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones, by default in this tensor's dtype and on its device."""
    return ones(*size, dtype=_of(self, dtype), device=device or self.device, requires_grad=requires_grad)


def new_empty(
    self: Tensor, *size: Any, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised elements, by default in this tensor's dtype and on its device."""
    return empty(*size, dtype=_of(self, dtype), device=device or self.device, requires_grad=requires_grad)


def new_full(
    self: Tensor,
    size: Any,
    fill_value: float,
    dtype: DTypeLike = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value, by default in this tensor's dtype and on its device."""
    return full(size, fill_value, _of(self, dtype), device or self.device, requires_grad)


# -- Counted ----------------------------------------------------------------------------------------------------


def _number(value: Any) -> Any:
    """A Python number, from one or from a tensor of one element."""
    return value.item() if isinstance(value, Tensor | np.generic) else value


def arange(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    dtype: DTypeLike = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... before `end`; `arange(n)` counts from 0. int64, or float32 where a bound is a float.

    Raises:
        ValueError: step is 0, leads away from `end`, or a bound is not finite.

    >>> arange(1, 4)
    tensor([1, 2, 3])
    """
    first, last, step = (_number(v) for v in ((0, start, step) if end is None else (start, end, step)))
    floating = any(isinstance(v, float) for v in (first, last, step))
    if dtype is None:
        dtype = dtypes.float32 if floating else dtypes.int64
    elif not dtypes.is_floating_point(np.dtype(dtype)):
        first, last, step = int(first), int(last), int(step)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if not np.isfinite([first, last, step]).all() or (last - first) * step < 0:
        raise ValueError(f"arange: no steps of {step} lead from {first} to {last}")
    return Tensor(backend.place(np.arange(first, last, step).astype(dtype), device), requires_grad)


def _line(op: str, start: Any, end: Any, steps: Any, dtype: DTypeLike) -> Array:
    """`steps` numbers from start to end in float64; for an integer dtype without their fractions."""
    first, last = _number(start), _number(end)
    count = shape_from(op, (steps,))[0]
    if count < 0:
        raise ValueError(f"{op}: got {count} steps, wanted at least 0")
    line = np.linspace(first, last, count)
    return line if dtypes.is_floating_point(np.dtype(dtype)) else np.trunc(line)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DTypeLike = dtypes.float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances, from start to end, both included.

    >>> linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    return Tensor(backend.place(_line("linspace", start, end, steps, dtype).astype(dtype), device), requires_grad)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: DTypeLike = dtypes.float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """base^x for `steps` numbers x at equal distances from start to end.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    exponents = _line("logspace", start, end, steps, dtypes.float64)
    return Tensor(backend.place(np.power(float(base), exponents).astype(dtype), device), requires_grad)


# -- Random -----------------------------------------------------------------------------------------------------


def uniform(
    size: tuple[int, ...],
    low: float,
    high: float,
    dtype: DTypeLike = dtypes.float32,
    generator: random.Generator | None = None,
    device: str | None = None,
) -> Tensor:
    """Uniform random numbers from [low, high), the same on every device."""
    count = int(np.prod(size, dtype=np.int64))
    seed, offset = (generator or random.default_generator).reserve(count)
    values = backend.home_of(device).kernels.uniform(count, low, high, seed, offset).astype(dtype, copy=False)
    return Tensor(backend.place(values.reshape(size), device))


def normal(
    size: tuple[int, ...],
    mean: float,
    std: float,
    dtype: DTypeLike = dtypes.float32,
    generator: random.Generator | None = None,
    device: str | None = None,
) -> Tensor:
    """Normal random numbers, but for rounding the same on every device."""
    count = int(np.prod(size, dtype=np.int64))
    seed, offset = (generator or random.default_generator).reserve(count)
    values = backend.home_of(device).kernels.normal(count, mean, std, seed, offset).astype(dtype, copy=False)
    return Tensor(backend.place(values.reshape(size), device))


def one_hot(input: Any, num_classes: int | None = None, *, depth: int | None = None, dtype: Any = None) -> Tensor:
    """y[..., c] = 1 where input[...] = c, else 0.

    The indices are checked first, which waits for a GPU.

    Args:
        input: class indices, integers of any shape.
        num_classes: the size of the new last axis; by default the largest index + 1.
        depth: the same under TensorFlow's name. TensorFlow's result is float32, PyTorch's int64: naming the size
            `depth` chooses the former.
        dtype: the result's dtype instead.

    Raises:
        TypeError: the input holds no integers. ValueError: no number of classes, or two.
        IndexError: an index is negative, or too large.

    >>> one_hot([1, 0], depth=3)
    tensor([[0., 1., 0.],
            [1., 0., 0.]])
    """
    labels = input._data if isinstance(input, Tensor) else np.asarray(input)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: got dtype {labels.dtype}, wanted integers")
    if num_classes is not None and depth is not None:
        raise ValueError(f"one_hot: got both num_classes={num_classes} and depth={depth}")
    classes = num_classes if depth is None else depth
    if classes is None or classes == -1:
        if not labels.size:
            raise ValueError("one_hot: an empty input does not tell the number of classes")
        classes = int(labels.max()) + 1
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        wrong = int(labels[(labels < 0) | (labels >= classes)][0])
        raise IndexError(f"one_hot: index {wrong} is out of range for {classes} classes")
    default = dtypes.int64 if depth is None else dtypes.float32
    numpy = backend.numpy_of(labels)
    out = numpy.zeros((labels.size, classes), default if dtype is None else dtype)
    out[numpy.arange(labels.size), labels.reshape(-1)] = 1
    return Tensor(out.reshape(*labels.shape, classes))
