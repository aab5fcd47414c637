"""Dates in words to ISO form, by models that read a sequence and write another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import nn, optim
from ...models.encoder_decoder import EncoderDecoder
from ...models.seq2seq import RecurrentSeq2Seq
from ...models.transformer_seq2seq import TransformerSeq2Seq
from ...ops.loss import cross_entropy
from ...tensor import Array, Tensor
from ...text import dates
from ...utils.data import Dataset
from ..callbacks import Callback
from ..metrics import Metric, spread
from ..trainer import Trainer
from .recipe import Recipe
from .schedule import WarmUpCosine

__all__ = ["RECIPES", "DatesRecipe", "ExactMatch", "TextPairs"]


@dataclass(frozen=True)
class DatesRecipe(Recipe):
    """A model that turns characters into characters: "Tuesday, 3 March 1987" into "1987-03-03".

    Attributes:
        builder: makes the model, from the sizes of the two vocabularies.
        samples: how many dates an epoch has; tested are 1000 others.
        epochs, batch_size, lr: of Adam, whose rate rises for 100 steps and then falls to 0 along a cosine.
    """

    source: ClassVar[str] = "dates"
    unit: ClassVar[str] = "dates"
    result: ClassVar[str] = "exact_match"
    batch_size: int = 64
    builder: Callable[[int, int], EncoderDecoder] = RecurrentSeq2Seq
    samples: int = 20000
    epochs: int = 2

    def describe(self, source: str) -> str:
        """Which texts."""
        return f"training on {self.samples} dates in words, from 1900 to 2099, of which the ISO form is wanted"

    def data(self, source: str) -> tuple[Dataset, Dataset]:
        """The training and the test set, without a common date; there is only the source "dates"."""
        self.check_own(source)
        return TextPairs(dates.pairs("train", self.samples)), TextPairs(dates.pairs("test", 1000))

    def build(self, data: Dataset) -> nn.Module:
        """The model."""
        return self.builder(dates.VOCABULARY_SIZE, dates.VOCABULARY_SIZE)

    def epochs_for(self, source: str) -> int:
        """The number of epochs."""
        return self.epochs

    def trainer(self, model: Any, lr: float | None = None) -> Trainer:
        """Adam on the mean cross-entropy of the characters; the model is given the right ones before each."""
        optimizer = optim.Adam(model.parameters(), lr=self.lr if lr is None else lr)
        return Trainer(model, optimizer, _loss, [ExactMatch()], forward=lambda inputs: model(*inputs))

    def callbacks(self, epochs: int) -> list[Callback]:
        """The schedule."""
        return [WarmUpCosine(epochs, warm_up=100)]

    def report(self, trainer: Trainer, test: Any) -> str:
        """The share of dates that the model writes right, character by character, and some of them."""
        written, wanted = (list(column) for column in zip(*test.pairs, strict=True))
        got: list[str] = []
        for first in range(0, len(written), 250):
            got += dates.translate(trainer.model, written[first : first + 250])
        share = np.mean([a == b for a, b in zip(got, wanted, strict=True)])
        lines = [f"exact match {share:.4f} on {len(got)} dates never seen"]
        lines += [f"  {text} -> {iso}" for text, iso in zip(written[:5], got, strict=False)]
        return "\n".join(lines)


class TextPairs(Dataset):
    """Pairs of texts, as ((source, given), wanted): ids of one text, of the other behind START, and before END.

    Batches are as wide as their longest source.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._sources = dates.encode([source for source, _ in pairs])
        self._targets = dates.encode([target for _, target in pairs], end=True)
        self._lengths = (self._sources != dates.PAD).sum(1)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        inputs, wanted = self.gather(np.array([index]))
        return [part[0] for part in inputs], wanted[0]

    def gather(self, indices: Array) -> list[Any]:
        """The batch of the samples at `indices`."""
        source = self._sources[indices, : self._lengths[indices].max()]
        wanted = self._targets[indices]
        given = np.roll(wanted, 1, axis=1)
        given[:, 0] = dates.START
        return [[Tensor(source), Tensor(given)], Tensor(wanted)]


class ExactMatch(Metric):
    """The share of sequences whose likeliest tokens are all right, padding aside.

    Though the right tokens before each are given, this is the share that a greedy decoding writes right: up to its
    first error it goes the same way.
    """

    def __init__(self, name: str = "exact_match") -> None:
        super().__init__(name)

    def update(self, output: Array, target: Array, weight: Array | None = None) -> None:
        """Count a batch: logits (N, L, V) and ids (N, L)."""
        right = ((output.argmax(2) == target) | (target == dates.PAD)).all(1)
        weights = np.ones(len(right)) if weight is None else spread(weight, right.shape)
        self.total += float(weights[right].sum(dtype=np.float64))
        self.count += float(weights.sum(dtype=np.float64))


def _loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """The mean cross-entropy of the tokens that are not padding."""
    return cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=dates.PAD)


def _recurrent(source_size: int, target_size: int) -> EncoderDecoder:
    return RecurrentSeq2Seq(source_size, target_size, features=32, hidden=64)


def _transformer(source_size: int, target_size: int) -> EncoderDecoder:
    return TransformerSeq2Seq(source_size, target_size, features=64, heads=4, layers=2, feedforward=128)


RECIPES = [
    DatesRecipe("dates-seq2seq", "recurrent encoder and decoder with attention", lr=5e-3, builder=_recurrent),
    DatesRecipe("dates-transformer", "Transformer encoder and decoder", lr=3e-3, builder=_transformer, epochs=4),
]
