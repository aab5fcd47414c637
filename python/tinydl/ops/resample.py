"""Images and sequences of another size: interpolation along each spatial axis.

Every mode is separable: along an axis, each output is a weighted sum of a few neighbouring inputs. The weights of an
axis are computed once, in float64, and kernels apply those of one axis or of height and width together; the gradient
is the same calls with their transpose.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import backend, capture, cuda, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import cast

AXES = {  # the numbers of spatial axes that a mode takes
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "lanczos": (2,),
}
_WITHOUT_CORNERS = ("nearest", "nearest-exact", "area")
_KEEPING = ("area", "linear", "bilinear", "trilinear")  # take an axis that keeps its size over as it is
_ANTIALIASED = ("bilinear", "bicubic", "lanczos")


# -- Weights ----------------------------------------------------------------------------------------------------


class Band(NamedTuple):
    """A sparse (out, in) matrix: row i holds weight[i, :counts[i]] from column start[i] on."""

    start: Array
    counts: Array
    weight: Array


class Axis(NamedTuple):
    """What resamples along an axis, and what its gradient needs."""

    forward: Band
    transposed: Band


class Spec(NamedTuple):
    """How an axis is resampled: `before` to `after` elements; scale is the factor asked for, 0 where none counts."""

    mode: str
    before: int
    after: int
    scale: float
    align_corners: bool
    antialias: bool

    def step(self) -> float:
        """The distance between neighbouring outputs, in inputs."""
        if self.align_corners:
            return (self.before - 1) / (self.after - 1) if self.after > 1 else 0.0
        return 1 / self.scale if self.scale > 0 else self.before / self.after

    def positions(self) -> Array:
        """Where the outputs lie between the inputs."""
        i = np.arange(self.after)
        return i * self.step() if self.align_corners else (i + 0.5) * self.step() - 0.5


def _nearest(spec: Spec) -> tuple[Array, Array]:
    """floor(i s), or floor((i + 1/2) s) for nearest-exact, in float32 as in PyTorch."""
    i = np.arange(spec.after)
    s = np.float32(1 / spec.scale) if spec.scale > 0 else np.float32(spec.before) / np.float32(spec.after)
    exact = (i + 0.5) * float(s) if spec.mode == "nearest-exact" else i.astype(np.float32) * s
    index = np.floor(exact.astype(np.float32)).astype(np.int64)
    return index[:, None], np.ones((spec.after, 1))


def _area(spec: Spec) -> tuple[Array, Array]:
    """The mean over the inputs from floor(i n/m) up to ceil((i + 1) n/m)."""
    i = np.arange(spec.after)
    start, end = i * spec.before // spec.after, -(-(i + 1) * spec.before // spec.after)
    index = start[:, None] + np.arange(int((end - start).max(initial=0)))
    weight = np.where(index < end[:, None], 1 / (end - start)[:, None], 0)
    return index, weight


def _linear(spec: Spec) -> tuple[Array, Array]:
    """The two neighbours, weighted by the distance to the other."""
    at = np.clip(spec.positions(), 0, spec.before - 1)
    low = np.floor(at).astype(np.int64)
    return low[:, None] + np.arange(2), np.stack([1 - (at - low), at - low], axis=1)


def _cubic(spec: Spec) -> tuple[Array, Array]:
    """The four neighbours under Keys' convolution kernel with a = -3/4."""
    at = spec.positions()
    low = np.floor(at).astype(np.int64)
    index = low[:, None] + np.arange(-1, 3)
    return index, _keys(np.abs(at[:, None] - index), -0.75)


