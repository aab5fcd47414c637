"""PyTorch's older constructors, one for each dtype: a call with data copies it, a call with sizes gives zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import creation, dtypes
from .tensor import Tensor


class _OfDtype:
    """Makes tensors of one dtype; isinstance knows the CPU's tensors of that dtype by it."""

    def __init__(self, name: str, dtype: np.dtype[Any]) -> None:
        self.__name__ = name
        self.dtype = dtype

    def __call__(self, *data: Any) -> Tensor:
        """A tensor from a sequence, an array or a tensor; or zeros of the given sizes."""
        if len(data) == 1 and not isinstance(data[0], int):
            return creation.tensor(data[0], dtype=self.dtype)
        return creation.zeros(data or (0,), dtype=self.dtype)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == self.dtype

    def __repr__(self) -> str:
        return f"<constructor tinydl.{self.__name__}>"


FloatTensor = _OfDtype("FloatTensor", dtypes.float32)
DoubleTensor = _OfDtype("DoubleTensor", dtypes.float64)
ByteTensor = _OfDtype("ByteTensor", dtypes.uint8)
IntTensor = _OfDtype("IntTensor", dtypes.int32)
CharTensor = _OfDtype("CharTensor", dtypes.int8)
ShortTensor = _OfDtype("ShortTensor", dtypes.int16)
HalfTensor = _OfDtype("HalfTensor", dtypes.float16)
LongTensor = _OfDtype("LongTensor", dtypes.int64)
BoolTensor = _OfDtype("BoolTensor", dtypes.bool)
