"""The convolution layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..ops import conv
from ..ops.arguments import sizes
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter

Pair = tuple[int, ...]


class Conv2d(Module):
    """Cross-correlation of images with a bank of filters, (N, C, H, W) to (N, O, H', W'), or without N.

    y[n, o, i, j] = b[o] + Σ_c,u,v W[o, c, u, v] x[n, c, i s + u d - p, j s + v d - p], with zeros outside of x, and
    H' = floor((H + 2p - d (k - 1) - 1) / s) + 1, with stride s, padding p, dilation d and kernel size k of each axis.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: k, one number or one for each axis.
        stride: s, likewise.
        padding: p, likewise; or "valid", which is 0, or "same", by which H' = H (with s = 1 only). Where "same" pads an
            odd number of pixels, the last side gets one more.
        dilation: d.
        groups: the channels fall into that many groups, each with its own filters; C and O must be multiples of it.
        bias: whether b is added.
        padding_mode: "zeros".
        device: "cpu".
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight: W, (O, C/groups, k, k), at first uniform in ±1/√(k k C/groups). Its memory order is (k, k, C/groups, O).
        bias: b, (O,), drawn alike, or None.

    >>> import tinydl
    >>> Conv2d(3, 8, 3, padding=1, stride=2)(tinydl.ones(1, 3, 9, 9)).shape
    (1, 8, 5, 5)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__()
        _check_channels(in_channels, out_channels, groups)
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode '{padding_mode}' is not available; known: zeros")
        backend.check_device(device)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.padding_mode = padding_mode
        self.kernel_size = sizes("Conv2d", "kernel_size", kernel_size, least=1)
        self.stride = sizes("Conv2d", "stride", stride, least=1)
        self.dilation = sizes("Conv2d", "dilation", dilation, least=1)
        self.padding = _checked_padding(padding, self.stride)
        storage = np.empty((*self.kernel_size, in_channels // groups, out_channels), dtype or dtypes.float32)
        self.weight = Parameter(storage.transpose(3, 2, 0, 1))
        self.register_parameter("bias", Parameter(np.empty(out_channels, storage.dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """f of the convolution, where f is fused into it: None (the identity), "relu", "sigmoid" or "tanh"."""
        if input.ndim not in (3, 4) or input.shape[-3] != self.in_channels:
            raise ValueError(
                f"{self!r}: got an input of shape {input.shape}, wanted (N, {self.in_channels}, H, W); "
                f"the weight has shape {self.weight.shape}"
            )
        return conv.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups, activation
        )

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text


def _check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    if groups < 1:
        raise ValueError(f"Conv2d: groups must be positive, got {groups}")
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels < 1 or channels % groups:
            raise ValueError(f"Conv2d: {name} must be a positive multiple of groups={groups}, got {channels}")


def _checked_padding(padding: int | Pair | str, stride: Pair) -> Pair | str:
    if not isinstance(padding, str):
        return sizes("Conv2d", "padding", padding, least=0)
    if padding not in ("valid", "same"):
        raise ValueError(f"Conv2d: padding '{padding}' is unknown; known: valid, same, or numbers")
    if padding == "same" and stride != (1, 1):
        raise ValueError(f"Conv2d: padding='same' needs stride 1, got {stride}")
    return padding
