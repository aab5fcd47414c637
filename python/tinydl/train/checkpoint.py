"""Checkpoints of training: the format of `tinydl.save`, read back with NumPy arrays."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..serialization import FORMAT, read_tensors, write_atomically, write_tensors
from ..serialization import read_state as load
from ..serialization import write_state as save
from ..tensor import Tensor

__all__ = ["FORMAT", "copied", "load", "read_tensors", "save", "write_atomically", "write_tensors"]


def copied(state: Any) -> Any:
    """Nested state with its tensors copied."""
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copied(value) for value in state)
    return Tensor(state._data.copy(order="K")) if isinstance(state, Tensor) else copy.copy(state)
