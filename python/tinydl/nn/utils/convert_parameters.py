"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...autograd import Function, no_grad
from ...tensor import Array, Tensor


class _Flatten(Function):
    """The elements of all inputs, one after the other in row-major order."""

    def forward(self, *arrays: Array) -> Array:
        self.shapes = [array.shape for array in arrays]
        return np.concatenate([array.reshape(-1) for array in arrays])

    def backward(self, grad: Array) -> tuple[Array, ...]:
        ends = np.cumsum([np.prod(shape, dtype=np.int64) for shape in self.shapes])[:-1].tolist()
        return tuple([part.reshape(shape) for part, shape in zip(np.split(grad, ends), self.shapes, strict=True)])


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters as one vector; differentiable.

    Raises ValueError if there are none, TypeError for what is no tensor.

    >>> import tinydl
    >>> parameters_to_vector([tinydl.zeros(1, 2), tinydl.ones(2)])
    tensor([0., 0., 1., 1.])
    """
    tensors = list(parameters)
    if not tensors:
        raise ValueError("parameters_to_vector: there are no parameters")
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"parameters_to_vector: got {type(tensor).__name__}, wanted tensors")
    return _Flatten().apply(*tensors)  # type: ignore[no-any-return]


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, in the order of `parameters_to_vector`.

    Raises ValueError if the vector has too few elements, TypeError if it is no tensor; then nothing is changed.

    >>> import tinydl
    >>> w = tinydl.zeros(1, 2)
    >>> vector_to_parameters(tinydl.tensor([3.0, 4.0]), [w])
    >>> w
    tensor([[3., 4.]])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: got {type(vec).__name__}, wanted a tensor")
    tensors = list(parameters)
    wanted = sum([tensor.numel() for tensor in tensors])
    if vec.ndim != 1 or vec.numel() < wanted:
        raise ValueError(f"vector_to_parameters: got a tensor of shape {vec.shape}, wanted ({wanted},)")
    start = 0
    with no_grad():
        for tensor in tensors:
            count = tensor.numel()
            tensor.copy_(Tensor(vec._data[start : start + count].reshape(tensor.shape)))
            start += count
