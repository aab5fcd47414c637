"""Tensors drawn at random: uniform, normal, whole numbers, orders, choices.

Every draw takes the next stretch of a `Generator` (by default the library's), so that the results depend on its seed
and the order of the calls alone.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np

from . import backend, creation, dtypes, random
from .creation import DTypeLike, require_tensor, shape_from
from .tensor import Array, Tensor

_WORDS = 3  # the second key word of these streams, which sets them apart from those of tinydl.utils.data


def _words(count: int, generator: random.Generator | None) -> Array:
    """Random 64-bit words, from NumPy's Philox 4x64-10 under the generator's seed and position."""
    seed, offset = (generator or random.default_generator).reserve(max(count, 1))
    return np.random.Philox(key=np.array([seed, _WORDS], np.uint64), counter=[0, offset, 0, 0]).random_raw(count)


def _float_dtype(op: str, dtype: DTypeLike) -> np.dtype[Any]:
    wanted = np.dtype(dtype)
    if not dtypes.is_floating_point(wanted):
        raise TypeError(f"{op}: got dtype {wanted}, wanted a floating-point dtype")
    return wanted


def _shape(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    shape = shape_from(op, sizes)
    if min(shape, default=0) < 0:
        raise ValueError(f"{op}: got sizes {shape}, wanted at least 0")
    return shape


def _finish(values: Tensor, device: str | None, requires_grad: bool) -> Tensor:
    if not backend.lies_on(values._data, device):
        values = Tensor(backend.place(values._data, device))
    return values.requires_grad_() if requires_grad else values


# -- Uniform and normal -----------------------------------------------------------------------------------------


def rand(
    *size: Any,
    generator: random.Generator | None = None,
    dtype: DTypeLike = dtypes.float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers from [0, 1)."""
    values = creation.uniform(_shape("rand", size), 0.0, 1.0, _float_dtype("rand", dtype), generator, device)
    return _finish(values, device, requires_grad)


