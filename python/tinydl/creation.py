"""New tensors: from data, filled, counted, drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _cpu, backend, dtypes, random
from .tensor import Array, Tensor

DTypeLike = Any


def tensor(data: Any, dtype: DTypeLike = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists, an array or a tensor.

    Arrays keep their dtype; Python floats become float32, integers int64.

    >>> tensor([[1, 2], [3, 4]], dtype="float32")
    tensor([[1., 2.],
            [3., 4.]])
    """
    backend.check_device(device)
    return Tensor(_array(data, dtype, copy=True), requires_grad)


def as_tensor(data: Any, dtype: DTypeLike = None, device: str | None = None) -> Tensor:
    """Like `tensor`, but sharing memory with `data` where it is an array (or tensor) of the right dtype."""
    backend.check_device(device)
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype):
        return data
    return Tensor(_array(data, dtype, copy=False))


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: got {type(array).__name__}, wanted a numpy.ndarray")
    return Tensor(_array(array, None, copy=False))


def _array(data: Any, dtype: DTypeLike, copy: bool) -> Array:
    if isinstance(data, Tensor):
        data = data._data
    typed = hasattr(data, "dtype") or hasattr(data, "__array__")
    if not typed and isinstance(data, list | tuple):
        data = [item._data if isinstance(item, Tensor) else item for item in data]
        typed = any(hasattr(item, "dtype") for item in data)
    try:
        out = np.array(data, copy=True, order="K") if copy else np.asarray(data)
    except ValueError as error:
        raise ValueError(f"tensor: the data has no regular shape ({error})") from None
    if out.dtype.kind not in "biufV":
        raise TypeError(f"tensor: got data of dtype {out.dtype}, wanted numbers")
    if dtype is None:
        dtype = dtypes.float32 if not typed and out.dtype == np.float64 else out.dtype
    return np.require(out.astype(np.dtype(dtype).newbyteorder("="), copy=False, order="K"), requirements="A")


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


def full(size: Any, fill_value: float, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value; without a dtype it gets the value's (float32, int64 or bool)."""
    dtype = dtypes.scalar_dtype(fill_value) if dtype is None else dtype
    return Tensor(np.full(_shape((size,)) if not isinstance(size, int) else (size,), fill_value, dtype), requires_grad)


def zeros(*size: Any, dtype: DTypeLike = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: `zeros(2, 3)` or `zeros((2, 3))`."""
    return Tensor(np.zeros(_shape(size), dtype), requires_grad)


def ones(*size: Any, dtype: DTypeLike = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: `ones(2, 3)` or `ones((2, 3))`."""
    return Tensor(np.ones(_shape(size), dtype), requires_grad)


def zeros_like(input: Tensor, dtype: DTypeLike = None) -> Tensor:
    """Zeros of a tensor's shape and (unless given) dtype."""
    return Tensor(np.zeros_like(input._data, dtype=dtype))


def ones_like(input: Tensor, dtype: DTypeLike = None) -> Tensor:
    """Ones of a tensor's shape and (unless given) dtype."""
    return Tensor(np.ones_like(input._data, dtype=dtype))


def arange(start: float, end: float | None = None, step: float = 1, dtype: DTypeLike = None) -> Tensor:
    """start, start + step, ... below `end`; `arange(n)` counts from 0.

    >>> arange(1, 4)
    tensor([1, 2, 3])
    """
    first, last = (0, start) if end is None else (start, end)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if dtype is None:
        floating = any(isinstance(v, float) for v in (first, last, step))
        dtype = dtypes.float32 if floating else dtypes.int64
    return Tensor(np.arange(first, last, step).astype(dtype))


def rand(*size: Any, dtype: DTypeLike = dtypes.float32, generator: random.Generator | None = None) -> Tensor:
    """Uniform random numbers from [0, 1)."""
    return uniform(_shape(size), 0.0, 1.0, dtype, generator)


def randn(*size: Any, dtype: DTypeLike = dtypes.float32, generator: random.Generator | None = None) -> Tensor:
    """Normal random numbers of mean 0 and variance 1."""
    return normal(_shape(size), 0.0, 1.0, dtype, generator)


def uniform(
    size: tuple[int, ...],
    low: float,
    high: float,
    dtype: DTypeLike = dtypes.float32,
    generator: random.Generator | None = None,
) -> Tensor:
    """Uniform random numbers from [low, high)."""
    count = int(np.prod(size, dtype=np.int64))
    seed, offset = (generator or random.default_generator).reserve(count)
    values = _cpu.uniform(count, low, high, seed, offset).astype(dtype, copy=False)
    return Tensor(values.reshape(size))


def normal(
    size: tuple[int, ...],
    mean: float,
    std: float,
    dtype: DTypeLike = dtypes.float32,
    generator: random.Generator | None = None,
) -> Tensor:
    """Normal random numbers."""
    count = int(np.prod(size, dtype=np.int64))
    seed, offset = (generator or random.default_generator).reserve(count)
    values = _cpu.normal(count, mean, std, seed, offset).astype(dtype, copy=False)
    return Tensor(values.reshape(size))


def one_hot(input: Any, num_classes: int | None = None, *, depth: int | None = None, dtype: Any = None) -> Tensor:
    """y[..., c] = 1 where input[...] = c, else 0.

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
        wrong = labels[(labels < 0) | (labels >= classes)].flat[0]
        raise IndexError(f"one_hot: index {wrong} is out of range for {classes} classes")
    default = dtypes.int64 if depth is None else dtypes.float32
    out = np.zeros((labels.size, classes), default if dtype is None else dtype)
    out[np.arange(labels.size), labels.reshape(-1)] = 1
    return Tensor(out.reshape(*labels.shape, classes))
