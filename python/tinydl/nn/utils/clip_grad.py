"""Limits for gradients.

On the CPU norms are taken, and gradients scaled, in one call over all of them. On a GPU `clip_grad_norm_` is several
launches for each gradient, none of which waits; `clip_grad_value_` is one call.
"""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ... import anywhere, backend
from ...ops.join import join
from ...tensor import Array, Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Tensor | Iterable[Tensor]

KERNELS = {1.0: "sum", 2.0: "euclidean", math.inf: "maximum"}


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as if they were one vector: (Σ |x|^p)^(1/p).

    Args:
        tensors: one tensor, or several.
        norm_type: p; `inf` is the largest |x|, `-inf` the smallest, and 0 counts the tensors that are not all 0.
        error_if_nonfinite: raise RuntimeError where the norm is infinite or NaN.
        foreach: PyTorch's choice between ways to compute it; it changes nothing here.

    TypeError unless the tensors are float32 or float64; on a GPU float16 and bfloat16 too, whose norm is float32.

    >>> import tinydl
    >>> get_total_norm([tinydl.tensor([3.0]), tinydl.tensor([[0.0, -4.0]])])
    tensor(5.)
    """
    tensors = _listed("get_total_norm", tensors)
    p = float(norm_type)
    if not tensors:
        return Tensor(np.zeros((), np.float32))
    by_dtype: dict[Any, list[Array]] = {}
    for t in tensors:
        by_dtype.setdefault(t._data.dtype, []).append(t._data)
    if not backend.is_on_host(tensors[0]._data):
        norms = [_any_norm(_wide("get_total_norm", t._data), p) for t in tensors]
    elif p in KERNELS:
        norms = [dtype.type(_norm(arrays, KERNELS[p])) for dtype, arrays in by_dtype.items()]
    else:
        for arrays in by_dtype.values():
            _norm(arrays[:1], "sum")  # which refuses what is no float
        norms = [_any_norm(array, p) for arrays in by_dtype.values() for array in arrays]
    total = Tensor(backend.asarray(_any_norm(_stacked(norms), p)))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"get_total_norm: the norm of order {p} of the gradients is {total.item()}, which cannot be clipped; with "
            "error_if_nonfinite=False they would be scaled by it all the same"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensors,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Multiply all gradients by min(1, max_norm / (total_norm + 1e-6)), in place.

    Args:
        parameters: one parameter, or several; those without a gradient are left out.
        max_norm: the norm that the gradients may have together.
        total_norm: the norm that they have, from `get_total_norm`.
        foreach: see `get_total_norm`.
    """
    grads = _gradients("clip_grads_with_norm_", parameters)
    total = total_norm._data if isinstance(total_norm, Tensor) else np.asarray(total_norm, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.minimum(total.dtype.type(max_norm) / (total + total.dtype.type(1e-6)), 1)
    if not backend.is_on_host(factor):  # without waiting for the GPU to say what it is
        for g in grads:
            np.multiply(g._data, factor.astype(g._data.dtype), out=g._data)
            g._version[0] += 1
    elif factor != 1:
        scale_(grads, factor.item())


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together, in place, so that their norm is at most `max_norm`; returns the norm before.

    Args:
        parameters: one parameter, or several; those without a gradient are left out.
        max_norm: the norm that the gradients may have together.
        norm_type, error_if_nonfinite, foreach: see `get_total_norm`.

    Reference: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".

    >>> import tinydl
    >>> w = tinydl.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], max_norm=5.0)
    tensor(10.)
    >>> [round(x, 3) for x in w.grad.tolist()]
    [3.0, 4.0]
    """
    generated = isinstance(parameters, types.GeneratorType)
    parameters = _listed("clip_grad_norm_", parameters)
    if generated and not parameters:
        warnings.warn("clip_grad_norm_: parameters is an empty generator, nothing is clipped", stacklevel=2)
    grads = _gradients("clip_grad_norm_", parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value], in place.

    Args:
        parameters: one parameter, or several; those without a gradient are left out.
        clip_value: the largest magnitude.
        foreach: see `get_total_norm`.

    >>> import tinydl
    >>> w = tinydl.tensor([3.0, -0.25], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    limit = float(clip_value)
    grads = _gradients("clip_grad_value_", parameters)
    _change(grads, "clamp_all", limit, lambda g: np.minimum(np.maximum(g, -limit), limit))


def scale_(tensors: list[Tensor], factor: float) -> None:
    """Multiply all tensors by a number, in place."""
    _change(tensors, "scale_all", factor, lambda g: np.multiply(g, g.dtype.type(factor)))


def _listed(owner: str, tensors: Tensors) -> list[Tensor]:
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for index, t in enumerate(found):
        if not isinstance(t, Tensor):
            raise TypeError(f"{owner}: item {index} is a {type(t).__name__}, wanted a tensor")
    return found


def _gradients(owner: str, parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _listed(owner, parameters) if p.grad is not None]


def _wide(owner: str, array: Array) -> Array:
    """A GPU's array in float32 at least; TypeError where it holds no floating-point numbers."""
    if not backend.takes(array):
        raise TypeError(f"{owner}: got dtype {array.dtype}, wanted a floating-point dtype")
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array


def _stacked(norms: list[Any]) -> Array:
    """Numbers as one array, on a GPU by a kernel: to stack many, CuPy copies from the CPU, which no graph captures."""
    if backend.is_on_host(norms[0]):
        return np.stack(norms)
    dtype = np.result_type(*[n.dtype for n in norms])
    return join(tuple([n.astype(dtype, copy=False).reshape(1) for n in norms]), 0)


def _norm(arrays: list[Array], kind: str) -> float:
    return backend.of(arrays[0]).total_norm(arrays, kind)  # type: ignore[no-any-return]


def _any_norm(array: Array, p: float) -> Any:
    """The norm of one array, of any order."""
    size = np.abs(array)
    if p == 0:
        return anywhere.count_nonzero(array).astype(array.dtype)
    if math.isinf(p):
        return size.max() if p > 0 else size.min()
    with np.errstate(divide="ignore", over="ignore"):
        return (size**p).sum() ** (1 / p)


def _change(grads: list[Tensor], kernel: str, value: float, otherwise: Callable[[Array], Array]) -> None:
    """Change all gradients by a kernel; where one is a view with gaps or may not be written, each by itself."""
    by_dtype: dict[Any, list[Tensor]] = {}
    for g in grads:
        by_dtype.setdefault(g._data.dtype, []).append(g)
    for alike in by_dtype.values():
        arrays = [g._data for g in alike]
        try:
            getattr(backend.of(arrays[0]), kernel)(arrays, value)
        except ValueError:
            for g in alike:
                _replace(g, otherwise(g._data))
        for g in alike:
            g._version[0] += 1


def _replace(grad: Tensor, array: Array) -> None:
    if backend.is_writeable(grad._data):
        grad._data[...] = array
    else:
        grad._data = array
