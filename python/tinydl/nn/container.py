"""Modules made of modules: in a row, in a list, in a dictionary."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar, overload

from . import fusion
from .module import Module

_Self = TypeVar("_Self", bound="_Indexed")


class _Indexed(Module):
    """Submodules with integer positions."""

    def _key(self, index: int) -> str:
        index = operator.index(index)
        count = len(self._modules)
        if not -count <= index < count:
            raise IndexError(f"index {index} is out of range for {type(self).__name__} of {count} modules")
        return list(self._modules)[index]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter([module for module in self._modules.values() if module is not None])

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self: _Self, index: slice) -> _Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        return self._modules[self._key(index)]

    def _slice(self, index: slice) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._key(index), module)

    def __delitem__(self, index: int | slice) -> None:
        keys = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for key in keys:
            del self._modules[key]
        self._rename(list(self._modules.values()))

    def _rename(self, modules: list[Module | None]) -> None:
        """Hold `modules` under the names 0, 1, ..."""
        self._modules.clear()
        self._modules.update({str(i): module for i, module in enumerate(modules)})

    def append(self: _Self, module: Module) -> _Self:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self: _Self, index: int, module: Module) -> _Self:
        """Put a module before the one at `index`, whose followers move up by one; returns the container."""
        count = len(self)
        if not -count <= index <= count:
            raise IndexError(f"index {index} is out of range for {type(self).__name__} of {count} modules")
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._rename(modules)
        return self

    def extend(self: _Self, modules: Iterable[Module]) -> _Self:
        """Add modules at the end; returns the container."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}.extend: got {type(modules).__name__}, wanted modules")
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Remove the module at an index, or those of a slice, and return it."""
        found = self[key]
        del self[key]
        return found

    def __iadd__(self: _Self, modules: Iterable[Module]) -> _Self:
        return self.extend(modules)


class Sequential(_Indexed):
    """Modules applied one after the other, given in order or as one dictionary of names to modules.

    A ReLU, Sigmoid or Tanh after a Linear or Conv2d is fused into that layer's kernel, and a MaxPool2d after a
    convolution into one step of the tape with it; the result is the same. Modules with hooks run by themselves.

    >>> from tinydl import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            named: Iterable[tuple[str, Module]] = modules[0].items()
        else:
            named = ((str(i), module) for i, module in enumerate(modules))
        for name, module in named:
            self.add_module(name, module)

    def _slice(self, index: slice) -> Sequential:
        return type(self)(dict(list(self._modules.items())[index]))

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise TypeError(f"Sequential: only a Sequential can be added, got {type(other).__name__}")
        return Sequential(*self, *other)

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*self._times(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend(self._times(times)[len(self) :])

    def _times(self, times: int) -> list[Module]:
        if not isinstance(times, int):
            raise TypeError(f"Sequential: can be multiplied by an integer only, got {type(times).__name__}")
        if times <= 0:
            raise ValueError(f"Sequential: can be multiplied by a positive integer only, got {times}")
        return list(self) * times

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        return fusion.run(list(self), input)


class ModuleList(_Indexed):
    """Modules in a list, which a model's `forward` calls as it likes.

    >>> from tinydl import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), list(layers[1:].state_dict())
    (3, ['0.weight', '0.bias', '1.weight', '1.bias'])
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _slice(self, index: slice) -> ModuleList:
        return type(self)(list(self)[index])

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        """Like PyTorch's: repeated modules stand on one line."""
        groups: list[tuple[int, int, str]] = []
        for i, text in enumerate(map(repr, self)):
            if groups and groups[-1][2] == text:
                groups[-1] = (groups[-1][0], i, text)
            else:
                groups.append((i, i, text))
        if not groups:
            return f"{type(self).__name__}()"
        lines = [
            (f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}")
            for first, last, text in groups
        ]
        return f"{type(self).__name__}(\n  " + "\n".join(lines).replace("\n", "\n  ") + "\n)"


class ModuleDict(Module):
    """Modules in a dictionary, in the order in which they were added.

    >>> from tinydl import nn
    >>> layers = nn.ModuleDict({"fc": nn.Linear(2, 3), "act": nn.ReLU()})
    >>> list(layers), list(layers.state_dict())
    (['fc', 'act'], ['fc.weight', 'fc.bias'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Remove a module and return it; KeyError if there is none."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Module]:
        """The names and modules."""
        return self._modules.items()  # type: ignore[return-value]

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()  # type: ignore[return-value]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules, given as a mapping or as pairs of name and module."""
        if isinstance(modules, Mapping | ModuleDict):
            modules = modules.items()
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleDict.update: got {type(modules).__name__}, wanted a mapping or pairs")
        for pair in modules:
            if not isinstance(pair, Iterable) or len(found := tuple(pair)) != 2:
                raise ValueError(f"ModuleDict.update: got {pair!r}, wanted a pair of name and module")
            self[found[0]] = found[1]
