"""The kernels of each device behind one face: functions that take and return NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import tinydl
from tinydl import _cpu, cuda, emulated

Array = np.ndarray[Any, Any]

# The orders in which the emulated GPU runs a kernel's threads; what a kernel computes must not depend on them.
SCHEDULES = ("forward", "backward", "shuffled")

# Functions that change arrays in place, as the emulation would have to undo before it runs them again.
IN_PLACE = ("_step", "scale_all", "clamp_all", "update_running", "recurrent")


def available() -> list[str]:
    """The devices whose kernels the tests run without being asked to: a GPU only for `pytest --device cuda`."""
    return ["cpu", *(["emulated"] if find_spec("tinydl._cuda_emulated") else [])]


def kernels_of(device: str, every_schedule: bool = True) -> Any:
    if device == "cpu":
        return _cpu
    return Emulated(every_schedule) if device == "emulated" else OnGpu()


class Emulated:
    """The CUDA kernels without a GPU, each call made in every schedule, which must agree to the last bit.

    Or, where that takes too long, each launch in the next schedule.
    """

    device = "emulated"

    def __init__(self, every_schedule: bool) -> None:
        self.every_schedule = every_schedule
        self.module = import_module("tinydl._cuda_emulated")
        emulated.use_for(self.module)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        module_function = getattr(self.module, name)

        def function(*args: Any, **kwargs: Any) -> Any:
            return host(module_function(*device(args), **device(kwargs)))

        if name.endswith(IN_PLACE) or not self.every_schedule:
            return function

        def in_every_schedule(*args: Any, **kwargs: Any) -> Any:
            results = []
            try:
                for schedule in SCHEDULES:
                    self.module.set_schedule(schedule)
                    results.append(function(*args, **kwargs))
            finally:
                self.module.set_schedule("varied")
            for schedule, result in zip(SCHEDULES[1:], results[1:], strict=True):
                assert same_bits(results[0], result), f"{name} depends on the order of threads: {schedule}"
            return results[0]

        return in_every_schedule


def device(value: Any) -> Any:
    """The value with its arrays as the emulated device's, of the same memory."""
    if isinstance(value, np.ndarray):
        return emulated.ndarray(value)
    if isinstance(value, dict):
        return {key: device(item) for key, item in value.items()}
    return type(value)(map(device, value)) if isinstance(value, list | tuple) else value


def host(value: Any) -> Any:
    if isinstance(value, emulated.ndarray):
        return value._host
    return tuple(map(host, value)) if isinstance(value, tuple) else value


def same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return all(same_bits(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b or (a != a and b != b))


class OnGpu:
    """The CUDA kernels on a GPU: arrays are copied there with their strides, and results back."""

    device = "cuda"

    def __init__(self) -> None:
        cuda.load(tinydl.device("cuda"))
        self.module = import_module("tinydl._cuda")
        self.cupy = import_module("cupy")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self.module, name)

        def on_device(*args: Any, **kwargs: Any) -> Any:
            pairs: list[tuple[Array, Any]] = []
            result = function(*self.there(args, pairs), **self.there(kwargs, pairs))
            cuda.synchronize()  # which raises what a kernel reported
            if name.endswith(IN_PLACE):
                for array, copy in pairs:
                    if array.flags.writeable:
                        array[...] = copy.get()
            return self.back(result)

        return on_device

    def there(self, value: Any, pairs: list[tuple[Array, Any]]) -> Any:
        if isinstance(value, np.ndarray):
            low, high = np.lib.array_utils.byte_bounds(value)
            memory = np.frombuffer((np.ctypeslib.ctypes.c_uint8 * (high - low)).from_address(low), np.uint8)
            copy = self.cupy.asarray(memory)
            start = value.__array_interface__["data"][0] - low
            pairs.append((value, self.cupy.ndarray(value.shape, value.dtype, copy.data + start, value.strides)))
            return pairs[-1][1]
        if isinstance(value, dict):
            return {key: self.there(item, pairs) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.there(item, pairs) for item in value)
        return value

    def back(self, value: Any) -> Any:
        if isinstance(value, self.cupy.ndarray):
            return value.get()
        return tuple(self.back(item) for item in value) if isinstance(value, tuple) else value
