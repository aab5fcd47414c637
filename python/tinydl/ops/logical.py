"""Logic on truth values (every dtype has them: zero is false) and on the bits of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor
from .comparison import broadcast
from .elementwise import Operand, operands


def _truths(op: str, input: Tensor, other: Tensor) -> tuple[Any, Any]:
    for value in (input, other):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: got {type(value).__name__}, wanted a tensor")
    return input._data.astype(np.bool_, copy=False), other._data.astype(np.bool_, copy=False)


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are true (not zero), elementwise with broadcasting."""
    return broadcast("logical_and", np.logical_and, *_truths("logical_and", input, other))


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether one is true (not zero), elementwise with broadcasting."""
    return broadcast("logical_or", np.logical_or, *_truths("logical_or", input, other))


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether exactly one is true (not zero), elementwise with broadcasting."""
    return broadcast("logical_xor", np.logical_xor, *_truths("logical_xor", input, other))


def logical_not(input: Tensor) -> Tensor:
    """Whether an element is false (zero)."""
    return Tensor(backend.asarray(np.logical_not(input._data)))


def _bitwise(op: str, ufunc: Any, input: Operand, other: Operand, dtypes: str = "iub") -> Tensor:
    a, b = operands(input, other)
    if a._data.dtype.kind not in dtypes:
        raise TypeError(f"{op}: got dtype {a.dtype}, wanted integers" + (" or bools" if "b" in dtypes else ""))
    return broadcast(op, ufunc, a._data, b._data)


def bitwise_and(input: Operand, other: Operand) -> Tensor:
    """input & other: the bits of both, elementwise with broadcasting; for bools the logical and.

    >>> import tinydl
    >>> x = tinydl.tensor([0.5, 1.5, 2.5])
    >>> (x > 1) & (x < 2)
    tensor([False,  True, False])
    """
    return _bitwise("bitwise_and", np.bitwise_and, input, other)


def bitwise_or(input: Operand, other: Operand) -> Tensor:
    """input | other: the bits of either, elementwise with broadcasting; for bools the logical or."""
    return _bitwise("bitwise_or", np.bitwise_or, input, other)


def bitwise_xor(input: Operand, other: Operand) -> Tensor:
    """input ^ other: the bits of exactly one, elementwise with broadcasting."""
    return _bitwise("bitwise_xor", np.bitwise_xor, input, other)


def bitwise_not(input: Tensor) -> Tensor:
    """~input: every bit turned round; for bools the logical not."""
    if input._data.dtype.kind not in "iub":
        raise TypeError(f"bitwise_not: got dtype {input.dtype}, wanted integers or bools")
    return Tensor(backend.asarray(np.invert(input._data)))


def bitwise_left_shift(input: Operand, other: Operand) -> Tensor:
    """input << other: the bits moved up, which multiplies by 2^other."""
    return _bitwise("bitwise_left_shift", np.left_shift, input, other, "iu")


def bitwise_right_shift(input: Operand, other: Operand) -> Tensor:
    """input >> other: the bits moved down, which divides by 2^other and rounds down."""
    return _bitwise("bitwise_right_shift", np.right_shift, input, other, "iu")
