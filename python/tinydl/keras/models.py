"""Models."""

from .saving import load_model, save_model
from .sequential import Sequential
from .training import Model

__all__ = ["Model", "Sequential", "load_model", "save_model"]
