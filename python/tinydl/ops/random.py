"""Dropout: random elements set to zero, the others scaled up."""

from __future__ import annotations

from .. import backend, dtypes
from ..autograd import Function
from ..random import Generator, default_generator
from ..tensor import Array, Tensor
from .inplace import replace


class Dropout(Function):
    """y_i = m_i x_i / (1 - p) with m_i in {0, 1}, P(m_i = 0) = p; dx_i = m_i dy_i / (1 - p)."""

    def __init__(self, p: float, generator: Generator) -> None:
        self.p = p
        self.generator = generator

    def forward(self, x: Array) -> Array:
        seed, offset = self.generator.reserve(x.size)
        y: Array
        y, mask = backend.of(x).dropout(x, self.p, seed, offset)
        self.save(mask)
        return y

    def backward(self, grad: Array) -> Array:
        (mask,) = self.saved
        return backend.of(grad).dropout_backward(grad, mask, self.p)  # type: ignore[no-any-return]


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and divide the others by 1 - p, so that the expectation stays.

    The decision about an element depends on the generator's state and the element's position in the memory
    of the output (dense, in the input's order of axes): not on threads or instruction sets. A zeroed element
    is 0 also where the input is infinite or NaN.

    Args:
        input: any shape, float32 or float64.
        p: the probability of zeroing, from 0 to 1; 1 gives zeros.
        training: without it, or with p = 0, the input itself is returned.
        inplace: overwrite the input.
        generator: where the random numbers come from; by default `tinydl.random.default_generator`.

    Raises:
        ValueError: p lies outside [0, 1].
        TypeError: the input is no floating-point tensor.

    Reference: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    >>> import tinydl
    >>> y = dropout(tinydl.ones(1000), p=0.25, generator=tinydl.Generator(0))
    >>> (y == 0).sum().item(), y[0].item()
    (230, 1.3333333730697632)
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: got p = {p}, wanted a probability from 0 to 1")
    if not isinstance(input, Tensor):
        raise TypeError(f"dropout: got {type(input).__name__}, wanted a tensor")
    if input.dtype not in dtypes.FLOATS:
        raise TypeError(f"dropout: got dtype {input.dtype}, wanted float32 or float64")
    if not training or p == 0:
        return input
    out: Tensor = Dropout(float(p), generator or default_generator).apply(input)
    return replace("dropout", input, out) if inplace else out
