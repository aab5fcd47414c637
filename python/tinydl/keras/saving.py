"""Models in files: the layers' settings and the weights in one checkpoint, of which nothing is ever executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..train import checkpoint
from . import layers
from .compiling import restore, state_of
from .config import serialize
from .layers import Layer
from .sequential import Sequential

__all__ = ["load_model", "save_model"]

_KIND = "keras.Sequential 1"


def save_model(model: Sequential, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model's layers and weights to a safetensors file, atomically; `load_model` makes the same model of it.

    What `compile` chose is in the file too, with the optimiser's state, so that the training can go on: with the same
    bits, where `tinydl.manual_seed` is called before each `fit`.

    Raises:
        ValueError: the model has no weights yet, or the name does not end with `.safetensors`.
        TypeError: a layer has a setting that is no number, string, array or named thing, such as a function; or
            `compile` was given an object without `get_config`.
        FileExistsError: the file is there, and `overwrite` is False.
    """
    model.check_file("save", filepath, overwrite)
    config = {"name": model.name, "input_shape": model.input_shape, "layers": [serialize(v) for v in model.layers]}
    checkpoint.save(
        filepath, {"kind": _KIND, "config": config, "model": model.state_dict(), "training": state_of(model)}
    )


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """The model of a file that `save_model` wrote, compiled as that one was; its training goes on.

    Args:
        filepath: the file.
        custom_objects: classes of layers, losses, metrics and optimisers that are not Keras's, and functions that
            `compile` was given, by name ("<lambda>" for a nameless one).
        compile: whether to compile the model; without, it must be compiled before it is trained on.
        safe_mode: has no effect: there is nothing unsafe.

    ValueError where the file is damaged, holds no model, or names something unknown.
    """
    state = checkpoint.load(filepath)
    if state.get("kind") != _KIND:
        raise ValueError(f"{os.fspath(filepath)}: holds no model; for weights or a checkpoint use model.load_weights")
    try:
        config = state["config"]
        made = [_layer(entry["class_name"], entry["config"], custom_objects or {}) for entry in config["layers"]]
        model = Sequential(made, name=config["name"])
        model.build(config["input_shape"])
        model.load_state_dict(state["model"])
        restore(model, state.get("training", {}), custom_objects, compile)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(filepath)}: its model cannot be made: {error}") from error
    return model


def _layer(name: str, config: Mapping[str, Any], custom: Mapping[str, Any]) -> Layer:
    found = custom.get(name) or getattr(layers, name, None)
    if not isinstance(found, type) or not issubclass(found, Layer):
        raise ValueError(f"the layer {name!r} is unknown: pass its class in custom_objects")
    return found.from_config(config)  # type: ignore[no-any-return]
