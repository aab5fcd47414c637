"""Multi-head attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..ops.multihead import Masks, Options, Projections, attend
from ..tensor import Tensor
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """MultiHead(Q, K, V) = Concat(head_1 ... head_h) W^O, head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V).

    With d_k = E / h, Attention(Q, K, V) = softmax(Q Kᵀ / √d_k) V (Vaswani et al. 2017, section 3.2). Each projection
    has its bias.

    Args:
        embed_dim: E, the features of queries and outputs.
        num_heads: h, which divides E.
        dropout: the probability with which, in training, weights of the softmax are zeroed.
        bias: whether the projections have biases.
        add_bias_kv: whether a learned key and value, seen by every query, end the sequence.
        add_zero_attn: whether a key and value of zeros do.
        kdim: the features of keys, E by default.
        vdim: the features of values, E by default.
        batch_first: whether inputs and outputs are (N, L, E) instead of (L, N, E).
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Attributes:
        in_proj_weight: W^Q, W^K and W^V below each other, (3 E, E); None where kdim or vdim differ from E, with
            q_proj_weight (E, E), k_proj_weight (E, kdim) and v_proj_weight (E, vdim) instead. At first Xavier-uniform.
        in_proj_bias: their biases, (3 E,), at first 0, or None.
        out_proj: W^O and its bias; the weight drawn as `Linear`'s, the bias at first 0.
        bias_k, bias_v: (1, 1, E), at first Xavier-normal, or None.

    Raises:
        ValueError: sizes are below 1, h does not divide E, or the probability is outside [0, 1].

    >>> import tinydl
    >>> x = tinydl.ones(2, 5, 8)
    >>> y, weights = MultiheadAttention(8, 2, batch_first=True)(x, x, x)
    >>> y.shape, weights.shape
    ((2, 5, 8), (2, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        sizes = {"embed_dim": embed_dim, "num_heads": num_heads, "kdim": kdim, "vdim": vdim}
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                error = ValueError if isinstance(size, int) else TypeError
                raise error(f"MultiheadAttention: got {name}={size!r}, wanted an integer of at least 1")
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: got embed_dim={embed_dim} and num_heads={num_heads}, wanted heads that divide it"
            )
        if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: got dropout={dropout!r}, wanted a probability in [0, 1]")
        self.embed_dim = embed_dim
        self.kdim = kdim
        self.vdim = vdim
        self.num_heads = num_heads
        self.dropout = float(dropout)
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        self._make(bias, add_bias_kv, np.dtype(dtype or dtypes.float32), device)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self._reset_parameters()

    def _make(self, bias: bool, add_bias_kv: bool, dtype: Any, device: str | None) -> None:
        size = self.embed_dim
        packed = self.kdim == self.vdim == size
        shapes = {
            "q_proj_weight": None if packed else (size, size),
            "k_proj_weight": None if packed else (size, self.kdim),
            "v_proj_weight": None if packed else (size, self.vdim),
            "in_proj_weight": (3 * size, size) if packed else None,
            "in_proj_bias": (3 * size,) if bias else None,
            "bias_k": (1, 1, size) if add_bias_kv else None,
            "bias_v": (1, 1, size) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else Parameter(backend.empty_on(shape, dtype, device)))

    def _reset_parameters(self) -> None:
        """Draw the parameters anew, but for the weight of out_proj."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for last in (self.bias_k, self.bias_v):
            if last is not None:
                init.xavier_normal_(last)

    def _weights(self) -> Projections:
        separate = None
        if self.in_proj_weight is None:
            separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        out = self.out_proj
        return Projections(
            self.in_proj_weight,
            separate,  # type: ignore[arg-type]
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            out.weight,
            out.bias,
        )

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The outputs, of the query's shape, and the weights of the softmax.

        A mask is bool, True where a key must not be seen, or is added to Q Kᵀ / √d_k. A query that sees nothing gives
        NaN with need_weights, and otherwise a head of zeros, as in PyTorch.

        Args:
            query: (L, N, E), (N, L, E) if batch_first, or (L, E).
            key: (S, N, kdim), (N, S, kdim) or (S, kdim).
            value: (S, N, vdim), (N, S, vdim) or (S, vdim).
            key_padding_mask: the keys' mask, (N, S), or (S,) without a batch.
            need_weights: whether the weights are wanted; without them there is no L x S matrix in memory.
            attn_mask: (L, S), or (N h, L, S) for each head.
            average_attn_weights: whether the weights come as a mean over the heads, (N, L, S), or as (N, h, L, S).
            is_causal: says that attn_mask, which must be given, is the causal mask; it may then go unread.

        Raises:
            ValueError: shapes do not fit, or is_causal comes without attn_mask.
            TypeError: dtypes differ, or a mask is neither bool nor of the query's dtype.
        """
        return attend(
            "MultiheadAttention",
            query,
            key,
            value,
            self._weights(),
            Masks(key_padding_mask, attn_mask, is_causal),
            Options(
                self.num_heads,
                self.dropout if self.training else 0.0,
                self.add_zero_attn,
                need_weights,
                average_attn_weights,
                self.batch_first,
            ),
        )
