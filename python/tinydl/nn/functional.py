"""The layers' functions under PyTorch's names, without parameters of their own."""

from __future__ import annotations

from ..ops import activation
from ..ops.activation import sigmoid, tanh
from ..ops.conv import conv2d
from ..ops.distance import cosine_similarity, normalize, pairwise_distance, pdist
from ..ops.loss import cross_entropy, mse_loss
from ..ops.matmul import linear
from ..ops.pool import avg_pool2d, max_pool2d
from ..ops.products import bilinear
from ..ops.random import dropout
from ..ops.softmax import softmax
from ..tensor import Tensor

__all__ = [
    "avg_pool2d",
    "bilinear",
    "conv2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "linear",
    "max_pool2d",
    "mse_loss",
    "normalize",
    "pairwise_distance",
    "pdist",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""
    return input.relu_() if inplace else activation.relu(input)
