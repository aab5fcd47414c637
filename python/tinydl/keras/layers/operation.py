"""Arithmetic with symbolic tensors: `x + y`, `x / 255.0`, `x[:, 0]`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .base import Layer

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "getitem": operator.getitem,
    "matmul": operator.matmul,
    "multiply": operator.mul,
    "negative": operator.neg,
    "power": operator.pow,
    "subtract": operator.sub,
    "true_divide": operator.truediv,
}


class Operation(Layer):
    """f(x, other), or f(other, x) where it is `reflected`, for the name f of an operator, such as "add".

    >>> from tinydl.keras import Input
    >>> (1 - Input((3,))).shape
    (None, 3)
    """

    _makes_masks = False

    def __init__(self, operation: str, reflected: bool = False, **options: Any) -> None:
        super().__init__(**options)
        if operation not in OPERATORS:
            raise ValueError(f"Operation: {operation!r} is unknown; known: {', '.join(OPERATORS)}")
        self.operation, self.reflected = operation, reflected
        if not self.named:
            self.name = operation

    def call(self, inputs: Any, *others: Any) -> Any:
        """The operator's result."""
        operands = (*others, inputs) if self.reflected else (inputs, *others)
        return OPERATORS[self.operation](*operands)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None, silently: operators know nothing of masks."""
