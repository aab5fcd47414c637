"""Transposed convolution: the linear map whose matrix is the transpose of a convolution's.

Its forward pass is a convolution's input gradient, its input gradient a convolution, and its weight gradient the
convolution's with the two images exchanged.
"""

from __future__ import annotations

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .arguments import sizes
from .matmul import check_operands

Pair = tuple[int, ...]
Options = tuple[Pair, Pair, Pair, int]  # stride, sides, dilation, groups: of the convolution from y to x


class ConvTranspose2d(Function):
    """Y = X *ᵀ W + b. `size` is Y's; `extra` counts the rows and columns at its end that no input reaches."""

    def __init__(self, size: Pair, extra: Pair, options: Options) -> None:
        self.size = size
        self.extra = extra
        self.options = options

    def lift(self, array: Array) -> Array:
        """Images from what the operation works on."""
        return array

    def lower(self, array: Array) -> Array:
        """The inverse of `lift`."""
        return array

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        self.weight_shape = self.lift(weight).shape
        shape = (x.shape[0], weight.shape[1] * self.options[3], *self.size)
        self.save(x if self.needs[1] else None, weight if self.needs[0] else None)
        transposed = backend.of(x).conv2d_input_grad
        if self.extra == (0, 0):
            y = transposed(self.lift(x), self.lift(weight), shape, *self.options, bias)
        else:
            y = backend.zeros(shape, x)
            y[self.reached()] = transposed(self.lift(x), self.lift(weight), y[self.reached()].shape, *self.options)
            if bias is not None:
                y += bias[:, None, None]
        return self.lower(y)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, weight = self.saved
        kernels = backend.of(grad)
        full = self.lift(grad)
        reached = full if self.extra == (0, 0) else full[self.reached()]
        dx = dw = None
        if self.needs[0]:
            dx = self.lower(kernels.conv2d(reached, self.lift(weight), None, *self.options, "none"))
        if self.needs[1]:
            dw = self.lower(kernels.conv2d_weight_grad(reached, self.lift(x), self.weight_shape, *self.options))
        return dx, dw, kernels.sum(full, (0, 2, 3), False) if self.needs[2] else None

    def reached(self) -> tuple[slice, ...]:
        """The part of Y that inputs reach."""
        return (slice(None), slice(None), *[slice(n - e) for n, e in zip(self.size, self.extra, strict=True)])


class ConvTranspose1d(ConvTranspose2d):
    """The same of signals, which are images of height 1."""

    def lift(self, array: Array) -> Array:
        return array[:, :, None]

    def lower(self, array: Array) -> Array:
        return array[:, :, 0]


