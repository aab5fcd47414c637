"""The IDX file format, in which MNIST is distributed.

A file is two zero bytes, a code for the element type, the number of axes, each axis' size as a big-endian 32-bit
number, and the elements, big-endian, in row-major order; the whole may be compressed with gzip.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ...tensor import Array

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str], max_bytes: int = 1 << 31) -> Array:
    """The array in an IDX file, raw or gzipped, in native byte order.

    Args:
        path: the file.
        max_bytes: the largest amount of data to accept, so that a wrong header cannot fill the memory.

    Raises:
        ValueError: the file is no IDX file, is truncated or damaged, has more or less data than its header says, or
            more than `max_bytes`. The message names the file, what was found and what was wanted.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
        file.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=file) if compressed else file  # type: ignore[assignment]
        try:
            dtype, shape = _header(path, stream)
            wanted = math.prod(shape) * dtype.itemsize
            if wanted > max_bytes:
                raise ValueError(
                    f"{path}: the header says shape {shape}, {wanted} bytes; at most {max_bytes} are accepted"
                )
            data = _read(stream, wanted + 1)  # one more, to notice what should not be there
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: the gzip stream is truncated or damaged ({error})") from None
    if len(data) != wanted:
        found = f"only {len(data)}" if len(data) < wanted else "more"
        raise ValueError(f"{path}: shape {shape} of {dtype.name} needs {wanted} bytes of data, found {found}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _header(path: Path, stream: IO[bytes]) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    magic = _read(stream, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"{path}: an IDX file starts with two zero bytes, a type code and the number of axes; "
            f"found {magic.hex(' ')!r}"
        )
    code, ndim = magic[2], magic[3]
    if code not in _DTYPES:
        known = ", ".join(f"{c:#04x}" for c in _DTYPES)
        raise ValueError(f"{path}: element type {code:#04x} is unknown, wanted one of {known}")
    if not 1 <= ndim <= 32:
        raise ValueError(f"{path}: found {ndim} axes, wanted 1 to 32")
    sizes = _read(stream, 4 * ndim)
    if len(sizes) < 4 * ndim:
        raise ValueError(f"{path}: the header ends after {4 + len(sizes)} bytes, {ndim} axes need {4 + 4 * ndim}")
    return np.dtype(_DTYPES[code]), struct.unpack(f">{ndim}I", sizes)


def _read(stream: IO[bytes], count: int) -> bytes:
    """Up to `count` bytes, in pieces: a wrong header must not make the reader allocate what it claims."""
    pieces = []
    while count > 0:
        piece = stream.read(min(count, _CHUNK))
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
