"""Scaled dot-product attention."""

from __future__ import annotations

import math

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..random import default_generator
from ..tensor import Array, Tensor
from . import autocast
from .elementwise import cast
from .index import repeat_interleave
from .matmul import check_operands
from .reduce import sum_to
from .shape import broadcast_shapes

OP = "scaled_dot_product_attention"


class Attention(Function):
    """O = (Z P) V with P = softmax(S), S = scale Q K^T + mask, and Z of dropout: 0, or 1 / (1 - p).

    Tile by tile (Dao et al. 2022): of P only the logarithm of each row's sum of exponentials is kept. With
    dP = Z (dO V^T) and dS = P (dP - D), D_i = dO_i . O_i: dQ = scale dS K, dK = scale dS^T Q, dV = (Z P)^T dO,
    dmask = dS.
    """

    def __init__(self, scale: float, causal: bool, p: float) -> None:
        self.scale = scale
        self.causal = causal
        self.p = p
        self.stream = (0, 0)

    def forward(self, q: Array, k: Array, v: Array, mask: Array | None) -> Array:
        if self.p:
            self.stream = default_generator.reserve(math.prod(q.shape[:3]) * _whole_words(k.shape[2]))
        o: Array
        o, lse = backend.of(q).attention(q, k, v, mask, self.scale, self.causal, self.p, *self.stream)
        self.save(q, k, v, mask, o, lse)
        return o

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        q, k, v, mask, o, lse = self.saved
        needs = self.needs
        grads = backend.of(q).attention_backward(
            grad, q, k, v, mask, o, lse, self.scale, self.causal, self.p, *self.stream, *needs[:3]
        )
        return *grads, self._mask_grad(grad) if needs[3] else None

    def _mask_grad(self, grad: Array) -> Array:
        """dS summed over the axes that the mask broadcasts, a sequence of the batch at a time."""
        q, k, v, mask, o, lse = self.saved
        group = q.shape[1] // max(k.shape[1], 1)
        four = (1,) * (4 - mask.ndim) + mask.shape
        out = backend.zeros(four, q)
        full = (*q.shape[:3], k.shape[2])
        factors, terms = self._dropped(full, q), np.broadcast_to(mask, full)
        for b in range(full[0]):
            keys, values = (np.repeat(x[b], group, 0).swapaxes(1, 2) for x in (k, v))
            scores = (q[b] * q.dtype.type(self.scale)) @ keys + terms[b]
            if self.causal:
                scores = np.where(backend.numpy_of(q).tri(*full[2:]) == 0, q.dtype.type(-np.inf), scores)
            d = grad[b] @ values
            if factors is not None:
                d *= factors[b]
            d -= np.sum(grad[b] * o[b], -1, keepdims=True)
            d *= np.exp(scores - lse[b][..., None])
            out[b if four[0] > 1 else 0] += sum_to(d, four[1:])
        return out.reshape(mask.shape)

    def _dropped(self, shape: tuple[int, ...], like: Array) -> Array | None:
        """Z, drawn again: each row's words start at a whole counter of the generator."""
        if not self.p:
            return None
        ones = backend.ones((*shape[:3], _whole_words(shape[3])), like)
        factors: Array = backend.of(ones).dropout(ones, self.p, *self.stream)[0]
        return factors[..., : shape[3]]


def _whole_words(keys: int) -> int:
    return -(-keys // 4) * 4


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float) -> None:
    """TypeError and ValueError for what cannot be the operands, whatever the heads."""
    check_operands(OP, query, key, value)
    if not dtypes.is_floating_point(query.dtype):
        raise TypeError(f"{OP}: got dtype {query.dtype}, wanted a floating-point dtype")
    shapes = f"{query.shape}, {key.shape} and {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"{OP}: got shapes {shapes}, wanted (..., length, features)")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"{OP}: got {query.shape[-1]} features of the query and {key.shape[-1]} of the key: {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"{OP}: got {key.shape[-2]} keys and {value.shape[-2]} values: {shapes}")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{OP}: got dropout_p = {dropout_p}, wanted a probability from 0 to 1")
    if mask is None:
        return
    if not isinstance(mask, Tensor):
        raise TypeError(f"{OP}: got an attn_mask of {type(mask).__name__}, wanted a tensor")
    if mask.dtype not in (np.bool_, np.float32, query.dtype):
        raise TypeError(f"{OP}: got an attn_mask of {mask.dtype}, wanted bool, float32 or {query.dtype}")
    if mask.ndim < 2:
        raise ValueError(f"{OP}: got an attn_mask of shape {mask.shape}, wanted (..., queries, keys)")


