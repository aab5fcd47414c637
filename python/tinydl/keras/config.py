"""Settings as dictionaries: what `get_config` and `from_config` of layers, initialisers and regularisers share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..tensor import Tensor


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
    """The class's name and the settings of a layer, initialiser or regulariser."""
    return {"class_name": type(value).__name__, "config": value.get_config()}


def is_serialized(value: Any) -> bool:
    """Whether `serialize` could have made it."""
    return isinstance(value, Mapping) and "class_name" in value


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
