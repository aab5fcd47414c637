"""Utilities."""

from __future__ import annotations

import hashlib
import os
import random as python_random
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from .. import random
from ..creation import one_hot
from ..tensor import Array, Tensor
from ..utils.data import DataLoader
from ..utils.download import data_folder, download
from .data import ArrayDataset, array_of
from .serialization import custom_object_scope, register_keras_serializable

__all__ = [
    "custom_object_scope",
    "get_file",
    "normalize",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
]


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and tinydl's random numbers. ValueError unless the seed is a whole number in [0, 2^32)."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 32:
        raise ValueError(f"set_random_seed: got {seed!r}, wanted a whole number from 0 to 2^32 - 1")
    seed = int(seed)
    python_random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what Keras's function promises
    random.manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """One-hot rows, float64, of class indices (...) or (..., 1): an array (..., num_classes).

    Without `num_classes` there is one class more than the largest index. IndexError where an index is no class;
    ValueError where there are no indices to count classes by.

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    labels = x._data if isinstance(x, Tensor) else np.asarray(x)
    if labels.dtype.kind not in "biuf":
        raise TypeError(f"to_categorical: got data of dtype {labels.dtype}, wanted class indices")
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.floor(labels)):
        raise ValueError("to_categorical: the class indices must be whole numbers")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not labels.size and num_classes is None:
        raise ValueError("to_categorical: without class indices, num_classes must be given")
    return one_hot(labels.astype(np.int64), num_classes, dtype=np.float64).numpy()


def normalize(x: Any, axis: int = -1, order: float = 2) -> Array:
    """x / ‖x‖, with the norm of that order along the axis; vectors of zeros stay.

    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    array = array_of("normalize", x)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return np.asarray(array / np.where(norm == 0, 1, norm))


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Sequences of different lengths (t, ...) as one array (N, maxlen, ...).

    Args:
        sequences: lists or arrays.
        maxlen: the common length; by default the longest one's.
        dtype: of the result; `object` for strings.
        padding: where `value` fills up what is shorter: "pre" or "post".
        truncating: where what is longer is cut: "pre" or "post".
        value: what to fill up with.

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(f"pad_sequences: got {name}={given!r}, wanted 'pre' or 'post'")
    if not hasattr(sequences, "__len__") or not all(hasattr(s, "__len__") for s in sequences):
        raise ValueError("pad_sequences: wanted a list of sequences")
    dtype = np.dtype(dtype)
    if isinstance(value, str) and dtype.kind not in "OUS":
        raise ValueError(f"pad_sequences: value {value!r} does not fit dtype {dtype}; for strings, pass dtype=object")
    wanted = max(map(len, sequences), default=0) if maxlen is None else maxlen
    if wanted < 0:
        raise ValueError(f"pad_sequences: got maxlen={maxlen}, wanted at least 0")
    rest = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    out = np.full((len(sequences), wanted, *rest), value, dtype)
    for number, sequence in enumerate(sequences):
        cut = len(sequence) - wanted
        kept = np.asarray(sequence[max(cut, 0) :] if truncating == "pre" else sequence[:wanted], dtype)
        if len(kept) and kept.shape[1:] != rest:
            raise ValueError(f"pad_sequences: sequence {number} has steps of shape {kept.shape[1:]}, the first {rest}")
        if len(kept):
            out[number, slice(-len(kept), None) if padding == "pre" else slice(len(kept))] = kept
    return out


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> DataLoader:
    """A loader of windows of a series (T, ...): batches x (N, sequence_length, ...), or (x, y) with targets.

    Window i has the steps i, i + sampling_rate, ...; windows begin every `sequence_stride` steps. The target of a
    window is the one at its first step: for forecasts pass targets that are moved.

    Args:
        data, targets: arrays; targets may be None.
        batch_size: of the windows; None for one window at a time, as a batch of one.
        shuffle: whether each epoch has another order, from `seed`, or from `tinydl.random`.
        start_index, end_index: use only the steps from one to before the other.
    """
    series = array_of("timeseries_dataset_from_array: data", data)
    for name, number in (("sequence_length", sequence_length), ("sequence_stride", sequence_stride)):
        if number < 1:
            raise ValueError(f"timeseries_dataset_from_array: got {name}={number}, wanted at least 1")
    if sampling_rate < 1:
        raise ValueError(f"timeseries_dataset_from_array: got sampling_rate={sampling_rate}, wanted at least 1")
    start, end = start_index or 0, len(series) if end_index is None else end_index
    if not 0 <= start < end <= len(series):
        raise ValueError(
            f"timeseries_dataset_from_array: steps {start} to {end} do not lie in data of {len(series)} steps"
        )
    last = end - (sequence_length - 1) * sampling_rate
    known = None if targets is None else array_of("timeseries_dataset_from_array: targets", targets)
    if known is not None:
        last = min(last, start + len(known), len(known))
    begins = np.arange(start, max(last, start), sequence_stride)
    if not len(begins):
        raise ValueError(f"timeseries_dataset_from_array: no window of {sequence_length} steps fits")
    windows = series[begins[:, None] + sampling_rate * np.arange(sequence_length)]
    arrays = [windows] if known is None else [windows, known[begins]]
    return DataLoader(
        ArrayDataset(*arrays), batch_size=batch_size or 1, shuffle=shuffle, seed=seed if shuffle else None
    )


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file from the internet, downloaded unless it is there; with `extract`, that of its content.

    Args:
        fname: the file's name here; by default as at its origin.
        origin: its address.
        untar: the same as extract.
        md5_hash, file_hash: its checksum, without which nothing is verified.
        cache_subdir: the folder within `cache_dir`.
        hash_algorithm: "md5", "sha256", or "auto", which tells by the length.
        extract: unpack a tar or zip archive into the folder `<fname>_extracted` beside it.
        archive_format: "tar", "zip", or "auto", which tells by the name.
        cache_dir: by default where all data sets are kept; see `tinydl.utils.download.data_folder`.
        force_download: download also what is there.

    Raises:
        ValueError: no origin, or a name with folders in it.
        OSError: the download failed, or its checksum is wrong.
        ImportError: pooch is missing; it comes with the extra `data`.
    """
    if not origin:
        raise ValueError("get_file: origin is missing, the file's address")
    fname = fname or os.path.basename(urlsplit(origin).path)
    if not fname or os.path.basename(fname) != fname:
        raise ValueError(f"get_file: got fname={fname!r}, wanted a name without folders")
    folder = data_folder(cache_subdir) if cache_dir is None else Path(cache_dir).expanduser() / cache_subdir
    checksum = _checksum(md5_hash, file_hash, hash_algorithm)
    path = folder / fname
    unpacked = folder / f"{fname}_extracted"
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as scratch:  # so that what is interrupted leaves nothing half there
        if force_download or not path.exists() or not _fits(path, checksum):
            mirror, _, name = origin.rpartition("/")
            os.replace(download(name, [mirror], scratch, checksum), path)
            shutil.rmtree(unpacked, ignore_errors=True)
        if (extract or untar) and not unpacked.exists():
            _unpack(path, Path(scratch) / "content", archive_format)
            os.replace(Path(scratch) / "content", unpacked)
    return str(unpacked if extract or untar else path)


def _unpack(path: Path, folder: Path, form: str) -> None:
    """Unpack an archive; nothing in it gets outside the folder."""
    if form not in ("auto", "tar", "zip"):
        raise ValueError(f"get_file: got archive_format={form!r}, wanted 'auto', 'tar' or 'zip'")
    folder.mkdir()
    zipped = path.suffix == ".zip" if form == "auto" else form == "zip"
    if zipped:
        shutil.unpack_archive(path, folder, "zip")
    else:
        shutil.unpack_archive(path, folder, "tar", filter="data")


def _checksum(md5_hash: str | None, file_hash: str | None, algorithm: str) -> str | None:
    if algorithm not in ("auto", "md5", "sha256"):
        raise ValueError(f"get_file: got hash_algorithm={algorithm!r}, wanted 'auto', 'md5' or 'sha256'")
    if file_hash is None:
        return None if md5_hash is None else f"md5:{md5_hash}"
    if algorithm == "auto":
        algorithm = "sha256" if len(file_hash) == 64 else "md5"
    return f"{algorithm}:{file_hash}"


def _fits(path: Path, checksum: str | None) -> bool:
    if checksum is None:
        return True
    algorithm, _, wanted = checksum.partition(":")
    return hashlib.new(algorithm, path.read_bytes()).hexdigest() == wanted.lower()
