"""The differentiable operations, and the tensor's operators and methods made of them.

Each family has a module of its name. `METHODS` is the one list of what a tensor can do beyond storing elements;
`tensor.pyi` declares the same for type checkers, and a test compares the two.
"""

from __future__ import annotations

from typing import Any

from .. import autograd, backend
from ..tensor import Tensor
from . import elementwise, elementwise_methods, inplace, loss, matmul, pool, reduce, softmax, view


def _to(self: Tensor, *args: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The tensor in another dtype and on another device (so far always "cpu")."""
    wanted = backend.conversion(args, dtype, device)
    return self if wanted is None else elementwise.cast(self, wanted)


def _clone(self: Tensor) -> Tensor:
    """A copy, recorded."""
    return elementwise.To(self.dtype).apply(self)  # type: ignore[no-any-return]


METHODS: dict[str, Any] = {
    "backward": autograd.backward,
    **elementwise_methods.METHODS,
    "softmax": softmax.softmax,
    # reductions
    "sum": reduce.sum,
    "mean": reduce.mean,
    "argmax": reduce.argmax,
    # products
    "matmul": matmul.matmul,
    "__matmul__": matmul.matmul,
    "__rmatmul__": matmul.rmatmul,
    # shapes
    "reshape": view.reshape,
    "view": view.reshape,
    "flatten": view.flatten,
    "permute": view.permute,
    "transpose": view.transpose,
    "t": view.t,
    "T": property(view.t),
    "squeeze": view.squeeze,
    "unsqueeze": view.unsqueeze,
    "expand": view.expand,
    "contiguous": view.contiguous,
    "__getitem__": view.getitem,
    "__setitem__": view.setitem,
    # dtypes and copies
    "to": _to,
    "clone": _clone,
    # in place
    "zero_": inplace.zero_,
    "fill_": inplace.fill_,
    "copy_": inplace.copy_,
}

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
