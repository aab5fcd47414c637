"""Sequences of different lengths: padded to one length, or packed time step by time step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import backend, creation, refusal
from ...ops import embedding, index, join
from ...tensor import Array, Tensor


class PackedSequence(NamedTuple):
    """Sequences without their padding, longest first, time step by time step; made by `pack_padded_sequence`.

    Attributes:
        data: (sum of lengths, features): first the sequences' first steps, then the second steps of those that have
            one, and so on.
        batch_sizes: how many sequences reach each time step; int64, always on the CPU.
        sorted_indices: where each of the sorted sequences was in the batch, or None if it was sorted.
        unsorted_indices: the inverse permutation, or None.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data as `Tensor.to` makes it; itself where that changes nothing."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order, unorder = (t if t is None else t.to(data.device) for t in (self.sorted_indices, self.unsorted_indices))
        return PackedSequence(data, self.batch_sizes, order, unorder)

    def double(self) -> PackedSequence:
        """With data of float64."""
        return self.to("float64")

    def float(self) -> PackedSequence:
        """With data of float32."""
        return self.to("float32")

    def half(self) -> PackedSequence:
        """With data of float16."""
        return self.to("float16")

    def long(self) -> PackedSequence:
        """With data of int64."""
        return self.to("int64")

    def int(self) -> PackedSequence:
        """With data of int32."""
        return self.to("int32")

    def short(self) -> PackedSequence:
        """With data of int16."""
        return self.to("int16")

    def char(self) -> PackedSequence:
        """With data of int8."""
        return self.to("int8")

    def byte(self) -> PackedSequence:
        """With data of uint8."""
        return self.to("uint8")

    def cpu(self) -> PackedSequence:
        """With data on the CPU."""
        return self.to("cpu")


def packed_steps(batch_sizes: Tensor) -> Array:
    """Which of the sorted sequences reach which time steps: bool, (steps, batch)."""
    sizes = batch_sizes.numpy()
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (np.diff(sizes) > 0).any() or (sizes < 1).any():
        raise ValueError(f"PackedSequence: got batch_sizes {sizes.tolist()}, wanted positive integers that do not grow")
    return np.arange(sizes[0] if sizes.size else 0) < sizes[:, None]


def padded(data: Tensor, steps: Array) -> Tensor:
    """Packed data as (steps, batch, ...), sorted; where a sequence has ended stands what does not matter."""
    if data.shape[0] != steps.sum():
        raise ValueError(f"PackedSequence: got {data.shape[0]} steps of data, wanted {steps.sum()} after batch_sizes")
    places = np.where(steps, np.cumsum(steps).reshape(steps.shape) - 1, 0)
    if data.ndim == 2:
        return embedding.embedding(Tensor(backend.beside(places, data._data)), data)
    rows = index.index_select(data, 0, Tensor(backend.beside(places.reshape(-1), data._data)))
    return rows.reshape(*steps.shape, *data.shape[1:])


