"""Initial values of parameters, drawn in place from `tinydl.random`.

Values are assigned in the row-major order of the logical shape: they depend on the seed and the order of the calls,
not on the memory layout. A tensor without elements stays as it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import creation, refusal
from ..autograd import no_grad
from ..random import Generator
from ..tensor import Array, Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights are enlarged to keep the variance through a nonlinearity.

    1 for linear layers and the sigmoid, 5/3 for tanh, √2 for relu, √(2/(1 + a²)) for leaky_relu with the slope
    a = `param` (0.01), 3/4 for selu. ValueError for other names and slopes that are no numbers.

    >>> calculate_gain("leaky_relu", 1)
    1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"calculate_gain: the slope {slope!r} is not a number")
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


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, or as much of it as fits into a matrix of this shape."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: got a tensor of shape {tensor.shape}, wanted a matrix")
    return _fill(tensor, Tensor(np.eye(*tensor.shape, dtype=tensor.dtype)))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The weights (out, in/groups, ...) of a convolution that passes its input on, as many channels as fit.

    Within each group, output channel i has a 1 at the centre of its filter for input channel i, and 0 elsewhere.

    >>> import tinydl
    >>> dirac_(tinydl.zeros(2, 2, 3)).tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: got a tensor of shape {tensor.shape}, wanted three to five axes")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: the first axis, {tensor.shape[0]}, must be a multiple of groups={groups}")
    values = np.zeros(tensor.shape, tensor.dtype)
    per_group = tensor.shape[0] // groups
    channels = np.arange(min(per_group, tensor.shape[1]))
    centre: tuple[int, ...] = tuple([size // 2 for size in tensor.shape[2:]])
    for group in range(groups if tensor.numel() else 0):
        at: tuple[Any, ...] = (group * per_group + channels, channels, *centre)
        values[at] = 1
    return _fill(tensor, Tensor(values))


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


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal with the given mean and standard deviation, under the condition that the values lie in [a, b]."""
    if not a <= b:
        raise ValueError(f"trunc_normal_: got the interval [{a}, {b}]")
    if not std >= 0:
        raise ValueError(f"trunc_normal_: got the standard deviation {std}, wanted at least 0")
    if not math.isfinite(mean):
        raise ValueError(f"trunc_normal_: got the mean {mean}, wanted a finite number")
    values = np.full(tensor.numel(), min(max(mean, a), b), np.float64)
    if std > 0 and a < b:
        propose = _normal_proposals if _share(mean, std, a, b) > 0.25 else _uniform_proposals
        open_ = np.arange(values.size)  # positions that have no value yet
        while open_.size:
            drawn, accepted = propose(open_.size, mean, std, a, b, generator)
            values[open_[accepted]] = drawn[accepted]
            open_ = open_[~accepted]
    return _fill(tensor, Tensor(np.clip(values.astype(tensor.dtype), a, b).reshape(tensor.shape)))


def _share(mean: float, std: float, a: float, b: float) -> float:
    """The probability that a normal variable lies in [a, b]."""
    low, high = ((bound - mean) / (std * math.sqrt(2)) for bound in (a, b))
    return (math.erf(high) - math.erf(low)) / 2


def _normal_proposals(
    count: int, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> tuple[Array, Array]:
    drawn = creation.normal((count,), 0.0, 1.0, np.float64, generator)._data * std + mean
    return drawn, (drawn >= a) & (drawn <= b)


def _uniform_proposals(
    count: int, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> tuple[Array, Array]:
    """Uniform in [a, b], accepted with the density relative to its maximum: for intervals in the tails."""
    mode = min(max(mean, a), b)
    low, high = max(a, mode - 40 * std), min(b, mode + 40 * std)
    u, v = (creation.uniform((count,), 0.0, 1.0, np.float64, generator)._data for _ in range(2))
    drawn = low + (high - low) * u
    return drawn, v < np.exp((((mode - mean) / std) ** 2 - ((drawn - mean) / std) ** 2) / 2)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """`gain` times a random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2013).

    The axes after the first are taken as one. All such matrices are equally likely (Mezzadri 2006).
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: got a tensor of shape {tensor.shape}, wanted at least two axes")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    drawn = creation.normal((rows, columns), 0.0, 1.0, np.float64, generator)._data
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.sign(np.diag(r))
    q = q.T if rows < columns else q
    return _fill(tensor, Tensor((gain * q).astype(tensor.dtype).reshape(tensor.shape)))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal with the given standard deviation, but the fraction `sparsity` of each column is 0 (Martens 2010).

    ⌈sparsity · rows⌉ elements of each column of the matrix, drawn at random, become 0.
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: got a tensor of shape {tensor.shape}, wanted a matrix")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: got the sparsity {sparsity}, wanted a fraction from 0 to 1")
    values = creation.normal(tensor.shape, 0.0, std, tensor.dtype, generator)._data
    order = np.argsort(creation.uniform(tensor.shape, 0.0, 1.0, generator=generator)._data, axis=0, kind="stable")
    zeros = order[: math.ceil(sparsity * tensor.shape[0])]
    np.put_along_axis(values, zeros, 0, axis=0)
    return _fill(tensor, Tensor(values))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's initial values of linear and convolution layers: both uniform in ±1/√fan_in."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None and weight.numel():
        bound = 1 / math.sqrt(fan_in_and_fan_out(weight)[0])
        uniform_(bias, -bound, bound)
    elif bias is not None:
        zeros_(bias)


refusal.guard(globals())
