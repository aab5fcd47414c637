"""Optimisers with PyTorch's names, defaults and state; a step is one call of a kernel over all parameters."""

from __future__ import annotations

from .adam import Adam
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
