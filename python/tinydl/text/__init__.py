"""Text for models: vocabularies, texts to learn from, windows of tokens, how a model writes, and dates in words."""

from . import dates
from .corpora import python_reference, read_text, shakespeare
from .generation import generate
from .vocabulary import Characters, Vocabulary, Words
from .windows import TokenWindows

__all__ = [
    "Characters",
    "TokenWindows",
    "Vocabulary",
    "Words",
    "dates",
    "generate",
    "python_reference",
    "read_text",
    "shakespeare",
]
