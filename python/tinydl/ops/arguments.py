"""Arguments that several families and layers take."""

from __future__ import annotations

import operator
from typing import Any

from .. import dtypes
from ..tensor import Tensor


def sizes(owner: str, name: str, value: Any, count: int = 2, least: int | None = None) -> tuple[int, ...]:
    """`count` integers, one for each spatial axis, from that many or from one that stands for all.

    TypeError where they are not integers; ValueError for another number of them, or one below `least`.
    """
    bound = "" if least is None else f", at least {least}"
    wanted = f"{owner}: got {name}={value!r}, wanted one integer or {count}{bound}"
    try:
        found = tuple(operator.index(n) for n in value) if isinstance(value, tuple | list) else (operator.index(value),)
    except TypeError:
        raise TypeError(wanted) from None
    if len(found) not in (1, count) or (least is not None and min(found) < least):
        raise ValueError(wanted)
    return found if len(found) == count else found * count


def check_tensors(op: str, **tensors: Any) -> None:
    """TypeError where one is no tensor."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: {name} is of type {type(value).__name__}, wanted a tensor")


def check_floating(op: str, *tensors: Tensor) -> None:
    """TypeError where one holds no floating-point numbers."""
    for tensor in tensors:
        if not dtypes.is_floating_point(tensor.dtype):
            raise TypeError(f"{op}: got dtype {tensor.dtype}, wanted a floating-point dtype")
