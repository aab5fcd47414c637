"""The documents' models, by name."""

from __future__ import annotations

from collections.abc import Callable

from ..nn import Module
from .cnn import cnn_single_conv, cnn_three_pools, cnn_two_pools
from .language_model import LanguageModel
from .linear_regression import linear_regression
from .lstm_text import LSTMText
from .mlp import MLP, mlp
from .text_model import TextModel

MODELS: dict[str, Callable[..., Module]] = {
    "linear_regression": linear_regression,
    "mlp": mlp,
    "cnn_two_pools": cnn_two_pools,
    "cnn_three_pools": cnn_three_pools,
    "cnn_single_conv": cnn_single_conv,
    "lstm_text": LSTMText,
}
"""The builders by name: calling one makes a model with fresh parameters."""

__all__ = [
    "MLP",
    "MODELS",
    "LSTMText",
    "LanguageModel",
    "TextModel",
    "cnn_single_conv",
    "cnn_three_pools",
    "cnn_two_pools",
    "linear_regression",
    "mlp",
]
