"""Convolution of signals and images."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import sizes
from .matmul import ACTIVATION_GRADS, check_operands, through_activation
from .pool import Windows

Pair = tuple[int, ...]
Sides = tuple[int, ...]


class Conv2d(Function):
    """Y = f(X * W + b) with the gradients of its three inputs."""

    def __init__(self, stride: Pair, padding: Sides, dilation: Pair, groups: int, activation: str | None) -> None:
        self.options = (stride, padding, dilation, groups)
        self.activation = activation

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y: Array = backend.of(x).conv2d(x, weight, bias, *self.options, self.activation or "none")
        self.shapes = x.shape, weight.shape
        self.save(x if self.needs[1] else None, weight if self.needs[0] else None, y if self.activation else None)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, weight, y = self.saved
        kernels = backend.of(grad)
        grad = through_activation(self.activation, grad, y)
        return (
            kernels.conv2d_input_grad(grad, weight, self.shapes[0], *self.options) if self.needs[0] else None,
            kernels.conv2d_weight_grad(x, grad, self.shapes[1], *self.options) if self.needs[1] else None,
            kernels.sum(grad, (0, 2, 3), False) if self.needs[2] else None,
        )


class Conv2dMaxPool(Conv2d):
    """y = the maxima over windows of f(X * W + b).

    A maximum's gradient goes to one pixel, so f's gradient and the bias's are those of the maxima: the activations,
    four times as many for windows of 2 x 2, are neither kept nor read again.
    """

    def __init__(
        self, stride: Pair, padding: Sides, dilation: Pair, groups: int, activation: str | None, windows: Windows
    ) -> None:
        super().__init__(stride, padding, dilation, groups, activation)
        self.windows = windows

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        kernels = backend.of(x)
        full = kernels.conv2d(x, weight, bias, *self.options, self.activation or "none")
        y, taps = kernels.max_pool2d(full, *self.windows, any(self.needs))
        self.shapes = x.shape, weight.shape
        self.size = full.shape[2:]
        kept = y.copy(order="K") if self.activation and any(self.needs) else None  # y may be changed in place
        self.save(x if self.needs[1] else None, weight if self.needs[0] else None, kept, taps)
        return y  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, weight, y, taps = self.saved
        kernels = backend.of(grad)
        grad = through_activation(self.activation, grad, y)
        spread = kernels.max_pool2d_backward(grad, taps, self.size, *self.windows)
        return (
            kernels.conv2d_input_grad(spread, weight, self.shapes[0], *self.options) if self.needs[0] else None,
            kernels.conv2d_weight_grad(x, spread, self.shapes[1], *self.options) if self.needs[1] else None,
            kernels.sum(grad, (0, 2, 3), False) if self.needs[2] else None,
        )


class Conv1d(Conv2d):
    """The same of signals, which are images of height 1."""

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        images, filters = x[:, :, None], weight[:, :, None]
        y: Array = backend.of(x).conv2d(images, filters, bias, *self.options, self.activation or "none")[:, :, 0]
        self.shapes = images.shape, filters.shape
        self.save(x if self.needs[1] else None, weight if self.needs[0] else None, y if self.activation else None)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, weight, y = self.saved
        kernels = backend.of(grad)
        grad = through_activation(self.activation, grad, y)[:, :, None]
        dx = dw = db = None
        if self.needs[0]:
            dx = kernels.conv2d_input_grad(grad, weight[:, :, None], self.shapes[0], *self.options)[:, :, 0]
        if self.needs[1]:
            dw = kernels.conv2d_weight_grad(x[:, :, None], grad, self.shapes[1], *self.options)[:, :, 0]
        if self.needs[2]:
            db = kernels.sum(grad, (0, 2, 3), False)
        return dx, dw, db


def sides_of(op: str, padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> Sides:
    """Padding as (before, after) of each axis in turn; 'same' puts the odd element behind."""
    axes = len(kernel)
    if padding == "valid":
        return (0,) * (2 * axes)
    if padding == "same":
        if stride != (1,) * axes:
            raise ValueError(f"{op}: padding='same' needs stride 1, got {stride}")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple([side for total in totals for side in (total // 2, total - total // 2)])
    if isinstance(padding, str):
        raise ValueError(f"{op}: got padding={padding!r}, wanted 'same', 'valid' or numbers")
    if axes == 2 and isinstance(padding, tuple | list) and len(padding) == 4:
        return tuple([int(p) for p in padding])
    return tuple([p for p in sizes(op, "padding", padding, axes) for _ in range(2)])


def check_activation(op: str, activation: str | None) -> None:
    """ValueError for a name that no kernel knows."""
    if activation not in (None, *ACTIVATION_GRADS):
        raise ValueError(f"{op}: got activation {activation!r}, wanted None or one of {', '.join(ACTIVATION_GRADS)}")


def check_signals(op: str, input: Tensor, weight: Tensor, bias: Tensor | None, options: Any, groups: int) -> None:
    """ValueError unless signals, filters (O, C / groups, K) and bias (O,) fit; TypeError for other dtypes."""
    (stride,), (before, after), (dilation,) = options
    if not backend.takes(input._data):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")
    if input.ndim not in (2, 3):
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (N, C, L) or (C, L)")
    (channels, length), filters, kernel = input.shape[-2:], weight.shape[0], weight.shape[2]
    if groups < 1 or channels % groups or filters % groups:
        raise ValueError(f"{op}: groups={groups} does not divide the {channels} input channels and {filters} filters")
    if weight.shape[1] != channels // groups:
        raise ValueError(
            f"{op}: weight has {weight.shape[1]} input channels per group, input {input.shape} with groups={groups} "
            f"needs {channels // groups}"
        )
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"{op}: got a bias of shape {bias.shape}, wanted ({filters},)")
    if min(stride, dilation, kernel) < 1 or min(before, after) < 0:
        raise ValueError(
            f"{op}: got kernel size {kernel}, stride {stride}, dilation {dilation} and padding {before}, wanted at "
            "least 1, 1, 1 and 0"
        )
    reach = dilation * (kernel - 1) + 1
    if length + before + after < reach:
        raise ValueError(
            f"{op}: the kernel reaches over {reach} elements (size {kernel}, dilation {dilation}) but the padded "
            f"input has {length + before + after}"
        )


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Tensor:
    """One-dimensional convolution (cross-correlation): `conv2d` of images of height 1.

        y[n, o, i] = f(b[o] + sum_{c, r} w[o, c, r] x[n, c, i stride - pad + r dilation])

    Shapes: x (N, C, L) or (C, L), w (O, C / groups, K), b (O,), y (N, O, OL) with
    OL = floor((L + 2 pad - dilation (K - 1) - 1) / stride) + 1. The result is stored channels-last.

    The arguments, with numbers or tuples of one number, and the errors are those of `conv2d`.

    >>> import tinydl
    >>> x = tinydl.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> conv1d(x, tinydl.tensor([[[-1.0, 1.0]]]), padding="same")
    tensor([[[ 1.,  2.,  4., -8.]]])
    """
    if autocast.on:
        input, weight, bias = autocast.inputs("conv1d", input, weight, bias)
    op = "conv1d"
    check_operands(op, input, weight, bias)
    check_activation(op, activation)
    if weight.ndim != 3:
        raise ValueError(f"{op}: got a weight of shape {weight.shape}, wanted (O, C / groups, K)")
    stride1, dilation1 = sizes(op, "stride", stride, 1), sizes(op, "dilation", dilation, 1)
    sides = sides_of(op, padding, weight.shape[2:3], stride1, dilation1)
    check_signals(op, input, weight, bias, (stride1, sides, dilation1), groups)
    function = Conv1d((1, *stride1), (0, 0, *sides), (1, *dilation1), groups, activation)
    if input.ndim == 2:
        return function.apply(input.unsqueeze(0), weight, bias).squeeze(0)  # type: ignore[no-any-return]
    return function.apply(input, weight, bias)  # type: ignore[no-any-return]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | Sides | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Tensor:
    """Two-dimensional convolution (cross-correlation), with bias and activation in the same kernel.

        y[n, o, i, j] = f(b[o] + sum_{c, r, s} w[o, c, r, s] x[n, c, i stride - pad + r dilation, ...j, s alike...])

    where x is 0 outside the image. With groups, filter o sees only the C / groups channels of its group.

    Shapes: x (N, C, H, W) or (C, H, W), w (O, C / groups, KH, KW), b (O,), y (N, O, OH, OW) with
    OH = floor((H + 2 pad - dilation (KH - 1) - 1) / stride) + 1. The result is stored channels-last.

    Args:
        input: the images.
        weight: the filters.
        bias: one number a filter.
        stride: the step between outputs, one number or (height, width).
        padding: zeros around the image: one number, (height, width), (top, bottom, left, right), "valid" (none) or
            "same" (output as large as the input; stride 1).
        dilation: the step between the taps of a filter.
        groups: how many groups the channels are divided into.
        activation: f, one of None, "relu", "sigmoid" and "tanh".

    Raises:
        ValueError: the shapes do not fit, or an option is out of range.
        TypeError: the dtypes differ, or are not float32 or float64.

    Reference: Goodfellow, Bengio, Courville, "Deep Learning", section 9.1 (equation 9.6).

    >>> import tinydl
    >>> x = tinydl.arange(9, dtype="float32").reshape(1, 1, 3, 3)
    >>> conv2d(x, tinydl.ones(1, 1, 2, 2))
    tensor([[[[ 8., 12.],
              [20., 24.]]]])
    """
    return conv2d_max_pool(input, weight, bias, stride, padding, dilation, groups, activation, None)


def conv2d_max_pool(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Pair,
    padding: int | Pair | Sides | str,
    dilation: int | Pair,
    groups: int,
    activation: str | None,
    windows: Windows | None,
) -> Tensor:
    """max_pool2d(conv2d(...)) in one step of the tape; without windows the convolution alone."""
    if autocast.on:
        input, weight, bias = autocast.inputs("conv2d", input, weight, bias)
    check_operands("conv2d", input, weight, bias)
    check_activation("conv2d", activation)
    if weight.ndim != 4:
        raise ValueError(f"conv2d: got a weight of shape {weight.shape}, wanted (O, C / groups, KH, KW)")
    stride2, dilation2 = sizes("conv2d", "stride", stride), sizes("conv2d", "dilation", dilation)
    sides = sides_of("conv2d", padding, weight.shape[2:], stride2, dilation2)
    if windows is None:
        function = Conv2d(stride2, sides, dilation2, groups, activation)
    else:
        function = Conv2dMaxPool(stride2, sides, dilation2, groups, activation, windows)
    if input.ndim == 3:
        return function.apply(input.unsqueeze(0), weight, bias).squeeze(0)  # type: ignore[no-any-return]
    return function.apply(input, weight, bias)  # type: ignore[no-any-return]
