"""Layers that move, repeat, add or drop elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ...ops.arguments import sizes
from ...ops.pad import pad
from ...ops.resample import interpolate
from ...tensor import Tensor
from .arguments import Pair, check_data_format, positive, sides
from .base import Layer, Shape, batched, channels_first, channels_last


class Flatten(Layer):
    """(N, ...) to (N, features); images in the order H, W, C, which is that of their memory.

    >>> Flatten()([[[1.0, 2.0], [3.0, 4.0]]])
    tensor([[1., 2., 3., 4.]])
    """

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        check_data_format(self, data_format)

    def make(self, input_shape: Shape) -> Shape:
        """The number of features."""
        return (math.prod(input_shape),)

    def logits(self, x: Tensor) -> Tensor:
        """The rows."""
        return channels_last(x).reshape(x.shape[0], self.output_shape[0])


class Reshape(Layer):
    """(N, ...) to (N, *target_shape), where -1 stands for one size that follows; images in the order H, W, C.

    >>> Reshape((-1, 2))([[1.0, 2.0, 3.0, 4.0]]).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """

    def __init__(self, target_shape: int | Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        target = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        if any(n < 1 and n != -1 for n in target) or target.count(-1) > 1:
            raise ValueError(f"Reshape: got target_shape={target}, wanted positive sizes and at most one -1")
        self.target_shape = target

    def make(self, input_shape: Shape) -> Shape:
        """The sizes, with -1 filled in."""
        count, known = math.prod(input_shape), math.prod(n for n in self.target_shape if n != -1)
        if count % known or (count != known and -1 not in self.target_shape):
            raise ValueError(
                f'Layer "{self.name}": cannot reshape samples of shape {input_shape} to {self.target_shape}'
            )
        return tuple(count // known if n == -1 else n for n in self.target_shape)

    def logits(self, x: Tensor) -> Tensor:
        """The elements in their new shape."""
        return channels_first(channels_last(x).reshape(x.shape[0], *self.output_shape))


class Permute(Layer):
    """The axes of each sample in another order; `dims` counts them from 1.

    >>> Permute((2, 1))([[[1.0, 2.0], [3.0, 4.0]]]).tolist()
    [[[1.0, 3.0], [2.0, 4.0]]]
    """

    def __init__(self, dims: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: got dims={self.dims}, wanted every axis once, counted from 1")

    def make(self, input_shape: Shape) -> Shape:
        """The sizes in their new order."""
        if len(self.dims) != len(input_shape):
            raise self.incompatible(f"ndim={len(self.dims) + 1}", f"shape={batched(input_shape)}")
        return tuple(input_shape[d - 1] for d in self.dims)

    def logits(self, x: Tensor) -> Tensor:
        """A view."""
        return channels_first(channels_last(x).permute(0, *self.dims))


class RepeatVector(Layer):
    """(N, C) to (N, n, C): n times the same.

    >>> RepeatVector(2)([[1.0, 2.0]]).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        self.n = positive(self, "n", n)

    def make(self, input_shape: Shape) -> Shape:
        """(n, C)."""
        if len(input_shape) != 1:
            raise self.incompatible(
                "ndim=2", f"ndim={len(input_shape) + 1}. Full shape received: {batched(input_shape)}"
            )
        return (self.n, *input_shape)

    def logits(self, x: Tensor) -> Tensor:
        """A view in which the memory is not repeated."""
        return x.unsqueeze(1).expand(-1, self.n, -1)


# -- At the edges -----------------------------------------------------------------------------------------------


class _Edges(Layer):
    """Layers that add (sign 1) or drop (-1) elements before and after each axis."""

    axes: ClassVar[int] = 2
    sign: ClassVar[int] = 1

    def take(self, name: str, value: Any, data_format: str | None) -> tuple[Pair, ...]:
        """The numbers before and after on each axis."""
        check_data_format(self, data_format)
        found = sides(type(self).__name__, name, value, self.axes)
        self._pads = tuple([self.sign * n for pair in reversed(found) for n in pair])
        if self.axes == 1:
            self._pads = (0, 0, *self._pads)
        return found

    def make(self, input_shape: Shape) -> Shape:
        """The sizes with what is added or dropped."""
        self.need_images(input_shape) if self.axes == 2 else self.need_signals(input_shape)
        totals = [sum(self._pads[i : i + 2]) for i in range(len(self._pads) - 2, -1, -2)][: self.axes]
        size = tuple(n + total for n, total in zip(input_shape, totals, strict=False))
        if min(size) < 1:
            raise self.incompatible("more elements than are cropped", f"shape={batched(input_shape)}")
        return (*size, input_shape[-1])

    def logits(self, x: Tensor) -> Tensor:
        """The larger or smaller (N, C, H, W) or (N, L, C)."""
        return pad(x, self._pads)


