"""Functions on tensors with Keras's names."""

from ..creation import one_hot

__all__ = ["one_hot"]
