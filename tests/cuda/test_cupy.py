"""Every call of the sweep on CuPy's own arrays, as far as these come without a GPU: what their functions refuse shows.

Most functions of CuPy's check names, parameters and shapes before they ask the driver for anything, which then is
missing. Ufuncs and operators, `where`, `ufunc.at` and assignments ask it sooner. Of ufuncs and operators the operands'
dtypes are therefore compared with the signatures that CuPy's have; of `at` the emulated array knows the dtypes. What
stays unseen are values, results, dtypes that two functions combine, and whatever comes after the first kernel of a
function.
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


# Of the kinds of a signature's dtypes, those that take a Python number.
TAKES = {bool: "?biufc", int: "iufc", float: "fc", complex: "c"}


def lacks_signature(function: Any, args: Any, kwargs: dict[str, Any]) -> str | None:
    """What CuPy's ufunc of the name does not take; None where it does, or where it is no ufunc.

    >>> lacks_signature(np.bitwise_and, [np.ones(2), 1], {})
    'bitwise_and: no signature for float64, int'
    """
    ufunc = getattr(function, "__self__", function)  # operators call `ufunc.__call__`
    theirs = getattr(cupy, getattr(ufunc, "__name__", ""), None)
    if not isinstance(ufunc, np.ufunc) or not isinstance(theirs, cupy.ufunc) or "dtype" in kwargs:
        return None
    if function is not ufunc and function.__name__ != "__call__":
        return None
    operands = args[: theirs.nin]
    if any(all(map(fits, operands, types.partition("->")[0])) for types in theirs.types):
        return None
    given = ", ".join(str(getattr(operand, "dtype", type(operand).__name__)) for operand in operands)
    return f"{ufunc.__name__}: no signature for {given}"


def fits(operand: Any, wanted: str) -> bool:
    """Whether an operand of a ufunc is taken as a dtype."""
    if hasattr(operand, "dtype"):
        return np.can_cast(operand.dtype, "F" if wanted == "E" else wanted)  # E: two float16
    return np.dtype("F" if wanted == "E" else wanted).kind in TAKES[type(operand)]


def test_ufuncs_are_asked_for_their_signatures():
    half, whole = np.ones(2, np.float16), np.ones(2, np.int64)
    assert lacks_signature(np.bitwise_and, [half, 1], {}) == "bitwise_and: no signature for float16, int"
    assert lacks_signature(np.bitwise_and.__call__, [whole, 0.5], {}) == "bitwise_and: no signature for int64, float"
    assert lacks_signature(np.ldexp, [half, half], {}) is not None
    for function, args in ((np.add, [half, 2]), (np.exp, [half]), (np.left_shift, [whole, 1]), (np.sum, [half])):
        assert lacks_signature(function, args, {}) is None


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
        lacking = lacks_signature(function, args, kwargs)
        if lacking is not None:
            found.append(lacking)
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
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("case", CALLS)
def test_cupy_takes_the_same_calls(case, dtype, refusals):
    try:
        parts = list(flat(eval(case, space("cuda-emulated", dtype, []))))
    except (TypeError, ValueError) as error:
        if dtype is np.float32:
            raise
        pytest.skip(f"not in float16, or not beside float32: {error}")
    for part in parts:
        if isinstance(part, tinydl.Tensor) and part.requires_grad:
            part.backward(tinydl.ones_like(part), retain_graph=True)
    ended = [line for line in refusals if not line.startswith("__getitem__: IndexError")]  # how a walk along rows ends
    assert ended == []
