"""Parameters: the tensors of a module that are trained."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Array, Tensor


class Parameter(Tensor):
    """A tensor that a `Module` finds when it is assigned to an attribute; it requires a gradient by default.

    It shares the storage of `data`, a tensor or an array of floating-point numbers.

    >>> import tinydl
    >>> Parameter(tinydl.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Tensor | Array, requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            super().__init__(data._data)
            self._version = data._version
        elif backend.is_array(data):
            super().__init__(data)
        else:
            raise TypeError(f"Parameter: got {type(data).__name__}, wanted a tensor or an array")
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameter, (self._data, self.requires_grad)
