"""Layers of several inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ops import bounds
from ...ops.join import cat
from ...ops.logical import logical_or
from ...tensor import Array, Tensor
from .arguments import axis_of
from .base import Layer, Shape, batched, channels_first, channels_last


class _Merge(Layer):
    """Several inputs to one output."""

    _makes_masks = False
    supports_masking = True

    def make(self, input_shape: Any) -> Shape:
        """The shape to which those of the inputs are broadcast."""
        self.need_several(input_shape)
        shapes = [(1, *shape) for shape in input_shape]
        if len({len(shape) for shape in shapes}) == 1:
            try:
                return tuple(np.broadcast_shapes(*shapes))[1:]
            except ValueError:
                pass
        raise ValueError(f'Layer "{self.name}": inputs of shapes {self._shown(input_shape)} do not fit each other')

    def need_several(self, shapes: Any) -> None:
        """Refuse what is no list of inputs."""
        if not isinstance(shapes, list) or not shapes:
            shown = f"one of shape {batched(shapes)}" if isinstance(shapes, tuple) else f"a {type(shapes).__name__}"
            raise ValueError(f'Layer "{self.name}": wanted a list of inputs, got {shown}')

    def _shown(self, shapes: Any) -> str:
        return ", ".join(str(batched(shape)) for shape in shapes)

    def logits(self, x: Any) -> Tensor:
        """The inputs merged, one after the other."""
        out = x[0]
        for each in x[1:]:
            out = self.merge(out, each)
        return out  # type: ignore[no-any-return]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where one of the inputs' masks is; None where an input has none."""
        masks = previous_mask
        if not isinstance(masks, list | tuple) or any(mask is None for mask in masks):
            return None
        return functools.reduce(logical_or, masks)

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """What becomes of two inputs."""
        raise NotImplementedError(f"{type(self).__name__} does not define merge")


class Add(_Merge):
    """The sum of the inputs, which are of one shape, or broadcast.

    >>> Add()([Tensor(np.array([[1.0, 2.0]])), Tensor(np.array([[10.0, 20.0]]))])
    tensor([[11., 22.]])
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """a + b."""
        return a + b


class Subtract(_Merge):
    """The first input minus the second.

    >>> Subtract()([Tensor(np.array([[1.0, 2.0]])), Tensor(np.array([[10.0, 20.0]]))])
    tensor([[ -9., -18.]])
    """

    def make(self, input_shape: Any) -> Shape:
        """The shape of the difference."""
        shape = super().make(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f'Layer "{self.name}": wanted exactly 2 inputs, got {len(input_shape)}')
        return shape

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """a - b."""
        return a - b


class Multiply(_Merge):
    """The product of the inputs, element by element.

    >>> Multiply()([Tensor(np.array([[1.0, 2.0]])), Tensor(np.array([[10.0, 20.0]]))])
    tensor([[10., 40.]])
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """a b."""
        return a * b


class Average(_Merge):
    """The mean of the inputs.

    >>> Average()([Tensor(np.array([[1.0, 2.0]])), Tensor(np.array([[10.0, 20.0]]))])
    tensor([[ 5.5, 11. ]])
    """

    def logits(self, x: Any) -> Tensor:
        """The sum over the number of inputs."""
        return super().logits(x) / len(x)

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """a + b."""
        return a + b


