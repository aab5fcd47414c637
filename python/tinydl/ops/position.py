"""Where a token stands: sinusoidal and rotary positions."""

from __future__ import annotations

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import cast


def _check_dim(op: str, dim: int) -> None:
    if dim < 0 or dim % 2:
        raise ValueError(f"{op}: got {dim} features, wanted an even number")


def _angles(positions: Array, dim: int, base: float) -> Array:
    """position / base^(2 i / dim) for i < dim / 2, in float64."""
    frequencies = backend.beside(float(base) ** (-np.arange(0, dim, 2) / max(dim, 1)), positions)
    out: Array = positions[..., None].astype(np.float64) * frequencies
    return out


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """P (length, dim) with P[t, 2 i] = sin(t / 10000^(2 i / dim)) and P[t, 2 i + 1] = cos(t / 10000^(2 i / dim)).

    Added to the embeddings of the tokens at t = 0, 1, ... Computed in float64 and rounded to float32.

    Raises ValueError for a negative length or an odd `dim`.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.5.

    >>> sinusoidal_positions(2, 4)
    tensor([[0.        , 1.        , 0.        , 1.        ],
            [0.84147096, 0.5403023 , 0.00999983, 0.99995   ]])
    """
    _check_dim("sinusoidal_positions", dim)
    if length < 0:
        raise ValueError(f"sinusoidal_positions: got length {length}, wanted at least 0")
    angles = _angles(np.arange(length), dim, 10000.0)
    out = np.empty((length, dim), np.float32)
    out[:, 0::2] = np.sin(angles)
    out[:, 1::2] = np.cos(angles)
    return Tensor(out)


class Rotary(Function):
    """Pairs of features turned by their angles; the gradient is turned back."""

    def __init__(self, cos: Array, sin: Array) -> None:
        self.cos = cos
        self.sin = sin

    def _turned(self, x: Array, sin: Array) -> Array:
        even, odd = x[..., 0::2], x[..., 1::2]
        out = backend.empty(x.shape, x)
        out[..., 0::2] = even * self.cos - odd * sin
        out[..., 1::2] = even * sin + odd * self.cos
        return out

    def forward(self, x: Array) -> Array:
        return self._turned(x, self.sin)

    def backward(self, grad: Array) -> Array:
        return self._turned(grad, -self.sin)


def rotary(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Each pair of features (x_2i, x_2i+1) turned by the angle a_i = t / base^(2 i / E), t the token's position.

        y_2i   = x_2i cos a_i - x_2i+1 sin a_i
        y_2i+1 = x_2i sin a_i + x_2i+1 cos a_i

    The inner product of a query and a key that are both turned depends on the distance of their positions alone.

    Shapes: x (..., L, E), positions (L,) or what broadcasts to (..., L); the result as x. The angles are computed in
    float64; float16 and bfloat16 compute in float32.

    Raises:
        ValueError: E is odd, or the positions do not fit.
        TypeError: x is no floating-point tensor, or the positions are bool or complex.

    Source: Su et al. 2021, "RoFormer: enhanced transformer with rotary position embedding", arXiv 2104.09864.

    >>> import tinydl
    >>> rotary(tinydl.tensor([[1.0, 0.0], [1.0, 0.0]]), tinydl.arange(2))
    tensor([[1.        , 0.        ],
            [0.5403023 , 0.84147096]])
    """
    for name, value in (("x", x), ("positions", positions)):
        if not isinstance(value, Tensor):
            raise TypeError(f"rotary: got {name} of {type(value).__name__}, wanted a tensor")
    if not dtypes.is_floating_point(x.dtype):
        raise TypeError(f"rotary: got dtype {x.dtype}, wanted a floating-point dtype")
    if positions.dtype == np.bool_:
        raise TypeError("rotary: got positions of bool, wanted numbers")
    if x.ndim < 2:
        raise ValueError(f"rotary: got x of shape {x.shape}, wanted (..., length, features)")
    _check_dim("rotary", x.shape[-1])
    if not backend.takes(x._data):
        return cast(rotary(cast(x, dtypes.float32), positions, base), x.dtype)
    try:
        fits = np.broadcast_shapes(positions.shape, x.shape[:-1]) == x.shape[:-1]
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"rotary: got positions of shape {positions.shape}, wanted what broadcasts to {x.shape[:-1]}")
    angles = _angles(positions._data, x.shape[-1], base)
    return Rotary(np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)).apply(x)  # type: ignore[no-any-return]
