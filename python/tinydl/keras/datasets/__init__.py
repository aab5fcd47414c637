"""Data sets as NumPy arrays."""

from . import mnist

__all__ = ["mnist"]
