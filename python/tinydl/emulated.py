"""A GPU's arrays without a GPU: NumPy's memory behind CuPy's face, as strict as CuPy's own arrays.

The device "cuda-emulated" runs the CUDA kernels on the CPU, for tests. Its arrays refuse what CuPy's refuse, so that
code that runs on them has no hidden copies between host and device: `numpy.asarray(x)` raises (`x.get()` copies),
operands that are NumPy arrays raise, functions that CuPy lacks raise, and a sum is an array without axes, not a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# What NumPy has and CuPy 14 has not, of what arrays can be passed to.
_MISSING = {"block", "einsum_path", "geomspace", "histogram_bin_edges", "insert", "isnat", "matvec", "nanpercentile"}
_MISSING |= {"nanquantile", "polyder", "polydiv", "polyint", "spacing", "unstack", "vecdot", "vecmat"}


class Memory:
    """Bytes of the device, exactly as many as asked for: `ptr` is where they lie. They hold NaN until written."""

    def __init__(self, size: int) -> None:
        self.bytes = np.full(max(size, 1), 0xFF, np.uint8)
        self.ptr = self.bytes.ctypes.data


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on the device "cuda-emulated".

    >>> x = asarray(np.arange(3))
    >>> x.sum().get()
    array(3)
    """

    __slots__ = ("_base", "_host", "_memory")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any, memory: Memory | None = None) -> None:
        self._host = np.asarray(host)
        self._memory = memory
        self._base: ndarray | None = None

    def get(self) -> np.ndarray[Any, Any]:
        """A copy as a NumPy array, row-major."""
        return self._host.copy(order="C")

    @property
    def data(self) -> Any:
        """Where the elements begin, as `data.ptr`."""
        return _Pointer(self._host.__array_interface__["data"][0])

    @property
    def base(self) -> Any:
        """The array whose memory this one views, or None."""
        return self._base

    @property
    def flags(self) -> Any:
        """How the elements lie; a GPU's arrays can always be written to, and say nothing about it."""
        return _Flags(self._host)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` instead.")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _call(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in _MISSING:
            raise TypeError(f"no implementation found for 'numpy.{func.__name__}' on CuPy's arrays")
        return _call(func, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "setflags":  # no way past `get` to the host's memory
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        value = getattr(self._host, name)
        if not callable(value):
            return _wrapped(value, (self,))
        return lambda *args, **kwargs: _call(value, args, kwargs, self)

    def __getitem__(self, index: Any) -> Any:
        return _call(self._host.__getitem__, (index,), {}, self)

    def __setitem__(self, index: Any, value: Any) -> None:
        _call(self._host.__setitem__, (index, value), {})

    def __len__(self) -> int:
        return len(self._host)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __index__(self) -> int:
        return self._host.__index__()

    def __repr__(self) -> str:
        return repr(self._host)


class _Flags:
    def __init__(self, host: Any) -> None:
        self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
        self.owndata = host.flags.owndata


class _Pointer:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def _wrapped(value: Any, owners: Any = ()) -> Any:
    """NumPy's result as a device's; `owners` are the arrays that it may be a view of."""
    if isinstance(value, np.ndarray | np.generic):
        out = ndarray(value)
        for owner in owners:
            if isinstance(owner, ndarray) and value.base is not None:
                if value is owner._host:
                    return owner
                if value.base is owner._host or value.base is owner._host.base:
                    out._base = owner if owner._base is None else owner._base
        return out
    if type(value) in (tuple, list):
        return type(value)(_wrapped(item, owners) for item in value)
    return value


def _host_of(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if type(value) in (tuple, list):
        return type(value)(map(_host_of, value))
    return value


def _call(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], owner: Any = None) -> Any:
    hosts = [_host_of(value) for value in args]
    out = function(*hosts, **{name: _host_of(value) for name, value in kwargs.items()})
    return _wrapped(out, (owner, *args))


# -- NumPy's functions that make arrays -------------------------------------------------------------------------


def _maker(function: Callable[..., Any]) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> ndarray:
        return _call(function, args, kwargs)  # type: ignore[no-any-return]

    return make


zeros, ones, empty, full = _maker(np.zeros), _maker(np.ones), _maker(np.empty), _maker(np.full)
arange, eye, tri, linspace = _maker(np.arange), _maker(np.eye), _maker(np.tri), _maker(np.linspace)
indices = _maker(np.indices)


def asarray(value: Any, dtype: Any = None) -> ndarray:
    """The array itself, or a copy on the device."""
    if isinstance(value, ndarray):
        return value if dtype is None else value.astype(dtype, copy=False)
    return ndarray(np.array(value, dtype))


def array(value: Any, dtype: Any = None) -> ndarray:
    """A copy on the device."""
    return ndarray(np.array(_host_of(value) if isinstance(value, ndarray) else value, dtype))


def __getattr__(name: str) -> Any:
    return getattr(np, name)  # functions of arrays come back to us through the protocols


# -- What the kernels ask for -----------------------------------------------------------------------------------


def allocate(shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, size: int) -> ndarray:
    """An uninitialised array."""
    memory = Memory(size)
    return ndarray(np.ndarray(shape, dtype, memory.bytes, strides=strides), memory)


def use_for(module: Any) -> None:
    """Make these the arrays of `tinydl._cuda_emulated`."""
    module.use_arrays(ndarray, allocate, Memory, lambda: 0, asarray)
