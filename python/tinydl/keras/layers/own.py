"""What layers that users define need: weights that can be assigned, the layers within them, `call` and `build`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from ...autograd import no_grad
from ...creation import as_tensor, zeros
from ...nn.parameter import Parameter
from ...tensor import Tensor
from .. import tree
from ..functional import KerasTensor
from .layout import batched, map_shapes

if TYPE_CHECKING:
    from .base import Layer

Beside = tuple[tuple[Any, ...], dict[str, Any]]
"""What a layer is given beside its inputs: further arguments, and those by name."""

TOP, STEP, NESTED = range(3)
_PLACE: ContextVar[int] = ContextVar("place", default=TOP)
"""Where a layer is called: by the user, within a model's `train_step`, or within another layer's `call`."""

place = _PLACE.get


@contextmanager
def within(kind: int) -> Iterator[None]:
    """Calls of layers in the block come from that place."""
    token = _PLACE.set(kind)
    try:
        yield
    finally:
        _PLACE.reset(token)


# -- Weights ----------------------------------------------------------------------------------------------------


class _Assigned(Tensor):
    """A tensor whose values can be set as those of Keras's variables."""

    def assign(self, value: Any) -> Tensor:
        """Take other values, which nothing is recorded of. ValueError where the shape differs."""
        given = as_tensor(value)
        if given.shape != self.shape:
            raise ValueError(f"assign: got values of shape {given.shape} for a weight of shape {self.shape}")
        with no_grad():
            self.copy_(given.detach())
        return self

    def assign_add(self, value: Any) -> Tensor:
        """Add to the values, unrecorded."""
        return self.assign(self.detach() + as_tensor(value).detach())

    def assign_sub(self, value: Any) -> Tensor:
        """Subtract from the values, unrecorded."""
        return self.assign(self.detach() - as_tensor(value).detach())


class TrainedWeight(_Assigned, Parameter):
    """A weight of `add_weight` that is trained."""

    __repr__ = Tensor.__repr__


class KeptWeight(_Assigned):
    """A weight of `add_weight` that is not."""


def new_weight(layer: Layer, shape: int | Sequence[int], dtype: Any, trainable: bool) -> Any:
    """A weight of zeros. ValueError for other dtypes than float32 where it is trained, and shapes with None."""
    kind = np.dtype(dtype or np.float32)
    if trainable and kind != np.float32:
        raise ValueError(f'Layer "{layer.name}": add_weight: weights that are trained are float32, got {kind}')
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n is None for n in sizes):
        raise ValueError(f'Layer "{layer.name}": add_weight: got shape {sizes}, wanted numbers')
    return (TrainedWeight if trainable else KeptWeight)(np.zeros(sizes, kind))


def numbered(name: str, taken: Any) -> str:
    """The name, or the first of name_1, name_2, ... that is not taken."""
    number, free = 0, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


# -- Layers within layers ---------------------------------------------------------------------------------------

_APART = frozenset({"_arguments"})


def layers_in(owner: Any) -> dict[str, Layer]:
    """The layers among an object's attributes, and in lists, tuples and dictionaries there, each once: by dotted path.

    Paths are those that PyTorch gives modules: `dense`, `blocks.0`.
    """
    found: dict[int, tuple[str, Layer]] = {}
    for name, value in vars(owner).items():
        if name not in _APART:
            _collect(name, value, found)
    found.pop(id(owner), None)
    return dict(found.values())


def _collect(path: str, value: Any, found: dict[int, tuple[str, Layer]]) -> None:
    if getattr(type(value), "is_layer", False):
        found.setdefault(id(value), (path, value))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            _collect(f"{path}.{number}", part, found)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _collect(f"{path}.{key}", part, found)


# -- call and build ---------------------------------------------------------------------------------------------


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of that name."""
    return name in inspect.signature(function).parameters


def takes(constructor: Callable[..., Any], name: str) -> bool:
    """Whether an argument of that name may be passed."""
    parameters = inspect.signature(constructor).parameters.values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def building(build: Callable[..., Any]) -> Callable[..., Any]:
    """A layer's own `build`, done once, with what all layers need around it."""

    @functools.wraps(build)
    def wrapped(self: Layer, input_shape: Any = None, *others: Any, **options: Any) -> None:
        if self._building:  # from the `build` of a class below
            build(self, input_shape, *others, **options)
        elif not self.built:
            self._note_input(input_shape)
            self._building = True
            try:
                build(self, input_shape, *others, **options)
            finally:
                self._building = False
            self._finish_building()

    return wrapped


def output_shapes(layer: Layer, shapes: Any, others: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The shapes of a layer's outputs as batches, found by calling it on two samples of zeros.

    What the call does to weights that are not trained is undone.

    Args:
        layer: the layer.
        shapes: those of its first argument, as batches.
        others, options: its further arguments, among which tensors and symbolic tensors are replaced by zeros as well.
    """
    inputs = map_shapes(_samples, shapes)
    others, options = tree.map_leaves(_stand_in, (others, options))
    owners = layer.all_layers()
    held = [v.tensor for owner in owners for v in owner._variables if not v.trainable]
    states = [(owner, vars(owner)["states"]) for owner in owners if "states" in vars(owner)]
    kept = [(tensor, np.array(tensor._data)) for tensor in held]
    try:
        with within(NESTED), no_grad():
            outputs = layer._called(inputs, *others, **options)
    finally:
        with no_grad():
            for tensor, before in kept:
                tensor.copy_(Tensor(before))
        for owner, before in states:
            owner.states = before  # type: ignore[attr-defined]
        layer.forget_losses()
    return tree.map_leaves(lambda out: _batch_shape(layer, out), outputs)


def _samples(shape: Any) -> Tensor:
    return zeros(2, *shape[1:])


def _stand_in(value: Any) -> Any:
    return _samples(value.shape) if isinstance(value, Tensor | KerasTensor) else value


def _batch_shape(layer: Layer, out: Any) -> tuple[int | None, ...]:
    if not isinstance(out, Tensor):
        raise TypeError(f'Layer "{layer.name}": call returned a {type(out).__name__}, wanted a tensor')
    return batched(out.shape[1:]) if out.ndim else ()
