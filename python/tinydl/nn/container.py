"""Modules made of modules: in a row, or in a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, overload

from .activation import ReLU, Sigmoid, Tanh
from .conv import Conv2d
from .linear import Linear
from .module import Module

# Layers that take an activation into their kernel, and the activations they take. Only these very classes count: a
# subclass may compute something else.
_FUSING = frozenset((Linear, Conv2d))
_FUSED = {ReLU: "relu", Sigmoid: "sigmoid", Tanh: "tanh"}


class _Indexed(Module):
    """Submodules with integer positions."""

    def _key(self, index: int) -> str:
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
    def __getitem__(self, index: slice) -> _Indexed: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return self._slice(index)
        return self._modules[self._key(index)]  # type: ignore[return-value]

    def _slice(self, index: slice) -> _Indexed:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._key(index), module)

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self


class Sequential(_Indexed):
    """Modules applied one after the other, given in order or as one dictionary of names to modules.

    A ReLU, Sigmoid or Tanh right after a Linear or Conv2d is fused into that layer's kernel, with the same result.

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

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        modules = list(self)
        fused = False  # whether the layer before has done this module's work
        for module, following in zip(modules, [*modules[1:], None], strict=False):
            if fused:
                fused = False
                continue
            activation = _FUSED.get(type(following)) if type(module) in _FUSING else None
            fused = activation is not None
            input = module(input, activation) if fused else module(input)
        return input


class ModuleList(_Indexed):
    """Modules in a list, which a model's `forward` calls as it likes."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        for module in modules or ():
            self.append(module)

    def _slice(self, index: slice) -> ModuleList:
        return type(self)(list(self)[index])

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end; returns the list."""
        for module in modules:
            self.append(module)
        return self
