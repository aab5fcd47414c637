"""The Transformer: encoder and decoder layers, stacks of them, and both together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..tensor import Tensor
from . import init
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .functional import gelu, relu
from .linear import Linear
from .module import Module
from .norm import LayerNorm

Activation = Callable[[Tensor], Tensor]


class _Layer(Module):
    """What encoder and decoder layers share: attentions, a feed-forward network, a norm and a dropout for each."""

    self_attn: MultiheadAttention
    linear1: Linear
    linear2: Linear
    dropout: Dropout
    activation: Activation
    _attentions: tuple[str, ...] = ("self_attn",)

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        for name in self._attentions:
            self.add_module(name, MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **kind))
        self.linear1 = Linear(d_model, dim_feedforward, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **kind)
        self.norm_first = norm_first
        blocks = range(1, len(self._attentions) + 2)
        for block in blocks:
            self.add_module(f"norm{block}", LayerNorm(d_model, layer_norm_eps, **kind))
        for block in blocks:
            self.add_module(f"dropout{block}", Dropout(dropout))
        self.activation = self._known(activation)

    def _known(self, activation: str | Activation) -> Activation:
        if isinstance(activation, str):
            if activation not in ("relu", "gelu"):
                raise ValueError(
                    f"{type(self).__name__}: got activation {activation!r}, wanted 'relu', 'gelu' or a function"
                )
            return relu if activation == "relu" else gelu
        if not callable(activation):
            raise TypeError(
                f"{type(self).__name__}: got an activation of type {type(activation).__name__}, "
                "wanted 'relu', 'gelu' or a function"
            )
        return activation

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        """The self-attention and its dropout."""
        y, _ = self.self_attn(x, x, x, key_padding_mask, False, attn_mask, is_causal=is_causal)
        return self.dropout1(y)  # type: ignore[no-any-return]

    def _ff_block(self, x: Tensor) -> Tensor:
        """The feed-forward network and its dropout; relu runs in the first product's kernel."""
        first = self.linear1
        if self.activation is relu and type(first) is Linear and first._hooks is None:
            y = first(x, "relu")
        else:
            y = self.activation(first(x))
        y = self.linear2(self.dropout(y))
        last = self.dropout2 if len(self._attentions) == 1 else self.dropout3
        return last(y)  # type: ignore[no-any-return]


class TransformerEncoderLayer(_Layer):
    """x = LN(x + SA(x)), then y = LN(x + FF(x)), with FF(x) = W_2 f(W_1 x + b_1) + b_2 (Vaswani et al. 2017).

    SA is `MultiheadAttention` of x with itself. With `norm_first`, x = x + SA(LN(x)), then y = x + FF(LN(x)) (Xiong et
    al. 2020). Dropout thins SA's weights, f's values, and what SA and FF give.

    Args:
        d_model: the features of x.
        nhead: the heads of the attention, which divide d_model.
        dim_feedforward: the rows of W_1.
        dropout: the probability of each dropout.
        activation: f, "relu", "gelu" or a function of a tensor.
        layer_norm_eps: of the norms.
        batch_first: whether x is (N, S, d_model) instead of (S, N, d_model).
        norm_first: whether the norms stand before the blocks.
        bias: whether the products and norms have biases.
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Raises ValueError for an activation of another name, TypeError for one that is no function.

    >>> import tinydl
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(tinydl.ones(4, 5, 8)).shape
    (4, 5, 8)
    """

    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """y, of the shape of `src`; the masks are `MultiheadAttention`'s attn_mask and key_padding_mask."""
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._ff_block(x))  # type: ignore[no-any-return]


class TransformerDecoderLayer(_Layer):
    """x = LN(x + SA(x)), x = LN(x + MA(x, memory)), then y = LN(x + FF(x)) (Vaswani et al. 2017).

    MA is `MultiheadAttention` with queries from x, and keys and values from the memory. All else, the arguments and
    `norm_first` included, is as in `TransformerEncoderLayer`.

    >>> import tinydl
    >>> TransformerDecoderLayer(8, 2, 16)(tinydl.ones(3, 4, 8), tinydl.ones(5, 4, 8)).shape
    (3, 4, 8)
    """

    multihead_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    norm3: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    dropout3: Dropout
    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """y, of the shape of `tgt`; the masks are `MultiheadAttention`'s, of SA (tgt_) and of MA (memory_)."""
        own = tgt_mask, tgt_key_padding_mask, tgt_is_causal
        other = memory, memory_mask, memory_key_padding_mask, memory_is_causal
        x = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, *other))
        return self.norm3(x + self._ff_block(x))  # type: ignore[no-any-return]

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Tensor:
        """The attention to the memory and its dropout."""
        y, _ = self.multihead_attn(x, mem, mem, key_padding_mask, False, attn_mask, is_causal=is_causal)
        return self.dropout2(y)  # type: ignore[no-any-return]


# -- Stacks -----------------------------------------------------------------------------------------------------