def _share_batch(
    query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool
) -> tuple[tuple[int, ...], Tensor, Tensor, Tensor]:
    """The axes before the length of the result, and the operands as (batch, heads, length, features)."""
    operands = [query, key, value]
    shapes = f"{query.shape}, {key.shape} and {value.shape}"
    heads = query.shape[-3] if query.ndim > 2 else 1
    if enable_gqa:
        if min(t.ndim for t in operands) < 3:
            raise ValueError(f"{OP}: got shapes {shapes}, wanted (..., heads, length, features) with enable_gqa")
        counts = [t.shape[-3] for t in operands]
        if any(not n or heads % n for n in counts):
            raise ValueError(f"{OP}: got {counts} heads of query, key and value, wanted the first a multiple")
        if counts[1] != counts[2]:
            operands[1:] = [repeat_interleave(t, heads // t.shape[-3], -3) for t in operands[1:]]
    try:
        if enable_gqa:
            lead = (*broadcast_shapes(*(t.shape[:-3] for t in operands)), heads)
            leads = [(*lead[:-1], t.shape[-3]) for t in operands]
        else:
            lead = broadcast_shapes(*(t.shape[:-2] for t in operands))
            leads = [lead] * 3
    except ValueError:
        hint = "" if enable_gqa else "; enable_gqa=True shares heads of keys"
        raise ValueError(f"{OP}: the axes before the length of {shapes} do not broadcast{hint}") from None
    for i, (t, wanted) in enumerate(zip(operands, leads, strict=True)):
        whole = t if t.shape[:-2] == wanted else t.expand(*wanted, *t.shape[-2:])
        operands[i] = whole.reshape(math.prod(wanted[:-1]), wanted[-1] if wanted else 1, *t.shape[-2:])
    return lead, operands[0], operands[1], operands[2]


def _shared_mask(mask: Tensor, lead: tuple[int, ...], queries: int, keys: int, dtype: np.dtype[np.generic]) -> Tensor:
    """The mask in the operands' dtype, with four axes at most; ValueError where it does not fit."""
    full = (*lead, queries, keys)
    try:
        fits = broadcast_shapes(mask.shape, full) == full
    except ValueError:
        fits = False
    if not fits or mask.ndim > len(full):
        raise ValueError(f"{OP}: got an attn_mask of shape {mask.shape}, wanted one that broadcasts to {full}")
    if mask.dtype != np.bool_:
        mask = cast(mask, dtype)
    if len(lead) > 2 and mask.ndim > 3:
        mask = mask.expand(*lead[:-1], *mask.shape[-3:])
        mask = mask.reshape(math.prod(lead[:-1]), *mask.shape[-3:])
    return mask


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """O = softmax(scale Q K^T + mask) V: each query's mean of the values, weighted by how well the keys fit it.

    Shapes: query (..., H, L, E), key (..., H, S, E), value (..., H, S, Ev) give (..., H, L, Ev); the axes in front
    are broadcast, and there may be none. Memory grows with L and S, not with their product. float16 and bfloat16
    compute in float32.

    Args:
        query, key, value: floating-point tensors of one dtype.
        attn_mask: broadcasts to (..., H, L, S). bool: True where a query may attend to a key; else a term that is added
            to the scaled scores, of the query's dtype or float32. A query whose keys are all hidden gives zeros.
        dropout_p: the probability of zeroing a weight; the others are divided by 1 - dropout_p. It is applied whenever
            it is not 0: pass 0 outside of training.
        is_causal: query i sees the keys j <= i alone, also where L and S differ; together with `attn_mask` both hold.
        scale: 1 / sqrt(E) by default.
        enable_gqa: key and value may have fewer heads, of which each serves several neighbouring heads of the query.

    Raises:
        ValueError: the shapes do not fit, or dropout_p lies outside [0, 1].
        TypeError: the dtypes differ, or are not floating-point.

    Sources: Vaswani et al. 2017, "Attention is all you need", section 3.2.1; Dao et al. 2022, "FlashAttention".

    >>> import tinydl
    >>> q, k = tinydl.tensor([[1.0, 0.0]]), tinydl.tensor([[100.0, 0.0], [0.0, 0.0]])
    >>> scaled_dot_product_attention(q, k, tinydl.tensor([[1.0, 2.0, 3.0], [7.0, 8.0, 9.0]]))
    tensor([[1., 2., 3.]])
    """
    if autocast.on:
        query, key, value, attn_mask = autocast.inputs(OP, query, key, value, attn_mask)
    _check(query, key, value, attn_mask, dropout_p)
    dtype = query.dtype
    if not backend.takes(query._data):
        query, key, value = (cast(t, dtypes.float32) for t in (query, key, value))
    if scale is None:
        scale = query.shape[-1] ** -0.5 if query.shape[-1] else 1.0
    lead = query.shape[:-2]
    if len(lead) != 2 or key.shape[:-2] != lead or value.shape[:-2] != lead:
        lead, query, key, value = _share_batch(query, key, value, enable_gqa)
    if attn_mask is not None:
        attn_mask = _shared_mask(attn_mask, lead, query.shape[2], key.shape[2], query.dtype)
    function = Attention(float(scale), bool(is_causal), float(dropout_p))
    out: Tensor = function.apply(query, key, value, attn_mask)
    if len(lead) != 2:
        out = out.reshape(*lead, *out.shape[-2:])
    return cast(out, dtype)
