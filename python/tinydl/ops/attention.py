"""Scaled dot-product attention."""

from __future__ import annotations

import math

import numpy as np

from ..tensor import Array, Tensor
from . import mask as masks
from .matmul import matmul
from .random import dropout
from .softmax import softmax


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention(Q, K, V) = softmax(Q Kᵀ · scale) V over (..., L, E), (..., S, E) and (..., S, V); scale is 1/√E.

    A bool mask is True where a query may look; a float mask is added to the scores. Queries that see nothing give 0.
    """
    if enable_gqa:
        raise ValueError("scaled_dot_product_attention: enable_gqa is not there yet")
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: got a mask and is_causal, wanted one of them")
    scores = matmul(query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale), key.transpose(-2, -1))
    hidden: Array | None = None
    if is_causal:
        hidden = np.triu(np.ones(scores.shape[-2:], bool), 1)
    elif attn_mask is not None and attn_mask.dtype.kind == "b":
        hidden = ~attn_mask._data
    elif attn_mask is not None:
        hidden = attn_mask._data == -np.inf
        scores = scores + masks.masked_fill(attn_mask, Tensor(hidden), 0.0)
    blind: Array | None = None
    if hidden is not None:
        blind = np.asarray(hidden.all(-1, keepdims=True))
        scores = masks.masked_fill(scores, Tensor(hidden & ~blind), -math.inf)
    weights = softmax(scores, -1) if scores.shape[-1] else scores
    if blind is not None and blind.any():
        weights = masks.masked_fill(weights, Tensor(blind), 0.0)
    return matmul(dropout(weights, dropout_p) if dropout_p else weights, value)
