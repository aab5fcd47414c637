"""What becomes of a gradient that arrives: hooks change it, sums take it in."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, capture
from ..tensor import Array, Tensor
from .grad_mode import no_grad


def hooked(hooks: dict[int, Any], grad: Array) -> Array:
    """The gradient after the hooks, each of which may replace it."""
    for hook in tuple(hooks.values()):
        with no_grad():
            new = hook(Tensor(grad))
        if new is None:
            continue
        if not isinstance(new, Tensor):
            raise TypeError(f"register_hook: a hook returned {type(new).__name__}, wanted a tensor or None")
        if new.shape != grad.shape or new.dtype != grad.dtype:
            raise ValueError(
                f"register_hook: a hook returned shape {new.shape} and dtype {new.dtype} for a gradient of shape "
                f"{grad.shape} and dtype {grad.dtype}"
            )
        grad = new._data
    return grad


def add(a: Array, b: Array) -> Array:
    """The sum of two gradients."""
    total: Array = backend.of(a).add(a, b) if backend.takes(a) else a + b
    return total


def accumulate(leaf: Tensor, grad: Array, fresh: bool) -> None:
    """Store a leaf's first gradient, add a later one; one that is not fresh is copied."""
    if grad.shape != leaf._data.shape:
        raise AssertionError(f"a gradient of shape {grad.shape} was computed for a tensor of shape {leaf.shape}")
    held = leaf._grad
    if held is None:
        leaf._grad = Tensor(grad if fresh else grad.copy(order="K"))
    else:
        np.add(capture.keep(held._data), grad, out=held._data)
        held._version[0] += 1
