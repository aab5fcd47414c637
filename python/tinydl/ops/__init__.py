"""The differentiable operations, and the tensor's operators and methods made of them.

Each family has a module of its name. `METHODS` is the one list of what a tensor can do beyond storing elements;
`tensor.pyi` declares the same for type checkers, and a test compares the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import autograd, backend
from ..tensor import Tensor
from . import activation, comparison, elementwise, inplace, loss, matmul, pool, reduce, softmax, view
from .inplace import in_place


def _to(self: Tensor, *args: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The tensor in another dtype and on another device (so far always "cpu")."""
    wanted = backend.conversion(args, dtype, device)
    return self if wanted is None else elementwise.cast(self, wanted)


def _clone(self: Tensor) -> Tensor:
    """A copy, recorded."""
    return elementwise.To(self.dtype).apply(self)  # type: ignore[no-any-return]


def _cast_to(dtype: str) -> Any:
    return lambda self: elementwise.cast(self, np.dtype(dtype))


METHODS: dict[str, Any] = {
    "backward": autograd.backward,
    "register_hook": autograd.register_hook,
    "retain_grad": autograd.retain_grad,
    # arithmetic
    "add": elementwise.add,
    "sub": elementwise.sub,
    "mul": elementwise.mul,
    "div": elementwise.div,
    "neg": elementwise.neg,
    "pow": elementwise.pow,
    "__add__": elementwise.add,
    "__radd__": elementwise.add,
    "__sub__": elementwise.sub,
    "__rsub__": elementwise.rsub,
    "__mul__": elementwise.mul,
    "__rmul__": elementwise.mul,
    "__truediv__": elementwise.div,
    "__rtruediv__": elementwise.rdiv,
    "__neg__": elementwise.neg,
    "__pow__": elementwise.pow,
    # functions
    "exp": elementwise.exp,
    "log": elementwise.log,
    "sqrt": elementwise.sqrt,
    "relu": activation.relu,
    "sigmoid": activation.sigmoid,
    "tanh": activation.tanh,
    "erf": elementwise.erf,
    "softmax": softmax.softmax,
    # reductions
    "sum": reduce.sum,
    "mean": reduce.mean,
    "argmax": reduce.argmax,
    # products
    "matmul": matmul.matmul,
    "__matmul__": matmul.matmul,
    "__rmatmul__": matmul.rmatmul,
    # comparisons
    "__eq__": comparison.eq,
    "__ne__": comparison.ne,
    "__lt__": comparison.lt,
    "__le__": comparison.le,
    "__gt__": comparison.gt,
    "__ge__": comparison.ge,
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
    "float": _cast_to("float32"),
    "double": _cast_to("float64"),
    "long": _cast_to("int64"),
    "clone": _clone,
    # in place
    "add_": in_place(elementwise.add, "add_"),
    "sub_": in_place(elementwise.sub, "sub_"),
    "mul_": in_place(elementwise.mul, "mul_"),
    "div_": in_place(elementwise.div, "div_"),
    "relu_": in_place(activation.relu, "relu_"),
    "__iadd__": in_place(elementwise.add, "add_"),
    "__isub__": in_place(elementwise.sub, "sub_"),
    "__imul__": in_place(elementwise.mul, "mul_"),
    "__itruediv__": in_place(elementwise.div, "div_"),
    "zero_": inplace.zero_,
    "fill_": inplace.fill_,
    "copy_": inplace.copy_,
}

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
