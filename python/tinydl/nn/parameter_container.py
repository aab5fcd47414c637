"""Parameters in a list and in a dictionary."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _describe(key: str, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(map(str, value.shape))
    return f"  ({key}): {kind} containing: [{value.dtype} of size {size}]"


class _Holder(Module):
    """Values under attributes of their names; parameters among them are registered."""

    def _keys(self) -> list[str]:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise TypeError: there is nothing to call."""
        raise TypeError(f"{type(self).__name__} should not be called")

    def __len__(self) -> int:
        return len(self._keys())

    def extra_repr(self) -> str:
        """A line for each value."""
        return "\n".join([_describe(key, getattr(self, key)) for key in self._keys()])


class ParameterList(_Holder):
    """Parameters in a list; tensors become parameters, other values are kept as they are.

    >>> import tinydl
    >>> params = ParameterList([tinydl.zeros(2), tinydl.ones(3)])
    >>> [name for name, _ in params.named_parameters()], len(params)
    (['0', '1'], 2)
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _keys(self) -> list[str]:
        return [str(i) for i in range(self._size)]

    def _key(self, index: int) -> str:
        index = operator.index(index)
        if not -self._size <= index < self._size:
            raise IndexError(f"index {index} is out of range for ParameterList of {self._size} values")
        return str(index % self._size)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._key(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._key(index), _as_parameter(value))

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, key) for key in self._keys()])

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end; returns the list."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add values at the end; returns the list."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"ParameterList.extend: got {type(values).__name__}, wanted a list of values")
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)


class ParameterDict(_Holder):
    """Parameters in a dictionary, in the order in which they were added; tensors become parameters.

    >>> import tinydl
    >>> params = ParameterDict({"scale": tinydl.ones(2)})
    >>> params["shift"] = tinydl.zeros(2)
    >>> [name for name, _ in params.named_parameters()]
    ['scale', 'shift']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._names: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def _keys(self) -> list[str]:
        return list(self._names)

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: the name must be a string, got {type(key).__name__}")
        if key not in self._names and hasattr(self, key):
            raise KeyError(f"ParameterDict: '{key}' is an attribute of the dictionary")
        setattr(self, key, _as_parameter(value))
        self._names[key] = None

    def __delitem__(self, key: str) -> None:
        del self._names[key]
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys())

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def keys(self) -> list[str]:
        """The names."""
        return self._keys()

    def items(self) -> list[tuple[str, Any]]:
        """The names and values."""
        return [(key, self[key]) for key in self._names]

    def values(self) -> list[Any]:
        """The values."""
        return [self[key] for key in self._names]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a name, or `default`."""
        return getattr(self, key) if key in self._names else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a name, which becomes `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Remove a value and return it; KeyError if there is none."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the last name and value and return them; KeyError if there are none."""
        if not self._names:
            raise KeyError("popitem: the ParameterDict is empty")
        key = self._keys()[-1]
        return key, self.pop(key)

    def clear(self) -> None:
        """Remove all values."""
        for key in self._keys():
            del self[key]

    def copy(self) -> ParameterDict:
        """Another dictionary with the same values."""
        return ParameterDict(dict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dictionary of `keys` that all have the value `default`."""
        return ParameterDict(dict.fromkeys(keys, default))

    def update(self, parameters: Any) -> None:
        """Add or replace values, given as a mapping or as pairs of name and value."""
        pairs = parameters.items() if isinstance(parameters, Mapping | ParameterDict) else parameters
        if not isinstance(pairs, Iterable) or isinstance(pairs, Tensor):
            raise TypeError(f"ParameterDict.update: got {type(parameters).__name__}, wanted a mapping or pairs")
        for pair in pairs:
            if not isinstance(pair, Iterable) or len(found := tuple(pair)) != 2:
                raise ValueError(f"ParameterDict.update: got {pair!r}, wanted a pair of name and value")
            self[found[0]] = found[1]

    def __or__(self, other: ParameterDict) -> ParameterDict:
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        merged = ParameterDict(other)
        merged.update(self)
        return merged

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self
