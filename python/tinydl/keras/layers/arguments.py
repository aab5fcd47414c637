"""Arguments that several layers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Layer, Shape, batched

Pair = tuple[int, ...]


def initialize(inner: Any, initial: tuple[Any, Any]) -> None:
    """Fill the weight and the bias."""
    initial[0](inner.weight)
    if inner.bias is not None:
        initial[1](inner.bias)


def positive(layer: Layer, name: str, value: Any) -> int:
    """A positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{type(layer).__name__}: got {name}={value!r}, wanted a positive integer")
    return int(value)


def padding_name(layer: Layer, padding: str) -> str:
    """'valid' or 'same'."""
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise ValueError(f"{type(layer).__name__}: got padding={padding!r}, wanted 'valid' or 'same'")
    return padding.lower()


def check_data_format(layer: Layer, data_format: str | None) -> None:
    """Images have their channels last."""
    if data_format not in (None, "channels_last"):
        name = type(layer).__name__
        raise ValueError(f"{name}: data_format={data_format!r} is not available, wanted 'channels_last'")


def output_size(layer: Any, input_shape: Shape, spans: Sequence[int]) -> Pair:
    """Height and width after windows that span `spans` pixels."""
    size = []
    for n, span, stride in zip(input_shape, spans, layer.strides, strict=False):
        if layer.padding == "valid" and n < span:
            raise layer.incompatible(
                f"images of at least {spans[0]} x {spans[1]} pixels", f"shape={batched(input_shape)}"
            )
        size.append(-(-n // stride) if layer.padding == "same" else (n - span) // stride + 1)
    return size[0], size[1]


def same_sides(layer: Any, input_shape: Shape, spans: Sequence[int]) -> tuple[Pair, Pair]:
    """The rows and columns of padding before and after, for outputs of ceil(n / stride)."""
    sides = []
    for n, span, stride in zip(input_shape, spans, layer.strides, strict=False):
        total = max((-(-n // stride) - 1) * stride + span - n, 0)
        sides.append((total // 2, total - total // 2))
    return sides[0], sides[1]
