"""The layer that does nothing."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .module import Module


class Identity(Module):
    """y = x: stands where a layer was left out; takes any arguments and ignores them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input itself."""
        return input
