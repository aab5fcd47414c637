"""Derivatives checked against differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..tensor import Array, Tensor
from .engine import backward_from
from .grad_mode import no_grad


def gradcheck(
    func: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Tensor | Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    seed: int = 0,
) -> bool:
    """Compare the gradients of `func` with central differences, under a random upstream gradient.

    For every element of every float64 input that requires a gradient: with v drawn at random,
    d(v . func(x))/dx_i from `backward` must equal v . (func(x + eps e_i) - func(x - eps e_i)) / (2 eps).

    Raises AssertionError where they differ, naming the input and the element; returns True otherwise.
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    rng = np.random.default_rng(seed)
    outputs = _outputs(func(*tensors))
    upstream = [rng.standard_normal(out.shape).astype(out.dtype) for out in outputs]
    for t in tensors:
        t.grad = None
    for out, v in zip(outputs, upstream, strict=True):
        if out.requires_grad:
            backward_from(out, Tensor(v), retain_graph=True)

    def weighted() -> float:
        with no_grad():
            pairs = zip(_outputs(func(*tensors)), upstream, strict=True)
            return float(sum(np.sum(out._data.astype(np.float64) * v) for out, v in pairs))

    for number, t in enumerate(tensors):
        if not t.requires_grad:
            continue
        if t.dtype != np.float64:
            raise TypeError(f"gradcheck: input {number} has dtype {t.dtype}, wanted float64")
        got = np.zeros(t.shape) if t.grad is None else t.grad._data
        _compare(number, got, _differences(t._data, weighted, eps), atol, rtol)
    return True


def _outputs(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def _differences(array: Array, value: Callable[[], float], eps: float) -> Array:
    out = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + eps
        above = value()
        array[index] = kept - eps
        below = value()
        array[index] = kept
        out[index] = (above - below) / (2 * eps)
    return out


def _compare(number: int, got: Array, expected: Array, atol: float, rtol: float) -> None:
    wrong = ~(np.abs(got - expected) <= atol + rtol * np.abs(expected))
    if wrong.any():
        index: Iterable[int] = (int(i) for i in np.argwhere(wrong)[0])
        at = tuple(index)
        raise AssertionError(
            f"gradcheck: input {number}, element {at}: backward gives {got[at]}, differences give {expected[at]} "
            f"({int(wrong.sum())} of {wrong.size} elements differ)"
        )
