"""Every call of the sweep on CuPy's own arrays, as far as these come without a GPU: what their functions refuse shows.

CuPy checks names and most arguments before it asks the driver for anything, which then is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinydl
from tinydl import emulated

from .calls import CALLS
from .test_operations import flat, space

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
pytest.importorskip("tinydl._cuda_emulated", reason="built with TINYDL_CUDA_EMULATE=ON only")
try:
    HAS_GPU = cupy.cuda.runtime.getDeviceCount() > 0
except cupy.cuda.runtime.CUDARuntimeError:
    HAS_GPU = False
if HAS_GPU:
    pytest.skip("there is a GPU, which would read memory that is not its own", allow_module_level=True)

ACCEPTED = (cupy.cuda.runtime.CUDARuntimeError, ImportError)  # no driver, no libraries of CUDA's
SPACE = np.zeros(1 << 20, np.uint8)
MEMORY = cupy.cuda.UnownedMemory(SPACE.ctypes.data, SPACE.size, SPACE, 0)


def twin(value: Any) -> Any:
    """CuPy's array of the same shape, dtype and strides in memory that nobody reads."""
    if isinstance(value, emulated.ndarray):
        pointer = cupy.cuda.MemoryPointer(MEMORY, SPACE.size // 2)
        return cupy.ndarray(value.shape, value.dtype, pointer, value.strides)
    return type(value)(map(twin, value)) if type(value) in (tuple, list) else value


@pytest.fixture
def refusals(monkeypatch) -> list[str]:
    """What CuPy has refused so far of the calls on emulated arrays."""
    found: list[str] = []
    call, put = emulated._call, emulated.ndarray.__setitem__

    def attempt(name: str, function: Any) -> None:
        try:
            function()
        except ACCEPTED:
            pass
        except Exception as error:  # whatever it is
            found.append(f"{name}: {type(error).__name__}: {error}")

    def call_both(function: Any, args: Any, kwargs: Any, owner: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        if owner is not None or not isinstance(getattr(function, "__self__", None), np.ndarray):
            theirs = function if owner is None else getattr(twin(owner), name)
            if theirs is not np.ascontiguousarray:  # the twin's own is `cupy.ascontiguousarray`
                attempt(name, lambda: theirs(*twin(args), **{key: twin(value) for key, value in kwargs.items()}))
        return call(function, args, kwargs, owner)

    def put_both(self: Any, key: Any, value: Any) -> None:
        attempt("setitem", lambda: twin(self).__setitem__(twin(key), twin(value)))
        put(self, key, value)

    monkeypatch.setattr(emulated, "_call", call_both)
    monkeypatch.setattr(emulated.ndarray, "__setitem__", put_both)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CALLS)
def test_cupy_takes_the_same_calls(case, refusals):
    parts = list(flat(eval(case, space("cuda-emulated", np.float32, []))))
    for part in parts:
        if isinstance(part, tinydl.Tensor) and part.requires_grad:
            part.backward(tinydl.ones_like(part), retain_graph=True)
    ended = [line for line in refusals if not line.startswith("__getitem__: IndexError")]  # how a walk along rows ends
    assert ended == []
