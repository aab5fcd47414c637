"""Softmax attention."""

from __future__ import annotations

import math

import numpy as np

from ..tensor import Tensor
from .matmul import matmul
from .random import dropout
from .selection import where
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
    """softmax(scale Q K^T + mask) V over the last two axes; scale is 1/√d by default.

    >>> import tinydl
    >>> scaled_dot_product_attention(tinydl.ones(1, 2, 4), tinydl.ones(1, 3, 4), tinydl.ones(1, 3, 5)).shape
    (1, 2, 5)
    """
    scores = matmul(query, key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = Tensor(np.tri(query.shape[-2], key.shape[-2], dtype=bool))
    if attn_mask is not None:
        scores = where(attn_mask, scores, -math.inf) if attn_mask.dtype == np.bool_ else scores + attn_mask
    weights = softmax(scores, -1)
    return matmul(dropout(weights, dropout_p) if dropout_p else weights, value)
