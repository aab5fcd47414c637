"""The fully connected layer, and its relative of two inputs."""

from __future__ import annotations

from typing import Any

from .. import backend, dtypes
from ..ops import matmul, products
from ..tensor import Tensor
from . import init
from .weighted import Weighted


class Linear(Weighted):
    """y = x Wᵀ + b over the last axis: (..., in_features) to (..., out_features).

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        bias: whether b is added.
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight: W, (out_features, in_features), at first uniform in ±1/√in_features.
        bias: b, (out_features,), drawn alike, or None.

    >>> import tinydl
    >>> Linear(3, 2)(tinydl.ones(4, 3)).shape
    (4, 2)
    """

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
        self.in_features = in_features
        self.out_features = out_features
        weight = backend.empty_on((out_features, in_features), dtype or dtypes.float32, device)
        self._make(weight, out_features, bias)

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


class Bilinear(Weighted):
    """y_o = x1ᵀ W_o x2 + b_o over the last axes: (..., in1_features) and (..., in2_features) to (..., out_features).

    Args:
        in1_features: the size of the last axis of the first input.
        in2_features: the size of the last axis of the second input.
        out_features: the size of the last axis of the output.
        bias: whether b is added.
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight: W, (out_features, in1_features, in2_features), at first uniform in ±1/√in1_features.
        bias: b, (out_features,), drawn alike, or None.

    >>> import tinydl
    >>> Bilinear(3, 4, 2)(tinydl.ones(5, 3), tinydl.ones(5, 4)).shape
    (5, 2)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__()
        if in1_features <= 0 or in2_features < 0 or out_features < 0:
            raise ValueError(f"Bilinear: got sizes {in1_features}, {in2_features} and {out_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        weight = backend.empty_on((out_features, in1_features, in2_features), dtype or dtypes.float32, device)
        self._make(weight, out_features, bias)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / self.in1_features**0.5
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """y = x1ᵀ W x2 + b."""
        return products.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"
