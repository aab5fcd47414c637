"""Initial values of parameters, drawn in place from `tinydl.random`.

Values are assigned in the row-major order of the logical shape: they depend on the seed and the order of the calls,
not on the memory layout. A tensor without elements stays as it is.
"""

from __future__ import annotations

import math
from typing import Any

from .. import creation
from ..autograd import no_grad
from ..random import Generator
from ..tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights are enlarged to keep the variance through a nonlinearity.

    1 for linear layers and the sigmoid, 5/3 for tanh, √2 for relu, √(2/(1 + a²)) for leaky_relu with the slope
    a = `param` (0.01), 3/4 for selu. ValueError for other names.

    >>> calculate_gain("leaky_relu", 1)
    1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"calculate_gain: nonlinearity '{nonlinearity}' is unknown; known: {', '.join([*_GAINS, 'leaky_relu'])}"
        )
    return _GAINS[nonlinearity]


def fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs reach an output, and how many outputs an input, through a weight of shape (out, in, ...).

    >>> import tinydl
    >>> fan_in_and_fan_out(tinydl.zeros(8, 3, 5, 5))
    (75, 200)
    """
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need a tensor of at least two axes, got shape {tensor.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode '{mode}' is unknown; known: fan_in, fan_out")
    fan_in, fan_out = fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    if not a <= b:
        raise ValueError(f"uniform_: got the interval [{a}, {b})")
    return _fill(tensor, creation.uniform(tensor.shape, a, b, tensor.dtype, generator))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"normal_: got the standard deviation {std}, wanted at least 0")
    return _fill(tensor, creation.normal(tensor.shape, mean, std, tensor.dtype, generator))


def _fill(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        tensor.copy_(values)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    with no_grad():
        tensor.fill_(val)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ±gain √(6/(fan_in + fan_out)) (Glorot and Bengio 2010)."""
    if tensor.numel() == 0:
        return tensor
    bound = gain * math.sqrt(6 / sum(fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the standard deviation gain √(2/(fan_in + fan_out)) (Glorot and Bengio 2010)."""
    if tensor.numel() == 0:
        return tensor
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fan_in_and_fan_out(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in ±gain √(3/fan) (He et al. 2015); `a` is the slope of a leaky_relu, `mode` says which fan."""
    fan, gain = _fan(tensor, mode), calculate_gain(nonlinearity, a)
    if tensor.numel() == 0:
        return tensor
    bound = gain * math.sqrt(3 / fan)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with the standard deviation gain/√fan (He et al. 2015); `a` and `mode` as for `kaiming_uniform_`."""
    fan, gain = _fan(tensor, mode), calculate_gain(nonlinearity, a)
    if tensor.numel() == 0:
        return tensor
    return normal_(tensor, 0.0, gain / math.sqrt(fan), generator)


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's initial values of linear and convolution layers: both uniform in ±1/√fan_in."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None and weight.numel():
        bound = 1 / math.sqrt(fan_in_and_fan_out(weight)[0])
        uniform_(bias, -bound, bound)
    elif bias is not None:
        zeros_(bias)
