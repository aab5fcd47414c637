"""Which neighbours of a layer its kernel takes in: the one place that decides it for `Sequential`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from ..ops.pool import max_windows
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

    An activation after a linear or convolutional layer runs in that layer's kernel, and a maximum pooling after the
    two of a convolution in one step of the tape with them. A module with hooks runs by itself.
    """
    at = 0
    while at < len(modules):
        module = modules[at]
        taken, extra = _taken(modules, at) if type(module) in _LAYERS and module._hooks is None else (0, ())
        input = module(input, *extra)
        at += 1 + taken
    return input


def _taken(modules: Sequence[Module], at: int) -> tuple[int, tuple[Any, ...]]:
    """How many modules the one before takes in, and what its `forward` has to know of them."""
    following = list(takewhile(lambda module: module._hooks is None, modules[at + 1 : at + 3]))
    activation = _ACTIVATIONS.get(type(following[0])) if following else None
    taken = int(activation is not None)
    pool = following[taken] if len(following) > taken else None
    if type(modules[at]) is Conv2d and type(pool) is MaxPool2d and not pool.return_indices:
        windows = max_windows(pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
        return taken + 1, (activation, windows)
    return taken, (activation,) if taken else ()
