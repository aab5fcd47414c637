"""The layers' functions under PyTorch's names, without parameters of their own."""

from __future__ import annotations

from ..ops import activation
from ..ops.activation import sigmoid, tanh
from ..ops.adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
)
from ..ops.conv import conv1d, conv2d
from ..ops.conv_transpose import conv_transpose1d, conv_transpose2d
from ..ops.fold import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
from ..ops.loss import cross_entropy, mse_loss
from ..ops.matmul import linear
from ..ops.pool import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from ..ops.random import dropout
from ..ops.softmax import softmax
from ..ops.unpool import max_unpool1d, max_unpool2d
from ..tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "fold",
    "linear",
    "max_pool1d",
    "max_pool2d",
    "max_unpool1d",
    "max_unpool2d",
    "mse_loss",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "unfold",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""
    return input.relu_() if inplace else activation.relu(input)
