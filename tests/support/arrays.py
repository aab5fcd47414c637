"""Inputs of the kind that break kernels: strided, broadcast, empty, odd, in every memory order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinydl import _cpu

Array = np.ndarray[Any, Any]

# Sizes around the vector widths of every tier, with 0, 1 and primes.
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33)


def layouts(array: Array) -> Iterator[tuple[str, Array]]:
    """The same values in several memory layouts."""
    yield "row-major", np.array(array, order="C")
    yield "column-major", np.array(array, order="F")
    if array.ndim == 4:
        yield "channels-last", np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if array.ndim:
        spaced = np.empty([2 * n + 1 for n in array.shape], array.dtype)
        view = spaced[tuple(slice(1, None, 2) for _ in array.shape)]
        view[...] = array
        yield "strided", view
        flipped = np.ascontiguousarray(array[tuple(slice(None, None, -1) for _ in array.shape)])
        yield "reversed", flipped[tuple(slice(None, None, -1) for _ in array.shape)]


def layouts_on(kernels: Any, array: Array, number: int) -> Iterator[tuple[str, Array]]:
    """All layouts for the CPU's kernels; one, picked by `number`, for others, whose emulation is slow."""
    every = list(layouts(array))
    yield from every if kernels is _cpu else [every[number % len(every)]]


@st.composite
def shapes(draw: st.DrawFn, max_dims: int = 4, max_elements: int = 20000) -> tuple[int, ...]:
    """Shapes with sizes 0, 1, odd and around the vector widths."""
    shape: list[int] = []
    room = max_elements
    for _ in range(draw(st.integers(0, max_dims))):
        size = draw(st.sampled_from([n for n in SIZES if n <= room] or [1]))
        shape.append(size)
        room //= max(size, 1)
    return tuple(shape)


@st.composite
def broadcast_pairs(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast against each other."""
    common = draw(shapes())
    pair = []
    for _ in range(2):
        kept = [1 if draw(st.booleans()) and draw(st.booleans()) else n for n in common]
        pair.append(tuple(kept[draw(st.integers(0, len(kept))) :]))
    pair[draw(st.integers(0, 1))] = common
    return pair[0], pair[1]


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return rng.standard_normal(shape).astype(dtype)
