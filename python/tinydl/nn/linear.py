"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..ops import matmul
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """y = x Wᵀ + b over the last axis: (..., in_features) to (..., out_features).

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        bias: whether b is added.
        device: "cpu".
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight: W, (out_features, in_features), at first uniform in ±1/√in_features.
        bias: b, (out_features,), drawn alike, or None.

    >>> import tinydl
    >>> Linear(3, 2)(tinydl.ones(4, 3)).shape
    (4, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ValueError(f"Linear: got in_features={in_features} and out_features={out_features}")
        backend.check_device(device)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(np.empty((out_features, in_features), dtype or dtypes.float32))
        self.register_parameter("bias", Parameter(np.empty(out_features, self.weight.dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """y = f(x Wᵀ + b), where f is fused into the product: None (the identity), "relu", "sigmoid" or "tanh"."""
        if not input.shape or input.shape[-1] != self.in_features:
            raise ValueError(
                f"{self!r}: got an input of shape {input.shape}, wanted (..., {self.in_features}); "
                f"the weight has shape {self.weight.shape}"
            )
        return matmul.linear(input, self.weight, self.bias, activation)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
