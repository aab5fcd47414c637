"""Attention: each step of a query takes a weighted mean of the steps of a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...creation import as_tensor
from ...nn.parameter import Parameter
from ...ops.attention import scaled_dot_product_attention
from ...ops.matmul import linear, matmul
from ...ops.random import dropout
from ...ops.softmax import softmax
from ...random import Generator
from ...tensor import Array, Tensor
from .arguments import positive
from .base import Layer, Shape, as_float
from .layout import map_shapes
from .masks import mask_of
from .own import Beside

_HIDDEN = np.float32(-1e9)
"""What is added to the scores of pairs that a mask hides. Where it hides all, the weights are then put to 0."""


def _rate(layer: Layer, rate: Any, seed: int | None) -> tuple[float, Generator | None]:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ValueError(f"{type(layer).__name__}: got dropout={rate!r}, wanted 0 to 1, and less than 1")
    return float(rate), None if seed is None else Generator(int(seed))


def _array(mask: Any) -> Array:
    return as_tensor(mask)._data.astype(bool)


def _causal(queries: int, keys: int) -> Array:
    return np.tri(queries, keys, dtype=bool)[None]


def _all_of(masks: Sequence[Array | None]) -> Array | None:
    """Where all masks are True; None where there is none."""
    found: Array | None = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else found & mask
    return found


def _added(mask: Array | None) -> Tensor | None:
    """A mask as numbers to add to scores."""
    return None if mask is None else Tensor(np.where(mask, np.float32(0), _HIDDEN))


def _masked(x: Tensor, mask: Any) -> Tensor:
    """x with zeros where the mask is False."""
    return x if mask.all() else x * Tensor(mask.astype(np.float32))


class MultiHeadAttention(Layer):
    """MultiHead(Q, K, V) = concat(head_1 ... head_h) W_o + b_o, head_i = softmax(Q_i K_i^T / √key_dim) V_i, with
    Q_i = Q W_q,i + b_q,i and so on (Vaswani et al. 2017).

    `layer(query, value, key=value)`: query (N, T, in), value and key (N, S, ...) to (N, T, output_shape), by default as
    wide as the query. Further arguments of the call:

    - attention_mask (N, T, S): False where a query must not see a key. The masks of query, value and key count too.
    - use_causal_mask: whether a query sees only the keys up to its own step.
    - return_attention_scores: return also the weights (N, heads, T, S).

    Args:
        num_heads, key_dim, value_dim: h, and the widths of a head; value_dim is key_dim by default.
        dropout: the share of the weights that are zeroed in training.
        use_bias: whether there are b_q, b_k, b_v, b_o.
        output_shape: of the last axis, or axes.
        attention_axes: which axes are steps, by default all between the first and the last one.
        sliding_window: see only keys less than so many steps away.
        use_gate: multiply the heads by σ(Q W_g + b_g) (Qiu et al. 2025).
        seed: of the dropout.
        flash_attention: has no effect.

    Weights: query kernel (in, h, key_dim) and bias (h, key_dim), likewise key, gate where there is one, and value, and
    attention_output kernel (h, value_dim, out) and bias (out,).

    >>> import numpy as np
    >>> MultiHeadAttention(2, 3)(np.zeros((2, 5, 4)), np.zeros((2, 7, 6))).shape
    (2, 5, 4)
    """

    _steps_from = 3
    inner: Any
    supports_masking = True

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.num_heads = positive(self, "num_heads", num_heads)
        self.key_dim = positive(self, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive(self, "value_dim", value_dim)
        self.dropout, self.generator = _rate(self, dropout, seed)
        self.use_bias, self.use_gate = use_bias, use_gate
        ends = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape or ())
        self._ends = tuple([positive(self, "output_shape", n) for n in ends])
        self.attention_axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self.sliding_window = None if sliding_window is None else positive(self, "sliding_window", sliding_window)
        self._kinds = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }

    # -- Weights and shapes -----------------------------------------------------------------------------------

    def build(self, input_shape: Any = None, value_shape: Any = None, key_shape: Any = None) -> None:
        """Make the weights for shapes of batches of queries, values and keys."""
        others, options = self._beside
        beside = [getattr(each, "shape", None) for each in (*others, None, None)[:2]]
        value_shape = value_shape or beside[0] or getattr(options.get("value"), "shape", None)
        key_shape = key_shape or beside[1] or getattr(options.get("key"), "shape", None) or value_shape
        if value_shape is None:
            raise ValueError(f'Layer "{self.name}": the shape of the value is missing')
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                f'Layer "{self.name}": value of shape {tuple(value_shape)} and key of shape {tuple(key_shape)} must '
                "have equally many steps"
            )
        if len(input_shape) < 3:
            raise self.incompatible("ndim=3 (N, T, features)", f"shape={tuple(input_shape)}")
        self.inner = nn.Module()
        ends = self._ends or (input_shape[-1],)
        self._project("query", input_shape[-1], self.key_dim)
        self._project("key", key_shape[-1], self.key_dim)
        if self.use_gate:
            self._project("gate", input_shape[-1], self.value_dim)
        self._project("value", value_shape[-1], self.value_dim)
        heads = (self.num_heads, self.value_dim)
        order = (len(ends), len(ends) + 1, *range(len(ends)))
        self._new("attention_output", (math.prod(ends), math.prod(heads)), (*ends, *heads), order, ends)

    def _project(self, name: str, width: int, size: int) -> None:
        heads = (self.num_heads, size)
        self._new(name, (math.prod(heads), width), (*heads, width), (2, 0, 1), heads)

    def _new(self, name: str, shape: Shape, apart: Shape, order: Shape, bias: Shape) -> None:
        """A kernel (out, in), which Keras sees as `apart` with its axes in an order, and a bias."""
        for part, size in (("kernel", shape), ("bias", (math.prod(bias),))):
            if part == "bias" and not self.use_bias:
                continue
            parameter = Parameter(np.zeros(size, np.float32))
            self.inner.register_parameter(f"{name}_{part}", parameter)
            self.choose(f"{name}_{part}", *self._kinds[part])
            if part == "kernel":
                self.hold(f"{name}_{part}", parameter, lambda w: w.reshape(*apart).permute(*order))
            else:
                self.hold(f"{name}_{part}", parameter, lambda w: w.reshape(*bias))

    def make(self, input_shape: Shape) -> Shape:
        """The query's steps, and the output's axes."""
        return (*input_shape[:-1], *(self._ends or input_shape[-1:]))

    def compute_output_shape(self, input_shape: Any, value_shape: Any = None, key_shape: Any = None) -> Any:
        """The shape of a batch of outputs."""
        return (input_shape[0], *self.make(tuple(input_shape[1:])))

    def symbolic_outputs(self, shapes: Any, beside: Beside, make: Any) -> Any:
        """make(shape) for the output, and for the weights where they are returned."""
        self._beside = beside
        self.build(shapes)
        output = self.compute_output_shape(shapes)
        if not beside[1].get("return_attention_scores"):
            return make(output)
        value = (*beside[0], beside[1].get("value"))[0]
        return map_shapes(make, [output, (None, self.num_heads, *shapes[1:-1], *value.shape[1:-1])])

    # -- The function -----------------------------------------------------------------------------------------

    def call(  # type: ignore[override]
        self,
        query: Tensor,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """The output, or the tuple of it and the weights."""
        value = as_float(value)
        key_mask = mask_of(key) if key_mask is None else key_mask
        key = value if key is None else as_float(key)
        query_mask = mask_of(query) if query_mask is None else query_mask
        value_mask = mask_of(value) if value_mask is None else value_mask
        q, k, v = (self._heads(name, self._steps(x)) for name, x in (("query", query), ("key", key), ("value", value)))
        given = None if attention_mask is None else _array(attention_mask)
        masks = [
            None if given is None else given.reshape(len(given), q.shape[2], k.shape[2]),
            None if query_mask is None else _array(query_mask)[:, :, None],
            *[None if mask is None else _array(mask)[:, None, :] for mask in (value_mask, key_mask)],
            self._band(q.shape[2], k.shape[2]),
        ]
        alone = use_causal_mask and all(mask is None for mask in masks) and not return_attention_scores
        if use_causal_mask and not alone:
            masks.append(_causal(q.shape[2], k.shape[2]))
        mask = _all_of(masks)
        mask = None if mask is None else mask[:, None]
        out, scores = self._attend(q, k, v, mask, alone, bool(training), return_attention_scores)
        out = self._output_of(out, query)
        return (out, scores) if return_attention_scores else out

    def _band(self, queries: int, keys: int) -> Array | None:
        if self.sliding_window is None:
            return None
        distance = np.abs(np.arange(queries)[:, None] - np.arange(keys))
        return np.asarray(distance < self.sliding_window)[None]

    def _order(self, ndim: int) -> Shape:
        """The axes with those of steps before the last one."""
        usual = tuple(range(1, ndim - 1))
        axes = usual if self.attention_axes is None else tuple(axis % ndim for axis in self.attention_axes)
        return (0, *[axis for axis in usual if axis not in axes], *axes, ndim - 1)

    def _count(self, ndim: int) -> int:
        return ndim - 2 if self.attention_axes is None else len(self.attention_axes)

    def _steps(self, x: Tensor) -> Tensor:
        """(batch, steps, features)."""
        if x.ndim == 3:
            return x
        turned = x.permute(*self._order(x.ndim))
        kept = x.ndim - 1 - self._count(x.ndim)
        return turned.reshape(math.prod(turned.shape[:kept]), -1, x.shape[-1])

    def _heads(self, name: str, x: Tensor) -> Tensor:
        """(batch, heads, steps, size)."""
        held = self.inner._parameters
        y = linear(x, held[f"{name}_kernel"], held.get(f"{name}_bias"))
        return y.reshape(y.shape[0], y.shape[1], self.num_heads, -1).transpose(1, 2)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Array | None, causal: bool, training: bool, scored: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The heads, and the weights if they are wanted; both are 0 where the mask hides all keys."""
        rate = self.dropout if training else 0.0
        if scored or (rate and self.generator):
            mask = _causal(q.shape[2], k.shape[2])[None] if causal else mask
            added = _added(mask)
            scores = matmul(q, k.transpose(2, 3)) / math.sqrt(self.key_dim)
            weights = softmax(scores, -1) if added is None else _masked(softmax(scores + added, -1), mask)
            return matmul(dropout(weights, rate, generator=self.generator) if rate else weights, v), weights
        out = scaled_dot_product_attention(q, k, v, _added(mask), rate, causal)
        return out if mask is None else _masked(out, mask.any(-1, keepdims=True)), None

    def _output_of(self, heads: Tensor, query: Tensor) -> Tensor:
        """What the heads (batch, heads, steps, size) make together, in the query's order of axes."""
        held = self.inner._parameters
        if self.use_gate:
            heads = heads * self._heads("gate", self._steps(query)).sigmoid()
        x = heads.transpose(1, 2).reshape(heads.shape[0], heads.shape[2], -1)
        y = linear(x, held["attention_output_kernel"], held.get("attention_output_bias"))
        if query.ndim == 3:
            return y.reshape(*y.shape[:2], *self._ends) if len(self._ends) > 1 else y
        order = self._order(query.ndim)
        y = y.reshape(*[query.shape[axis] for axis in order[:-1]], *(self._ends or y.shape[-1:]))
        back = tuple([order.index(axis) for axis in range(query.ndim - 1)])
        return y.permute(*back, *range(query.ndim - 1, y.ndim))


