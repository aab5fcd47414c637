"""Writing: a model's tokens, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import backend, random
from ..autograd import no_grad
from ..tensor import Array, Tensor
from .choosing import Choice, chooser

__all__ = ["generate"]


def generate(
    model: Any,
    ids: Any,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    *,
    seed: int | None = None,
    generator: random.Generator | None = None,
    exclude: Sequence[int] = (),
) -> Iterator[int]:
    """An iterator over `length` tokens with which a model goes on after some; each costs one `step`.

    A token is drawn from softmax(logits / temperature), cut to the `top_k` most probable tokens, and of these to the
    smallest set whose probabilities sum to `top_p`. The model steps in evaluation mode without gradients; between the
    tokens it has the modes that it had.

    Args:
        model: a `LanguageModel`, on any device; the CPU draws.
        ids: the tokens to go on after, at least one: a sequence, an array or a tensor with one axis.
        length: how many tokens to write.
        temperature: below 1 for more probable texts, above 1 for more surprising ones.
        top_k, top_p: by default all tokens.
        greedy: always take the most probable token instead, the first among equals.
        seed: of the draws, which then depend on nothing else.
        generator: where they come from without a seed; by default `tinydl.random`.
        exclude: tokens that are never written.

    Raises:
        ValueError: there is no token to go on after, or an argument is out of range; while iterating, where the model
            gives NaN or infinity.
        IndexError: a token, one to exclude too, is not in the model's vocabulary.

    >>> from tinydl.models import LSTMText
    >>> model = LSTMText(5)
    >>> tokens = list(generate(model, [1, 2], 4, top_k=2, seed=7))
    >>> len(tokens), tokens == list(generate(model, [1, 2], 4, top_k=2, seed=7))
    (4, True)
    """
    prompt = np.array(ids)
    if prompt.ndim != 1 or not prompt.size:
        raise ValueError(f"generate: got ids of shape {prompt.shape}, wanted one axis with at least one token")
    if prompt.dtype.kind not in "iu":
        raise TypeError(f"generate: got ids of {prompt.dtype}, wanted whole numbers")
    if length < 0:
        raise ValueError(f"generate: got length {length}, wanted at least 0")
    choose = chooser(temperature, top_k, top_p, greedy, seed, generator, exclude)
    return _tokens(model, prompt.astype(np.int64)[None], length, choose)


def _tokens(model: Any, ids: Array, length: int, choose: Choice) -> Iterator[int]:
    modules = list(model.modules())
    where = next((p.device for p in model.parameters()), None)
    state = None
    for _ in range(length):
        training = [module for module in modules if module.training]
        try:
            for module in training:
                module.training = False
            with no_grad():
                logits, state = model.step(Tensor(backend.place(ids, where)), state)
        finally:
            for module in training:
                module.training = True
        token = choose(backend.to_host(logits._data)[0])
        yield token
        ids = np.array([[token]])
