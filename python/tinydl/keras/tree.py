"""Nested lists, tuples and dictionaries of things, such as the inputs of a model with several; dictionaries by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def flatten(structure: Any) -> list[Any]:
    """The leaves, in order; those of a dictionary in the order of its keys.

    >>> flatten({"b": [1, 2], "a": 3})
    [3, 1, 2]
    """
    if isinstance(structure, list | tuple):
        return [leaf for part in structure for leaf in flatten(part)]
    if isinstance(structure, Mapping):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    return [structure]


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with function(leaf) for each leaf.

    >>> map_leaves(abs, {"a": [-1, 2]})
    {'a': [1, 2]}
    """
    if isinstance(structure, list | tuple):
        return type(structure)([map_leaves(function, part) for part in structure])
    if isinstance(structure, Mapping):
        return {key: map_leaves(function, part) for key, part in structure.items()}
    return function(structure)


def pack(structure: Any, leaves: Iterable[Any]) -> Any:
    """The same structure with other leaves, in the order of `flatten`.

    >>> pack({"b": 0, "a": [0]}, ["first", "second"])
    {'b': 'second', 'a': ['first']}
    """
    return _filled(structure, iter(leaves))


def _filled(structure: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, list | tuple):
        return type(structure)([_filled(part, leaves) for part in structure])
    if isinstance(structure, Mapping):
        by_key = {key: _filled(structure[key], leaves) for key in sorted(structure)}
        return {key: by_key[key] for key in structure}
    return next(leaves)
