"""Settings as dictionaries: `get_config` and `from_config` of layers, initialisers, regularisers and constraints."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..tensor import Tensor
from .lookup import find

NONE: Mapping[str, Any] = MappingProxyType({})


class Configured:
    """Remembers the arguments of its constructor."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """The object, with its arguments noted."""
        self = super().__new__(cls)
        self._arguments = args, options
        return self

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments with the defaults filled in; objects among them as their own settings."""
        args, options = self._arguments
        bound = inspect.signature(type(self)).bind(*args, **options)
        bound.apply_defaults()
        config: dict[str, Any] = {}
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                continue  # of a class without a constructor
            if parameter.kind is parameter.VAR_KEYWORD:
                config.update(bound.arguments.get(name, {}))
            else:
                config[name] = bound.arguments[name]
        return {name: _plain(value) for name, value in config.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object with the settings that `get_config` returned."""
        return cls(**config)


def serialize(value: Any) -> dict[str, Any]:
    """The class's name and the settings of a layer, initialiser, regulariser or constraint."""
    return {"class_name": type(value).__name__, "config": value.get_config()}


def is_serialized(value: Any) -> bool:
    """Whether `serialize` could have made it."""
    return isinstance(value, Mapping) and "class_name" in value


def made(
    kind: str, base: type[Any], identifier: Any, known: Mapping[str, type[Any]], long: Mapping[str, type[Any]] = NONE
) -> Any:
    """The object of a known or a long name, of a class's name, of a class, or of settings; a function as it is."""
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    if callable(identifier):
        return identifier
    classes = {**{c.__name__: c for c in known.values()}, **long}
    if is_serialized(identifier):
        return find(kind, identifier["class_name"], classes)(**identifier["config"])
    return (classes.get(identifier) or find(kind, identifier, known))()


def _plain(value: Any) -> Any:
    if isinstance(value, Configured):
        return serialize(value)
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, list | tuple):
        return type(value)(_plain(each) for each in value)
    name = getattr(value, "__name__", None)
    known = name is not None and getattr(value, "__module__", "").endswith("keras.activations")
    return name if known else value
