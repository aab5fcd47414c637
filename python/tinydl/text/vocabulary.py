"""Vocabularies: the tokens that a text is made of, characters or words, and their numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from ..tensor import Array

__all__ = ["Characters", "Vocabulary", "Words"]


class Vocabulary:
    """Tokens, numbered from 0; see `Characters` and `Words`.

    Args:
        tokens: all of them, in the order of their numbers (ids).

    Attributes:
        tokens: likewise.
        unit: what a token is called.

    Raises:
        ValueError: there is no token, or one comes twice.
    """

    unit: ClassVar[str] = ""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        if not self.tokens:
            raise ValueError(f"{type(self).__name__}: got no tokens, wanted at least one: is the text empty?")
        if len(self._ids) < len(self.tokens):
            twice = Counter(self.tokens).most_common(1)[0][0]
            raise ValueError(f"{type(self).__name__}: got the token {twice!r} twice")

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash((type(self), self.tokens))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} {self.unit}s)"

    @property
    def start(self) -> int:
        """The token after which a text without a prompt begins: the end of a line, where there is one."""
        return self._ids.get("\n", 0)

    def encode(self, text: str) -> Array:
        """The ids (int64) of a text's tokens."""
        raise NotImplementedError

    def decode(self, ids: Any) -> str:
        """The text of ids: a sequence, an array or a tensor with one axis.

        IndexError where one is out of range.
        """
        return "".join(self.stream(np.asarray(ids).tolist()))

    def stream(self, ids: Iterable[int], after: int | None = None) -> Iterator[str]:
        """The pieces of text that ids add one by one, `after` another token or at a text's beginning."""
        before = None if after is None else self._token(after)
        for number in ids:
            token = self._token(number)
            yield self._gap(before, token) + token
            before = token

    def _token(self, number: int) -> str:
        if not 0 <= number < len(self.tokens):
            raise IndexError(f"decode: id {number} is out of range for {len(self)} {self.unit}s")
        return self.tokens[number]

    def _gap(self, before: str | None, token: str) -> str:
        """What stands between two tokens."""
        return ""

    # -- State ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"unit", "tokens"}: strings and a list of them, from which `from_state` makes the vocabulary again."""
        return {"unit": self.unit, "tokens": list(self.tokens)}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary whose `state_dict` this is; ValueError where it is none."""
        kinds = {kind.unit: kind for kind in (Characters, Words)}
        if not isinstance(state, Mapping) or state.get("unit") not in kinds or "tokens" not in state:
            raise ValueError(f"Vocabulary: wanted a state of {' or '.join(kinds)} tokens, got {str(state)[:80]}")
        return kinds[state["unit"]](state["tokens"])


class Characters(Vocabulary):
    """The characters of a text, in the order of their code points.

    >>> vocabulary = Characters.of("banana")
    >>> vocabulary.encode("ban").tolist(), vocabulary.decode([1, 0, 2])
    ([1, 0, 2], 'ban')
    """

    unit = "character"

    def __init__(self, tokens: Iterable[str]) -> None:
        super().__init__(tokens)
        for token in self.tokens:
            if len(token) != 1:
                raise ValueError(f"Characters: got the token {token!r}, wanted single characters")

    @classmethod
    def of(cls, text: str) -> Characters:
        """The characters that are in a text."""
        return cls(sorted(set(text)))

    def encode(self, text: str) -> Array:
        """The ids (int64) of a text's characters; ValueError that names one which is not in the vocabulary."""
        try:
            return np.fromiter(map(self._ids.__getitem__, text), np.int64, len(text))
        except KeyError as error:
            found = error.args[0]
        raise ValueError(
            f"encode: the character {found!r} at position {text.index(found)} is not among the vocabulary's {len(self)}"
        )


# a word with hyphens and apostrophes within, a mark that may be repeated, or the end of a line
_TOKEN = re.compile(r"\w+(?:[-'’]\w+)*|([^\w\s])\1*|\n")
_NO_SPACE_BEFORE = frozenset(",.;:!?)]}’%")
_NO_SPACE_AFTER = frozenset("([{\n")


class Words(Vocabulary):
    """The words of a text, its marks (repeated ones as one token) and ends of lines, from frequent to rare.

    Token 0, `unknown`, stands for all others. Decoded text has spaces between words and none before closing marks; what
    spaces the text had is not kept.

    >>> vocabulary = Words.of("to be, or not to be", min_count=2)
    >>> vocabulary.tokens
    ('<unk>', 'be', 'to')
    >>> vocabulary.decode(vocabulary.encode("to be or to be"))
    'to be <unk> to be'
    """

    unit = "word"
    unknown = "<unk>"

    def __init__(self, tokens: Iterable[str]) -> None:
        super().__init__(tokens)
        if self.tokens[0] != self.unknown:
            raise ValueError(f"Words: got the first token {self.tokens[0]!r}, wanted {self.unknown!r}")

    @classmethod
    def of(cls, text: str, min_count: int = 1, max_size: int | None = None) -> Words:
        """The words that are in a text at least `min_count` times, the most frequent first, `max_size` tokens at most.

        ValueError where the text has no words, or `min_count` or `max_size` is below 1.
        """
        for name, value in (("min_count", min_count), ("max_size", max_size)):
            if value is not None and value < 1:
                raise ValueError(f"Words: got {name}={value}, wanted at least 1")
        counts = Counter(cls.split(text))
        if not counts:
            raise ValueError("Words: the text has no words")
        frequent = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        return cls([cls.unknown, *(word for _, word in frequent)][:max_size])

    @staticmethod
    def split(text: str) -> list[str]:
        """The tokens of a text.

        >>> Words.split("Don't stop... (yet)!")
        ["Don't", 'stop', '...', '(', 'yet', ')', '!']
        """
        return [match.group() for match in _TOKEN.finditer(text)]

    def encode(self, text: str) -> Array:
        """The ids (int64) of a text's words, 0 for those that are not in the vocabulary."""
        return np.array([self._ids.get(word, 0) for word in self.split(text)], np.int64)

    def _gap(self, before: str | None, token: str) -> str:
        if before is None or token == "\n" or token[0] in _NO_SPACE_BEFORE or before[-1] in _NO_SPACE_AFTER:
            return ""
        return " "
