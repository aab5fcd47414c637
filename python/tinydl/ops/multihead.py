"""Multi-head attention as a function of its weights."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import backend, creation, dtypes
from ..tensor import Array, Tensor
from . import autocast
from .arguments import check_tensors
from .attention import scaled_dot_product_attention
from .join import cat, chunk
from .mask import masked_fill
from .matmul import check_operands, linear, matmul
from .random import dropout
from .softmax import softmax


class Projections(NamedTuple):
    """The weights that make heads of the inputs, and the output of the heads.

    `packed` (3 E, E) holds W^Q, W^K and W^V below each other; without it there is `separate`.
    """

    packed: Tensor | None
    separate: tuple[Tensor, Tensor, Tensor] | None
    bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    out_weight: Tensor
    out_bias: Tensor | None


class Masks(NamedTuple):
    """What the caller says about who sees whom."""

    padding: Tensor | None = None
    attention: Tensor | None = None
    is_causal: bool = False


class Options(NamedTuple):
    """How the heads are computed: `dropout` is 0 outside of training."""

    heads: int
    dropout: float = 0.0
    add_zero: bool = False
    need_weights: bool = True
    average: bool = True
    batch_first: bool = False


# -- What the arguments must be ---------------------------------------------------------------------------------


def _check_inputs(op: str, query: Tensor, key: Tensor, value: Tensor, weights: Projections, options: Options) -> None:
    """Errors where query, key and value do not go with each other and the weights."""
    check_tensors(op, query=query, key=key, value=value)
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        raise ValueError(
            f"{op}: got query, key and value of shapes {query.shape}, {key.shape} and {value.shape}, wanted all three "
            f"with 3 axes, or all with 2 (without a batch)"
        )
    parts = weights.separate or (weights.packed,) * 3
    for name, x, weight in zip(("query", "key", "value"), (query, key, value), parts, strict=True):
        features = weight.shape[1]  # type: ignore[union-attr]
        if x.shape[-1] != features:
            lead = "L, " if x.ndim == 2 else "N, L, " if options.batch_first else "L, N, "
            lead = lead if name == "query" else lead.replace("L", "S")
            raise ValueError(f"{op}: got {name} of shape {x.shape}, wanted ({lead}{features})")
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(f"{op}: got key of shape {key.shape} and value of shape {value.shape}, wanted one length")
    axis = 0 if options.batch_first else 1
    if query.ndim == 3 and query.shape[axis] != key.shape[axis]:
        raise ValueError(
            f"{op}: got query of shape {query.shape} and key of shape {key.shape}, wanted one batch size (axis {axis})"
        )


def _check_masks(op: str, masks: Masks, shape: tuple[int, int, int, int], batched: bool, dtype: np.dtype) -> None:
    """Errors where a mask has another shape than (N, H, L, S) asks for, or another dtype than bool and the query's."""
    batch, heads, length, source = shape
    if masks.is_causal and masks.attention is None:
        raise ValueError(
            f"{op}: is_causal says that attn_mask is the causal mask, and needs it; "
            "nn.Transformer.generate_square_subsequent_mask makes one"
        )
    whole: tuple[int, ...] = (batch * heads, length, source)
    padding: tuple[int, ...] = (batch, source) if batched else (source,)
    for name, mask, *shapes in (
        ("key_padding_mask", masks.padding, padding),
        ("attn_mask", masks.attention, (length, source), whole),
    ):
        if mask is None:
            continue
        check_tensors(op, **{name: mask})
        if mask.dtype not in (dtypes.bool, dtype):
            raise TypeError(f"{op}: got {name} of dtype {mask.dtype}, wanted bool or the query's {dtype}")
        if mask.shape not in shapes:
            raise ValueError(f"{op}: got {name} of shape {mask.shape}, wanted {' or '.join(map(str, shapes))}")


# -- The steps --------------------------------------------------------------------------------------------------


def _projected(query: Tensor, key: Tensor, value: Tensor, weights: Projections) -> tuple[Tensor, ...]:
    """Q W^Q, K W^K and V W^V with their biases: one product for inputs that are one tensor."""
    bias = weights.bias
    if weights.packed is None:
        biases = (None,) * 3 if bias is None else chunk(bias, 3)
        return tuple([linear(*each) for each in zip((query, key, value), weights.separate or (), biases, strict=True)])
    if query is key and key is value:
        return chunk(linear(query, weights.packed, bias), 3, -1)
    size = query.shape[-1]
    if key is value:
        first, rest = weights.packed.split([size, 2 * size])
        first_bias, rest_bias = (None, None) if bias is None else bias.split([size, 2 * size])
        return (linear(query, first, first_bias), *chunk(linear(key, rest, rest_bias), 2, -1))
    return _projected(query, key, value, weights._replace(packed=None, separate=chunk(weights.packed, 3)))  # type: ignore[arg-type]


