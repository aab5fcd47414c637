"""Nested state in one safetensors file, written whole or not at all, and checked before it is used.

The arrays of the state are the file's tensors, under dotted names such as `model.0.weight`, so that any reader of
safetensors finds the weights. Everything else is JSON in the file's metadata, where `{"$array": name}` stands for an
array and `{"$tensor": name}` for a tensor. A checksum covers both. Nothing in a file is ever executed.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from . import backend, dtypes
from .tensor import Array, Tensor

# json, pathlib and secrets are imported where they are used: they take a tenth of the time of importing tinydl.
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load", "read_state", "read_tensors", "save", "write_atomically", "write_state", "write_tensors"]

File = str | os.PathLike[str] | BinaryIO

FORMAT = "tinydl checkpoint 1"
_ARRAY, _TENSOR, _ITEMS, _TUPLE = "$array", "$tensor", "$items", "$tuple"


def save(obj: Any, f: File) -> None:
    """Write nested dicts, lists and tuples of tensors, arrays, numbers, strings, bools and None, such as a state dict.

    The file is a safetensors file whatever its name; `load` reads it. After an error, a crash or a power cut, the path
    holds the former file or the new one, never a part.

    Args:
        obj: what to write; of a model or an optimiser, its `state_dict()`.
        f: a path, or an open file to write bytes to.

    Raises:
        TypeError: a value of another kind. ValueError: a container that holds itself. OSError: no such folder, no room.

    >>> import io, tinydl
    >>> file = io.BytesIO()
    >>> save({"weight": tinydl.ones(2), "epoch": 3}, file)
    >>> load(io.BytesIO(file.getvalue()))
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if not _is_path(f) and not callable(getattr(f, "write", None)):
        raise TypeError(f"save: got {type(f).__name__} as f, wanted a path or a file to write bytes to")
    if isinstance(f, io.TextIOBase):
        raise TypeError("save: the file takes text, wanted one opened for bytes, as with open(path, 'wb')")
    data = _serialized("save", obj)
    if _is_path(f):
        write_atomically(f, data)  # type: ignore[arg-type]
    else:
        f.write(data)  # type: ignore[union-attr]


def load(f: File, map_location: Any = None, *, weights_only: bool | None = None) -> Any:
    """What `save` wrote; of any other safetensors file, its tensors by name.

    Args:
        f: a path, or a file opened for bytes.
        map_location: where the tensors shall be: a device; a dict, whose entry for "cpu" counts, as files name no
            other; or a function of a tensor and "cpu" that returns the tensor to take, or None for the given one.
        weights_only: has no effect: nothing in a file is ever executed.

    Raises:
        ValueError: a truncated, damaged or foreign file, or a device that is not there. OSError: it cannot be read.
    """
    place = _placing(map_location)
    name, tensors, metadata = _read(f)
    if "format" not in metadata or "state" not in metadata:  # somebody else's
        state: Any = {key: Tensor(array) for key, array in tensors.items()}
    else:
        state = _state(name, tensors, metadata, as_tensors=True)
    return state if place is None else _moved(state, place)


def _placing(map_location: Any) -> Callable[[Tensor], Tensor] | None:
    """What `load` makes of a tensor of the file; None where nothing is to be moved."""
    found = map_location.get("cpu") if isinstance(map_location, Mapping) else map_location
    if callable(found):
        return lambda tensor: _chosen(found(tensor, "cpu"), tensor)
    if found is None:
        return None
    if not isinstance(found, str):
        raise TypeError(f"load: got map_location={map_location!r}, wanted a device, a dict of devices or a function")
    backend.check_device(found)
    return lambda tensor: Tensor(backend.place(tensor._data, found), tensor.requires_grad)


def _chosen(result: Any, tensor: Tensor) -> Tensor:
    if result is not None and not isinstance(result, Tensor):
        raise TypeError(f"load: map_location returned {type(result).__name__}, wanted a tensor or None")
    return tensor if result is None else result


def _moved(value: Any, place: Callable[[Tensor], Tensor]) -> Any:
    """A state whose tensors `place` has moved."""
    if isinstance(value, Tensor):
        return place(value)
    if isinstance(value, dict):
        return {key: _moved(item, place) for key, item in value.items()}
    return type(value)(_moved(item, place) for item in value) if type(value) in (list, tuple) else value


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """`save` to a path, for checkpoints, whose tensors are as good as arrays."""
    write_atomically(path, _serialized("checkpoint", state))


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state of a file that `write_state` or `save` wrote, with NumPy arrays for arrays and tensors.

    ValueError where the file is truncated, damaged or no checkpoint; OSError where it cannot be read.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint: wanted the format {FORMAT!r}, found {metadata.get('format')!r}")
    state = _state(str(path), tensors, metadata, as_tensors=False)
    if not isinstance(state, dict):
        raise ValueError(f"{path}: the checkpoint is damaged: its state is a {type(state).__name__}")
    return state


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically."""
    write_atomically(path, _safetensors("save", tensors, metadata))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a safetensors file; ValueError where it is none, or is damaged."""
    return _read(path)[1:]


# -- Bytes --------------------------------------------------------------------------------------------------------


