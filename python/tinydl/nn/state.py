"""State dicts: checking and converting the values that `Module.load_state_dict` copies in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Array, Tensor


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


def load(owner: str, own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy the arrays of `given` into the tensors of `own`, or raise and change nothing.

    Raises ValueError that lists every missing key, unexpected key and shape that differs; `strict=False` tolerates the
    keys, never the shapes. TypeError where a value is not numeric.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"load_state_dict: got {type(given).__name__}, wanted a mapping of names to tensors")
    missing = [name for name in own if name not in given]
    unexpected = [name for name in given if name not in own]
    arrays = {name: as_array(name, given[name]) for name in own if name in given}
    problems = _key_problems(missing, unexpected) if strict else []
    problems += [
        f"size mismatch for {name}: the state dict has shape {array.shape}, the model {own[name].shape}"
        for name, array in arrays.items()
        if array.shape != own[name].shape
    ]
    problems += [f"{name} is read-only" for name in arrays if not own[name]._data.flags.writeable]
    if problems:
        raise ValueError(f"Error(s) in loading state_dict for {owner}:\n\t" + "\n\t".join(problems))
    for name, array in arrays.items():
        np.copyto(own[name]._data, array, casting="unsafe")
        own[name]._version[0] += 1
    return IncompatibleKeys(missing, unexpected)


def _key_problems(missing: Iterable[str], unexpected: Iterable[str]) -> list[str]:
    lists = (("Missing", missing), ("Unexpected", unexpected))
    return [
        f"{word} key(s) in state_dict: " + ", ".join(f'"{name}"' for name in names) for word, names in lists if names
    ]
