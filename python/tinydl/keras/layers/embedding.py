"""Layers at the beginning of models of sequences: embeddings of indices, and the mask of padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn
from ...creation import as_tensor
from ...ops.embedding import embedding
from ...ops.selection import where
from ...tensor import Tensor
from .arguments import positive
from .base import Layer, Shape, channels_first, channels_last


class Embedding(Layer):
    """y[p] = w[x[p]]: indices (N, ...) from 0 to input_dim - 1, to vectors (N, ..., output_dim).

    With `mask_zero`, index 0 is padding: the outputs have a mask that is False there. Embeddings are the rows of a
    matrix (Bengio et al. 2003), at first in [-0.05, 0.05].

    Weights: embeddings (input_dim, output_dim), at first `weights` where that is given. IndexError for other indices.

    >>> layer = Embedding(3, 2, weights=[[[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]])
    >>> layer([[2, 1]])
    tensor([[[3., 4.],
             [1., 2.]]])
    """

    _steps_from = 2

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **options: Any,
    ) -> None:
        options.pop("input_length", None)  # of Keras 2; the shape of the input says it
        super().__init__(**options)
        self.input_dim = positive(self, "input_dim", input_dim)
        self.output_dim = positive(self, "output_dim", output_dim)
        self.choose("embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self.mask_zero = self.supports_masking = self._makes_masks = bool(mask_zero)
        self._given = weights

    def make(self, input_shape: Shape) -> Shape:
        """w (input_dim, output_dim)."""
        self.inner = inner = nn.Embedding(self.input_dim, self.output_dim)
        self.hold("embeddings", inner.weight)
        if self._given is not None:
            single = len(np.shape(self._given)) == 2
            self.set_weights([self._given] if single else self._given)
        return (*input_shape, self.output_dim)

    def logits(self, x: Tensor) -> Tensor:
        """The rows at the indices."""
        inner: Any = self.inner
        return channels_first(embedding(channels_last(x).long(), inner.weight))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where the index is not 0, if that is padding."""
        return as_tensor(inputs) != 0 if self.mask_zero else None


class Masking(Layer):
    """The input (N, T, features), with a mask that is False where all features of a step are `mask_value`; zeros there.

    Layers after it leave out these steps, and so do losses and metrics.

    >>> layer = Masking(mask_value=-1.0)
    >>> layer.compute_mask(as_tensor([[[-1.0, -1.0], [2.0, -1.0]]]))
    tensor([[False,  True]])
    >>> layer([[[-1.0, -1.0], [2.0, -1.0]]]).tolist()
    [[[0.0, 0.0], [2.0, -1.0]]]
    """

    _steps_from = 3

    def __init__(self, mask_value: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Tensor:
        """True where a feature is not the value."""
        return (as_tensor(inputs) != self.mask_value).any(-1)

    def logits(self, x: Tensor) -> Tensor:
        """The input, with zeros where it is masked."""
        x = channels_last(x)
        return channels_first(where(self.compute_mask(x).unsqueeze(-1), x, 0.0))