def _in_heads(x: Tensor, heads: int, batch_first: bool) -> Tensor:
    """(N, L, E) or (L, N, E) as (N, H, L, E / H)."""
    apart = x.reshape(*x.shape[:2], heads, x.shape[2] // heads)
    return apart.permute(0, 2, 1, 3) if batch_first else apart.permute(1, 2, 0, 3)


def _extended(x: Tensor, bias: Tensor | None, add_zero: bool) -> Tensor:
    """Keys or values (N, H, S, d) with a learned one and a zero one at the end, where there are to be such."""
    batch, heads, _, size = x.shape
    parts = [x]
    if bias is not None:
        parts.append(bias.reshape(1, heads, 1, size).expand(batch, heads, 1, size))
    if add_zero:
        parts.append(creation.zeros(batch, heads, 1, size, dtype=x.dtype, device=x.device))
    return x if len(parts) == 1 else cat(parts, 2)


def _merged(masks: Masks, shape: tuple[int, int, int, int], extra: int) -> Tensor | None:
    """One mask that broadcasts to (N, H, L, S + extra): bool, True for what is hidden, or to be added to the scores."""
    batch, heads, length, source = shape
    parts: list[Tensor] = []
    if masks.attention is not None:
        lead = (1, 1) if masks.attention.ndim == 2 else (batch, heads)
        parts.append(masks.attention.reshape(*lead, length, source))
    if masks.padding is not None:
        parts.append(masks.padding.reshape(batch, 1, 1, source))
    if not parts:
        return None
    if len({part.dtype for part in parts}) == 2:
        parts = [_added(part, next(p.dtype for p in parts if p.dtype != dtypes.bool)) for part in parts]
    if extra:
        parts = [cat([p, creation.zeros(*p.shape[:3], extra, dtype=p.dtype, device=p.device)], 3) for p in parts]
    if len(parts) == 1:
        return parts[0]
    return parts[0] | parts[1] if parts[0].dtype == dtypes.bool else parts[0] + parts[1]


def _added(mask: Tensor, dtype: np.dtype) -> Tensor:
    """A mask as numbers to add: minus infinity for True."""
    if mask.dtype != dtypes.bool:
        return mask
    numbers: Array = np.where(
        mask._data, backend.scalar(-math.inf, mask._data, dtype), backend.scalar(0, mask._data, dtype)
    )
    return Tensor(numbers)


def _weighted(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, options: Options) -> tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √d) V of (N, H, L, d), and the weights of the softmax after their dropout."""
    scores = matmul(q * (1 / math.sqrt(q.shape[-1])), k.transpose(-2, -1))
    if mask is not None:
        scores = masked_fill(scores, mask, -math.inf) if mask.dtype == dtypes.bool else scores + mask
    weights = softmax(scores, -1) if scores.shape[-1] else scores
    if options.dropout:
        weights = dropout(weights, options.dropout)
    return matmul(weights, v), weights


def _attended(
    q: Tensor, k: Tensor, v: Tensor, masks: Masks, mask: Tensor | None, options: Options
) -> tuple[Tensor, Tensor | None]:
    if options.need_weights:
        return _weighted(q, k, v, mask, options)
    # The hint stands for the mask where that is all there is to hide: a key at the end is seen by everybody.
    if masks.is_causal and mask is None:
        return scaled_dot_product_attention(q, k, v, None, options.dropout, True), None
    if mask is not None and mask.dtype == dtypes.bool:
        mask = Tensor(np.logical_not(mask._data))
    return scaled_dot_product_attention(q, k, v, mask, options.dropout), None


def attend(
    op: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weights: Projections,
    masks: Masks,
    options: Options,
    static: tuple[Tensor | None, Tensor | None] = (None, None),
) -> tuple[Tensor, Tensor | None]:
    """Multi-head attention with checked arguments; see `multi_head_attention_forward`."""
    _check_inputs(op, query, key, value, weights, options)
    if autocast.on:
        query, key, value, weights, masks = _autocast(query, key, value, weights, masks)
    check_operands(op, query, key, value, *weights[2:], *(weights.separate or (weights.packed,)))
    batched = query.ndim == 3
    if not batched:
        one = {id(x): x.unsqueeze(0) for x in (query, key, value)}  # what was one tensor stays one
        query, key, value = one[id(query)], one[id(key)], one[id(value)]
        options = options._replace(batch_first=True)
    q, k, v = (_in_heads(x, options.heads, options.batch_first) for x in _projected(query, key, value, weights))
    k, v = (_static(op, given, x) for given, x in zip(static, (k, v), strict=True))
    extra = (weights.bias_k is not None) + options.add_zero
    shape = (q.shape[0], options.heads, q.shape[2], k.shape[2])
    _check_masks(op, masks, shape, batched, q.dtype)
    k, v = _extended(k, weights.bias_k, options.add_zero), _extended(v, weights.bias_v, options.add_zero)
    causal = masks.is_causal and masks.padding is None and not extra and not options.need_weights
    mask = None if causal else _merged(masks, shape, extra)
    y, attention = _attended(q, k, v, masks, mask, options)
    y = y.permute(0, 2, 1, 3) if options.batch_first else y.permute(2, 0, 1, 3)
    out = linear(y.reshape(*y.shape[:2], weights.out_weight.shape[1]), weights.out_weight, weights.out_bias)
    if attention is not None and options.average:
        attention = attention.mean(1)
    if batched:
        return out, attention
    return out.squeeze(0), None if attention is None else attention.squeeze(0)


def _autocast(
    query: Tensor, key: Tensor, value: Tensor, weights: Projections, masks: Masks
) -> tuple[Tensor, Tensor, Tensor, Projections, Masks]:
    """All that is multiplied or added, in the dtype of an `autocast` block."""
    given = query, key, value, masks.padding, masks.attention, weights.packed, *weights[2:], *(weights.separate or ())
    q, k, v, padding, attention, packed, *rest = autocast.inputs("multi_head_attention_forward", *given)
    separate = None if weights.separate is None else (rest[-3], rest[-2], rest[-1])
    return q, k, v, Projections(packed, separate, *rest[:5]), masks._replace(padding=padding, attention=attention)


def _static(op: str, given: Tensor | None, x: Tensor) -> Tensor:
    """Projected keys or values that the caller has, (N H, S, d), in the place of those made here."""
    if given is None:
        return x
    batch, heads, _, size = x.shape
    if given.ndim != 3 or given.shape[0] != batch * heads or given.shape[2] != size:
        raise ValueError(f"{op}: got static_k or static_v of shape {given.shape}, wanted ({batch * heads}, S, {size})")
    return given.reshape(batch, heads, given.shape[1], size)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """MultiHead(Q, K, V) = Concat(head_1 ... head_h) W^O, head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V).

    `nn.MultiheadAttention` describes the arguments; here they are its parameters, and inputs are (L, N, E), or (L, E)
    without a batch. static_k and static_v, (N num_heads, S, E / num_heads), replace what would be projected.

    Raises:
        ValueError: shapes do not fit, num_heads does not divide E, or weights are missing.
        TypeError: dtypes differ, or a mask is neither bool nor of the query's dtype.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.

    >>> import tinydl
    >>> x, w = tinydl.ones(3, 4), tinydl.ones(12, 4)
    >>> y, weights = multi_head_attention_forward(
    ...     x, x, x, 4, 2, w, None, None, None, False, 0.0, tinydl.eye(4), None
    ... )
    >>> y.shape, weights.shape
    ((3, 4), (3, 3))
    """
    op = "multi_head_attention_forward"
    separate = None
    if use_separate_proj_weight:
        if q_proj_weight is None or k_proj_weight is None or v_proj_weight is None:
            raise ValueError(f"{op}: use_separate_proj_weight needs q_proj_weight, k_proj_weight and v_proj_weight")
        separate = q_proj_weight, k_proj_weight, v_proj_weight
    elif in_proj_weight is None:
        raise ValueError(f"{op}: got no in_proj_weight, and use_separate_proj_weight is not set")
    check_tensors(op, query=query, key=key, value=value, out_proj_weight=out_proj_weight)
    if query.shape[-1:] != (embed_dim_to_check,) or num_heads < 1 or embed_dim_to_check % num_heads:
        raise ValueError(
            f"{op}: got a query of shape {query.shape} and {num_heads} heads, wanted (..., {embed_dim_to_check}) "
            "and heads that divide it"
        )
    if (bias_k is None) != (bias_v is None) or (bias_k is not None and not static_k is static_v is None):
        raise ValueError(f"{op}: wanted bias_k and bias_v both or neither, and not beside static_k or static_v")
    packed = None if separate else in_proj_weight
    weights = Projections(packed, separate, in_proj_bias, bias_k, bias_v, out_proj_weight, out_proj_bias)
    options = Options(num_heads, dropout_p if training else 0.0, add_zero_attn, need_weights, average_attn_weights)
    masks = Masks(key_padding_mask, attn_mask, is_causal)
    return attend(op, query, key, value, weights, masks, options, (static_k, static_v))
