"""The precision in which a trainer computes: float32, or 16 bits within `autocast` with the loss scaled for float16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from .. import dtypes
from ..amp import GradScaler, autocast
from ..tensor import Tensor

NAMES = ("float32", "bfloat16", "float16")


class Precision:
    """How a step computes its loss and uses it.

    Attributes:
        name: "float32", "bfloat16" or "float16".
        scaler: the `GradScaler`, enabled for float16 alone.

    Raises ValueError for another name.
    """

    def __init__(self, name: str, model: Any) -> None:
        if str(name) not in NAMES:
            raise ValueError(f"Trainer: got precision {name!r}, wanted one of {', '.join(NAMES)}")
        self.name = str(name)
        self.model = model
        self.scaler = GradScaler("cpu", enabled=self.name == "float16")

    def casts(self) -> AbstractContextManager[Any]:
        """The `autocast` block for the device on which the model is; nothing for float32."""
        if self.name == "float32":
            return nullcontext()
        first = next(iter(self.model.parameters()), None)
        place = "cpu" if first is None else first.device.type
        return autocast(place, dtypes.float16 if self.name == "float16" else dtypes.bfloat16())

    def step(self, loss: Tensor, optimizer: Any) -> None:
        """Backward and the optimiser's step, which is left out where scaled gradients overflow."""
        if not self.scaler.is_enabled():
            loss.backward()
            optimizer.step()
            return
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()


def widened(arrays: Any) -> Any:
    """Nested arrays in float32 where they have 16 bits, which NumPy computes with slowly or not at all."""
    if isinstance(arrays, dict):
        return {name: widened(each) for name, each in arrays.items()}
    if isinstance(arrays, list):
        return [widened(each) for each in arrays]
    half = dtypes.is_floating_point(arrays.dtype) and arrays.dtype.itemsize == 2
    return arrays.astype(np.float32) if half else arrays
