"""Windows of a text's tokens, as samples to train on."""

from __future__ import annotations

import numpy as np

from .. import creation
from ..tensor import Array, Tensor
from ..utils.data import Dataset
from .vocabulary import Vocabulary

__all__ = ["TokenWindows"]


class TokenWindows(Dataset):
    """Sample i is (x, y): `length` tokens of a text from i `length` on, and the token after each of them.

    Args:
        ids: the text's tokens, whole numbers with one axis.
        length: L, of the windows.
        shifted: move every window to the right by 0 to L - 1 tokens at random, whenever it is fetched, so that an
            epoch is about once the text, cut elsewhere each time. The draws come from `tinydl.random`, batch by batch.
        vocabulary: of the tokens.

    Raises:
        ValueError: the text is too short for a single window, or `length` is below 1.
        TypeError: the ids are no whole numbers.

    >>> x, y = TokenWindows(np.arange(10), 3)[1]
    >>> x.tolist(), y.tolist()
    ([3, 4, 5], [4, 5, 6])
    """

    def __init__(self, ids: Array, length: int, shifted: bool = False, vocabulary: Vocabulary | None = None) -> None:
        if length < 1:
            raise ValueError(f"TokenWindows: got length={length}, wanted at least 1")
        given = np.asarray(ids)
        self.ids = np.ascontiguousarray(given, np.int64)
        self.length = length
        self.shifted = shifted
        self.vocabulary = vocabulary
        room = 2 * length if shifted else length + 1  # of the first window, wherever it is
        if self.ids.ndim != 1 or len(self.ids) < room:
            raise ValueError(
                f"TokenWindows: got ids of shape {self.ids.shape}, wanted one axis and {room} tokens or more "
                f"for windows of {length}"
            )
        if given.dtype.kind not in "iu":
            raise TypeError(f"TokenWindows: got ids of {given.dtype}, wanted whole numbers")
        self._count = (len(self.ids) - room) // length + 1
        self._within = np.arange(length)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -self._count <= index < self._count:
            raise IndexError(f"TokenWindows: index {index} is out of range for {self._count} windows")
        x, y = self.gather(np.array([index % self._count]))
        return x[0], y[0]

    def gather(self, indices: Array) -> list[Tensor]:
        """The batch of the windows at `indices`, each (N, L)."""
        starts = indices * self.length
        if self.shifted:
            draws = creation.uniform((len(indices),), 0.0, 1.0)._data
            starts += (draws * np.float64(self.length)).astype(np.int64)  # in float64 below the length, also rounded
        places = starts[:, None] + self._within
        return [Tensor(self.ids[places]), Tensor(self.ids[places + 1])]
