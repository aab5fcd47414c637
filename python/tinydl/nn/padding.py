"""Padding layers: more places around the last one, two or three axes."""

from __future__ import annotations

from ..ops.arguments import sizes
from ..ops.pad import pad
from ..tensor import Tensor
from .module import Module

Padding = int | tuple[int, ...]


class _Pad(Module):
    """Pads the last `axes` axes; `padding` is one number for all sides, or two for each axis, the last axis first."""

    axes: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = sizes(type(self).__name__, "padding", padding, 2 * self.axes)

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    value: float

    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The sizes and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    value = 0.0


class ConstantPad1d(_ConstantPad):
    """The input, any shape, with a value around it; negative paddings cut.

    Args:
        padding: one number, or (left, right).
        value: what the new places hold.
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """The input, any shape, with a value around it; negative paddings cut.

    Args:
        padding: one number, or (left, right, top, bottom).
        value: what the new places hold.

    >>> import tinydl
    >>> ConstantPad2d(1, 7.0)(tinydl.ones(1, 2, 3, 3)).shape
    (1, 2, 5, 5)
    """

    axes = 2


class ConstantPad3d(_ConstantPad):
    """The input, any shape, with a value around it; negative paddings cut.

    Args:
        padding: one number, or (left, right, top, bottom, front, back).
        value: what the new places hold.
    """

    axes = 3


class ZeroPad1d(_ZeroPad):
    """The input, any shape, with zeros around it; negative paddings cut.

    Args:
        padding: one number, or (left, right).
    """

    axes = 1


class ZeroPad2d(_ZeroPad):
    """The input, any shape, with zeros around it; negative paddings cut.

    Args:
        padding: one number, or (left, right, top, bottom).

    >>> import tinydl
    >>> ZeroPad2d(1)(tinydl.ones(1, 2, 3, 3)).shape
    (1, 2, 5, 5)
    """

    axes = 2


class ZeroPad3d(_ZeroPad):
    """The input, any shape, with zeros around it; negative paddings cut.

    Args:
        padding: one number, or (left, right, top, bottom, front, back).
    """

    axes = 3


class ReflectionPad1d(_Pad):
    """The input, (N, C, W) or (C, W), with its elements mirrored at the edges, whose own are not repeated.

    Args:
        padding: one number, or (left, right).
    """

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """The input, (N, C, H, W) or (C, H, W), with its elements mirrored at the edges, whose own are not repeated.

    Args:
        padding: one number, or (left, right, top, bottom).

    >>> import tinydl
    >>> ReflectionPad2d(1)(tinydl.ones(1, 2, 3, 3)).shape
    (1, 2, 5, 5)
    """

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """The input, (N, C, D, H, W) or (C, D, H, W), with its elements mirrored at the edges, whose own are not repeated.

    Args:
        padding: one number, or (left, right, top, bottom, front, back).
    """

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The input, (N, C, W) or (C, W), with its edges' elements repeated.

    Args:
        padding: one number, or (left, right).
    """

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The input, (N, C, H, W) or (C, H, W), with its edges' elements repeated.

    Args:
        padding: one number, or (left, right, top, bottom).

    >>> import tinydl
    >>> ReplicationPad2d(1)(tinydl.ones(1, 2, 3, 3)).shape
    (1, 2, 5, 5)
    """

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """The input, (N, C, D, H, W) or (C, D, H, W), with its edges' elements repeated.

    Args:
        padding: one number, or (left, right, top, bottom, front, back).
    """

    axes = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """The input, (N, C, W) or (C, W), with the elements of the other end.

    Args:
        padding: one number, or (left, right).
    """

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """The input, (N, C, H, W) or (C, H, W), with the elements of the other end.

    Args:
        padding: one number, or (left, right, top, bottom).

    >>> import tinydl
    >>> CircularPad2d(1)(tinydl.ones(1, 2, 3, 3)).shape
    (1, 2, 5, 5)
    """

    axes = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """The input, (N, C, D, H, W) or (C, D, H, W), with the elements of the other end.

    Args:
        padding: one number, or (left, right, top, bottom, front, back).
    """

    axes = 3
    mode = "circular"
