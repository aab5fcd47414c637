"""Checkpoints: nested state in one safetensors file, written whole or not at all, and checked before it is used.

The arrays of the state are the file's tensors, under dotted names such as `model.0.weight`, so that any reader of
safetensors finds the weights. Everything else is JSON in the file's metadata, where `{"$array": name}` stands for an
array. A checksum covers both. Nothing in a checkpoint is ever executed.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..tensor import Array, Tensor

__all__ = ["load", "read_tensors", "save", "write_atomically", "write_tensors"]

FORMAT = "tinydl checkpoint 1"
_ARRAY, _ITEMS, _TUPLE = "$array", "$items", "$tuple"


def save(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write nested dicts, lists and tuples of arrays, tensors, numbers, strings, bools and None to `path`.

    After an error, a crash or a power cut, `path` holds the former file or the new one, never a part.
    TypeError for other values.
    """
    tensors: dict[str, Array] = {}
    text = json.dumps(_pack(state, "", tensors))
    write_tensors(path, tensors, {"format": FORMAT, "state": text, "checksum": _checksum(tensors, text)})


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state that `save` wrote, with NumPy arrays for arrays and tensors.

    ValueError where the file is truncated, damaged or no checkpoint; OSError where it cannot be read.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint: wanted the format {FORMAT!r}, found {metadata.get('format')!r}")
    text = metadata.get("state", "")
    if metadata.get("checksum") != _checksum(tensors, text):
        raise ValueError(f"{path}: the checkpoint is damaged: its checksum does not fit its content")
    try:
        state = _unpack(json.loads(text), tensors)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: the checkpoint is damaged ({error})") from None
    if not isinstance(state, dict):
        raise ValueError(f"{path}: the checkpoint is damaged: its state is a {type(state).__name__}")
    return state


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically."""
    from safetensors.numpy import save as serialize

    dense = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    write_atomically(path, serialize(dense, dict(metadata)))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a safetensors file; ValueError where it is none, or is damaged."""
    from safetensors import SafetensorError, safe_open

    with Path(path).open("rb") as file:  # the usual OSError where it cannot be read
        size = len(file.read(8))
    if size < 8:
        raise ValueError(f"{path}: not a safetensors file: it has {size} bytes")
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, UnicodeDecodeError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{path}: not a safetensors file, or a truncated or damaged one ({error})") from None


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that is there whole or not at all: to a temporary file beside it, to the disk, then renamed."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last; where the system cannot do that for folders, go on without."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _checksum(tensors: Mapping[str, Array], text: str) -> str:
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"


# -- Nested state as a tree of JSON beside named arrays ----------------------------------------------------------


def _pack(value: Any, name: str, tensors: dict[str, Array]) -> Any:
    if isinstance(value, Tensor):
        value = value._data
    if isinstance(value, np.ndarray):
        while name in tensors:  # two paths may read the same: "a.b", and "b" within "a"
            name += "'"
        tensors[name] = value
        return {_ARRAY: name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        packed = [(key, _pack(item, f"{name}.{key}" if name else str(key), tensors)) for key, item in value.items()]
        plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in packed)
        return dict(packed) if plain else {_ITEMS: [list(pair) for pair in packed]}
    if isinstance(value, list | tuple):
        items = [_pack(item, f"{name}.{index}", tensors) for index, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"checkpoint: {name or 'the state'} is a {type(value).__name__}; wanted arrays, numbers or strings")


def _unpack(value: Any, tensors: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return tensors[value[_ARRAY]]
    if _TUPLE in value:
        return tuple(_unpack(item, tensors) for item in value[_TUPLE])
    if _ITEMS in value:
        return {key: _unpack(item, tensors) for key, item in value[_ITEMS]}
    return {key: _unpack(item, tensors) for key, item in value.items()}
