"""Layers that change images at random, each image of a batch by itself. Outside of training they do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...creation import full, uniform
from ...ops.embedding import embedding
from ...ops.join import cat
from ...ops.selection import where
from ...tensor import Array, Tensor
from .arguments import check_data_format
from .base import Shape
from .regularization import _Random

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
INTERPOLATIONS = ("nearest", "bilinear")


class _OfImages(_Random):
    def make(self, input_shape: Shape) -> Shape:
        """Check the input."""
        self.need_images(input_shape)
        return super().make(input_shape)


class RandomFlip(_OfImages):
    """In training, images (N, H, W, C) flipped with probability 1/2, each by itself.

    Args:
        mode: "horizontal", "vertical", or "horizontal_and_vertical", which decides both by themselves.

    >>> layer = RandomFlip("horizontal", seed=2)
    >>> layer([[[[1.0], [2.0]]]]).tolist()
    [[[[1.0], [2.0]]]]
    """

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **options: Any) -> None:
        super().__init__(seed, **options)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(
                f"RandomFlip: got mode={mode!r}, wanted 'horizontal', 'vertical' or 'horizontal_and_vertical'"
            )
        self.mode = mode

    def noisy(self, x: Tensor) -> Tensor:
        """The flipped images."""
        for axis, name in ((2, "horizontal"), (1, "vertical")):
            if name in self.mode:
                chosen = self.kept(x, 0.5, (None, 1, 1, 1)) > 0
                x = where(chosen, x.flip(axis), x)
        return x


class _Affine(_OfImages):
    """out(p) = in(A (p - c) + c - d) for the pixels p = (row, column) around the middle c.

    Args:
        fill_mode: what lies beyond the edge of a b c d: "constant" k k | a b c d | k k with k = `fill_value`,
            "nearest" a a | a b c d | d d, "reflect" b a | a b c d | d c, "wrap" c d | a b c d | a b.
        interpolation: "bilinear", or "nearest", which rounds halves to even.
    """

    def __init__(
        self,
        seed: int | None,
        fill_mode: str,
        interpolation: str,
        fill_value: float,
        data_format: str | None,
        **options: Any,
    ) -> None:
        super().__init__(seed, **options)
        check_data_format(self, data_format)
        for name, given, known in (
            ("fill_mode", fill_mode, FILL_MODES),
            ("interpolation", interpolation, INTERPOLATIONS),
        ):
            if given not in known:
                wanted = ", ".join(map(repr, known))
                raise ValueError(f"{type(self).__name__}: got {name}={given!r}, wanted one of {wanted}")
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = float(fill_value)

    def interval(self, name: str, factor: Any, above: float = -np.inf) -> tuple[float, float]:
        """(lower, upper) of two bounds in any order, or of f for (-f, f); they lie in [-1, 1] and above some number."""
        given = tuple(factor) if isinstance(factor, tuple | list) and len(factor) == 2 else (factor,)
        numbers = all(isinstance(f, int | float) and not isinstance(f, bool) for f in given)
        if not numbers or not all(-1 <= f <= 1 and f > above for f in given):
            limits = "(-1, 1]" if above == -1 else "[-1, 1]"
            raise ValueError(f"{type(self).__name__}: got {name}={factor!r}, wanted one or two numbers in {limits}")
        return (-abs(factor), abs(factor)) if len(given) == 1 else (min(given), max(given))

    def drawn(self, count: int, interval: tuple[float, float]) -> Array:
        """A number from the interval for each image."""
        return uniform((count,), *interval, np.float64, self.generator)._data

    def draw(self, count: int, height: int, width: int) -> tuple[Any, Any]:
        """A as ((yy, yx), (xy, xx)), and d as (dy, dx): numbers, or an array with one for each image."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw")

    def noisy(self, x: Tensor) -> Tensor:
        """The changed images."""
        n, h, w = x.shape[:3]
        factors, shifts = self.draw(n, h, w)
        middle = (h - 1) / 2, (w - 1) / 2
        rows, columns = (np.arange(size) - m for size, m in zip((h, w), middle, strict=True))
        ys, xs = (
            _column(by_row) * rows[:, None] + _column(by_column) * columns + _column(m - shift)
            for (by_row, by_column), m, shift in zip(factors, middle, shifts, strict=True)
        )
        return self._sampled(x, ys, xs)

    def _sampled(self, x: Tensor, ys: Array, xs: Array) -> Tensor:
        """The values of the images between their pixels, at places (N, H, W)."""
        n, h, w, c = x.shape
        first = (h * w * np.arange(n))[:, None, None]
        pixels = x.reshape(-1, c)
        outside = n * h * w
        if self.fill_mode == "constant":
            pixels = cat([pixels, full((1, c), self.fill_value, dtype=x.dtype)])
        terms = []
        columns = list(self._corners(xs, w))
        for row, row_inside, row_share in self._corners(ys, h):
            for column, inside, share in columns:
                index = np.broadcast_to(first + row * w + column, (n, h, w))
                if self.fill_mode == "constant":
                    index = np.where(row_inside & inside, index, outside)
                values = embedding(Tensor(np.ascontiguousarray(index)), pixels)
                weight = np.broadcast_to(row_share * share, (n, h, w)).astype(x.dtype)
                terms.append(values if self.interpolation == "nearest" else values * Tensor(weight[..., None]))
        return sum(terms[1:], terms[0])

    def _corners(self, places: Array, size: int) -> Iterator[tuple[Array, Array, Any]]:
        """The pixels beside some places along an axis, whether they are within it, and their shares."""
        if self.interpolation == "nearest":
            index = np.rint(places).astype(np.int64)
            yield *self._within(index, size), 1.0
            return
        lower = np.floor(places)
        share = places - lower
        index = lower.astype(np.int64)
        yield *self._within(index, size), 1 - share
        yield *self._within(index + 1, size), share

    def _within(self, index: Array, size: int) -> tuple[Array, Array]:
        """The pixels that stand for those beyond the edges, and which ones are no such."""
        inside = (index >= 0) & (index < size)
        if self.fill_mode == "wrap":
            return index % size, inside
        if self.fill_mode == "reflect":
            index = index % (2 * size)
            return np.minimum(index, 2 * size - 1 - index), inside
        return np.clip(index, 0, size - 1), inside


