"""Normalisation layers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..ops import norm
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class _Affine(Module):
    """A weight of ones and a bias of zeros, or None for what is absent."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        if any([size < 0 for size in shape]):
            raise ValueError(f"{type(self).__name__}: got a negative size in {shape}")
        empty = backend.empty_on(shape, dtype or dtypes.float32, device)
        self.register_parameter("weight", Parameter(empty) if weight else None)
        self.register_parameter("bias", Parameter(np.empty_like(empty)) if bias else None)

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _NormBase(_Affine):
    """What batch and instance norm share: a weight and a bias for each channel, and running statistics."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _optional_state = frozenset({"num_batches_tracked"})  # which state dicts before PyTorch 0.4.1 lack
    _axes: tuple[int, ...] = ()  # how many axes an input may have
    _wanted = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._make_parameters((num_features,), affine, affine and bias, device, dtype)
        tracked = track_running_stats
        numpy = backend.home_of(device).numpy
        zeros = backend.place(numpy.zeros(num_features, dtype or dtypes.float32), device)
        self.register_buffer("running_mean", Tensor(zeros) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones_like(zeros)) if tracked else None)
        count = backend.place(numpy.zeros((), np.int64), device)
        self.register_buffer("num_batches_tracked", Tensor(count) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running means to 0, the running variances to 1, and the count of batches to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()  # type: ignore[union-attr]
            self.running_var.fill_(1)  # type: ignore[union-attr]
            self.num_batches_tracked.zero_()  # type: ignore[union-attr]

    def reset_parameters(self) -> None:
        """Reset the running statistics; the weight becomes 1 and the bias 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in self._axes:
            raise ValueError(f"{self!r}: got an input of shape {input.shape}, wanted {self._wanted}")

    def extra_repr(self) -> str:
        """The sizes and options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


# -- Batch norm -------------------------------------------------------------------------------------------------


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        """The normalised input; in training, the running statistics follow."""
        self._check_input_dim(input)
        if input._data.shape[1] != self.num_features:
            raise ValueError(f"{self!r}: got an input of shape {input.shape}, wanted {self._wanted}")
        training = self.training
        mean, var = self.running_mean, self.running_var
        momentum = self.momentum
        if training and not self.track_running_stats:
            mean = var = None
        tracked = self.num_batches_tracked if training and self.track_running_stats else None
        if tracked is not None:
            tracked._data += 1
            tracked._version[0] += 1
            if momentum is None:
                momentum = 1 / int(tracked._data)
        use_batch = training or (mean is None and var is None)
        return norm.batch_norm(input, mean, var, self.weight, self.bias, use_batch, momentum or 0.0, self.eps)


class BatchNorm1d(_BatchNorm):
    """y = w (x - μ)/√(σ² + eps) + b, with the statistics of each of C channels over the batch (Ioffe and Szegedy 2015).

    In training μ and σ² are the batch's, and running statistics follow them:
    running = (1 - momentum) running + momentum batch (with the unbiased variance). In evaluation the running
    statistics are used. Inputs are (N, C) or (N, C, L).

    Args:
        num_features: C.
        eps: keeps the quotient finite.
        momentum: of the running statistics; None averages over all batches since they were reset.
        affine: whether w and b exist.
        track_running_stats: whether running statistics exist; without them evaluation uses the batch's, too.
        device: where the parameters lie; by default on the CPU.
        dtype: of parameters and buffers, float32 or float64.
        bias: whether b exists (if affine).

    Attributes:
        weight: w, (C,), at first 1.
        bias: b, (C,), at first 0.
        running_mean: (C,), at first 0.
        running_var: (C,), at first 1.
        num_batches_tracked: how many batches were seen, int64.

    >>> import tinydl
    >>> layer = BatchNorm1d(2, momentum=0.5)
    >>> _ = layer(tinydl.tensor([[1.0, 10.0], [3.0, 30.0]]))
    >>> layer.running_mean
    tensor([ 1., 10.])
    """

    _axes = (2, 3)
    _wanted = "(N, C) or (N, C, L) with C = num_features"


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` of images, (N, C, H, W), which come out channels-last.

    >>> import tinydl
    >>> BatchNorm2d(3)(tinydl.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _axes = (4,)
    _wanted = "(N, C, H, W) with C = num_features"


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` of volumes, (N, C, D, H, W)."""

    _axes = (5,)
    _wanted = "(N, C, D, H, W) with C = num_features"


