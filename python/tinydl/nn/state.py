"""State dicts: checking and converting the values that `Module.load_state_dict` copies in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import backend
from ..tensor import Array, Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def as_array(name: str, value: Any) -> Array:
    """The elements of a tinydl or PyTorch tensor, an array or nested lists, as a NumPy array.

    PyTorch's bfloat16, which NumPy lacks, arrives as float32. TypeError for what is not numbers.
    """
    if isinstance(value, Tensor):
        array = value._data
    elif hasattr(value, "detach"):
        value = value.detach().cpu()
        try:
            array = value.numpy()
        except TypeError:
            array = value.float().numpy()
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise TypeError(f"load_state_dict: {name} is not a regular array ({error})") from None
    if array.dtype.kind not in "biufV":
        raise TypeError(f"load_state_dict: {name} has dtype {array.dtype}, wanted numbers")
    return array


class Place(NamedTuple):
    """Where a tensor of the state is kept."""

    module: Module
    name: str
    tensor: Tensor


def load(root: Module, given: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Copy the arrays of `given` into root's parameters and buffers, or raise and change nothing.

    Raises ValueError that lists every missing key, unexpected key and shape that differs; `strict=False` tolerates the
    keys, never the shapes. TypeError where a value is not numeric.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"load_state_dict: got {type(given).__name__}, wanted a mapping of names to tensors")
    own, extra = _places(root)
    missing = [
        name
        for name in (*own, *extra)
        if name not in given and not (name in own and own[name].name in own[name].module._optional_state)
    ]
    unexpected = [name for name in given if name not in own and name not in extra]
    arrays = {name: as_array(name, given[name]) for name in own if name in given}
    problems = _key_problems(missing, unexpected) if strict else []
    for name, array in arrays.items():
        tensor = own[name].tensor
        if array.shape != tensor.shape:
            problems.append(
                f"size mismatch for {name}: the state dict has shape {array.shape}, the model {tensor.shape}"
            )
        if not backend.is_writeable(tensor._data):
            problems.append(f"{name} is read-only")
    if problems:
        raise ValueError(f"Error(s) in loading state_dict for {type(root).__name__}:\n\t" + "\n\t".join(problems))
    for name, array in arrays.items():
        (_assign if assign else _copy)(own[name], array)
    for name, module in extra.items():
        if name in given:
            module.set_extra_state(given[name])
    return IncompatibleKeys(missing, unexpected)


def _places(root: Module) -> tuple[dict[str, Place], dict[str, Module]]:
    """Where the tensors of root's state dict are, and the modules with extra state, by name."""
    own: dict[str, Place] = {}
    extra: dict[str, Module] = {}
    for path, module in root.named_modules(remove_duplicate=False):
        start = f"{path}." if path else ""
        own.update({start + name: Place(module, name, tensor) for name, tensor in module._named_state()})
        if module._has_extra_state():
            extra[start + "_extra_state"] = module
    return own, extra


def _copy(place: Place, array: Array) -> None:
    to = place.tensor._data
    np.copyto(to, backend.place(array, backend.device_of(to)), casting="unsafe")
    place.tensor._version[0] += 1


def _assign(place: Place, array: Array) -> None:
    if isinstance(place.tensor, Parameter):
        place.module._parameters[place.name] = Parameter(array, place.tensor.requires_grad)
    else:
        place.module._buffers[place.name] = Tensor(array)


def _key_problems(missing: Iterable[str], unexpected: Iterable[str]) -> list[str]:
    lists = (("Missing", missing), ("Unexpected", unexpected))
    return [
        f"{word} key(s) in state_dict: " + ", ".join(f'"{name}"' for name in names) for word, names in lists if names
    ]
