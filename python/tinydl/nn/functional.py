"""The layers' functions under PyTorch's names, without parameters of their own."""

from __future__ import annotations

from ..ops import activation
from ..ops.activation import sigmoid, tanh
from ..ops.conv import conv1d, conv2d
from ..ops.conv_transpose import conv_transpose1d, conv_transpose2d
from ..ops.loss import cross_entropy, mse_loss
from ..ops.matmul import linear
from ..ops.pool import avg_pool2d, max_pool2d
from ..ops.random import dropout
from ..ops.softmax import softmax
from ..tensor import Tensor

__all__ = [
    "avg_pool2d",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "linear",
    "max_pool2d",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""
    return input.relu_() if inplace else activation.relu(input)
