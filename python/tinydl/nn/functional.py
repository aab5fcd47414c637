"""The layers' functions under PyTorch's names, without parameters of their own."""

from __future__ import annotations

from typing import Any
from warnings import warn

from ..ops import activation
from ..ops import softmax as _softmax
from ..ops.activation import sigmoid, tanh
from ..ops.conv import conv2d
from ..ops.likelihood_loss import gaussian_nll_loss, poisson_nll_loss
from ..ops.loss import cross_entropy, nll_loss
from ..ops.margin_loss import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_distance,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ..ops.matmul import linear
from ..ops.pair_loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from ..ops.embedding import embedding, embedding_bag, one_hot
from ..ops.distance import cosine_similarity, normalize, pairwise_distance, pdist
from ..ops.loss import cross_entropy, mse_loss
from ..ops.matmul import linear
from ..ops.pad import pad
from ..ops.activation import (
    celu,
    elu,
    gelu,
    glu,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
    tanhshrink,
)
from ..ops.conv import conv2d
from ..ops.inplace import in_place
from ..ops.loss import cross_entropy, mse_loss
from ..ops.matmul import linear
from ..ops.piecewise import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    relu6,
    softshrink,
    threshold,
)
from ..ops.pool import avg_pool2d, max_pool2d
from ..ops.products import bilinear
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
from ..ops.resample import interpolate
from ..ops.norm import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from ..ops.pool import avg_pool2d, max_pool2d
from ..ops.random import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from ..ops.softmax import softmax
from ..ops.softmax import gumbel_softmax
from ..tensor import Tensor

__all__ = [
    "alpha_dropout",
    "avg_pool2d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "batch_norm",
    "conv2d",
    "cosine_embedding_loss",
    "bilinear",
    "conv2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "interpolate",
    "gaussian_nll_loss",
    "gumbel_softmax",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "embedding",
    "embedding_bag",
    "linear",
    "log_softmax",
    "margin_ranking_loss",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "logsigmoid",
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
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "one_hot",
    "pad",
    "normalize",
    "pairwise_distance",
    "pdist",
    "prelu",
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
    "relu6",
    "relu_",
    "selu",
    "selu_",
    "rms_norm",
    "sigmoid",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "tanh",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "silu",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "unfold",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0), elementwise; in the input's memory if `inplace`."""
    return input.relu_() if inplace else activation.relu(input)


def _implicit_dim(op: str, input: Tensor, dim: int | None) -> int:
    """PyTorch's axis where none is named, with its warning."""
    if dim is not None or not isinstance(input, Tensor):
        return dim or 0
    warn(f"{op}: the implicit choice of dim is deprecated; pass dim=", UserWarning, stacklevel=3)
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`tinydl.softmax`; without `dim` a warning is given and the axis is 0 for 0, 1 or 3 axes, else 1."""
    return _softmax.softmax(input, _implicit_dim("softmax", input, dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`tinydl.log_softmax`; without `dim` as `softmax`."""
    return _softmax.log_softmax(input, _implicit_dim("log_softmax", input, dim), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-input) along `dim`; without `dim` as `softmax`."""
    return _softmax.softmin(input, _implicit_dim("softmin", input, dim), dtype)
relu_ = in_place(activation.relu, "relu_")
leaky_relu_ = in_place(leaky_relu, "leaky_relu_")
elu_ = in_place(elu, "elu_")
selu_ = in_place(selu, "selu_")
celu_ = in_place(celu, "celu_")
hardtanh_ = in_place(hardtanh, "hardtanh_")
threshold_ = in_place(threshold, "threshold_")