def _copies(owner: str, layer: Module, num_layers: int) -> ModuleList:
    """Deep copies of a layer: each starts from the same values and goes its own way."""
    if not isinstance(layer, Module):
        raise TypeError(f"{owner}: got a layer of type {type(layer).__name__}, wanted a module")
    if isinstance(num_layers, bool) or not isinstance(num_layers, int) or num_layers < 1:
        error = ValueError if isinstance(num_layers, int) else TypeError
        raise error(f"{owner}: got num_layers={num_layers!r}, wanted an integer of at least 1")
    return ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])


def _is_causal(mask: Tensor | None, hint: bool | None) -> bool:
    """Whether a mask hides exactly what comes later; the hint's word, if there is one, goes unchecked.

    A mask on a GPU is not looked at, which would wait for it.
    """
    if hint is not None:
        return bool(hint)
    if not isinstance(mask, Tensor) or mask.ndim != 2 or mask.shape[0] != mask.shape[1] or mask.requires_grad:
        return False
    if not backend.is_on_host(mask._data):
        return False
    seen = np.tri(mask.shape[0], dtype=bool)
    return np.array_equal(mask._data, ~seen if mask.dtype == dtypes.bool else np.where(seen, 0, -np.inf))


class TransformerEncoder(Module):
    """Layers in a row, and a norm after the last.

    Args:
        encoder_layer: a `TransformerEncoderLayer`, or a module that is called alike; the layers are copies of it.
        num_layers: how many.
        norm: what comes at the end, or None.
        enable_nested_tensor, mask_check: PyTorch's, without effect: padded places are computed like the others.

    >>> import tinydl
    >>> TransformerEncoder(TransformerEncoderLayer(8, 2, 16), 3)(tinydl.ones(5, 4, 8)).shape
    (5, 4, 8)
    """

    layers: ModuleList
    norm: Module | None

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The last layer's output; `is_causal` says whether `mask` is the causal one, None lets it be looked at."""
        causal = _is_causal(mask, is_causal)
        out = src
        for layer in self.layers:
            out = layer(out, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask)
        return out if self.norm is None else self.norm(out)


class TransformerDecoder(Module):
    """Layers in a row that all see the memory, and a norm after the last.

    Args:
        decoder_layer: a `TransformerDecoderLayer`, or a module that is called alike; the layers are copies of it.
        num_layers: how many.
        norm: what comes at the end, or None.

    >>> import tinydl
    >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), 3)
    >>> decoder(tinydl.ones(3, 4, 8), tinydl.ones(5, 4, 8)).shape
    (3, 4, 8)
    """

    layers: ModuleList
    norm: Module | None

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The last layer's output; `tgt_is_causal` says whether `tgt_mask` is causal, None lets it be looked at."""
        causal = _is_causal(tgt_mask, tgt_is_causal)
        out = tgt
        for layer in self.layers:
            out = layer(
                out,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return out if self.norm is None else self.norm(out)


class Transformer(Module):
    """An encoder of the source and a decoder that sees what it gives, both with a norm at the end.

    Embeddings and the product that makes scores of the outputs are the caller's (Vaswani et al. 2017).

    Args:
        d_model: the features of source and target.
        nhead: the heads of all attentions.
        num_encoder_layers, num_decoder_layers: how many layers.
        dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype: as in
            `TransformerEncoderLayer`.
        custom_encoder: in the place of the encoder, called as a `TransformerEncoder`.
        custom_decoder: in the place of the decoder, called as a `TransformerDecoder`.

    All parameters with two axes are at first Xavier-uniform.

    >>> import tinydl
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> mask = Transformer.generate_square_subsequent_mask(3)
    >>> model(tinydl.ones(4, 5, 8), tinydl.ones(4, 3, 8), tgt_mask=mask).shape
    (4, 3, 8)
    """

    encoder: Module
    decoder: Module

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        of_layers: Any = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        of_layers += (batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            custom_encoder = TransformerEncoder(TransformerEncoderLayer(*of_layers), num_encoder_layers, norm())
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(TransformerDecoderLayer(*of_layers), num_decoder_layers, norm())
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        """Draw all parameters with two axes anew."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's output, of the shape of `tgt`.

        Masks and hints are those of `TransformerEncoder` (src_) and of `TransformerDecoder` (tgt_, memory_). ValueError
        where `src` and `tgt` have not d_model features, or batches of two sizes.
        """
        batch = 0 if self.batch_first else 1
        if src.shape[-1:] != (self.d_model,) or tgt.shape[-1:] != (self.d_model,):
            raise ValueError(
                f"Transformer: got src and tgt of shapes {src.shape} and {tgt.shape}, wanted {self.d_model} features"
            )
        if src.ndim == 3 and (tgt.ndim != 3 or src.shape[batch] != tgt.shape[batch]):
            raise ValueError(
                f"Transformer: got src and tgt of shapes {src.shape} and {tgt.shape}, "
                f"wanted one batch size (axis {batch})"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(  # type: ignore[no-any-return]
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: str | None = None, dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz): 0 where a query looks back or at itself, minus infinity ahead.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        seen = np.tri(sz, dtype=bool)
        return Tensor(backend.place(np.where(seen, 0.0, -math.inf).astype(dtype or dtypes.float32), device))