def _apply(
    op: str, axes: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, numbers: Pair
) -> Tensor:
    """The operation over `axes` axes; `numbers` are stride, padding, output_padding and dilation of each in turn."""
    if autocast.on:
        input, weight, bias = autocast.inputs(op, input, weight, bias)
    _check(op, axes, input, weight, bias, groups)
    size: list[int] = []
    extra: list[int] = []
    sides: list[int] = []
    for i in range(axes):
        stride, padding, more, dilation = numbers[i::axes]
        length, kernel = input.shape[i - axes], weight.shape[i - axes]
        if min(stride, dilation, kernel) < 1 or min(padding, more) < 0:
            raise ValueError(
                f"{op}: got kernel size {kernel}, stride {stride}, dilation {dilation}, padding {padding} and "
                f"output_padding {more}, wanted at least 1, 1, 1, 0 and 0"
            )
        if more >= stride and more >= dilation:
            raise ValueError(f"{op}: output_padding {more} must be smaller than stride {stride} or dilation {dilation}")
        out = (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
        if out < 1 or length < 1:
            raise ValueError(f"{op}: an input of shape {input.shape} would give an output of size {out}")
        size.append(out)
        # The convolution back must have `length` outputs: output padding of a stride or more takes from its margin.
        after = padding if more < stride else max(padding - more, 0)
        extra.append(0 if more < stride else max(more - padding, 0))
        sides += [padding, after]
    steps, reaches = numbers[:axes], numbers[3 * axes :]
    if axes == 1:
        options = (1, *steps), (0, 0, *sides), (1, *reaches), groups
        function: ConvTranspose2d = ConvTranspose1d((1, *size), (0, *extra), options)
    else:
        function = ConvTranspose2d(tuple(size), tuple(extra), (steps, tuple(sides), reaches, groups))
    if input.ndim == axes + 1:
        return function.apply(input.unsqueeze(0), weight, bias).squeeze(0)  # type: ignore[no-any-return]
    return function.apply(input, weight, bias)  # type: ignore[no-any-return]


def _check(op: str, axes: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """ValueError unless the shapes fit; TypeError for other dtypes than one of float32 and float64."""
    check_operands(op, input, weight, bias)
    if not backend.takes(input._data):
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted float32 or float64")
    names = "H, W" if axes == 2 else "L"
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"{op}: got an input of shape {input.shape}, wanted (N, C, {names}) or (C, {names})")
    if weight.ndim != axes + 2:
        raise ValueError(f"{op}: got a weight of shape {weight.shape}, wanted (C, O / groups, {axes} kernel sizes)")
    channels = input.shape[-axes - 1]
    if weight.shape[0] != channels:
        raise ValueError(f"{op}: weight {weight.shape} is for {weight.shape[0]} channels, input {input.shape}")
    if groups < 1 or channels % groups:
        raise ValueError(f"{op}: groups={groups} does not divide the {channels} input channels")
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ValueError(f"{op}: got a bias of shape {bias.shape}, wanted ({weight.shape[1] * groups},)")


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Tensor:
    """One-dimensional transposed convolution: `conv_transpose2d` of images of height 1.

    Shapes: x (N, C, L) or (C, L), w (C, O / groups, K), b (O,), y (N, O, OL) with
    OL = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1. The result is stored channels-last.

    The arguments, with numbers or tuples of one number, and the errors are those of `conv_transpose2d`.

    >>> import tinydl
    >>> conv_transpose1d(tinydl.tensor([[[1.0, 2.0]]]), tinydl.tensor([[[1.0, 10.0, 100.0]]]), stride=2)
    tensor([[[  1.,  10., 102.,  20., 200.]]])
    """
    op = "conv_transpose1d"
    given = ("stride", stride), ("padding", padding), ("output_padding", output_padding), ("dilation", dilation)
    numbers = tuple([n for name, value in given for n in sizes(op, name, value, 1)])
    return _apply(op, 1, input, weight, bias, groups, numbers)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Tensor:
    """Two-dimensional transposed convolution: every pixel adds a weighted kernel to the output.

        y[n, o, a, b] = bias[o] + sum over c, i, j, r, s of x[n, c, i, j] w[c, o, r, s]

    over those i, j, r, s for which i stride - padding + r dilation = a and j, s likewise give b. It is the gradient
    of `conv2d` with respect to its input, for the same weight. With groups, the C / groups channels of a group
    reach its O / groups outputs only.

    Shapes: x (N, C, H, W) or (C, H, W), w (C, O / groups, KH, KW), b (O,), y (N, O, OH, OW) with
    OH = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1. The result is stored channels-last.

    Args:
        input: the images.
        weight: the kernels.
        bias: one number an output channel.
        stride: the step between the kernels in the output, one number or (height, width); so for the next three.
        padding: how many rows and columns are cut off from each side of the output.
        output_padding: how many are added at its end; less than stride or dilation.
        groups: how many groups the channels are divided into.
        dilation: the step between the taps of a kernel.

    Raises:
        ValueError: the shapes do not fit, or an option is out of range.
        TypeError: the dtypes differ, or are not float32 or float64.

    Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), section 4.

    >>> import tinydl
    >>> conv_transpose2d(tinydl.tensor([[[[1.0, 2.0]]]]), tinydl.ones(1, 1, 2, 2))
    tensor([[[[1., 3., 2.],
              [1., 3., 2.]]]])
    """
    op = "conv_transpose2d"
    given = ("stride", stride), ("padding", padding), ("output_padding", output_padding), ("dilation", dilation)
    numbers = tuple([n for name, value in given for n in sizes(op, name, value, 2)])
    return _apply(op, 2, input, weight, bias, groups, numbers)
