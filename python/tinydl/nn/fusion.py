"""Which neighbours of a layer its kernel takes in: the one place that decides it for `Sequential`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..ops.pool import Windows, max_windows
from .activation import ReLU, Sigmoid, Tanh
from .conv import Conv2d
from .linear import Linear
from .module import Module
from .pool import MaxPool2d

# Only these very classes count: a subclass may compute something else.
_LAYERS = frozenset((Linear, Conv2d))
_ACTIVATIONS = {ReLU: "relu", Sigmoid: "sigmoid", Tanh: "tanh"}


def run(modules: Sequence[Module], input: Any) -> Any:
    """The modules applied in a row.

    An activation after a linear or convolutional layer runs in that layer's kernel, and a maximum pooling after a
    convolution in one step of the tape with it. A module with hooks or a `forward` of its own runs by itself.
    """
    at = 0
    while at < len(modules):
        module = modules[at]
        taken, extra = _taken(modules, at) if type(module) in _LAYERS and _is_plain(module) else (0, ())
        input = module(input, *extra)
        at += 1 + taken
    return input


def _is_plain(module: Module) -> bool:
    return module._hooks is None and "forward" not in module.__dict__


def _taken(modules: Sequence[Module], at: int) -> tuple[int, tuple[Any, ...]]:
    """How many modules the one before takes in, and what its `forward` has to know of them."""
    following = modules[at + 1] if at + 1 < len(modules) else None
    if following is None or not _is_plain(following):
        return 0, ()
    activation = _ACTIVATIONS.get(type(following))
    taken = 0 if activation is None else 1
    if type(modules[at]) is Conv2d:
        pool = modules[at + 1 + taken] if at + 1 + taken < len(modules) else None
        windows = _windows(pool) if type(pool) is MaxPool2d and _is_plain(pool) else None
        if windows is not None:
            return taken + 1, (activation, windows)
    return taken, (activation,) if taken else ()


def _windows(pool: MaxPool2d) -> Windows | None:
    """What a convolution has to know of the pooling; None where that must run by itself."""
    if pool.return_indices:
        return None
    try:
        windows = _known_windows(pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
    except (TypeError, ValueError):  # sizes in a list, or wrong ones: the pooling tells
        return None
    # Taps far apart may all lie in the padding; such a window has a maximum, but no pixel for its gradient.
    return None if any(windows[2]) and windows[3] != (1, 1) else windows


_known_windows = lru_cache(max_windows)
