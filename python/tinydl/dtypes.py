"""The dtypes of tensors (NumPy's own dtype objects) and PyTorch's rules for mixing them."""

from __future__ import annotations

from builtins import bool as builtins_bool
from builtins import float as builtins_float
from builtins import int as builtins_int
from typing import Any

import numpy as np
from numpy import dtype as dtype

bool = np.dtype(np.bool_)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
finfo, iinfo = np.finfo, np.iinfo

FLOATS = frozenset((float32, float64))
"""The dtypes that the kernels compute in."""

_BOOL, _INTEGER, _FLOAT = range(3)
_KINDS = {"b": _BOOL, "i": _INTEGER, "u": _INTEGER, "f": _FLOAT, "V": _FLOAT}  # bfloat16 has kind V
_SCALAR_DTYPES = (bool, int64, float32)


def bfloat16() -> np.dtype[Any]:
    """The bfloat16 dtype (from ml_dtypes, imported on first use)."""
    import ml_dtypes

    out: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return out


def wanted(op: str, value: Any) -> np.dtype[Any]:
    """The dtype that an argument asks for; TypeError where it names none that tensors have."""
    try:
        dtype: np.dtype[Any] = np.dtype(value)
        _kind(dtype)
    except (TypeError, KeyError):
        raise TypeError(f"{op}: got dtype {value!r}, wanted a dtype such as float32") from None
    if dtype.names is not None or not dtype.itemsize:
        raise TypeError(f"{op}: got dtype {value!r}, wanted a dtype such as float32")
    return dtype


def is_floating_point(dtype: np.dtype[Any]) -> builtins_bool:
    """Whether `dtype` is float16, bfloat16, float32 or float64."""
    return _kind(dtype) == _FLOAT


def rounded(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A number or an array in a dtype; what lies beyond it is infinite, without NumPy's warning.

    >>> rounded(65536.0, float16)
    array(inf, dtype=float16)
    """
    with np.errstate(over="ignore"):
        return np.asarray(value, dtype)


def scalar_dtype(value: builtins_bool | builtins_int | builtins_float) -> np.dtype[Any]:
    """The dtype that a Python number has on its own: bool, int64 or float32."""
    return _SCALAR_DTYPES[_scalar_kind(value)]


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of an operation between two tensors that both have axes.

    >>> promote(np.dtype("int64"), np.dtype("float32"))
    dtype('float32')
    """
    if a == b:
        return a
    kind_a, kind_b = _kind(a), _kind(b)
    if kind_a != kind_b:
        return a if kind_a > kind_b else b
    if kind_a == _FLOAT and a.itemsize == b.itemsize:  # float16 and bfloat16
        return float32
    if kind_a == _FLOAT:
        return a if a.itemsize > b.itemsize else b
    return np.promote_types(a, b)


def result_type(a: np.ndarray[Any, Any] | builtins_float, b: np.ndarray[Any, Any] | builtins_float) -> np.dtype[Any]:
    """The dtype of an operation between arrays or Python numbers, by PyTorch's rules.

    Arrays with axes outrank arrays without, which outrank Python numbers: the lower rank changes the result's
    dtype only if it is of a higher kind (bool < integer < floating point).
    """
    rank_a, rank_b = _rank(a), _rank(b)
    dtype_a, dtype_b = _dtype_of(a), _dtype_of(b)
    if rank_a == rank_b:
        return promote(dtype_a, dtype_b)
    high, low = (dtype_a, dtype_b) if rank_a > rank_b else (dtype_b, dtype_a)
    return low if _kind(low) > _kind(high) else high


def _kind(dtype: np.dtype[Any]) -> builtins_int:
    return _KINDS[dtype.kind]


def _scalar_kind(value: builtins_float) -> builtins_int:
    if isinstance(value, builtins_bool | np.bool_):
        return _BOOL
    return _INTEGER if isinstance(value, builtins_int | np.integer) else _FLOAT


def _rank(value: np.ndarray[Any, Any] | builtins_float) -> builtins_int:
    if not _is_array(value):
        return 0
    return 2 if value.ndim else 1  # type: ignore[union-attr]


def _dtype_of(value: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = value.dtype if _is_array(value) else scalar_dtype(value)
    return dtype


def _is_array(value: Any) -> builtins_bool:
    """Whether a value is an array, NumPy's or a GPU's, and no number."""
    return isinstance(value, np.ndarray) or (hasattr(value, "dtype") and not isinstance(value, np.generic))