class Maximum(_Merge):
    """The largest of the inputs, element by element.

    >>> Maximum()([Tensor(np.array([[1.0, 20.0]])), Tensor(np.array([[10.0, 2.0]]))])
    tensor([[10., 20.]])
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """max(a, b)."""
        return bounds.maximum(a, b)


class Minimum(_Merge):
    """The smallest of the inputs, element by element.

    >>> Minimum()([Tensor(np.array([[1.0, 20.0]])), Tensor(np.array([[10.0, 2.0]]))])
    tensor([[1., 2.]])
    """

    def merge(self, a: Tensor, b: Tensor) -> Tensor:
        """min(a, b)."""
        return bounds.minimum(a, b)


class Concatenate(_Merge):
    """The inputs one after the other along an axis, counted with the batch's; the other sizes are equal.

    >>> Concatenate()([Tensor(np.array([[1.0, 2.0]])), Tensor(np.array([[3.0]]))])
    tensor([[1., 2., 3.]])
    """

    _makes_masks = False

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def make(self, input_shape: Any) -> Shape:
        """The sizes, with their sum on the axis."""
        self.need_several(input_shape)
        axes = len(input_shape[0]) + 1
        axis = axis_of(self, self.axis, axes)
        rests = {(*shape[: axis - 1], 0, *shape[axis:]) for shape in input_shape}
        if len(rests) > 1 or any(len(shape) != axes - 1 for shape in input_shape):
            raise ValueError(
                f'Layer "{self.name}": inputs of shapes {self._shown(input_shape)} must be equal but for axis {axis}'
            )
        self._axis = {1: 2, 2: 3, 3: 1}[axis] if axes == 4 else axis  # where images have their channels first
        total = sum(shape[axis - 1] for shape in input_shape)
        return (*input_shape[0][: axis - 1], total, *input_shape[0][axis:])

    def logits(self, x: Any) -> Tensor:
        """The longer tensor."""
        return cat(x, self._axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks one after the other along the axis, all True where an input has none."""
        masks = previous_mask
        if not isinstance(masks, list | tuple) or all(mask is None for mask in masks):
            return None
        wide = [
            np.ones(x.shape, bool) if mask is None else _spread(mask._data, x.shape)
            for x, mask in zip(inputs, masks, strict=True)
        ]
        return Tensor(np.asarray(np.concatenate(wide, axis=self.axis).any(-1)))


def _spread(mask: Array, shape: Shape) -> Array:
    """A mask (N, T) as one of each feature."""
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


class Dot(_Merge):
    """The sums over one axis each of the products of two inputs' elements: (N, a, k), (N, b, k) to (N, a, b).

    Args:
        axes: the axis to sum over, counted with the batch's, or one for each input.
        normalize: whether to divide the vectors along it by their norms: cosines of angles then.

    >>> Dot(axes=1)([Tensor(np.array([[1.0, 2.0]])), Tensor(np.array([[3.0, 4.0]]))])
    tensor([[11.]])
    """

    _makes_masks = False

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes
        self.normalize = normalize

    def make(self, input_shape: Any) -> Shape:
        """The sizes that remain, of the first and of the second input."""
        self.need_several(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f'Layer "{self.name}": wanted exactly 2 inputs, got {len(input_shape)}')
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else tuple(self.axes)
        a, b = input_shape
        self._axes = tuple(axis_of(self, axis, len(shape) + 1) for axis, shape in zip(pair, input_shape, strict=True))
        i, j = (axis - 1 for axis in self._axes)
        if a[i] != b[j]:
            raise ValueError(
                f'Layer "{self.name}": inputs of shapes {self._shown(input_shape)} differ on the axes {self._axes}'
            )
        return (*a[:i], *a[i + 1 :], *b[:j], *b[j + 1 :]) or (1,)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: what remains are no steps."""

    def logits(self, x: Any) -> Tensor:
        """The products."""
        flat = []
        for each, axis in zip(map(channels_last, x), self._axes, strict=True):
            if self.normalize:
                each = each / each.square().sum(axis, keepdim=True).clamp(min=1e-12).sqrt()
            flat.append(each.movedim(axis, -1).reshape(len(each), -1, each.shape[axis]))
        out = flat[0] @ flat[1].permute(0, 2, 1)
        return channels_first(out.reshape(len(out), *self.output_shape))


def _functional(layer: Callable[..., Layer], name: str) -> Callable[..., Any]:
    def function(inputs: Any, *args: Any, **options: Any) -> Any:
        return layer(*args, **options)(inputs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{layer.__name__}` of the inputs, with its arguments."
    return function


add = _functional(Add, "add")
average = _functional(Average, "average")
concatenate = _functional(Concatenate, "concatenate")
dot = _functional(Dot, "dot")
maximum = _functional(Maximum, "maximum")
minimum = _functional(Minimum, "minimum")
multiply = _functional(Multiply, "multiply")
subtract = _functional(Subtract, "subtract")