class Attention(Layer):
    """softmax(Q K^T) V for inputs [query (N, T, d), value (N, S, e), key (N, S, d)], of which the key is the value by
    default: (N, T, e) (Luong et al. 2015).

    Masks are [of the query, of the value]: outputs of masked queries are zeros, and masked values are not seen.
    Arguments of the call: `mask`, `return_attention_scores` (also the weights, (N, T, S)), and `use_causal_mask`.

    Args:
        use_scale: whether a learnt number multiplies the scores.
        score_mode: "dot", or "concat" for scores of a learnt number times Σ tanh(q + k).
        dropout: the share of the weights that are zeroed in training.
        seed: of the dropout.

    >>> import numpy as np
    >>> Attention()([np.zeros((2, 5, 4)), np.zeros((2, 7, 4))]).shape
    (2, 5, 4)
    """

    _makes_masks = False

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"{type(self).__name__}: got score_mode={score_mode!r}, wanted 'dot' or 'concat'")
        self.use_scale, self.score_mode = use_scale, score_mode
        self.dropout, self.generator = _rate(self, dropout, seed)
        self.seed = seed

    def build(self, input_shape: Any = None) -> None:
        """Make the learnt numbers."""
        self._need_inputs(input_shape)
        if self.use_scale:
            self.scale = self.add_weight(shape=self.scale_shape(input_shape), initializer=self._start, name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(shape=(), initializer="ones", name="concat_score_weight")

    _start = "ones"

    def scale_shape(self, shapes: Any) -> Shape:
        """That of the learnt scale."""
        return ()

    def _need_inputs(self, inputs: Any) -> None:
        if not isinstance(inputs, list) or not 2 <= len(inputs) <= 3:
            found = f"a list of {len(inputs)}" if isinstance(inputs, list) else f"a {type(inputs).__name__}"
            raise ValueError(f'Layer "{self.name}": wanted a list [query, value] or [query, value, key], got {found}')

    def make(self, input_shape: Any) -> Shape:
        """The query's steps, and the value's features."""
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The query's mask."""
        return previous_mask[0] if isinstance(previous_mask, list) else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How well the queries fit the keys, (N, T, S)."""
        scale = self.scale if self.use_scale else None
        if self.score_mode == "dot":
            found = matmul(query, key.transpose(-2, -1))
            return found if scale is None else found * scale
        pairs = query.unsqueeze(-2) + key.unsqueeze(-3)
        pairs = pairs if scale is None else pairs * scale
        return pairs.tanh().sum(-1) * self.concat_score_weight  # type: ignore[no-any-return]

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The output, or the tuple of it and the weights."""
        self._need_inputs(inputs)
        query, value = inputs[:2]
        scores = self.scores(query, inputs[2] if len(inputs) > 2 else value)
        query_mask, value_mask = (None if each is None else _array(each) for each in (*(mask or ()), None, None)[:2])
        hidden = _all_of(
            [
                None if value_mask is None else value_mask[:, None, :],
                _causal(scores.shape[1], scores.shape[2]) if use_causal_mask else None,
            ]
        )
        added = _added(hidden)
        weights = softmax(scores if added is None else scores + added, -1)
        if training and self.dropout:
            weights = dropout(weights, self.dropout, generator=self.generator)
        out = matmul(weights, value)
        if query_mask is not None:
            out = out * Tensor(query_mask[:, :, None].astype(np.float32))
        return (out, weights) if return_attention_scores else out


class AdditiveAttention(Attention):
    """`Attention` with the scores Σ_d s_d tanh(q_d + k_d); s is learnt with `use_scale`, else 1 (Bahdanau et al. 2015).

    >>> import numpy as np
    >>> AdditiveAttention()([np.zeros((2, 5, 4)), np.zeros((2, 7, 4))]).shape
    (2, 5, 4)
    """

    _start = "glorot_uniform"

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(use_scale, dropout=dropout, **options)

    def scale_shape(self, shapes: Any) -> Shape:
        """A number for each feature."""
        return (shapes[0][-1],)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How well the queries fit the keys, (N, T, S)."""
        pairs = (query.unsqueeze(-2) + key.unsqueeze(-3)).tanh()
        return (pairs * self.scale if self.use_scale else pairs).sum(-1)
