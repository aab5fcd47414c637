"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import backend, nn
from ...creation import ones, zeros
from ...nn.parameter import Parameter
from ...ops import autocast, norm
from ...ops.distance import normalize
from ...tensor import Tensor
from .arguments import axis_of
from .base import Layer, Shape, by_channels_last, channels_last


class _Affine(nn.Module):
    """γ and β with the names of `nn`'s normalisation layers, and moving statistics where there are any."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, shape: Shape, scale: bool, center: bool, moving: bool = False) -> None:
        super().__init__()
        self.register_parameter("weight", Parameter(ones(*shape)._data) if scale else None)
        self.register_parameter("bias", Parameter(zeros(*shape)._data) if center else None)
        if moving:
            self.register_buffer("running_mean", zeros(*shape))
            self.register_buffer("running_var", ones(*shape))


class _Normalizer(Layer):
    """What they share: γ and β."""

    def take(self, epsilon: float, center: bool, scale: bool) -> None:
        """Keep the arguments; whether there is β, and γ."""
        self.epsilon, self.center, self.scale = epsilon, center, scale

    def make_affine(self, shape: Shape, moving: bool = False) -> None:
        """γ, β and the moving statistics."""
        self.inner = inner = _Affine(shape, self.scale, self.center, moving)
        if inner.weight is not None:
            self.hold("gamma", inner.weight)
        if inner.bias is not None:
            self.hold("beta", inner.bias)
        if moving:
            self.hold("moving_mean", inner.running_mean, trainable=False)
            self.hold("moving_variance", inner.running_var, trainable=False)


class BatchNormalization(_Normalizer):
    """y = γ (x - μ)/√(σ² + epsilon) + β, with a mean and a variance for each index of `axis` (Ioffe and Szegedy 2015).

    In training μ and σ² are the batch's, and moving statistics follow them: moving = momentum moving +
    (1 - momentum) batch, with the variance Σ (x - μ)²/n. Else, and while the layer is frozen, they are the moving ones.

    Weights: gamma, beta, moving_mean and moving_variance, all of the size of the axis; the last two are not trained.

    >>> layer = BatchNormalization(momentum=0.5)
    >>> _ = layer([[1.0, 10.0], [3.0, 30.0]], training=True)
    >>> layer.moving_mean, layer.moving_variance
    (tensor([ 1., 10.]), tensor([ 1. , 50.5]))
    """

    supports_masking = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis, self.momentum = axis, momentum
        self.take(epsilon, center, scale)
        self.choose("beta", beta_initializer, beta_regularizer, beta_constraint)
        self.choose("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.choose("moving_mean", moving_mean_initializer)
        self.choose("moving_variance", moving_variance_initializer)

    def make(self, input_shape: Shape) -> Shape:
        """γ, β and the moving statistics."""
        axes = len(input_shape) + 1
        axis = axis_of(self, self.axis, axes)
        self.make_affine((input_shape[axis - 1],), moving=True)
        self._last = axis == axes - 1
        self._order = (0, axis, *[i for i in range(1, axes) if i != axis])
        self._back = tuple([self._order.index(i) for i in range(axes)])
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The normalised input; in training the moving statistics follow."""
        if x.ndim < 3 or (x.ndim == 4 and self._last):
            return self._normalize(x)
        if self._last:  # an axis of channels at the end: all before it is a batch
            return self._normalize(x.reshape(-1, x.shape[-1])).reshape(*x.shape)
        return by_channels_last(lambda x: self._normalize(x.permute(*self._order)).permute(*self._back), x)

    def _normalize(self, x: Tensor) -> Tensor:
        """The normalised (N, C, ...)."""
        inner: Any = self.inner
        mean, var = inner.running_mean, inner.running_var
        if not (inner.training and self._trainable):
            return norm.batch_norm(x, mean, var, inner.weight, inner.bias, False, 0.0, self.epsilon)
        function = norm.ChannelNorm(0, self.epsilon)
        if autocast.on:
            (x,) = autocast.inputs("batch_norm", x)
        out: Tensor = function.apply(x, inner.weight, inner.bias)
        kernels = backend.of(function.stats)
        kernels.update_running(mean._data, var._data, function.stats, 1 - self.momentum, 1.0)
        mean._version[0] += 1
        var._version[0] += 1
        return out


