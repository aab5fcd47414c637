"""Arguments that several layers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Layer, Shape, batched

Pair = tuple[int, ...]


def positive(layer: Layer, name: str, value: Any) -> int:
    """A positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{type(layer).__name__}: got {name}={value!r}, wanted a positive integer")
    return int(value)


def padding_name(layer: Layer, padding: str, known: Sequence[str] = ("valid", "same")) -> str:
    """One of the known names."""
    if not isinstance(padding, str) or padding.lower() not in known:
        wanted = " or ".join(repr(name) for name in known)
        raise ValueError(f"{type(layer).__name__}: got padding={padding!r}, wanted {wanted}")
    return padding.lower()


def check_data_format(layer: Layer, data_format: str | None) -> None:
    """Images have their channels last."""
    if data_format not in (None, "channels_last"):
        name = type(layer).__name__
        raise ValueError(f"{name}: data_format={data_format!r} is not available, wanted 'channels_last'")


def spans_of(layer: Any) -> Pair:
    """How far the windows reach: d (k - 1) + 1 of each axis."""
    return tuple([d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)])


def output_size(layer: Any, input_shape: Shape, spans: Sequence[int]) -> Pair:
    """Height and width, or length, after windows that span `spans` elements."""
    size = []
    for n, span, stride in zip(input_shape, spans, layer.strides, strict=False):
        if layer.padding == "valid" and n < span:
            wanted = f"images of at least {spans[0]} x {spans[1]} pixels" if len(spans) == 2 else f"length >= {span}"
            raise layer.incompatible(wanted, f"shape={batched(input_shape)}")
        size.append((n - span) // stride + 1 if layer.padding == "valid" else -(-n // stride))
    return tuple(size)


def padding_sides(layer: Any, input_shape: Shape, spans: Sequence[int]) -> tuple[Pair, ...]:
    """The padding before and after on each axis, for outputs of ceil(n / stride) unless it is "valid"."""
    sides = []
    for n, span, stride in zip(input_shape, spans, layer.strides, strict=False):
        total = 0 if layer.padding == "valid" else max((-(-n // stride) - 1) * stride + span - n, 0)
        sides.append((span - 1, 0) if layer.padding == "causal" else (total // 2, total - total // 2))
    return tuple(sides)


def axis_of(layer: Layer, axis: Any, ndim: int) -> int:
    """The axis counted from 0; ValueError for the batch's and those that do not exist."""
    if (
        isinstance(axis, bool)
        or not isinstance(axis, int | np.integer)
        or not -ndim < axis < ndim
        or axis in (0, -ndim)
    ):
        raise ValueError(
            f'Layer "{layer.name}": got axis={axis!r} for inputs of {ndim} axes, wanted one but the batch axis'
        )
    return int(axis) % ndim


def sides(owner: str, name: str, value: Any, axes: int) -> tuple[Pair, ...]:
    """(before, after) for each axis, from one number, one for each axis, or two for each.

    For one axis, two numbers are before and after.
    """
    found: tuple[Pair, ...]
    try:
        if isinstance(value, int | np.integer):
            found = ((int(value),) * 2,) * axes
        elif axes == 1:
            found = (tuple(int(n) for n in (value[0], value[1])),) if len(value) == 2 else ()
        else:
            found = tuple(
                (int(n), int(n)) if isinstance(n, int | np.integer) else (int(n[0]), int(n[1])) for n in value
            )
    except (TypeError, IndexError):
        found = ()
    if len(found) != axes or min(min(pair) for pair in found) < 0:
        raise ValueError(f"{owner}: got {name}={value!r}, wanted an integer, or one or two for each of {axes} axes")
    return found
