"""The tensor: an array, and its place on the tape. Operators and methods are attached by `tinydl.ops`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from operator import attrgetter, index
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend, devices, dtypes

if TYPE_CHECKING:
    from .autograd import Function

Array = np.ndarray[Any, Any]
_ndarray = np.ndarray


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    """Take a gradient that fits; the engine, whose gradients do, writes `_grad`."""
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"grad: got {type(value).__name__}, wanted a tensor or None")
        if value is self:
            raise ValueError("grad: a tensor cannot be its own gradient")
        if value.shape != self.shape:
            raise ValueError(f"grad: got shape {value.shape} for a tensor of shape {self.shape}")
        if value.device != self.device:
            raise RuntimeError(f"grad: got a tensor on '{value.device}' as the gradient of one on '{self.device}'")
        if value.dtype != self.dtype:
            raise TypeError(f"grad: got dtype {value.dtype} for a tensor of dtype {self.dtype}")
    self._grad = value


class Tensor:
    """An n-dimensional array that can record the operations on it.

    The elements live in a `numpy.ndarray`, on a GPU in a `cupy.ndarray`. Create tensors with `tinydl.tensor`,
    `tinydl.zeros` and their kind; called itself, the class takes over an array or a tensor, and makes float32 of lists.

    Attributes:
        requires_grad: whether operations on the tensor are recorded, and gradients computed for it.
        grad: the gradient that `backward` accumulated, or None.
        grad_fn: the operation that made the tensor, or None for a leaf.
    """

    requires_grad: bool = False
    grad = property(attrgetter("_grad"), _set_grad)
    grad_fn: Function | None = None
    _grad: Tensor | None = None
    _output_index = 0  # which of grad_fn's outputs this is
    _listed: list[Any] | None = None  # the version counter that holds a reference to this tensor
    _hooks: dict[int, Any] | None = None  # what is called with a leaf's gradient

    __array_priority__ = 1000  # numpy_array * tensor is ours
    __hash__ = object.__hash__

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        self._version: list[Any]  # shared by all views of the storage: [changes in place, views]
        if type(data) is _ndarray:
            self._data, self._version = data, [0]
        else:
            self._data, self._version = _given(data)
        if requires_grad:
            self.requires_grad_()

    # -- What the array is ------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, a NumPy dtype."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def device(self) -> devices.device:
        """Where the elements live: "cpu", "cuda:0"."""
        return backend.device_of(self._data)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made the tensor."""
        return self.grad_fn is None

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on a tensor that is no leaf."""
        function = self.grad_fn
        return function is not None and any([ref() is self for _, ref in function._kept])

    @property
    def data(self) -> Tensor:
        """The same storage off the tape."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        """Take over another tensor's storage, unrecorded."""
        if not isinstance(value, Tensor):
            raise TypeError(f"data: got {type(value).__name__}, wanted a tensor")
        if self.requires_grad and not dtypes.is_floating_point(value.dtype):
            raise TypeError(f"data: a tensor that requires a gradient cannot have dtype {value.dtype}")
        self._data = value._data
        self._version = value._version

    def size(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The shape, or the size of one axis."""
        return self._data.shape if dim is None else self._data.shape[self._axis("size", dim)]

    def _axis(self, op: str, dim: int) -> int:
        try:
            dim = index(dim)
        except TypeError:
            raise TypeError(f"{op}: got dim {dim!r}, wanted an integer") from None
        if not -self._data.ndim <= dim < self._data.ndim:
            raise IndexError(f"{op}: dim {dim} is out of range for shape {self.shape}")
        return dim

    def dim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The steps between neighbours along each axis, or along one, counted in elements."""
        steps = tuple(s // self._data.itemsize for s in self._data.strides)
        return steps if dim is None else steps[self._axis("stride", dim)]

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        return self._data.flags.c_contiguous

    # -- Out of the tensor ------------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> Array:
        """The storage itself as a NumPy array.

        Raises RuntimeError if the tensor requires a gradient, TypeError if it is on a GPU; `force` takes a copy then.
        """
        if self.requires_grad and not force:
            raise RuntimeError("numpy: the tensor requires a gradient; call detach().numpy()")
        if not force and not backend.is_on_host(self._data):
            raise TypeError(f"numpy: the tensor is on '{self.device}'; call cpu() first")
        return backend.to_host(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad:
            raise RuntimeError("numpy: the tensor requires a gradient; call detach() before making an array of it")
        if not backend.is_on_host(self._data):
            raise TypeError(f"numpy: the tensor is on '{self.device}'; call cpu() first")
        return np.array(self._data, dtype=dtype) if copy else np.asarray(self._data, dtype=dtype)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"item: got a tensor of shape {self.shape}, wanted one element")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iub" or self._data.size != 1:
            raise TypeError(f"a tensor of dtype {self.dtype} and shape {self.shape} cannot be used as an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a tensor without axes")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        body = np.array2string(backend.to_host(self._data), separator=", ", prefix="tensor(")
        notes = "" if backend.is_on_host(self._data) else f", device='{self.device}'"
        if self._data.dtype not in (dtypes.float32, dtypes.int64, dtypes.bool):
            notes += f", dtype={self._data.dtype}"
        if self.grad_fn is not None:
            notes += f", grad_fn=<{type(self.grad_fn).__name__}>"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({body}{notes})"

    # -- On the tape ------------------------------------------------------------------------------------------

    def _share_version(self, view: Tensor) -> None:
        """Note that `view` shares the storage: its version counter is ours, and holds weak references to both."""
        version = self._version
        length = len(version)
        if length > 16 and not length & (length - 1):  # at powers of two, so that n views cost n steps
            version[1:] = [ref for ref in version[1:] if ref() is not None]
        if self._listed is not version:
            version.append(weakref.ref(self))
            self._listed = version
        version.append(weakref.ref(view))
        view._version = view._listed = version

    def _aliases(self) -> list[Tensor]:
        """The other tensors, alive and on the tape's books, that share the storage as views or as their base."""
        found = [ref() for ref in self._version[1:]]
        return [t for t in found if t is not None and t is not self]

    def detach(self) -> Tensor:
        """The same storage as a tensor that is not on the tape."""
        out = Tensor(self._data)
        out._version = self._version
        return out

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient (only floating-point tensors have one), in place."""
        if requires_grad and not dtypes.is_floating_point(self._data.dtype):
            raise TypeError(f"only floating-point tensors can require gradients, got dtype {self._data.dtype}")
        if not requires_grad and self.grad_fn is not None:
            raise RuntimeError("requires_grad can be switched off for leaves only; use detach()")
        self.requires_grad = requires_grad
        return self

    # -- Copies -----------------------------------------------------------------------------------------------

    def _check_copy(self, what: str) -> None:
        if self.grad_fn is not None:
            raise RuntimeError(f"{what}: only leaves can be copied, not the result of a recorded operation; detach it")

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_copy("pickle")
        return Tensor, (self._data, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._check_copy("deepcopy")
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        Tensor.__init__(out, self._data.copy(order="K"))
        out.requires_grad = self.requires_grad
        if self.grad is not None:
            out.grad = Tensor(self.grad._data.copy(order="K"))
        return out


def _given(data: Any) -> tuple[Array, list[Any]]:
    """The storage and the version counter of a tensor that a user makes with the class."""
    if isinstance(data, Tensor):
        return data._data, data._version
    if isinstance(data, np.ndarray) or not backend.is_on_host(data):  # of a subclass, or on a GPU
        return data, [0]
    if isinstance(data, np.generic):
        return np.asarray(data), [0]
    if isinstance(data, list | tuple) or hasattr(data, "__cuda_array_interface__"):
        from .creation import as_tensor

        return as_tensor(data, dtypes.float32 if isinstance(data, list | tuple) else None)._data, [0]
    raise TypeError(
        f"Tensor: got {data!r}, wanted an array or a list; tinydl.tensor(5) holds a number, tinydl.empty(5) has a size"
    )
