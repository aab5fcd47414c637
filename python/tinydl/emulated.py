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
_NAMES = """
    block busday_count busday_offset datetime_as_string einsum_path geomspace histogram_bin_edges insert
    is_busday isnat linalg.diagonal linalg.matrix_norm linalg.multi_dot linalg.outer linalg.svdvals
    linalg.tensordot linalg.trace linalg.vecdot linalg.vector_norm matvec nanpercentile nanquantile polyder
    polydiv polyint spacing unstack vecdot vecmat
"""
_MISSING = set(_NAMES.split())

# The parameters that CuPy's functions and methods of a name lack, or call otherwise.
_LACKING = {
    name: set(parameters.split())
    for names, parameters in {
        "all any mean nanmean": "where",
        "amax amin max min nanmax nanmin nanprod nansum prod sum": "initial where",
        "nanstd nanvar std var": "where mean correction",
        "argpartition partition": "kind order",
        "argsort sort": "order stable",
        "array_str linalg.matrix_power": "a",
        "broadcast_arrays broadcast_to copy": "subok",
        "clip": "min max",
        "concat concatenate stack": "arrays",
        "corrcoef": "x",
        "count_nonzero": "keepdims",
        "cov flip fliplr flipud rot90": "m",
        "delete": "obj",
        "ediff1d": "ary",
        "extract take_along_axis": "arr",
        "histogram": "a",
        "intersect1d union1d": "ar1 ar2",
        "isin": "kind",
        "lexsort trim_zeros": "axis",
        "percentile quantile": "weights",
        "reshape unravel_index": "shape",
        "take": "mode",
        "unique": "sorted",
        "unpackbits": "count",
        "linalg.cholesky": "upper",
        "linalg.matmul": "x1 x2",
        "linalg.matrix_rank": "A hermitian rtol",
        "linalg.matrix_transpose": "x",
        "linalg.pinv": "hermitian rtol",
        "linalg.svd": "hermitian",
    }.items()
    for name in names.split()
}
_LACKING_OF_METHODS = _LACKING | {"clip": set(), "reshape": set()}
_NO_METHODS = {"ctypes", "getfield", "resize", "setfield", "setflags", "to_device"}

_COUNTS = {"count_nonzero", "array_equal", "array_equiv", "allclose"}  # numbers of NumPy's, arrays of CuPy's

