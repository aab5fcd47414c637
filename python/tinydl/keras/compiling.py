"""What `compile` chose, and how far the training came, as plain values that go into a file with the model."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..train.metrics import Metric
from . import losses, metrics, optimizers
from .optimizers import schedules

__all__ = ["config_of", "options_of", "restore", "state_of"]

_SPACES: dict[str, Any] = {"losses": losses, "metrics": metrics, "optimizers": optimizers, "schedules": schedules}
_KINDS = {"loss": "losses", "weighted_metrics": "metrics", "optimizer": "optimizers", "learning_rate": "schedules"}
_NAMES = {
    "losses": tuple(losses.KNOWN),
    "metrics": tuple(name for name in metrics.__all__ if name != "get"),
    "optimizers": tuple(name for name in optimizers.__all__ if name not in ("get", "schedules")),
    "schedules": tuple(schedules.__all__),
}


def config_of(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """`compile`'s arguments as plain values: objects as their classes' names and settings, functions as their names.

    TypeError for an object that has neither.
    """
    return {name: _plain(name, value) for name, value in chosen.items()}


def options_of(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of `compile` that `config_of` made plain. ValueError where a class or a function is unknown."""
    custom = custom_objects or {}
    return {name: _made(_KINDS.get(name, "metrics"), value, custom) for name, value in config.items()}


def state_of(model: Any) -> dict[str, Any]:
    """All that the training of a model needs to go on, apart from the model itself and the global generator."""
    trainer = model._trainer
    return {
        "compile": model.get_compile_config(),
        "optimizer": trainer.optimizer.state_dict() if trainer and trainer.optimizer else None,
        "streams": {name: stream.state() for name, stream in model.generators().items()},
    }


def restore(
    model: Any, state: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> None:
    """Give a model what `state_of` returned for its twin; warns of an optimiser's state that does not fit."""
    streams = model.generators()
    for name, place in state.get("streams", {}).items():
        streams[name].set_state(place)
    if not compile or not state.get("compile"):
        return
    model.compile_from_config(state["compile"], custom_objects)
    if state["optimizer"] is None:
        return
    try:
        model._trainer_for("load_model").optimizer.load_state_dict(state["optimizer"])
    except ValueError as error:
        model._trainer = None  # a fresh one
        warnings.warn(f"load_model: the optimizer starts afresh, its state does not fit: {error}", stacklevel=4)


def _plain(where: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | np.generic | np.ndarray | Tensor):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(f"{where}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{where}.{number}", item) for number, item in enumerate(value)]
    if isinstance(value, type) or inspect.isfunction(value):
        space = next((space for space in _SPACES if _known(space, value.__name__) is value), None)
        return {"function": value.__name__, "space": space}
    return {"class_name": type(value).__name__, "config": _plain(where, _settings(where, value))}


def _settings(where: str, value: Any) -> Mapping[str, Any]:
    if hasattr(value, "get_config"):
        return value.get_config()  # type: ignore[no-any-return]
    names = inspect.signature(type(value)).parameters
    if not isinstance(value, Metric) or not all(hasattr(value, name) for name in names):
        raise TypeError(f"{where} is a {type(value).__name__} without get_config(): it cannot be saved")
    return {name: getattr(value, name) for name in names}


def _known(space: str | None, name: str) -> Any:
    """What has a name in one of Keras's modules, or None."""
    return getattr(_SPACES[space], name, None) if space is not None and name in _NAMES[space] else None


def _made(space: str, value: Any, custom: Mapping[str, Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_made(space, item, custom) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "function" in value:
        return _found(value["space"], value["function"], custom)
    if "class_name" in value:
        found = _found(space, value["class_name"], custom)
        config = _made(space, value["config"], custom)
        return found.from_config(config) if hasattr(found, "from_config") else found(**config)
    return {key: _made("schedules" if key == "learning_rate" else space, item, custom) for key, item in value.items()}


def _found(space: str | None, name: str, custom: Mapping[str, Any]) -> Any:
    found = custom.get(name) or _known(space, name)
    if found is None:
        raise ValueError(f"{name!r}, which compile was given, is unknown: pass it in custom_objects, or compile=False")
    return found