def randn(
    *size: Any,
    generator: random.Generator | None = None,
    dtype: DTypeLike = dtypes.float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers of mean 0 and variance 1."""
    values = creation.normal(_shape("randn", size), 0.0, 1.0, _float_dtype("randn", dtype), generator, device)
    return _finish(values, device, requires_grad)


def rand_like(
    input: Tensor,
    generator: random.Generator | None = None,
    dtype: DTypeLike = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers from [0, 1) in a tensor's shape and (unless given) dtype."""
    require_tensor("rand_like", input)
    dtype = _float_dtype("rand_like", input.dtype if dtype is None else dtype)
    values = creation.uniform(input.shape, 0.0, 1.0, dtype, generator, device or input.device)
    return _finish(values, device, requires_grad)


def randn_like(
    input: Tensor,
    generator: random.Generator | None = None,
    dtype: DTypeLike = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers of mean 0 and variance 1 in a tensor's shape and (unless given) dtype."""
    require_tensor("randn_like", input)
    dtype = _float_dtype("randn_like", input.dtype if dtype is None else dtype)
    values = creation.normal(input.shape, 0.0, 1.0, dtype, generator, device or input.device)
    return _finish(values, device, requires_grad)


def normal(
    mean: Tensor | float,
    std: Tensor | float = 1.0,
    size: Any = None,
    generator: random.Generator | None = None,
    dtype: DTypeLike = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers of the given mean and standard deviation.

    Where one of them is a tensor, the result has their common shape and its dtype; else `size` gives the shape.

    >>> import tinydl
    >>> tinydl.normal(0.0, 1.0, size=(2, 3)).shape, tinydl.normal(tinydl.zeros(4)).shape
    ((2, 3), (4,))
    """
    given = [t._data for t in (mean, std) if isinstance(t, Tensor)]
    if (size is None) == (not given):
        raise TypeError("normal: wanted either tensors for mean or std, or numbers and a size")
    like = given[0] if given else np.empty(0)
    deviation = std._data if isinstance(std, Tensor) else backend.scalar(std, like, np.float64)
    if not (deviation >= 0).all():
        raise ValueError("normal: got a negative std, wanted at least 0")
    if not given:
        wanted = _float_dtype("normal", dtypes.float32 if dtype is None else dtype)
        values = creation.normal(_shape("normal", (size,)), float(mean), float(std), wanted, generator, device)
        return _finish(values, device, requires_grad)
    wanted = _float_dtype("normal", given[0].dtype if dtype is None else dtype)
    centre = mean._data if isinstance(mean, Tensor) else backend.scalar(mean, like, np.asarray(mean).dtype)
    backend.check_together("normal", centre, deviation)
    try:
        shape = np.broadcast_shapes(centre.shape, deviation.shape)
    except ValueError:
        raise ValueError(f"normal: mean has shape {centre.shape}, std {deviation.shape}, which do not fit") from None
    noise = creation.normal(shape, 0.0, 1.0, dtypes.float32, generator, backend.device_of(like))._data
    return _finish(Tensor(backend.asarray(centre + deviation * noise, wanted)), device, requires_grad)


# -- Whole numbers and orders -----------------------------------------------------------------------------------


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: random.Generator | None = None,
    dtype: DTypeLike = dtypes.int64,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Whole numbers from low, low + 1, ..., high - 1; `randint(high, size)` counts from 0.

    Raises:
        ValueError: low is not below high, or the dtype does not hold high - 1.
        TypeError: a bound is no integer.

    >>> import tinydl
    >>> tinydl.randint(3, 5, (2, 4)).shape
    (2, 4)
    """
    if size is None:
        low, high, size = 0, low if isinstance(high, tuple | list) or high is None else None, high
        if size is None or high is None:
            raise TypeError("randint: wanted randint(high, size) or randint(low, high, size)")
    values = _whole("randint", low, high, _shape("randint", (size,)), np.dtype(dtype), generator)
    return _finish(values, device, requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: random.Generator | None = None,
    dtype: DTypeLike = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Whole numbers from [low, high), or [0, low) without `high`, in a tensor's shape and (unless given) dtype."""
    require_tensor("randint_like", input)
    first, last = (0, low) if high is None else (low, high)
    wanted = np.dtype(input.dtype if dtype is None else dtype)
    values = _whole("randint_like", first, last, input.shape, wanted, generator)
    return _finish(values, device or input.device, requires_grad)


def _whole(
    op: str, low: Any, high: Any, shape: tuple[int, ...], dtype: np.dtype[Any], generator: random.Generator | None
) -> Tensor:
    first, last = shape_from(op, (low, high))
    if first >= last:
        raise ValueError(f"{op}: got the range [{first}, {last}), wanted low < high")
    bounds = np.iinfo(dtype.type if dtype.kind in "iu" else np.int64)
    if first < bounds.min or last - 1 > bounds.max:
        raise ValueError(f"{op}: dtype {dtype} does not hold the numbers of [{first}, {last})")
    count = int(np.prod(shape, dtype=np.int64))
    steps = _words(count, generator) % np.uint64(last - first)
    return Tensor((steps.astype(np.int64) + first).astype(dtype).reshape(shape))


def randperm(
    n: int,
    generator: random.Generator | None = None,
    dtype: DTypeLike = dtypes.int64,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers 0, ..., n - 1 in random order.

    >>> import tinydl
    >>> sorted(tinydl.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    (count,) = _shape("randperm", (n,))
    wanted = np.dtype(dtype)
    if wanted.kind in "iub" and count > 0 and count - 1 > (1 if wanted.kind == "b" else int(np.iinfo(wanted.str).max)):
        raise ValueError(f"randperm: dtype {wanted} does not hold the numbers below {count}")
    return _finish(Tensor(np.argsort(_words(count, generator), kind="stable").astype(wanted)), device, requires_grad)


# -- Choices ----------------------------------------------------------------------------------------------------


def bernoulli(input: Tensor, p: float | None = None, *, generator: random.Generator | None = None) -> Tensor:
    """1 with the probability that each element names (or `p`, for all), else 0; in the input's dtype.

    >>> import tinydl
    >>> tinydl.bernoulli(tinydl.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    require_tensor("bernoulli", input)
    if p is None:
        _float_dtype("bernoulli", input.dtype)
    chance = input._data if p is None else backend.scalar(p, input._data, np.float64)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ValueError("bernoulli: wanted probabilities from 0 to 1")
    draw = creation.uniform(input.shape, 0.0, 1.0, dtypes.float32, generator, input.device)._data
    return Tensor(backend.asarray(draw < chance, input.dtype))


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: random.Generator | None = None
) -> Tensor:
    """Indices (int64) drawn with probabilities proportional to the last axis of a vector or matrix.

    Without replacement an index is drawn at most once (those of weight 0 after all others). The CPU draws, from a copy
    of what lies on a GPU.

    Args:
        input: weights of shape (n,) or (rows, n), at least 0, that need not sum to 1.
        num_samples: how many of each row.

    Raises:
        ValueError: weights that are negative, not finite, or all 0; more samples than weights without replacement.

    >>> import tinydl
    >>> tinydl.multinomial(tinydl.tensor([0.0, 1.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    require_tensor("multinomial", input)
    _float_dtype("multinomial", input.dtype)
    (count,) = shape_from("multinomial", (num_samples,))
    if input.ndim not in (1, 2):
        raise ValueError(f"multinomial: got weights of shape {input.shape}, wanted one axis or two")
    if count < 1 or (count > input.shape[-1] and not replacement) or not input.shape[-1]:
        raise ValueError(f"multinomial: cannot draw {count} samples from {input.shape[-1]} weights")
    weights = backend.to_host(input._data).astype(np.float64)
    if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any(axis=-1).all():
        raise ValueError("multinomial: wanted finite weights of at least 0, one of them above 0")
    drawn = (_with_replacement if replacement else _race)(weights, count, generator)
    return Tensor(backend.beside(drawn, input._data))


def _fractions(shape: tuple[int, ...], generator: random.Generator | None) -> Array:
    """Uniform numbers from (0, 1), in float64."""
    words = _words(int(np.prod(shape, dtype=np.int64)), generator)
    fractions: Array = ((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return fractions.reshape(shape)


def _with_replacement(weights: Array, count: int, generator: random.Generator | None) -> Array:
    """The weights' distribution function, inverted at random numbers."""
    total = np.cumsum(weights, axis=-1)
    at = _fractions((*weights.shape[:-1], count), generator) * total[..., -1:]
    if weights.ndim == 1:
        return np.asarray(np.searchsorted(total, at, side="right"), np.int64)
    drawn = np.empty(at.shape, np.int64)
    for row, (t, a) in enumerate(zip(total, at, strict=True)):
        drawn[row] = np.searchsorted(t, a, side="right")
    return drawn


def _race(weights: Array, count: int, generator: random.Generator | None) -> Array:
    """Exponential clocks with the weights as rates: the order of their first rings is a draw without replacement."""
    clocks = -np.log(_fractions(weights.shape, generator))
    rings = np.divide(clocks, weights, out=np.full(weights.shape, np.inf), where=weights > 0)
    order: Array = np.argsort(rings, axis=-1, kind="stable")[..., :count].astype(np.int64)
    return order


# -- The state of the default generator ------------------------------------------------------------------------------


def get_rng_state() -> Tensor:
    """The default generator's seed and position, as 16 bytes (uint8)."""
    state = struct.pack("<QQ", *random.default_generator.state())
    return Tensor(np.frombuffer(state, np.uint8).copy())


def set_rng_state(new_state: Tensor) -> None:
    """Go on from where `get_rng_state` was called."""
    require_tensor("set_rng_state", new_state)
    if new_state.dtype != np.uint8 or new_state.shape != (16,):
        raise ValueError(f"set_rng_state: got {new_state.dtype} of shape {new_state.shape}, wanted get_rng_state()'s")
    random.default_generator.set_state(struct.unpack("<QQ", new_state._data.tobytes()))


def seed() -> int:
    """Seed the default generator with a number of the operating system's, and return it."""
    number = int.from_bytes(os.urandom(8), "little")
    random.manual_seed(number)
    return number