# Beside the call itself, what CuPy's ufuncs can do, and with which of them.
_UFUNC_METHODS = {
    "reduce": {"add", "multiply"},
    "accumulate": {"add", "multiply"},
    "reduceat": {"add"},
    "at": {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"},
}
_DTYPES_OF_AT = {"add": "iILefd", "subtract": "iILefd", "maximum": "iILfd", "minimum": "iILfd"}


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
    def device(self) -> Any:
        """Which GPU, as `device.id`."""
        return _DEVICE

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
        name = ufunc.__name__
        if name not in _UFUNC_METHODS.get(method, {name}):
            raise NotImplementedError(f"`cupy_{name}.{method}` is not supported yet")
        if method == "at" and self.dtype.char not in _DTYPES_OF_AT.get(name, "iIlL"):
            raise TypeError(f"{name}.at: CuPy's takes none of {self.dtype}")
        if "where" in kwargs:
            raise TypeError(f"Wrong arguments {{'where'}} to '{name}'")
        return _call(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = ".".join([*func.__module__.split(".")[1:2], func.__name__])
        if name in _MISSING:
            raise TypeError(f"no implementation found for 'numpy.{name}' on CuPy's arrays")
        if name in ("linalg.solve", "linalg.lstsq"):
            _check_systems(name, *args[:2])
        _check_parameters(name, _LACKING.get(name), kwargs)
        out = _call(func, args, kwargs)
        return ndarray(out) if name in _COUNTS and not isinstance(out, ndarray) else out

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _NO_METHODS:  # no way past `get` to the host's memory
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        value = getattr(self._host, name)
        if not callable(value):
            return _wrapped(value, (self,))

        def method(*args: Any, **kwargs: Any) -> Any:
            _check_parameters(name, _LACKING_OF_METHODS.get(name), kwargs)
            return _call(value, args, kwargs, self)

        return method

    @property
    def flat(self) -> Any:
        """The elements one after the other."""
        return self.ravel()

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

    def __repr__(self) -> str:
        return repr(self._host)


class _Flags:
    def __init__(self, host: Any) -> None:
        self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
        self.owndata = host.flags.owndata


class _Pointer:
    device_id = 0

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class _Device:
    id = 0


_DEVICE = _Device()


def _wrapped(value: Any, owners: Any = ()) -> Any:
    """NumPy's result as a device's; `owners` are the arrays that it may be a view of."""
    if isinstance(value, np.ndarray | np.generic):
        out = ndarray(value)
        for owner in owners:
            if isinstance(owner, ndarray):
                if value is owner._host:
                    return owner
                if value.base is None:
                    continue
                if value.base is owner._host or value.base is owner._host.base:
                    out._base = owner if owner._base is None else owner._base
        return out
    if isinstance(value, tuple | list):
        return (list if isinstance(value, list) else tuple)(_wrapped(item, owners) for item in value)
    return value


def _host_of(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if type(value) in (tuple, list):
        return type(value)(map(_host_of, value))
    return value


def _check_parameters(name: str, lacking: set[str] | None, kwargs: dict[str, Any]) -> None:
    wrong = lacking and lacking & {*kwargs}
    if wrong:
        raise TypeError(f"{name}() got an unexpected keyword argument '{wrong.pop()}'")


def _check_systems(name: str, a: ndarray, b: ndarray) -> None:
    if name == "linalg.lstsq" and max(a.ndim, b.ndim) > 2:
        raise np.linalg.LinAlgError(f"{b.ndim}-dimensional array given. Array must be at most two-dimensional")
    if name == "linalg.solve" and b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")


def _call(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], owner: Any = None) -> Any:
    hosts = [_host_of(value) for value in args]
    try:
        out = function(*hosts, **{name: _host_of(value) for name, value in kwargs.items()})
    except IndexError as error:
        if "out of bounds" in str(error) and any(isinstance(value, np.ndarray | tuple | list) for value in hosts):
            raise AssertionError(f"CuPy would count round where NumPy says: {error}") from None
        raise
    if isinstance(out, np.ndarray) and not out.flags.writeable and out.base is not None and out.base.flags.writeable:
        out.setflags(write=True)  # diagonals and broadcast arrays, which CuPy lets be written to
    return _wrapped(out, (owner, *args))


# -- NumPy's functions that make arrays -------------------------------------------------------------------------


def _maker(function: Callable[..., Any]) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> ndarray:
        return _call(function, args, kwargs)  # type: ignore[no-any-return]

    return make


zeros, ones, empty, full = _maker(np.zeros), _maker(np.ones), _maker(np.empty), _maker(np.full)
arange, eye, tri, linspace = _maker(np.arange), _maker(np.eye), _maker(np.tri), _maker(np.linspace)
ascontiguousarray = _maker(np.ascontiguousarray)


def indices(dimensions: Any, dtype: Any = int) -> ndarray:
    """An array of the indices along each axis."""
    return ndarray(np.indices(dimensions, dtype))


class lib:
    """`numpy.lib`, of which there is one function."""

    class stride_tricks:
        """`numpy.lib.stride_tricks`."""

        @staticmethod
        def as_strided(x: ndarray, shape: Any, strides: Any) -> ndarray:
            """A view of any shape and strides."""
            return ndarray(np.lib.stride_tricks.as_strided(x._host, shape, strides))


def asarray(value: Any, dtype: Any = None) -> ndarray:
    """The array itself, or a copy on the device."""
    if isinstance(value, ndarray):
        return value if dtype is None else value.astype(dtype, copy=False)
    return ndarray(np.array(value, dtype))


def array(value: Any, dtype: Any = None) -> ndarray:
    """A copy on the device."""
    return ndarray(np.array(_host_of(value) if isinstance(value, ndarray) else value, dtype))


def __getattr__(name: str) -> Any:
    if name in _MISSING:
        raise AttributeError(f"module 'cupy' has no attribute '{name}'")
    return getattr(np, name)  # functions of arrays come back to us through the protocols


# -- What the kernels ask for -----------------------------------------------------------------------------------


def allocate(shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, size: int) -> ndarray:
    """An uninitialised array."""
    memory = Memory(size)
    return ndarray(np.ndarray(shape, dtype, memory.bytes, strides=strides), memory)


def use_for(module: Any) -> None:
    """Make these the arrays of `tinydl._cuda_emulated`."""
    module.use_arrays(ndarray, allocate, Memory, lambda: 0, asarray)
