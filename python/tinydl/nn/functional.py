"""The layers' functions under PyTorch's names, without parameters of their own."""

from __future__ import annotations

from ..ops import activation
from ..ops.activation import sigmoid, tanh
from ..ops.conv import conv2d
from ..ops.loss import cross_entropy, mse_loss
from ..ops.matmul import linear
from ..ops.norm import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from ..ops.pool import avg_pool2d, max_pool2d
from ..ops.random import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from ..ops.softmax import softmax
from ..tensor import Tensor

__all__ = [
    "alpha_dropout",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "linear",
    "local_response_norm",
    "max_pool2d",
    "mse_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "softmax",
    "tanh",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""
    return input.relu_() if inplace else activation.relu(input)