def _is_path(f: Any) -> bool:
    return isinstance(f, str | os.PathLike)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that is there whole or not at all: to a temporary file beside it, to the disk, then renamed."""
    import secrets
    from pathlib import Path

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


def _safetensors(op: str, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    from safetensors import SafetensorError
    from safetensors.numpy import save as serialize

    dense = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    try:
        return serialize(dense, dict(metadata))
    except SafetensorError as error:
        raise TypeError(f"{op}: an array cannot be written to a safetensors file ({error})") from None


def _read(f: File) -> tuple[str, dict[str, Array], dict[str, str]]:
    """A safetensors file's name, its arrays, and its metadata."""
    import json

    from safetensors import SafetensorError, deserialize

    name, data = _bytes(f)
    if len(data) < 8:
        raise ValueError(f"{name}: not a safetensors file: it has {len(data)} bytes")
    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        arrays = {key: np.frombuffer(e["data"], _dtype(e["dtype"])).reshape(e["shape"]) for key, e in entries}
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        if data[:4] == b"PK\x03\x04" or data[:1] == b"\x80":
            raise ValueError(_pickled(name)) from None
        raise ValueError(f"{name}: not a safetensors file, or a truncated or damaged one ({error})") from None
    return name, arrays, header.get("__metadata__") or {}


def _bytes(f: File) -> tuple[str, bytes]:
    """The file's name, for messages, and what is in it."""
    from pathlib import Path

    if _is_path(f):
        return os.fspath(f), Path(f).read_bytes()  # type: ignore[arg-type]
    if not callable(getattr(f, "read", None)):
        raise TypeError(f"load: got {type(f).__name__} as f, wanted a path or a file to read bytes from")
    data = f.read()  # type: ignore[union-attr]
    if not isinstance(data, bytes | bytearray):
        raise TypeError("load: the file gives text, wanted one opened for bytes, as with open(path, 'rb')")
    return str(getattr(f, "name", "the file")), bytes(data)


def _pickled(name: str) -> str:
    return (
        f"{name}: not a safetensors file but, by its first bytes, one of torch.save, whose pickle could run code. In "
        "PyTorch write the tensors with safetensors.torch.save_file(model.state_dict(), 'model.safetensors'); "
        "tinydl.load reads that"
    )


_KINDS = {"F": "float", "I": "int", "U": "uint", "C": "complex"}


def _dtype(code: str) -> np.dtype[Any]:
    """The dtype of a safetensors code such as F32; ValueError or TypeError for what NumPy lacks."""
    if code == "BF16":
        return dtypes.bfloat16()
    return np.dtype("bool" if code == "BOOL" else _KINDS[code[0]] + code[1:])


# -- Nested state as a tree of JSON beside named arrays ----------------------------------------------------------


def _serialized(op: str, state: Any) -> bytes:
    import json

    tensors: dict[str, Array] = {}
    try:
        text = json.dumps(_pack(op, state, "", tensors))
    except RecursionError:
        raise ValueError(f"{op}: a dict, list or tuple holds itself, or they are nested too deeply") from None
    return _safetensors(op, tensors, {"format": FORMAT, "state": text, "checksum": _checksum(tensors, text)})


def _state(name: str, tensors: Mapping[str, Array], metadata: Mapping[str, str], as_tensors: bool) -> Any:
    """The state in a file of our format."""
    import json

    found, text = metadata["format"], metadata.get("state", "")
    if found != FORMAT:
        raise ValueError(f"{name}: its format is {found!r}, wanted {FORMAT!r}")
    if metadata.get("checksum") != _checksum(tensors, text):
        raise ValueError(f"{name}: the checkpoint is damaged: its checksum does not fit its content")
    try:
        return _unpack(json.loads(text), tensors, as_tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{name}: the checkpoint is damaged ({error})") from None


def _checksum(tensors: Mapping[str, Array], text: str) -> str:
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"


def _pack(op: str, value: Any, name: str, tensors: dict[str, Array]) -> Any:
    if isinstance(value, Tensor | np.ndarray):
        name = name.encode(errors="backslashreplace").decode()  # what no file can hold: half a pair of surrogates
        while name in tensors or name == "__metadata__":  # two paths may read the same: "a.b", and "b" within "a"
            name += "'"
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise TypeError(f"{op}: {name or 'the state'} is an array of dtype object; wanted arrays of numbers")
            tensors[name] = value.astype(value.dtype.newbyteorder("="), copy=False)
            return {_ARRAY: name}
        tensors[name] = backend.to_host(value._data)
        return {_TENSOR: name, "requires_grad": True} if value.requires_grad else {_TENSOR: name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        packed = [(_key(op, key, name), _pack(op, item, _join(name, key), tensors)) for key, item in value.items()]
        plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in packed)
        return dict(packed) if plain else {_ITEMS: [list(pair) for pair in packed]}
    if isinstance(value, list | tuple):
        items = [_pack(op, item, _join(name, index), tensors) for index, item in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str):
        return value
    what = f"{op}: {name or 'the state'} is a {type(value).__name__}"
    if callable(getattr(value, "state_dict", None)):
        raise TypeError(f"{what}, whose code a file cannot hold; write its state_dict() and load it into a new one")
    raise TypeError(f"{what}; wanted arrays, numbers or strings")


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _key(op: str, key: Any, name: str) -> Any:
    """A dict's key: a string, a number, or tuples of them."""
    held: dict[str, Array] = {}
    packed = _pack(op, key, f"a key of {name or 'the state'}", held)
    if held:
        raise TypeError(f"{op}: {name or 'the state'} has a tensor or an array in a key, wanted strings or numbers")
    return packed


def _unpack(value: Any, tensors: Mapping[str, Array], as_tensors: bool) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors, as_tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return tensors[value[_ARRAY]]
    if _TENSOR in value:
        array = tensors[value[_TENSOR]]
        return Tensor(array, value.get("requires_grad", False)) if as_tensors else array
    if _TUPLE in value:
        return tuple(_unpack(item, tensors, as_tensors) for item in value[_TUPLE])
    if _ITEMS in value:
        pairs = ((_unpack(key, tensors, as_tensors), item) for key, item in value[_ITEMS])
        return {key: _unpack(item, tensors, as_tensors) for key, item in pairs}
    return {key: _unpack(item, tensors, as_tensors) for key, item in value.items()}
