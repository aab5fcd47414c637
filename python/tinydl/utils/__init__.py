"""Around the tensors: data loading (`data`), downloads (`download`) and optional libraries (`extras`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import data


def __getattr__(name: str) -> Any:
    """`data`, imported on first use."""
    if name == "data":
        return import_module(f"{__name__}.data")
    raise AttributeError(f"module 'tinydl.utils' has no attribute '{name}'")
