"""Masks: which steps of sequences count. A tensor has its mask, (N, T) and False at padding, beside it.

`Embedding(mask_zero=True)` and `Masking` make masks, layers that keep the steps pass them on, recurrent layers leave
out the masked steps, and losses and metrics count only the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor import Array, Tensor
from .. import tree
from .layout import all_last

if TYPE_CHECKING:
    from .base import Layer


def mask_of(x: Any) -> Tensor | None:
    """The mask of a tensor, or None."""
    return x.__dict__.get("_keras_mask") if isinstance(x, Tensor) else None


def any_mask(x: Any) -> bool:
    """Whether a tensor, or one in a structure, has a mask."""
    if type(x) is Tensor:
        return "_keras_mask" in x.__dict__
    return any(mask_of(leaf) is not None for leaf in tree.flatten(x))


def carried(layer: Layer, function: Callable[..., Any], x: Any, others: Any, options: dict[str, Any]) -> Any:
    """function(x, *others, **options), which is given the mask of x if it takes one; the output gets its own mask."""
    given = options.get("mask")
    masks = tree.map_leaves(mask_of, x) if given is None else given
    known = given is not None or any_mask(x)
    if known and given is None and layer._takes_mask:
        options = {**options, "mask": masks}
    out = function(x, *others, **options)
    if layer.supports_masking:
        _attach(layer, x, masks, out)
    elif known:
        warnings.warn(
            f"Layer '{layer.name}' (of type {type(layer).__name__}) was passed an input with a mask attached to it. "
            "However, this layer does not support masking and will therefore destroy the mask information. Downstream "
            "layers will not see the mask.",
            stacklevel=2,
        )
    return out


def _attach(layer: Layer, x: Any, masks: Any, out: Any) -> None:
    outputs = tree.flatten(out)
    if all(mask_of(each) is not None for each in outputs):
        return
    found = layer.compute_mask(all_last(x), masks)
    for tensor, mask in zip(outputs, tree.flatten(found), strict=False):
        if mask is not None and mask_of(tensor) is None:
            tensor._keras_mask = mask


def weight_of(mask: Tensor, reduction: str | None) -> Array:
    """A mask as weights of a loss's elements: 1, or for means so much more that they divide by the count of those."""
    weight: Array = mask._data.astype(np.float32)
    if reduction in ("mean", "sum_over_batch_size"):
        weight *= np.float32(weight.size / max(weight.sum(), 1.0))
    return weight


def times(weight: Array, other: Array | None) -> Array:
    """Weights (N, ...) times others (N, ...) of as many axes or fewer, or with further ones of size 1."""
    if other is None:
        return weight
    if other.ndim > weight.ndim and other.shape[-1] == 1:
        other = other[..., 0]
    return weight * other.reshape(other.shape + (1,) * (weight.ndim - other.ndim))
