"""Checkpoints of training: the format of `tinydl.save`, read back with NumPy arrays."""

from __future__ import annotations

from ..serialization import FORMAT, read_tensors, write_atomically, write_tensors
from ..serialization import read_state as load
from ..serialization import write_state as save

__all__ = ["FORMAT", "load", "read_tensors", "save", "write_atomically", "write_tensors"]