class ZeroPadding1D(_Edges):
    """Zeros before and after a sequence: (N, L, C) to (N, before + L + after, C).

    Args:
        padding: one number, or (before, after).

    >>> ZeroPadding1D((1, 0))([[[5.0]]]).tolist()
    [[[0.0], [5.0]]]
    """

    axes = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.padding = self.take("padding", padding, data_format)[0]


class ZeroPadding2D(_Edges):
    """Zeros around images: (N, H, W, C) to (N, top + H + bottom, left + W + right, C).

    Args:
        padding: one number, (rows, columns), or ((top, bottom), (left, right)).

    >>> ZeroPadding2D(((1, 0), (2, 2))).compute_output_shape((None, 4, 5, 3))
    (None, 5, 9, 3)
    """

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.padding = self.take("padding", padding, data_format)


class Cropping1D(_Edges):
    """A sequence without its ends: (N, L, C) to (N, L - before - after, C).

    Args:
        cropping: one number, or (before, after).

    >>> Cropping1D()([[[1.0], [2.0], [3.0]]]).tolist()
    [[[2.0]]]
    """

    axes, sign = 1, -1

    def __init__(self, cropping: Any = (1, 1), **options: Any) -> None:
        super().__init__(**options)
        self.cropping = self.take("cropping", cropping, None)[0]


class Cropping2D(_Edges):
    """Images without their edges: (N, H, W, C) to (N, H - top - bottom, W - left - right, C).

    Args:
        cropping: one number, (rows, columns), or ((top, bottom), (left, right)).

    >>> Cropping2D(((1, 0), (2, 2))).compute_output_shape((None, 4, 5, 3))
    (None, 3, 1, 3)
    """

    sign = -1

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.cropping = self.take("cropping", cropping, data_format)


# -- Larger -----------------------------------------------------------------------------------------------------


class UpSampling1D(Layer):
    """Every element of a sequence `size` times: (N, L, C) to (N, size L, C).

    >>> UpSampling1D(2)([[[1.0], [2.0]]]).tolist()
    [[[1.0], [1.0], [2.0], [2.0]]]
    """

    def __init__(self, size: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.size = positive(self, "size", size)

    def make(self, input_shape: Shape) -> Shape:
        """size L."""
        self.need_signals(input_shape)
        return (self.size * input_shape[0], input_shape[1])

    def logits(self, x: Tensor) -> Tensor:
        """The longer sequence."""
        return interpolate(x.permute(0, 2, 1), self.output_shape[0], mode="nearest").permute(0, 2, 1)


class UpSampling2D(Layer):
    """Images enlarged by whole factors: (N, H, W, C) to (N, size[0] H, size[1] W, C).

    Args:
        size: a factor, or (rows, columns).
        interpolation: "nearest", which repeats the pixels, "bilinear", or "bicubic" (Keys' kernel, a = -1/2).

    >>> UpSampling2D(2)([[[[1.0], [2.0]]]])[0, :, :, 0]
    tensor([[1., 1., 2., 2.],
            [1., 1., 2., 2.]])
    """

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_data_format(self, data_format)
        self.size = sizes("UpSampling2D", "size", size, least=1)
        if interpolation not in ("nearest", "bilinear", "bicubic"):
            raise ValueError(
                f"UpSampling2D: got interpolation={interpolation!r}, wanted 'nearest', 'bilinear' or 'bicubic'"
            )
        self.interpolation = interpolation

    def make(self, input_shape: Shape) -> Shape:
        """The larger sizes."""
        self.need_images(input_shape)
        return (self.size[0] * input_shape[0], self.size[1] * input_shape[1], input_shape[2])

    def logits(self, x: Tensor) -> Tensor:
        """The larger images."""
        cubic = self.interpolation == "bicubic"  # antialiased, the kernel is Keras's, and renormalised at the edges
        return interpolate(x, self.output_shape[:2], mode=self.interpolation, antialias=cubic)
