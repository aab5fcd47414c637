"""Models in files: the layers' settings and the weights in one checkpoint, of which nothing is ever executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..train import checkpoint
from . import layers
from .config import serialize
from .layers import Layer
from .sequential import Sequential

__all__ = ["load_model", "save_model"]

_KIND = "keras.Sequential 1"


def save_model(model: Sequential, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model's layers and weights to a safetensors file, atomically; `load_model` makes the same model of it.

    What `compile` chose is not in the file.

    Raises:
        ValueError: the model has no weights yet, or the name does not end with `.safetensors`.
        TypeError: a layer has a setting that is no number, string, array or named thing, such as a function.
        FileExistsError: the file is there, and `overwrite` is False.
    """
    model.check_file("save", filepath, overwrite)
    config = {"name": model.name, "input_shape": model.input_shape, "layers": [serialize(v) for v in model.layers]}
    checkpoint.save(filepath, {"kind": _KIND, "config": config, "model": model.state_dict()})


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, type[Layer]] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """The model of a file that `save_model` wrote; it must be compiled before it is trained on.

    Args:
        filepath: the file.
        custom_objects: the layers' classes that are not in `keras.layers`, by name.
        compile, safe_mode: have no effect: there is nothing to compile, and nothing unsafe.

    ValueError where the file is damaged, holds no model, or names an unknown layer.
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
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(filepath)}: its model cannot be made: {error}") from error
    return model


def _layer(name: str, config: Mapping[str, Any], custom: Mapping[str, type[Layer]]) -> Layer:
    found = custom.get(name) or getattr(layers, name, None)
    if not isinstance(found, type) or not issubclass(found, Layer):
        raise ValueError(f"the layer {name!r} is unknown: pass its class in custom_objects")
    return found.from_config(config)  # type: ignore[no-any-return]