def _keys(x: Array, a: float) -> Array:
    """Keys' cubic convolution (1981): piecewise polynomials on [0, 1] and [1, 2]."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


# The filters of the antialiased modes: half the width, and the curve over the distance (>= 0).
_FILTERS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "bilinear": (1.0, lambda x: np.maximum(1 - x, 0)),
    "bicubic": (2.0, lambda x: _keys(x, -0.5)),
    "lanczos": (3.0, lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}


def _filtered(spec: Spec) -> tuple[Array, Array]:
    """The mode's filter, stretched to the outputs' distance where that is more than one input; weights sum to 1."""
    half, curve = _FILTERS[spec.mode]
    step = spec.step()
    stretch = max(step, 1.0)
    centre = step * (np.arange(spec.after) + 0.5)
    start = np.maximum(np.trunc(centre - half * stretch + 0.5), 0).astype(np.int64)
    end = np.minimum(np.trunc(centre + half * stretch + 0.5), spec.before).astype(np.int64)
    index = start[:, None] + np.arange(max(int((end - start).max()), 1))
    weight = np.where(index < end[:, None], curve(np.abs((index - centre[:, None] + 0.5) / stretch)), 0)
    total = weight.sum(axis=1, keepdims=True)
    return index, np.divide(weight, total, out=weight, where=total != 0)


_WEIGHTS = {
    "nearest": _nearest,
    "nearest-exact": _nearest,
    "area": _area,
    "linear": _linear,
    "bilinear": _linear,
    "trilinear": _linear,
    "bicubic": _cubic,
}


@lru_cache(maxsize=256)
def axis_weights(spec: Spec, dtype: str, device: str) -> Axis:
    """The matrix of an axis and its transpose, on a device. Indices beyond an edge stand for the element at it."""
    index, weight = (_filtered if spec.antialias else _WEIGHTS[spec.mode])(spec)
    rows = np.broadcast_to(np.arange(spec.after)[:, None], index.shape)
    kept = weight != 0
    rows, columns, values = rows[kept], np.clip(index, 0, spec.before - 1)[kept], weight[kept]
    return Axis(
        _band(rows, columns, values, spec.after, dtype, device),
        _band(columns, rows, values, spec.before, dtype, device),
    )


def _band(rows: Array, columns: Array, values: Array, height: int, dtype: str, device: str) -> Band:
    """The band matrix with the sum of `values` at each (row, column)."""
    start = np.full(height, np.iinfo(np.int64).max)
    end = np.zeros(height, np.int64)
    np.minimum.at(start, rows, columns)
    np.maximum.at(end, rows, columns + 1)
    start = np.minimum(start, end)  # 0 for empty rows
    count = end - start
    weight = np.zeros((height, int(count.max(initial=0))))
    np.add.at(weight, (rows, columns - start[rows]), values)
    band = Band(start, count, weight.astype(dtype))
    for array in band:
        array.flags.writeable = False
    return Band(*[cuda.arrived(backend.place(array, device)) for array in band])


# -- The operation ----------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A kernel, and what it takes beside the array, forward and for the gradient."""

    kernel: str
    forward: tuple[Any, ...]
    backward: tuple[Any, ...]


