"""Models in files: the layers' settings and the weights in one checkpoint, of which nothing is ever executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..train import checkpoint
from .compiling import restore, state_of
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
    What `compile` chose is in the file too, with the optimiser's state, so that the training can go on: with the same
    bits, where `tinydl.manual_seed` is called before each `fit`.

    Raises:
        ValueError: the model has no weights yet, or the name does not end with `.safetensors`.
        TypeError: a layer has a setting that is no number, string, array or named thing, such as a function; or
            `compile` was given an object without `get_config`.
        FileExistsError: the file is there, and `overwrite` is False.
    """
    model.check_file("save", filepath, overwrite)
    state: dict[str, Any] = {"kind": _KIND, "config": model.get_config()}
    if type(model) is not Sequential:
        state = {"kind": _ANY, "config": serialize_keras_object(model), "input_shape": model.input_shape}
    checkpoint.save(filepath, {**state, "model": model.state_dict(), "training": state_of(model)})


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model of a file that `save_model` wrote, compiled as that one was; its training goes on.

    Args:
        filepath: the file.
        custom_objects: classes of layers, models, losses, metrics and optimisers that are neither Keras's nor
            registered, and functions that `compile` was given, by name ("<lambda>" for a nameless one).
        compile: whether to compile the model; without, it must be compiled before it is trained on.
        safe_mode: has no effect: there is nothing unsafe.

    ValueError where the file is damaged, holds no model, or names something unknown.
    """
    state = checkpoint.load(filepath)
    if state.get("kind") not in (_KIND, _ANY):
        raise ValueError(f"{os.fspath(filepath)}: holds no model; for weights or a checkpoint use model.load_weights")
    try:
        with custom_object_scope(custom_objects):
            model = _made(state)
        model.load_state_dict(state["model"])
        restore(model, state.get("training", {}), custom_objects, compile)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
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
