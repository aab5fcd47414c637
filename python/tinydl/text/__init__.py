"""Text for models: vocabularies, texts to learn from, windows of tokens, and how a model writes."""

from .corpora import python_reference, read_text, shakespeare
from .generation import generate
from .vocabulary import Characters, Vocabulary, Words
from .windows import TokenWindows

__all__ = [
    "Characters",
    "TokenWindows",
    "Vocabulary",
    "Words",
    "generate",
    "python_reference",
    "read_text",
    "shakespeare",
]
