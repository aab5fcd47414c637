"""The documents' models, by name."""

from __future__ import annotations

from collections.abc import Callable

from ..nn import Module
from .cnn import cnn_single_conv, cnn_three_pools, cnn_two_pools
from .encoder_decoder import EncoderDecoder
from .gpt import GPT
from .language_model import LanguageModel
from .linear_regression import linear_regression
from .lstm_text import LSTMText
from .mlp import MLP, mlp
from .rnn_predictor import RNNPredictor
from .seq2seq import RecurrentSeq2Seq
from .text_model import TextModel
from .transformer_seq2seq import TransformerSeq2Seq

MODELS: dict[str, Callable[..., Module]] = {
    "linear_regression": linear_regression,
    "mlp": mlp,
    "cnn_two_pools": cnn_two_pools,
    "cnn_three_pools": cnn_three_pools,
    "cnn_single_conv": cnn_single_conv,
    "rnn_predictor": RNNPredictor,
    "lstm_text": LSTMText,
    "gpt": GPT,
}
"""The builders by name: calling one makes a model with fresh parameters; those of text take the vocabulary's size."""

__all__ = [
    "GPT",
    "MLP",
    "MODELS",
    "EncoderDecoder",
    "LSTMText",
    "LanguageModel",
    "RNNPredictor",
    "RecurrentSeq2Seq",
    "TextModel",
    "TransformerSeq2Seq",
    "cnn_single_conv",
    "cnn_three_pools",
    "cnn_two_pools",
    "linear_regression",
    "mlp",
]
