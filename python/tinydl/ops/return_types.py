"""What functions with several results return: named tuples, called as PyTorch's."""

from __future__ import annotations

from typing import NamedTuple

from ..tensor import Tensor


class ValuesIndices(NamedTuple):
    """Chosen elements, and where along the axis they were (int64)."""

    values: Tensor
    indices: Tensor


class aminmax(NamedTuple):
    """The result of `tinydl.aminmax`."""

    min: Tensor
    max: Tensor


class max(ValuesIndices):
    """The result of `tinydl.max` along an axis."""


class min(ValuesIndices):
    """The result of `tinydl.min` along an axis."""


class median(ValuesIndices):
    """The result of `tinydl.median` along an axis."""


class nanmedian(ValuesIndices):
    """The result of `tinydl.nanmedian` along an axis."""


class mode(ValuesIndices):
    """The result of `tinydl.mode`."""


class cummax(ValuesIndices):
    """The result of `tinydl.cummax`."""


class cummin(ValuesIndices):
    """The result of `tinydl.cummin`."""
