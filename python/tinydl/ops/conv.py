"""Two-dimensional convolution."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from .arguments import sizes
from .matmul import ACTIVATION_GRADS, check_operands, through_activation

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


def _sides(padding: Any, kernel: tuple[int, ...], stride: Pair, dilation: Pair) -> Sides:
    """Padding as (top, bottom, left, right); 'same' puts the odd element behind."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"conv2d: padding='same' needs stride 1, got {stride}")
        high, wide = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return high // 2, high - high // 2, wide // 2, wide - wide // 2
    if isinstance(padding, str):
        raise ValueError(f"conv2d: got padding={padding!r}, wanted 'same', 'valid' or numbers")
    if isinstance(padding, tuple | list) and len(padding) == 4:
        return tuple(int(p) for p in padding)
    high, wide = sizes("conv2d", "padding", padding)
    return high, high, wide, wide


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
    check_operands("conv2d", input, weight, bias)
    if activation not in (None, *ACTIVATION_GRADS):
        raise ValueError(f"conv2d: got activation {activation!r}, wanted None or one of {', '.join(ACTIVATION_GRADS)}")
    if weight.ndim != 4:
        raise ValueError(f"conv2d: got a weight of shape {weight.shape}, wanted (O, C / groups, KH, KW)")
    stride2, dilation2 = sizes("conv2d", "stride", stride), sizes("conv2d", "dilation", dilation)
    sides = _sides(padding, weight.shape[2:], stride2, dilation2)
    function = Conv2d(stride2, sides, dilation2, groups, activation)
    if input.ndim == 3:
        return function.apply(input.unsqueeze(0), weight, bias).squeeze(0)  # type: ignore[no-any-return]
    return function.apply(input, weight, bias)  # type: ignore[no-any-return]
