"""Activation functions as layers."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..creation import full
from ..ops import activation, piecewise
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


class _InPlace(Module):
    """An activation without other arguments than whether it overwrites its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Whether the input is overwritten."""
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""

    def forward(self, input: Tensor) -> Tensor:
        """The rectified input."""
        return input.relu_() if self.inplace else activation.relu(input)


class Sigmoid(Module):
    """y = 1/(1 + e^-x), elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The logistic function of the input."""
        return activation.sigmoid(input)


class Tanh(Module):
    """y = tanh x, elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The hyperbolic tangent of the input."""
        return activation.tanh(input)


class SELU(_InPlace):
    """y = 1.0507 x for x > 0, 1.0507 · 1.67326 (e^x - 1) elsewhere; in the input's memory if `inplace`."""

    def forward(self, input: Tensor) -> Tensor:
        """The self-normalising unit of the input."""
        return activation.selu(input, self.inplace)


class SiLU(_InPlace):
    """y = x/(1 + e^-x), elementwise; in the input's memory if `inplace`."""

    def forward(self, input: Tensor) -> Tensor:
        """The sigmoid linear unit of the input."""
        return activation.silu(input, self.inplace)


class Mish(_InPlace):
    """y = x tanh(ln(1 + e^x)), elementwise; in the input's memory if `inplace`."""

    def forward(self, input: Tensor) -> Tensor:
        """The input times the hyperbolic tangent of its softplus."""
        return activation.mish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """y = min(max(x + 3, 0), 6)/6, elementwise; in the input's memory if `inplace`."""

    def forward(self, input: Tensor) -> Tensor:
        """The hard sigmoid of the input."""
        return piecewise.hardsigmoid(input, self.inplace)


class Hardswish(_InPlace):
    """y = x min(max(x + 3, 0), 6)/6, elementwise; in the input's memory if `inplace`."""

    def forward(self, input: Tensor) -> Tensor:
        """The hard swish of the input."""
        return piecewise.hardswish(input, self.inplace)


class Softsign(Module):
    """y = x/(1 + |x|), elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The softsign of the input."""
        return activation.softsign(input)


class LogSigmoid(Module):
    """y = -ln(1 + e^-x), elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The logarithm of the logistic function of the input."""
        return activation.logsigmoid(input)


class Tanhshrink(Module):
    """y = x - tanh x, elementwise."""

    def forward(self, input: Tensor) -> Tensor:
        """The input less its hyperbolic tangent."""
        return activation.tanhshrink(input)


class LeakyReLU(Module):
    """y = x for x > 0, negative_slope x elsewhere; in the input's memory if `inplace`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The leaky rectified input."""
        return activation.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """y = x for x > 0, alpha (e^x - 1) elsewhere; in the input's memory if `inplace`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The exponential linear unit of the input."""
        return activation.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The limit at minus infinity."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """y = x for x > 0, alpha (e^(x/alpha) - 1) elsewhere; in the input's memory if `inplace`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The continuously differentiable ELU of the input."""
        return activation.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The limit at minus infinity."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """y = x P(x) with the normal distribution's P, or its approximation by `approximate="tanh"`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """The Gaussian error linear unit of the input."""
        return activation.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Which formula."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """y = ln(1 + e^(beta x))/beta, elementwise; x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """The softplus of the input."""
        return activation.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The scale, and where the line begins."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softshrink(Module):
    """y = 0 for |x| ≤ lambd, else x moved towards 0 by lambd."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The shrunk input."""
        return piecewise.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The half-width of the zero part."""
        return f"{self.lambd}"


class Hardshrink(Module):
    """y = 0 for |x| ≤ lambd, else x."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The input without its small elements."""
        return piecewise.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The half-width of the zero part."""
        return f"{self.lambd}"


class Threshold(Module):
    """y = x for x > threshold, `value` elsewhere; in the input's memory if `inplace`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input above the threshold."""
        return piecewise.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The threshold, and what replaces the rest."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val), elementwise; in the input's memory if `inplace`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if min_val >= max_val:
            raise ValueError(f"Hardtanh: got min_val={min_val} and max_val={max_val}, wanted min_val below max_val")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input between the bounds."""
        return piecewise.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6), elementwise; in the input's memory if `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Whether the input is overwritten."""
        return "inplace=True" if self.inplace else ""


class PReLU(Module):
    """y = x for x > 0, w x elsewhere, with a learned w: one, or one for each channel (axis 1 of the input).

    State: `weight` of shape (num_parameters,), `init` at first. Source: He et al., 2015.
    """

    weight: Tensor

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full(num_parameters, init, dtypes.float32 if dtype is None else dtype, device))

    def forward(self, input: Tensor) -> Tensor:
        """The rectified input with the learned slope."""
        return activation.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of slopes."""
        return f"num_parameters={self.num_parameters}"


class GLU(Module):
    """y = a/(1 + e^-b), where a and b are the halves of the input along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The gated first half."""
        return activation.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"
