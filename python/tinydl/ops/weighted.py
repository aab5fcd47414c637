"""Weighted sums of tensors: interpolation, and a sum with a product or a quotient."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..tensor import Tensor
from .elementwise import add, div, mul, operands, refuse_bool, sub
from .selection import where


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """Linear interpolation y = input + weight (end - input); the weight is a number or a tensor.

    From weight 0.5 on it is computed as end - (1 - weight) (end - input), so that weight 1 gives `end` itself.
    TypeError for integers and for two dtypes.

    >>> import tinydl
    >>> tinydl.lerp(tinydl.tensor([1.0]), tinydl.tensor([3.0]), 0.25)
    tensor([1.5])
    """
    tensors = [t for t in (input, end, weight) if isinstance(t, Tensor)]
    found = {t.dtype for t in tensors}
    if len(found) != 1 or not dtypes.is_floating_point(input.dtype) or not isinstance(end, Tensor):
        raise TypeError(
            f"lerp: got dtypes {[str(t.dtype) for t in tensors]}, wanted tensors of one floating-point dtype"
        )
    span = sub(end, input)
    if not isinstance(weight, Tensor):
        return add(input, mul(span, weight)) if weight < 0.5 else sub(end, mul(span, 1 - weight))
    near = Tensor(backend.asarray(np.abs(weight._data) < 0.5))
    return where(near, add(input, mul(span, weight)), sub(end, mul(span, sub(1, weight))))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """y = input + value tensor1 tensor2, with broadcasting."""
    product = mul(tensor1, tensor2)
    refuse_bool("addcmul", product)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """y = input + value tensor1 / tensor2, with broadcasting; TypeError where both are integers."""
    first, second = operands(tensor1, tensor2)
    if not dtypes.is_floating_point(first.dtype):
        raise TypeError(f"addcdiv: got a quotient of dtype {first.dtype}, wanted a floating-point dtype")
    quotient = div(first, second)
    return add(input, quotient if value == 1 else mul(quotient, value))
