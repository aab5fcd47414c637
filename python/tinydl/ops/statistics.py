"""Variances and standard deviations, and the logarithm of a sum of exponentials, over any axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from .elementwise import apply_float, cast
from .reduce import Dim, _Reduction, axes_of


class Var(_Reduction):
    """v = sum of (x - mean)^2 / max(n - correction, 0) over axes; dv/dx = 2 (x - mean) / (n - correction).

    With `root`, the standard deviation s = sqrt(v), ds = dv / 2s, and 0 where s = 0; with `pair`, the mean too.
    """

    def __init__(self, axes: tuple[int, ...], keepdim: bool, correction: float, root: bool, pair: bool) -> None:
        self.axes = axes
        self.keepdim = keepdim
        self.correction = correction
        self.root = root
        self.pair = pair

    def forward(self, x: Array) -> Any:
        self.shape = x.shape
        kernels = backend.of(x)
        y, mean = kernels.var(x, self.axes, self.correction, self.keepdim)
        if self.root:
            y = kernels.sqrt(y)
        self.save(x, mean, y if self.root else None)
        return (y, mean) if self.pair else y

    def backward(self, grad: Array | None, grad_mean: Array | None = None) -> Array:
        x, mean, root = self.saved
        kernels = backend.of(x)
        count = int(np.prod([self.shape[d] for d in self.axes], dtype=np.int64))
        out = None
        if grad is not None:
            left = count - self.correction
            if root is not None:
                half = kernels.div(kernels.mul(grad, backend.scalar(0.5, x)), root)
                grad = np.where(root == 0, x.dtype.type(0), half)
            grad = kernels.mul(grad, backend.scalar(2 / left if left else np.inf, x))
            centre, factor = self.align(mean), self.align(grad)
            out = kernels.var_backward(x, centre, factor)
        if grad_mean is not None:
            share = self.spread(kernels.div(grad_mean, backend.scalar(count, x)))
            out = share if out is None else kernels.add(out, share)
        return out  # type: ignore[return-value]

    def align(self, reduced: Array) -> Array:
        """One value for each reduced group, with axes of size 1 for those that were reduced."""
        return reduced if self.keepdim else np.expand_dims(reduced, self.axes)


def _deviation(
    op: str, input: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None, pair: bool
) -> Any:
    if isinstance(dim, bool):  # var(input, unbiased)
        if unbiased is not None:
            raise TypeError(f"{op}: got dim={dim}, wanted an integer or several")
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    elif unbiased is not None:
        raise TypeError(f"{op}: got unbiased={unbiased} and correction={correction}, wanted one of them")
    function = Var(axes_of(op, dim, input.ndim), keepdim, correction, op.startswith("std"), pair)
    if backend.takes(input._data):
        return function.apply(input)
    if not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted a floating-point dtype")
    wide = function.apply(cast(input, dtypes.float32))
    return (cast(wide[0], input.dtype), cast(wide[1], input.dtype)) if pair else cast(wide, input.dtype)


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance v = sum of (x - mean)^2 / max(n - correction, 0) over one axis, several, or (by default) all.

    The correction is 1 by default; unbiased=False stands for 0. Also var(input, unbiased). NaN where n is the
    correction. Raises IndexError where `dim` is out of range, TypeError for integers.

    >>> import tinydl
    >>> tinydl.var(tinydl.tensor([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]]), dim=1)
    tensor([1., 0.])
    """
    return _deviation("var", input, dim, unbiased, keepdim, correction, False)  # type: ignore[no-any-return]


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation, the square root of `var`; its gradient is 0 where it is 0.

    >>> import tinydl
    >>> tinydl.std(tinydl.tensor([1.0, 3.0]), correction=0)
    tensor(1.)
    """
    return _deviation("std", input, dim, unbiased, keepdim, correction, False)  # type: ignore[no-any-return]


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance as `var` gives it, and the mean."""
    return _deviation("var_mean", input, dim, unbiased, keepdim, correction, True)  # type: ignore[no-any-return]


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The standard deviation as `std` gives it, and the mean."""
    return _deviation("std_mean", input, dim, unbiased, keepdim, correction, True)  # type: ignore[no-any-return]


class LogSumExp(_Reduction):
    """y = m + ln sum of e^(x - m) over axes, m = max x; dy/dx = e^(x - y)."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        kernels = backend.of(x)
        if x.size == 0:
            return kernels.log(kernels.sum(x, self.axes, self.keepdim))  # type: ignore[no-any-return]
        top = kernels.amax(x, self.axes, True)
        top = np.where(np.isfinite(top), top, x.dtype.type(0))
        total = kernels.sum(kernels.exp(kernels.sub(x, top)), self.axes, True)
        y: Array = kernels.add(kernels.log(total), top)
        out = y if self.keepdim else y.squeeze(self.axes)
        self.save(x, out)
        return out

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        if not self.saved:
            return backend.zeros(self.shape, grad)
        x, y = self.saved
        share = kernels.exp(kernels.sub(x, self.spread(y)))
        return kernels.mul(self.spread(grad), share)  # type: ignore[no-any-return]


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """ln of the sum of e^x over one axis or several, without overflow; integers become float32.

    >>> import tinydl
    >>> tinydl.logsumexp(tinydl.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    function: Function = LogSumExp(axes_of("logsumexp", dim, input.ndim), keepdim)
    return apply_float("logsumexp", function, input)
