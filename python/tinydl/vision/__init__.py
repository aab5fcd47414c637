"""Images: data sets."""

from . import datasets

__all__ = ["datasets"]
