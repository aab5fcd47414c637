"""Image data sets: MNIST and Fashion-MNIST from their files, and scikit-learn's digits, which need none."""

from .digits import Digits
from .idx import read_idx
from .mnist import MNIST, FashionMNIST

__all__ = ["MNIST", "Digits", "FashionMNIST", "read_idx"]
