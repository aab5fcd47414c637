"""Normalisation: batch, instance, group, layer and RMS norm, and the local response norm of AlexNet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast


class ChannelNorm(Function):
    """z = (x - mean)/√(var + eps), y = w z + b, with the statistics of channels or of each image's groups of them.

    With g = w dy and means over the elements of a statistic, dx = (g - mean(g) - z mean(g z))/√(var + eps),
    dw = Σ dy z and db = Σ dy; fixed statistics leave dx = g/√(var + eps).
    """

    stats: Array  # of the forward pass, float64: (2, images or 1, groups)

    def __init__(self, groups: int, eps: float, mean: Array | None = None, var: Array | None = None) -> None:
        self.groups = groups
        self.eps = eps
        self.mean = mean
        self.var = var

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        y: Array
        y, self.stats = backend.of(x).channel_norm(x, weight, bias, self.mean, self.var, self.groups, self.eps)
        self.save(x, weight)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        _, needs_w, needs_b = self.needs
        return backend.of(grad).channel_norm_backward(  # type: ignore[no-any-return]
            grad, x, weight, self.stats, self.groups, self.eps, self.mean is not None, self.needs[0], needs_w or needs_b
        )


class RowNorm(Function):
    """The same over the trailing axes of each row, with w and b of their shape; uncentred, the mean is left out."""

    def __init__(self, axes: int, eps: float, centered: bool) -> None:
        self.axes = axes
        self.eps = eps
        self.centered = centered

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        y: Array
        y, self.stats = backend.of(x).row_norm(x, weight, bias, self.axes, self.eps, self.centered)
        self.save(x, weight)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, weight = self.saved
        _, needs_w, needs_b = self.needs
        return backend.of(grad).row_norm_backward(  # type: ignore[no-any-return]
            grad, x, weight, self.stats, self.axes, self.eps, self.centered, self.needs[0], needs_w or needs_b
        )


# -- Over channels ----------------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """y = w (x - μ)/√(σ² + eps) + b, with a mean and a variance for each channel (Ioffe and Szegedy 2015).

    In training, μ and σ² are the batch's, over all axes but the channels, and the running statistics move towards
    them in place: running = (1 - momentum) running + momentum batch, with the unbiased variance n/(n - 1) σ². In
    evaluation, μ and σ² are the running ones.

    Args:
        input: (N, C) or (N, C, ...), float32 or float64. Images come out channels-last.
        running_mean: (C,), or None in training.
        running_var: likewise.
        weight: w, (C,), by default 1.
        bias: b, (C,), by default 0.
        training: whether to use the batch's statistics.
        momentum: of the running statistics.
        eps: keeps the quotient finite.

    Raises:
        ValueError: a shape does not fit, training with one value per channel, or evaluation without running statistics.
        TypeError: the dtypes differ or are not floating-point.

    >>> import tinydl
    >>> x = tinydl.tensor([[1.0, 10.0], [3.0, 30.0]])
    >>> batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    if autocast.on:
        input, weight, bias = autocast.inputs("batch_norm", input, weight, bias)
    shape = _shape_of("batch_norm", input, 2)
    _check_shapes("batch_norm", shape[1:2], ("weight", weight), ("bias", bias))
    _check_shapes("batch_norm", shape[1:2], ("running_mean", running_mean), ("running_var", running_var))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation (training=False) needs running_mean and running_var")
        fixed: Tensor = ChannelNorm(0, eps, running_mean._data, running_var._data).apply(input, weight, bias)
        return fixed
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var come together")
    count = math.prod(shape) // shape[1] if shape[1] else 0
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    function = ChannelNorm(0, eps)
    out: Tensor = function.apply(input, weight, bias)
    _update_running(running_mean, running_var, function.stats, momentum, count)
    return out


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """y = w (x - μ)/√(σ² + eps) + b, with a mean and a variance for each channel of each image (Ulyanov et al. 2016).

    Running statistics, where given, move towards the images' average statistics; with `use_input_stats=False` they
    take the images' place. Arguments and errors are `batch_norm`'s; the input has at least three axes.

    >>> import tinydl
    >>> instance_norm(tinydl.tensor([[[1.0, 3.0], [10.0, 30.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    if autocast.on:
        input, weight, bias = autocast.inputs("instance_norm", input, weight, bias)
    shape = _shape_of("instance_norm", input, 3)
    _check_shapes("instance_norm", shape[1:2], ("weight", weight), ("bias", bias))
    _check_shapes("instance_norm", shape[1:2], ("running_mean", running_mean), ("running_var", running_var))
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if (running_mean is None) != (running_var is None):
        raise ValueError("instance_norm: running_mean and running_var come together")
    pixels = math.prod(shape[2:])
    if pixels == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {list(shape)}")
    function = ChannelNorm(shape[1] or 1, eps)
    out: Tensor = function.apply(input, weight, bias)
    _update_running(running_mean, running_var, function.stats, momentum, pixels if shape[0] else 0)
    return out


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor:
    """y = w (x - μ)/√(σ² + eps) + b, with a mean and a variance for each image's groups of channels (Wu and He 2018).

    Args:
        input: (N, C, ...), float32 or float64; comes out channels-last.
        num_groups: how many groups of C / num_groups neighbouring channels.
        weight: w, (C,), by default 1.
        bias: b, (C,), by default 0.
        eps: keeps the quotient finite.

    Raises:
        ValueError: C is no multiple of num_groups, a group has one value, or a shape does not fit.

    >>> import tinydl
    >>> group_norm(tinydl.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    if autocast.on:
        input, weight, bias = autocast.inputs("group_norm", input, weight, bias)
    shape = _shape_of("group_norm", input, 2)
    _check_shapes("group_norm", shape[1:2], ("weight", weight), ("bias", bias))
    if num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: {shape[1]} channels cannot be split into {num_groups} equal groups")
    if shape[0] * shape[1] // num_groups * math.prod(shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    return ChannelNorm(num_groups, eps).apply(input, weight, bias)  # type: ignore[no-any-return]


def _shape_of(op: str, input: Tensor, least: int) -> tuple[int, ...]:
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    shape: tuple[int, ...] = input._data.shape
    if len(shape) < least:
        wanted = "(N, C, ...)" if least == 2 else "(N, C, L, ...)"
        raise ValueError(f"{op}: got an input of shape {shape}, wanted {wanted}")
    return shape


def _check_shapes(op: str, wanted: tuple[int, ...], *parameters: tuple[str, Tensor | None]) -> None:
    for name, parameter in parameters:
        if parameter is not None and parameter._data.shape != wanted:
            raise ValueError(f"{op}: got {name} of shape {parameter.shape}, wanted {wanted}")


def _update_running(mean: Tensor | None, var: Tensor | None, stats: Array, momentum: float, count: int) -> None:
    """Move the running statistics towards those of a batch with `count` values in each."""
    if mean is not None and var is not None and count > 1:
        backend.of(stats).update_running(mean._data, var._data, stats, momentum, count / (count - 1))
        mean._version[0] += 1
        var._version[0] += 1


# -- Over trailing axes -----------------------------------------------------------------------------------------


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """y = w (x - μ)/√(σ² + eps) + b, with the mean and variance over the trailing axes (Ba, Kiros and Hinton 2016).

    Args:
        input: (..., *normalized_shape), float32 or float64.
        normalized_shape: the sizes of the trailing axes.
        weight: w, of that shape, by default 1.
        bias: b, likewise, by default 0.
        eps: keeps the quotient finite.

    Raises:
        ValueError: a shape does not fit.

    >>> import tinydl
    >>> layer_norm(tinydl.tensor([[1.0, 3.0], [10.0, 30.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    if autocast.on:
        input, weight, bias = autocast.inputs("layer_norm", input, weight, bias)
    axes = _trailing("layer_norm", input, normalized_shape, weight, bias)
    return RowNorm(axes, eps, True).apply(input, weight, bias)  # type: ignore[no-any-return]


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """y = w x/√(mean(x²) + eps) over the trailing axes (Zhang and Sennrich 2019); eps is the dtype's by default.

    Arguments and errors are `layer_norm`'s.

    >>> import tinydl
    >>> rms_norm(tinydl.tensor([[3.0, 3.0], [-5.0, 5.0]]), (2,), eps=0.0)
    tensor([[ 1.,  1.],
            [-1.,  1.]])
    """
    if autocast.on:
        input, weight = autocast.inputs("rms_norm", input, weight)
    axes = _trailing("rms_norm", input, normalized_shape, weight, None)
    if eps is None:
        eps = _EPS.get(input._data.dtype, 0.0)
    return RowNorm(axes, eps, False).apply(input, weight, None)  # type: ignore[no-any-return]


_EPS = {dtypes.float32: float(np.finfo(np.float32).eps), dtypes.float64: float(np.finfo(np.float64).eps)}


def _trailing(
    op: str, input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None, bias: Tensor | None
) -> int:
    """How many axes `normalized_shape` has; ValueError unless they are the input's last and the parameters'."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    wanted = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    axes = len(wanted)
    if not axes or input._data.shape[-axes:] != wanted:
        raise ValueError(f"{op}: got normalized_shape {wanted} for an input of shape {input.shape}")
    _check_shapes(op, wanted, ("weight", weight), ("bias", bias))
    return axes


# -- Across channels --------------------------------------------------------------------------------------------


class LocalResponseNorm(Function):
    """y = x d^-β with d = k + (α/size) Σ x² over neighbouring channels; dx = dy d^-β - (2αβ/size) x Σ dy x d^(-β-1)."""

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        self.size = size
        self.scale = alpha / size
        self.beta = beta
        self.k = k

    def _neighbours(self, a: Array, below: int) -> Array:
        """Sums of a over channels c - below to c - below + size - 1, within the array."""
        channels = a.shape[1]
        out = np.zeros_like(a)
        for shift in range(-below, self.size - below):
            to = slice(max(-shift, 0), max(channels - max(shift, 0), 0))
            source = slice(max(shift, 0), max(channels + min(shift, 0), 0))
            out[:, to] += a[:, source]
        return out

    def forward(self, x: Array) -> Array:
        d = self.k + self.scale * self._neighbours(x * x, self.size // 2)
        d = d.astype(x.dtype, copy=False)
        self.save(x, d)
        return backend.asarray(x * d**-self.beta)

    def backward(self, grad: Array) -> Array:
        x, d = self.saved
        power = d**-self.beta
        around = self._neighbours(grad * x * power / d, (self.size - 1) // 2)
        return backend.asarray(grad * power - (2 * self.scale * self.beta) * x * around).astype(x.dtype, copy=False)


def local_response_norm(input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """y_c = x_c (k + (α/size) Σ x_j²)^-β over the `size` channels j around c (Krizhevsky et al. 2012, section 3.3).

    The sum starts size // 2 channels below c; channels that do not exist count as 0.

    Raises:
        ValueError: the input has fewer than three axes, or size is below 1.
        TypeError: the input is not float32 or float64.

    >>> import tinydl
    >>> local_response_norm(tinydl.ones(1, 3, 1), 3, alpha=3.0, beta=1.0).tolist()[0]
    [[0.3333333432674408], [0.25], [0.3333333432674408]]
    """
    if autocast.on:
        (input,) = autocast.inputs("local_response_norm", input)
    _shape_of("local_response_norm", input, 3)
    if size < 1:
        raise ValueError(f"local_response_norm: got size {size}, wanted at least 1")
    if input.dtype not in dtypes.FLOATS:
        raise TypeError(f"local_response_norm: got dtype {input.dtype}, wanted float32 or float64")
    return LocalResponseNorm(size, alpha, beta, k).apply(input)  # type: ignore[no-any-return]
