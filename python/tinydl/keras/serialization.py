"""Layers and models as dictionaries, and back; classes of one's own by the names under which they were registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from . import layers, tree
from .config import serialize
from .functional import Graph, KerasTensor
from .layers.base import Layer
from .layers.own import numbered

_T = TypeVar("_T", bound=type)
_REGISTERED: dict[str, type] = {}
_NAMES: dict[type, str] = {}
_SCOPE: ContextVar[Mapping[str, Any]] = ContextVar("scope", default={})  # noqa: B039 - never changed


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[_T], _T]:
    """A decorator of classes that `load_model` then finds without `custom_objects`: as `package>name`.

    The name is the class's by default. ValueError for classes without `get_config`.
    """

    def register(cls: _T) -> _T:
        if not hasattr(cls, "get_config"):
            raise ValueError(f"register_keras_serializable: {cls.__name__} has no get_config")
        full = f"{package}>{name or cls.__name__}"
        _REGISTERED[full], _NAMES[cls] = cls, full
        return cls

    return register


def get_registered_name(obj: Any) -> str:
    """The name under which a class was registered, or its own."""
    return _NAMES.get(obj) or str(obj.__name__)


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class of a name: of `custom_objects`, of a scope around, or a registered one; None where there is none."""
    for known in (custom_objects or {}, _SCOPE.get(), _REGISTERED):
        if name in known:
            return known[name]
    short = name.rpartition(">")[2]
    return (custom_objects or {}).get(short) or _SCOPE.get().get(short)


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let the classes be found by their names in the block."""
    token = _SCOPE.set({**_SCOPE.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _SCOPE.reset(token)


def serialize_keras_object(obj: Layer) -> dict[str, Any]:
    """The class's name, the settings and the name of a layer or model."""
    entry = serialize(obj)
    return {"class_name": _class_name(obj), "config": entry["config"], "name": obj.name}


def _class_name(layer: Layer) -> str:
    from .model import Model

    return "Functional" if type(layer) is Model else get_registered_name(type(layer))


def deserialize_keras_object(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer or model of what `serialize_keras_object` returned; ValueError where its class is unknown."""
    name = config["class_name"]
    found = get_registered_object(name, custom_objects) or _known(name)
    if not isinstance(found, type) or not issubclass(found, Layer):
        raise ValueError(f"the layer {name!r} is unknown: pass its class in custom_objects")
    with custom_object_scope(custom_objects):
        layer = found.from_config(config["config"])
    if config.get("name") and layer.name != config["name"]:
        layer.name, layer.named = config["name"], True
    return layer


def _known(name: str) -> Any:
    from .model import Model
    from .sequential import Sequential

    models: dict[str, Any] = {"Functional": Model, "Sequential": Sequential}
    return models.get(name) or getattr(layers, name, None)


# -- Graphs -----------------------------------------------------------------------------------------------------


def graph_config(name: str, graph: Graph, structure: tuple[Any, Any]) -> dict[str, Any]:
    """A model made of symbolic tensors: its layers, their calls in order, and which results are the outputs.

    A tensor is `{"tensor": [number, index]}`: the index-th result of a call, where the inputs are the first numbers.
    `{"slice": [start, stop, step]}` is a slice, `{"slice": "..."}` an ellipsis.
    """
    known = {id(tensor): [number, 0] for number, tensor in enumerate(graph.inputs)}
    inner = list({id(node.layer): node.layer for node in graph.nodes}.values())
    places = {id(layer): place for place, layer in enumerate(inner)}
    names: list[str] = []
    for tensor in graph.inputs:
        names.append(numbered(tensor.name, names))
    calls = []
    for number, node in enumerate(graph.nodes, len(graph.inputs)):
        known |= {id(tensor): [number, index] for index, tensor in enumerate(node.results) if id(tensor) not in known}
        beside = {"options": _named(node.options, known), "training": node.training}
        calls.append({"layer": places[id(node.layer)], "args": _named(node.args, known), **beside})
    return {
        "name": name,
        "inputs": [{"shape": list(t.shape[1:]), "name": name} for t, name in zip(graph.inputs, names, strict=True)],
        "layers": [serialize_keras_object(layer) for layer in inner],
        "calls": calls,
        "structure": [_named(part, known) for part in structure],
    }


def _named(structure: Any, known: Mapping[int, list[int]]) -> Any:
    def named(leaf: Any) -> Any:
        if isinstance(leaf, KerasTensor):
            return {"tensor": known[id(leaf)]}
        if isinstance(leaf, slice):
            return {"slice": [leaf.start, leaf.stop, leaf.step]}
        return {"slice": "..."} if leaf is ... else leaf

    return tree.map_leaves(named, structure)


def graph_of(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The inputs and the outputs of a new graph, from what `graph_config` returned."""
    made = [deserialize_keras_object(entry) for entry in config["layers"]]
    results: list[list[KerasTensor]] = [[layers.Input(**entry)] for entry in config["inputs"]]
    for call in config["calls"]:
        args, options = _found(call["args"], results), _found(call["options"], results)
        results.append(tree.flatten(made[call["layer"]](*args, training=call["training"], **options)))
    inputs, outputs = (_found(part, results) for part in config["structure"])
    return inputs, outputs


def _found(structure: Any, results: list[list[KerasTensor]]) -> Any:
    if isinstance(structure, Mapping):
        if set(structure) == {"tensor"}:
            number, index = structure["tensor"]
            return results[number][index]
        if set(structure) == {"slice"}:
            return ... if structure["slice"] == "..." else slice(*structure["slice"])
        return {key: _found(part, results) for key, part in structure.items()}
    return type(structure)(_found(p, results) for p in structure) if isinstance(structure, list | tuple) else structure
