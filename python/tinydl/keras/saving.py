"""Models in files: the layers' settings and the weights in one checkpoint, of which nothing is ever executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..train import checkpoint
from .layers.base import Layer
from .model import Model
from .sequential import Sequential
from .serialization import (
    custom_object_scope,
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

__all__ = [
    "custom_object_scope",
    "deserialize_keras_object",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "register_keras_serializable",
    "save_model",
    "serialize_keras_object",
]

_KIND, _ANY = "keras.Sequential 1", "keras.Model 1"


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model's layers and weights to a safetensors file, atomically; `load_model` makes the same model of it.

    Of a subclass with a `call` of its own, the constructor's arguments are written, or what its `get_config` returns.
    What `compile` chose is not in the file.

    Raises:
        ValueError: the model has no weights yet, or the name does not end with `.safetensors`.
        TypeError: a layer has a setting that is no number, string, array or named thing, such as a function.
        FileExistsError: the file is there, and `overwrite` is False.
    """
    model.check_file("save", filepath, overwrite)
    state: dict[str, Any] = {"kind": _KIND, "config": model.get_config()}
    if type(model) is not Sequential:
        state = {"kind": _ANY, "config": serialize_keras_object(model), "input_shape": model.input_shape}
    checkpoint.save(filepath, {**state, "model": model.state_dict()})


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, type[Layer]] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model of a file that `save_model` wrote; it must be compiled before it is trained on.

    Args:
        filepath: the file.
        custom_objects: the layers' and models' classes that are neither Keras's nor registered, by name.
        compile, safe_mode: have no effect: there is nothing to compile, and nothing unsafe.

    ValueError where the file is damaged, holds no model, or names an unknown layer.
    """
    state = checkpoint.load(filepath)
    if state.get("kind") not in (_KIND, _ANY):
        raise ValueError(f"{os.fspath(filepath)}: holds no model; for weights or a checkpoint use model.load_weights")
    try:
        with custom_object_scope(custom_objects):
            model = _made(state)
        model.load_state_dict(state["model"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(filepath)}: its model cannot be made: {error}") from error
    return model


def _made(state: Mapping[str, Any]) -> Any:
    """The model with new weights."""
    if state["kind"] == _KIND:
        return Sequential.from_config(state["config"])
    model = deserialize_keras_object(state["config"])
    if not model.built:
        model.build(state["input_shape"])
    return model
