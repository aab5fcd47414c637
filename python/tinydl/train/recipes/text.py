"""Models of text."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ... import models, optim
from ...nn.utils import clip_grad_norm_
from ...ops.loss import cross_entropy
from ...tensor import Tensor
from ...text import Characters, TokenWindows, Vocabulary, Words, read_text
from ...utils.data import Dataset
from .. import checkpoint
from ..callbacks import Callback
from ..trainer import Trainer
from .recipe import Recipe
from .schedule import WarmUpCosine

__all__ = ["RECIPES", "TextRecipe", "next_token_loss"]

VALIDATION = 10  # one token of so many, at the text's end, is kept for validation


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of all positions, from logits (N, L, V) and targets (N, L).

    >>> import tinydl
    >>> print(f"{next_token_loss(tinydl.zeros(2, 3, 8), tinydl.zeros(2, 3, dtype=tinydl.int64)).item():.4f}")
    2.0794
    """
    if not logits.is_contiguous():  # of a recurrent model, whose positions come first: rows as they lie in memory
        logits, targets = logits.transpose(0, 1), targets.t()
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def common_words(text: str) -> Words:
    """The words that come twice or more, 10 000 at most."""
    return Words.of(text, min_count=2, max_size=10_000)


def decaying_adam(parameters: Iterable[Any], lr: float) -> optim.AdamW:
    """AdamW with the usual settings of small Transformers."""
    return optim.AdamW(parameters, lr, betas=(0.9, 0.99), weight_decay=0.1)


def small_gpt(vocabulary_size: int) -> models.GPT:
    """Four layers of 128 features: 0.8 million parameters."""
    return models.GPT(vocabulary_size, context=128, layers=4, heads=4, features=128)


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """A model that learns to go on with a text, from its first nine tenths; the last tenth is for validation.

    Attributes:
        model: makes the language model for a number of tokens.
        vocabulary: makes the vocabulary of a text.
        length: tokens in a sample.
        epochs: for each text, how many; those of the default text for others.
        optimizer: makes the optimiser of parameters and a learning rate.
        warm_up: the steps in which the learning rate rises, before it falls to a tenth along a cosine.
        clip: the norm that the gradients may have together; None for any.
    """

    source: ClassVar[str] = "python"
    unit: ClassVar[str] = "characters"
    validates: ClassVar[bool] = True
    batch_size: int = 64
    lr: float = 4e-3
    model: Callable[[int], models.LanguageModel] = models.LSTMText
    vocabulary: Callable[[str], Vocabulary] = Characters.of
    length: int = 40
    epochs: Mapping[str, int] = field(default_factory=lambda: {"python": 60, "shakespeare": 25})
    optimizer: Callable[[Iterable[Any], float], optim.Optimizer] = optim.Adam
    warm_up: int = 0
    clip: float | None = None

    @property
    def units_in_sample(self) -> int:
        """The tokens of a window."""
        return self.length

    def describe(self, source: str) -> str:
        """Which text."""
        if source == "python":
            return (
                "training on the embedded default, the chapters of Python's reference that help() shows; "
                "--data shakespeare or --data FILE uses another text"
            )
        return f"training on {'tiny shakespeare' if source == 'shakespeare' else source}"

    def data(self, source: str) -> tuple[TokenWindows, TokenWindows]:
        """Windows of the text's beginning, cut elsewhere in each epoch, and of its end, cut once for all.

        Args:
            source: "python", "shakespeare", or the path of a text file; see `read_text`.

        ValueError where the text is too short for one window of each.
        """
        text = read_text(source)
        vocabulary = self.vocabulary(text)
        ids = vocabulary.encode(text)
        wanted = VALIDATION * (self.length + 1)
        if len(ids) < wanted:
            raise ValueError(f"data {source!r}: the text has {len(ids)} {self.unit}, wanted at least {wanted}")
        end = len(ids) - len(ids) // VALIDATION
        return (
            TokenWindows(ids[:end], self.length, shifted=True, vocabulary=vocabulary),
            TokenWindows(ids[end:], self.length, vocabulary=vocabulary),
        )

    def build(self, data: Dataset) -> models.TextModel:
        """The language model with the vocabulary of some `TokenWindows`."""
        return self._with(data.vocabulary)  # type: ignore[attr-defined]

    def _with(self, vocabulary: Vocabulary) -> models.TextModel:
        return models.TextModel(self.model(len(vocabulary)), vocabulary)

    def epochs_for(self, source: str) -> int:
        """The number of epochs for a text."""
        return self.epochs.get(source, self.epochs[self.source])

    def trainer(self, model: Any, lr: float | None = None) -> Trainer:
        """The trainer of a model that `build` made."""
        parameters = list(model.parameters())
        optimizer = self.optimizer(parameters, self.lr if lr is None else lr)
        if self.clip is not None:
            optimizer.register_step_pre_hook(lambda *_: _clip(parameters, self.clip))
        return Trainer(model, optimizer, next_token_loss)

    def callbacks(self, epochs: int) -> list[Callback]:
        """The schedule, step by step."""
        return [WarmUpCosine(epochs, self.warm_up, floor=0.1)]

    def report(self, trainer: Trainer, test: Dataset) -> str:
        """The validation loss of a token in nats, and the perplexity, e to its power."""
        loss = trainer.evaluate(test, batch_size=256)["loss"]
        return f"validation loss {loss:.4f} per {self.unit[:-1]}, perplexity {math.exp(min(loss, 700)):.2f}"

    # -- What the trained model writes -----------------------------------------------------------------------

    def sample(self, trainer: Trainer) -> Iterator[str]:
        """Pieces of a text that the trained model writes, always with the same random numbers."""
        tokens = 300 if self.unit == "characters" else 60
        written: Iterator[str] = trainer.model.write("", tokens, temperature=0.8, seed=0)
        return written

    def load(self, path: str | os.PathLike[str]) -> models.TextModel:
        """The trained model of a checkpoint, ready to write: the text that it learned from is not needed.

        Raises:
            ValueError: the file is damaged, or no checkpoint of such a model. OSError: it cannot be read.
        """
        state = checkpoint.load(path).get("model")
        try:
            if not isinstance(state, Mapping):
                raise ValueError("it holds no model")
            vocabulary = models.text_model.vocabulary_of(state.get("_extra_state"))
            if f"{vocabulary.unit}s" != self.unit:
                raise ValueError(f"its tokens are {vocabulary.unit}s, not {self.unit}")
            model = self._with(vocabulary)
            model.load_state_dict(state)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{os.fspath(path)}: not a checkpoint of {self.name}: {error}") from None
        return model.eval()


def _clip(parameters: list[Any], norm: float | None) -> None:
    clip_grad_norm_(parameters, norm)  # type: ignore[arg-type]


@dataclass(frozen=True)
class WordRecipe(TextRecipe):
    """`TextRecipe` with words as tokens."""

    unit: ClassVar[str] = "words"
    vocabulary: Callable[[str], Vocabulary] = common_words
    epochs: Mapping[str, int] = field(default_factory=lambda: {"python": 20, "shakespeare": 12})


RECIPES = [
    TextRecipe("text-lstm", "LSTM that writes character by character"),
    WordRecipe("text-lstm-words", "LSTM that writes word by word"),
    TextRecipe(
        "text-gpt",
        "small GPT that writes character by character",
        batch_size=32,
        lr=2e-3,
        model=small_gpt,
        length=128,
        epochs={"python": 15, "shakespeare": 10},
        optimizer=decaying_adam,
        warm_up=100,
        clip=1.0,
    ),
]
