"""The layers' functions under PyTorch's names, without parameters of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from warnings import warn

from .. import refusal
from ..ops import activation
from ..ops import softmax as _softmax
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
from ..ops.adaptive_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from ..ops.attention import scaled_dot_product_attention
from ..ops.conv import conv1d, conv2d
from ..ops.conv_transpose import conv_transpose1d, conv_transpose2d
from ..ops.distance import cosine_similarity, normalize, pairwise_distance, pdist
from ..ops.embedding import embedding, embedding_bag, one_hot
from ..ops.fold import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
from ..ops.inplace import in_place
from ..ops.likelihood_loss import gaussian_nll_loss, poisson_nll_loss
from ..ops.loss import cross_entropy, nll_loss
from ..ops.margin_loss import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ..ops.matmul import linear
from ..ops.norm import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from ..ops.pad import pad
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
from ..ops.piecewise import hardshrink, hardsigmoid, hardswish, hardtanh, relu6, softshrink, threshold
from ..ops.pool import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from ..ops.products import bilinear
from ..ops.random import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from ..ops.resample import interpolate
from ..ops.softmax import gumbel_softmax
from ..ops.unpool import max_unpool1d, max_unpool2d
from ..tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_unpool1d",
    "max_unpool2d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
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


def _always_in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The form that changes its input, without the argument that asks for it."""
    changed = in_place(function, f"{function.__name__}_")
    own = inspect.signature(function)
    parameters = [p for name, p in own.parameters.items() if name != "inplace"]
    changed.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return changed


relu_ = in_place(activation.relu, "relu_")
leaky_relu_ = _always_in_place(leaky_relu)
elu_ = _always_in_place(elu)
selu_ = _always_in_place(selu)
celu_ = _always_in_place(celu)
hardtanh_ = _always_in_place(hardtanh)
threshold_ = _always_in_place(threshold)

refusal.guard(globals())
