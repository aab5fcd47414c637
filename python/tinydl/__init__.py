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
from .ops.activation import relu, sigmoid, tanh
from .ops.adaptive_pool import adaptive_avg_pool1d, adaptive_max_pool1d
from .ops.conv import conv1d, conv2d
from .ops.conv_transpose import conv_transpose1d, conv_transpose2d
from .ops.elementwise import add, div, erf, exp, log, mul, neg, pow, sqrt, sub
from .ops.fold import channel_shuffle, pixel_shuffle, pixel_unshuffle
from .ops.matmul import matmul
from .ops.pool import avg_pool1d, max_pool1d, max_pool2d
from .ops.reduce import argmax, mean, sum
from .ops.softmax import softmax
from .ops.view import flatten, permute, reshape, squeeze, transpose, unsqueeze
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