class LayerNormalization(_Normalizer):
    """y = γ (x - μ)/√(σ² + epsilon) + β, with a mean and a variance over `axis` of each sample (Ba et al. 2016).

    Weights: gamma and beta, of the sizes of the axes.

    >>> LayerNormalization(epsilon=0.0)([[1.0, 3.0], [10.0, 30.0]])
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    _steps_from = 3
    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = axis
        self.take(epsilon, center, scale)
        self.choose("beta", beta_initializer, beta_regularizer, beta_constraint)
        self.choose("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)

    def make(self, input_shape: Shape) -> Shape:
        """γ and β."""
        axes = len(input_shape) + 1
        wanted = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        over = tuple([axis_of(self, axis, axes) for axis in wanted])
        self._shape = tuple([input_shape[axis - 1] for axis in over])
        self._order = (*[i for i in range(axes) if i not in over], *over)
        self._back = tuple([self._order.index(i) for i in range(axes)])
        self.make_affine(self._shape)
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The normalised input."""
        return by_channels_last(self._normalize, x)

    def _normalize(self, x: Tensor) -> Tensor:
        inner: Any = self.inner
        turned = self._order != tuple(range(x.ndim))
        x = x.permute(*self._order) if turned else x
        out = norm.layer_norm(x, self._shape, inner.weight, inner.bias, self.epsilon)
        return out.permute(*self._back) if turned else out


class GroupNormalization(_Normalizer):
    """y = γ (x - μ)/√(σ² + epsilon) + β, with a mean and a variance for each sample's groups of neighbouring channels
    (Wu and He 2018). `groups` of -1 has one for each channel.

    Weights: gamma and beta, of the size of the axis.

    >>> GroupNormalization(2, epsilon=0.0)([[1.0, 3.0, 10.0, 30.0]])
    tensor([[-1.,  1., -1.,  1.]])
    """

    supports_masking = True

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.groups, self.axis = groups, axis
        self.take(epsilon, center, scale)
        self.choose("beta", beta_initializer, beta_regularizer, beta_constraint)
        self.choose("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)

    def make(self, input_shape: Shape) -> Shape:
        """γ and β."""
        axes = len(input_shape) + 1
        axis = axis_of(self, self.axis, axes)
        channels = input_shape[axis - 1]
        self._groups = channels if self.groups == -1 else self.groups
        if self._groups < 1 or channels % self._groups:
            raise ValueError(
                f'Layer "{self.name}": got groups={self.groups} for {channels} channels, wanted a divisor of them or -1'
            )
        self._order = (0, axis, *[i for i in range(1, axes) if i != axis])
        self._back = tuple([self._order.index(i) for i in range(axes)])
        self.make_affine((channels,))
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The normalised input."""
        x = channels_last(x).permute(*self._order)
        if autocast.on:
            (x,) = autocast.inputs("group_norm", x)
        inner: Any = self.inner
        function = norm.ChannelNorm(self._groups, self.epsilon)
        out = function.apply(x, inner.weight, inner.bias).permute(*self._back)
        return out.permute(0, 3, 1, 2) if out.ndim == 4 else out  # type: ignore[no-any-return]


class RMSNormalization(_Normalizer):
    """y = γ x/√(mean(x²) + epsilon) over the last axis (Zhang and Sennrich 2019).

    Weights: gamma, of the size of the axis.

    >>> RMSNormalization(epsilon=7.0)([[3.0, -3.0]])
    tensor([[ 0.75, -0.75]])
    """

    def __init__(self, axis: int = -1, epsilon: float = 1e-06, **options: Any) -> None:
        super().__init__(**options)
        if axis != -1:
            raise ValueError(f"RMSNormalization: axis={axis} is not available, wanted -1")
        self.axis = axis
        self.take(epsilon, center=False, scale=True)
        self.choose("gamma", "ones")

    def make(self, input_shape: Shape) -> Shape:
        """γ."""
        self.make_affine(input_shape[-1:])
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The normalised input."""
        inner: Any = self.inner
        return by_channels_last(lambda x: norm.rms_norm(x, x.shape[-1:], inner.weight, self.epsilon), x)


class UnitNormalization(Layer):
    """y = x/√(Σ x²) over `axis`.

    >>> UnitNormalization()([[3.0, 4.0]])
    tensor([[0.6, 0.8]])
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def make(self, input_shape: Shape) -> Shape:
        """Check the axes."""
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        self._axes = tuple([axis_of(self, axis, len(input_shape) + 1) for axis in axes])
        return input_shape

    def logits(self, x: Tensor) -> Tensor:
        """The normalised input."""
        return by_channels_last(lambda x: normalize(x, 2.0, self._axes, 1e-12), x)