def packed(values: Tensor, steps: Array) -> Tensor:
    """The inverse of `padded`."""
    rows = values.reshape(-1, *values.shape[2:])
    return index.index_select(rows, 0, Tensor(backend.beside(np.flatnonzero(steps), rows._data)))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another one; None for None."""
    return None if permutation is None else Tensor(np.argsort(permutation._data, kind="stable"))


def _lengths(lengths: Tensor | Sequence[int], batch: int, longest: int) -> Array:
    out = np.asarray(backend.to_host(lengths._data) if isinstance(lengths, Tensor) else lengths)
    if not batch:
        raise ValueError("pack_padded_sequence: got no sequences")
    if out.shape != (batch,) or out.dtype.kind not in "iu":
        raise ValueError(f"pack_padded_sequence: got lengths {out.tolist()}, wanted {batch} integers")
    if not 1 <= out.min() <= out.max() <= longest:
        raise ValueError(f"pack_padded_sequence: got lengths {out.tolist()}, wanted them from 1 to {longest}")
    return out.astype(np.int64)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of (T, B, ...), or (B, T, ...) if `batch_first`, without what lies behind their lengths.

    Raises ValueError where lengths are not B integers from 1 to T, or increase though `enforce_sorted`.

    >>> import tinydl
    >>> x = tinydl.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]]).unsqueeze(-1)
    >>> pack = pack_padded_sequence(x, [2, 1, 3], batch_first=True, enforce_sorted=False)
    >>> pack.data.flatten(), pack.batch_sizes
    (tensor([4, 1, 3, 5, 2, 6]), tensor([3, 2, 1]))
    """
    if input.ndim < 2:
        raise ValueError(f"pack_padded_sequence: got an input of shape {input.shape}, wanted time steps and a batch")
    values = input.transpose(0, 1) if batch_first else input
    sizes = _lengths(lengths, values.shape[1], values.shape[0])
    order = unorder = None
    if enforce_sorted and (np.diff(sizes) > 0).any():
        raise ValueError(
            f"pack_padded_sequence: got lengths {sizes.tolist()}, wanted the longest first; pass enforce_sorted=False"
        )
    if not enforce_sorted:
        sorting = np.argsort(-sizes, kind="stable")
        order = Tensor(backend.beside(sorting, input._data))
        unorder = invert_permutation(order)
        values, sizes = index.index_select(values, 1, order), sizes[sorting]
    steps = np.arange(sizes[0] if sizes.size else 0)[:, None] < sizes
    return PackedSequence(packed(values[: len(steps)], steps), Tensor(steps.sum(1)), order, unorder)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded sequences, (T, B, ...) or (B, T, ...), and their lengths, in the order before packing.

    T is the longest length, or `total_length`; ValueError if that is smaller. The lengths are on the CPU as in PyTorch.
    """
    steps = packed_steps(sequence.batch_sizes)
    lengths = steps.sum(0)
    total = len(steps) if total_length is None else total_length
    if total < len(steps):
        raise ValueError(f"pad_packed_sequence: got total_length {total} for sequences of up to {len(steps)} steps")
    values = padded(sequence.data, steps)
    ended = ~steps.reshape(*steps.shape, *(1,) * (values.ndim - 2))
    values = values.masked_fill(Tensor(backend.beside(ended, values._data)), padding_value)
    if total > len(steps):
        shape = (total - len(steps), *values.shape[1:])
        behind = creation.full(shape, padding_value, dtype=values.dtype, device=values.device)
        values = join.cat([values, behind])
    if sequence.unsorted_indices is not None:
        values = index.index_select(values, 1, sequence.unsorted_indices)
        lengths = lengths[backend.to_host(sequence.unsorted_indices._data)]
    return values.transpose(0, 1) if batch_first else values, Tensor(lengths)


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Tensors (T_i, ...) as one of (T, B, ...), or (B, T, ...) if `batch_first`, filled up to the longest.

    >>> import tinydl
    >>> pad_sequence([tinydl.ones(2), tinydl.ones(3)], batch_first=True)
    tensor([[1., 1., 0.],
            [1., 1., 1.]])
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: got padding_side {padding_side!r}, wanted 'left' or 'right'")
    if not sequences:
        raise ValueError("pad_sequence: got no sequences")
    longest = max(s.shape[0] for s in sequences)
    filled = []
    for s in sequences:
        s = s.to(sequences[0].dtype)
        missing = creation.full((longest - s.shape[0], *s.shape[1:]), padding_value, dtype=s.dtype, device=s.device)
        filled.append(join.cat([missing, s] if padding_side == "left" else [s, missing]))
    return join.stack(filled, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded tensor, cut to their lengths."""
    values = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    return [values[i, :length] for i, length in enumerate(sizes)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """`pack_padded_sequence` of tensors (T_i, ...)."""
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The tensors (T_i, ...) that `pack_sequence` took."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


refusal.guard(globals())
