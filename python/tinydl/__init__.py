"""tinydl: a small, fast tensor engine with the names that PyTorch and Keras users know."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import (
    autograd,
    ops,  # attaches the tensor's methods
)
from .autograd import enable_grad, is_grad_enabled, no_grad
from .backend import empty_cache, memory_stats, reset_peak_memory, set_cache_limit, set_num_threads
from .backend import num_threads as get_num_threads
from .creation import (
    arange,
    as_tensor,
    from_numpy,
    full,
    one_hot,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from .dtypes import bool, float16, float32, float64, int8, int16, int32, int64, uint8
from .ops.activation import (
    celu,
    prelu,
    relu,
    selu,
    sigmoid,
    tanh,
)
from .ops.bounds import (
    clamp,
    clamp_max,
    clamp_min,
    clip,
    fmax,
    fmin,
    maximum,
    minimum,
)
from .ops.comparison import (
    allclose,
    eq,
    equal,
    ge,
    greater,
    greater_equal,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    le,
    less,
    less_equal,
    lt,
    ne,
    not_equal,
)
from .ops.elementwise import (
    abs,
    absolute,
    add,
    div,
    divide,
    erf,
    exp,
    log,
    mul,
    multiply,
    neg,
    negative,
    positive,
    rsub,
    sqrt,
    sub,
    subtract,
    true_divide,
)
from .ops.exponential import (
    erfc,
    exp2,
    expm1,
    log1p,
    log2,
    log10,
    logaddexp,
    logit,
    xlogy,
)
from .ops.logical import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from .ops.matmul import matmul
from .ops.piecewise import (
    hardshrink,
    threshold,
)
from .ops.pool import max_pool2d
from .ops.powers import (
    float_power,
    hypot,
    pow,
    reciprocal,
    rsqrt,
    square,
)
from .ops.reduce import argmax, mean, sum
from .ops.rounding import (
    ceil,
    fix,
    floor,
    floor_divide,
    fmod,
    frac,
    remainder,
    round,
    sign,
    signbit,
    trunc,
)
from .ops.selection import (
    nan_to_num,
    where,
)
from .ops.softmax import softmax
from .ops.trigonometry import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    deg2rad,
    rad2deg,
    sin,
    sinh,
    tan,
)
from .ops.view import flatten, permute, reshape, squeeze, transpose, unsqueeze
from .ops.weighted import (
    addcdiv,
    addcmul,
    lerp,
)
from .random import Generator, initial_seed, manual_seed
from .tensor import Tensor

__version__ = "0.1.0"

_SUBPACKAGES = ("keras", "models", "nn", "optim", "train", "utils", "vision")

if TYPE_CHECKING:
    from . import keras, models, nn, optim, train, utils, vision


def __getattr__(name: str) -> Any:
    """The subpackages, imported on first use."""
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'tinydl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBPACKAGES})
