"""A language model together with its vocabulary: all that it takes to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..tensor import Tensor
from ..text.generation import generate
from ..text.vocabulary import Vocabulary, Words
from .language_model import LanguageModel

__all__ = ["TextModel"]


class TextModel(LanguageModel):
    """A `LanguageModel` that knows its vocabulary, which its state dict holds too.

    Args:
        model: the language model.
        vocabulary: of as many tokens.

    Attributes:
        model, vocabulary: likewise.

    Raises:
        ValueError: the vocabulary has another size than the model's; a state dict with another vocabulary is loaded.

    >>> from tinydl.models import LSTMText
    >>> from tinydl.text import Characters
    >>> vocabulary = Characters.of("hello world")
    >>> model = TextModel(LSTMText(len(vocabulary)), vocabulary)
    >>> len("".join(model.write("hell", 10, seed=1)))
    10
    """

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary) -> None:
        super().__init__()
        if model.vocabulary_size != len(vocabulary):
            raise ValueError(
                f"TextModel: got a model of {model.vocabulary_size} tokens and a vocabulary of {len(vocabulary)}"
            )
        self.model = model
        self.vocabulary = vocabulary
        self.vocabulary_size = model.vocabulary_size

    def forward(self, ids: Tensor) -> Tensor:
        """The model's logits."""
        return self.model(ids)  # type: ignore[no-any-return]

    def step(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The model's step."""
        return self.model.step(ids, state)

    def write(self, prompt: str, length: int, **options: Any) -> Iterator[str]:
        """An iterator over the pieces of text, `length` tokens, with which the model goes on after a prompt.

        Args:
            prompt: without one, the model begins as after the end of a line.
            length, options: as for `generate`. `Words.unknown` is never written, unless `exclude` is given.

        ValueError where the prompt has characters that the vocabulary lacks.
        """
        vocabulary = self.vocabulary
        if isinstance(vocabulary, Words) and len(vocabulary) > 1:
            options.setdefault("exclude", (0,))
        ids = vocabulary.encode(prompt)
        before = int(ids[-1]) if ids.size else None
        tokens = generate(self.model, ids if ids.size else [vocabulary.start], length, **options)
        return vocabulary.stream(tokens, before)

    # -- State ------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:
        """The vocabulary's state."""
        return {"vocabulary": self.vocabulary.state_dict()}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """ValueError where it is not the vocabulary that the model has."""
        saved = vocabulary_of(state)
        if saved != self.vocabulary:
            raise ValueError(
                f"the weights belong to another vocabulary, of {len(saved)} {saved.unit}s; "
                f"this one, made from the data, has {len(self.vocabulary)} {self.vocabulary.unit}s"
            )

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights; first of all it is seen whether their vocabulary is the same."""
        if isinstance(state_dict, Mapping) and "_extra_state" in state_dict:
            self.set_extra_state(state_dict["_extra_state"])
        return super().load_state_dict(state_dict, strict, assign)


def vocabulary_of(extra_state: Any) -> Vocabulary:
    """The vocabulary in what `TextModel.get_extra_state` returned; ValueError where there is none."""
    if not isinstance(extra_state, Mapping) or "vocabulary" not in extra_state:
        raise ValueError("the state holds no vocabulary: it is not that of a model of text")
    return Vocabulary.from_state(extra_state["vocabulary"])
