"""Image data sets: MNIST from its files, and scikit-learn's digits, which need none."""

from .digits import Digits
from .idx import read_idx
from .mnist import MNIST

__all__ = ["MNIST", "Digits", "read_idx"]