# -- Instance norm ----------------------------------------------------------------------------------------------


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        self._check_input_dim(input)
        batched = input.ndim == self._axes[-1]
        axis = 1 if batched else 0
        if input.shape[axis] != self.num_features:
            text = (
                f"{self!r}: got an input of shape {input.shape}, wanted {self._wanted}; "
                f"it has {input.shape[axis]} channels"
            )
            if self.affine or self.track_running_stats:
                raise ValueError(text)
            warnings.warn(text, stacklevel=2)
        out = norm.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return out if batched else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """y = w (x - μ)/√(σ² + eps) + b, with the statistics of each channel of each sequence (Ulyanov et al. 2016).

    The arguments are `BatchNorm1d`'s, but neither parameters nor running statistics exist by default. With running
    statistics, evaluation uses those. Inputs are (N, C, L) or (C, L).

    >>> import tinydl
    >>> InstanceNorm1d(2, eps=0.0)(tinydl.tensor([[1.0, 3.0], [10.0, 30.0]]))
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    _axes = (2, 3)
    _wanted = "(N, C, L) or (C, L) with C = num_features"


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` of images, (N, C, H, W) or (C, H, W)."""

    _axes = (3, 4)
    _wanted = "(N, C, H, W) or (C, H, W) with C = num_features"


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    _axes = (4, 5)
    _wanted = "(N, C, D, H, W) or (C, D, H, W) with C = num_features"


# -- Group, layer and RMS norm ----------------------------------------------------------------------------------


class GroupNorm(_Affine):
    """y = w (x - μ)/√(σ² + eps) + b, with the statistics of each image's groups of channels (Wu and He 2018).

    Args:
        num_groups: how many groups of neighbouring channels.
        num_channels: C, a multiple of num_groups.
        eps: keeps the quotient finite.
        affine: whether w and b, (C,), exist.
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.
        bias: whether b exists (if affine).

    >>> import tinydl
    >>> GroupNorm(2, 6)(tinydl.ones(1, 6, 4, 4)).shape
    (1, 6, 4, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-05,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels={num_channels} must be a multiple of num_groups={num_groups}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make_parameters((num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(f"{self!r}: got an input of shape {input.shape}, wanted (N, {self.num_channels}, ...)")
        return norm.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes and options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


def _as_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(_Affine):
    """y = w (x - μ)/√(σ² + eps) + b, with the statistics of the trailing axes (Ba, Kiros and Hinton 2016).

    Args:
        normalized_shape: the sizes of the trailing axes.
        eps: keeps the quotient finite.
        elementwise_affine: whether w and b exist, of that shape.
        bias: whether b exists (if elementwise_affine).
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    >>> import tinydl
    >>> LayerNorm(2, eps=0.0)(tinydl.tensor([[1.0, 3.0]]))
    tensor([[-1.,  1.]], grad_fn=<RowNorm>)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-05,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        affine = elementwise_affine
        self._make_parameters(self.normalized_shape, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return norm.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """y = w x/√(mean(x²) + eps) over the trailing axes (Zhang and Sennrich 2019).

    Args:
        normalized_shape: the sizes of the trailing axes.
        eps: keeps the quotient finite; None is the spacing of the input's dtype at 1.
        elementwise_affine: whether w exists, of that shape.
        device: where the parameters lie; by default on the CPU.
        dtype: of the weight, float32 or float64.

    >>> import tinydl
    >>> RMSNorm(2, eps=0.0)(tinydl.tensor([[-3.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, False, device, dtype)
        del self._parameters["bias"]
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return norm.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape and options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """y_c = x_c (k + (α/size) Σ x_j²)^-β over the `size` channels around c (Krizhevsky et al. 2012, section 3.3).

    >>> import tinydl
    >>> LocalResponseNorm(5, k=2.0)(tinydl.ones(1, 8, 4, 4)).shape
    (1, 8, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return norm.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