def _column(numbers: Any) -> Any:
    """One number for each image, to combine with (N, H, W)."""
    return numbers[:, None, None] if isinstance(numbers, np.ndarray) else numbers


class RandomRotation(_Affine):
    """In training, images (N, H, W, C) turned around their middle, by an angle of each one's own.

    Args:
        factor: the angle's bounds in full turns, counter-clockwise: (lower, upper), or f for (-f, f).
        fill_mode, interpolation, fill_value: as for `RandomTranslation`.

    >>> layer = RandomRotation((0.25, 0.25))
    >>> layer([[[[1.0], [2.0]], [[3.0], [4.0]]]], training=True)[0, :, :, 0]
    tensor([[2., 4.],
            [1., 3.]])
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, fill_mode, interpolation, fill_value, data_format, **options)
        self.factor = self.interval("factor", factor)

    def draw(self, count: int, height: int, width: int) -> tuple[Any, Any]:
        """Rotations."""
        angle = 2 * np.pi * self.drawn(count, self.factor)
        cos, sin = np.cos(angle), np.sin(angle)
        return ((cos, sin), (-sin, cos)), (0.0, 0.0)


class RandomTranslation(_Affine):
    """In training, images (N, H, W, C) moved, each by shares of its height and width of its own.

    Args:
        height_factor: the bounds of the share: (lower, upper), or f for (-f, f); positive numbers move down.
        width_factor: likewise; positive numbers move to the right.
        fill_mode: what lies beyond the edge of a b c d: "constant" k k | a b c d | k k with k = `fill_value`,
            "nearest" a a | a b c d | d d, "reflect" b a | a b c d | d c, "wrap" c d | a b c d | a b.
        interpolation: "bilinear", or "nearest", which rounds halves to even.

    >>> layer = RandomTranslation(0.0, (0.5, 0.5), fill_mode="constant")
    >>> layer([[[[1.0], [2.0]], [[3.0], [4.0]]]], training=True)[0, :, :, 0]
    tensor([[0., 1.],
            [0., 3.]])
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, fill_mode, interpolation, fill_value, data_format, **options)
        self.height_factor = self.interval("height_factor", height_factor)
        self.width_factor = self.interval("width_factor", width_factor)

    def draw(self, count: int, height: int, width: int) -> tuple[Any, Any]:
        """Shifts."""
        shifts = height * self.drawn(count, self.height_factor), width * self.drawn(count, self.width_factor)
        return ((1.0, 0.0), (0.0, 1.0)), shifts


class RandomZoom(_Affine):
    """In training, images (N, H, W, C) zoomed around their middle, each by factors of its own.

    Args:
        height_factor: the bounds: (lower, upper), or f for (-f, f); 0.2 shows 20 % more, that is zooms out, -0.2 zooms
            in.
        width_factor: likewise; None takes the height's factor for both.
        fill_mode, interpolation, fill_value: as for `RandomTranslation`.

    >>> layer = RandomZoom((-0.5, -0.5), interpolation="nearest")
    >>> layer([[[[1.0], [2.0], [3.0], [4.0]]]], training=True)[0, 0, :, 0]
    tensor([2., 2., 3., 3.])
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, fill_mode, interpolation, fill_value, data_format, **options)
        self.height_factor = self.interval("height_factor", height_factor, above=-1)
        self.width_factor = None
        if width_factor is not None:
            self.width_factor = self.interval("width_factor", width_factor, above=-1)

    def draw(self, count: int, height: int, width: int) -> tuple[Any, Any]:
        """Scalings."""
        tall = 1 + self.drawn(count, self.height_factor)
        wide = tall if self.width_factor is None else 1 + self.drawn(count, self.width_factor)
        return ((tall, 0.0), (0.0, wide)), (0.0, 0.0)