class Resample(Function):
    """y = x with band matrices applied along some axes, step by step; the gradient takes the transposed matrices."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps

    def forward(self, x: Array) -> Array:
        kernels = backend.of(x)
        for step in self.steps:
            x = getattr(kernels, step.kernel)(x, *step.forward)
        return x

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        for step in reversed(self.steps):
            grad = getattr(kernels, step.kernel)(grad, *step.backward)
        return grad


def _check_mode(input: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if not isinstance(input, Tensor):
        raise TypeError(f"interpolate: got {type(input).__name__}, wanted a tensor")
    if mode not in AXES:
        raise ValueError(f"interpolate: got mode {mode!r}, wanted one of {', '.join(AXES)}")
    if input.ndim - 2 not in AXES[mode]:
        wanted = " or ".join(str(n) for n in AXES[mode])
        raise ValueError(f"interpolate: mode '{mode}' wants {wanted} axes after (N, C), got shape {input.shape}")
    if align_corners is not None and mode in _WITHOUT_CORNERS:
        raise ValueError(f"interpolate: align_corners has no meaning in mode '{mode}'")
    if antialias and mode not in _ANTIALIASED:
        raise ValueError(f"interpolate: antialias wants one of the modes {', '.join(_ANTIALIASED)}, got '{mode}'")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("interpolate: mode 'lanczos' wants antialias=True and no align_corners")
    if 0 in input.shape[1:]:
        raise ValueError(f"interpolate: got shape {input.shape}, wanted at least one channel and one element")


def _numbers(name: str, value: Any, count: int, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    """One number for each axis, from that many or from one for all."""
    several = isinstance(value, tuple | list)
    if several and len(value) != count:
        raise ValueError(f"interpolate: got {name}={value!r}, wanted one number or {count}")
    try:
        return tuple(convert(v) for v in value) if several else (convert(value),) * count
    except (TypeError, ValueError):
        raise TypeError(
            f"interpolate: got {name}={value!r}, wanted {'integers' if name == 'size' else 'numbers'}"
        ) from None


def _sizes(
    input: Tensor, size: Any, scale_factor: Any, mode: str, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """(output sizes, the factors that the positions depend on, 0 where they follow from the sizes)."""
    spatial = input.shape[2:]
    count = len(spatial)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: got size={size!r} and scale_factor={scale_factor!r}, wanted one of them")
    scales: tuple[float, ...] = (0.0,) * count
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor has no meaning with a size")
        after = _numbers("size", size, count, operator.index)
    else:
        factors = _numbers("scale_factor", scale_factor, count, float)
        if not all(np.isfinite(f) for f in factors):
            raise ValueError(f"interpolate: got scale_factor={scale_factor!r}, wanted finite numbers")
        after = tuple(int(n * f) for n, f in zip(spatial, factors, strict=True))
        if not recompute and mode != "area":
            scales = factors
    if min(after) < (0 if mode == "area" else 1):
        raise ValueError(f"interpolate: got {spatial} elements and an output of {after}, wanted at least 1 of each")
    return after, scales


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input resampled to another size, channel by channel.

    Output i of an axis lies at input position (i + 1/2) s - 1/2, with s = 1/scale_factor or, where the size was
    given, n/m (n inputs, m outputs); with `align_corners` at i (n - 1)/(m - 1), so that the outermost elements of
    both coincide. Positions beyond an edge see the element at the edge.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the output's spatial size, one integer or one for each axis.
        scale_factor: a factor, or one for each axis, in place of `size`: m = floor(n scale_factor).
        mode: "nearest" (input floor(i s)), "nearest-exact" (input floor((i + 1/2) s)), "area" (the mean over
            floor(i n/m) to ceil((i + 1) n/m)); "linear", "bilinear", "trilinear" for one, two and three spatial axes;
            "bicubic" for two (Keys' kernel, a = -3/4); "lanczos" for two, antialiased (three lobes).
        align_corners: for the linear and cubic modes; by default False.
        recompute_scale_factor: whether s follows from the sizes even where a factor was given.
        antialias: for "bilinear", "bicubic" (then a = -1/2) and "lanczos": where the image shrinks, the filter
            widens to the outputs' distance, as in Pillow.

    Returns:
        (N, C, ...) of the new size and the input's dtype, stored channels-last. uint8 is rounded to the nearest.

    Raises:
        ValueError: a mode that does not fit the input or the flags, both or neither of size and factor, a wrong number
            of them, nothing to resample or an empty output.
        TypeError: a dtype that is neither floating-point nor uint8, or sizes that are no integers.

    >>> import tinydl
    >>> interpolate(tinydl.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    tensor([[[1. , 1.5, 2.5, 3. ]]])
    """
    _check_mode(input, mode, align_corners, antialias)
    after, scales = _sizes(input, size, scale_factor, mode, recompute_scale_factor)
    dtype = input._data.dtype
    if dtype.char in "fd":
        return _resample(input, after, scales, mode, bool(align_corners), antialias)
    if dtype != dtypes.uint8 and not dtypes.is_floating_point(dtype):
        raise TypeError(f"interpolate: got dtype {dtype}, wanted a floating-point dtype or uint8")
    if dtype == dtypes.uint8 and mode in ("area", "linear", "trilinear"):
        raise TypeError(f"interpolate: mode '{mode}' wants a floating-point dtype, got {dtype}")
    wide = _resample(cast(input, dtypes.float32), after, scales, mode, bool(align_corners), antialias)
    if dtype == dtypes.uint8:
        return Tensor(np.clip(np.rint(wide._data), 0, 255).astype(np.uint8))
    return cast(wide, dtype)


def _resample(
    input: Tensor, after: tuple[int, ...], scales: tuple[float, ...], mode: str, align: bool, antialias: bool
) -> Tensor:
    x = input._data
    steps = _steps(x.shape[2:], after, scales, mode, align, antialias, x.dtype.char, input.device)
    return Resample(capture.keep(steps)).apply(input)  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def _steps(
    before: tuple[int, ...],
    after: tuple[int, ...],
    scales: tuple[float, ...],
    mode: str,
    align: bool,
    antialias: bool,
    dtype: str,
    device: str,
) -> list[Step]:
    """The axes in the order of their application; what shrinks comes first, for less work. Height and width take one
    kernel where neither comes before height."""
    specs = []
    for d, (n, m, scale) in enumerate(zip(before, after, scales, strict=True)):
        if n == m and (antialias or mode in _KEEPING):
            continue  # the identity, whatever the factor was
        specs.append((d + 2, Spec(mode, n, m, scale, align, antialias)))
    if not specs:
        specs = [(2, Spec("nearest", before[0], after[0], 0.0, False, False))]
    specs.sort(key=lambda item: item[1].after / item[1].before)
    axes = [(axis, axis_weights(spec, dtype, device)) for axis, spec in specs]
    steps, height = [], len(before)
    while axes:
        (axis, first), *axes = axes
        if axis == height and axes and axes[0][0] == height + 1:
            second = axes.pop(0)[1]
            steps.append(
                Step(
                    "resample_plane",
                    (*first.forward, *second.forward),
                    (*first.transposed, *second.transposed),
                )
            )
        else:
            steps.append(Step("resample_axis", (axis, *first.forward), (axis, *first.transposed)))
    return steps
