"""Convolution layers, and transposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import backend, dtypes
from ..ops import conv, conv_transpose, pool
from ..ops.arguments import sizes
from ..tensor import Tensor
from .weighted import Weighted

Pair = tuple[int, ...]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Weighted):
    """What the layers share: the checked arguments, the parameters, their printed form."""

    axes: int
    transposed = False
    padding: Any  # a Pair, "same" or "valid"
    output_padding: Pair

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair,
        padding: int | Pair | str,
        dilation: int | Pair,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: str | None,
        dtype: Any,
        output_padding: int | Pair = 0,
    ) -> None:
        name = type(self).__name__
        _check_channels(name, in_channels, out_channels, groups)
        known = _PADDING_MODES[:1] if self.transposed else _PADDING_MODES
        if padding_mode not in known:
            raise ValueError(f"{name}: padding_mode '{padding_mode}' is not available; known: {', '.join(known)}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.padding_mode = padding_mode
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.axes, least=1)
        self.stride = sizes(name, "stride", stride, self.axes, least=1)
        self.dilation = sizes(name, "dilation", dilation, self.axes, least=1)
        self.padding = self._checked_padding(padding)
        self.output_padding = sizes(name, "output_padding", output_padding, self.axes, least=0)
        near, far = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        storage = backend.empty_on((*self.kernel_size, far // groups, near), dtype or dtypes.float32, device)
        self._make(storage.transpose(self.axes + 1, self.axes, *range(self.axes)), out_channels, bias)

    def _checked_padding(self, padding: int | Pair | str) -> Pair | str:
        name = type(self).__name__
        if not isinstance(padding, str) or self.transposed:
            return sizes(name, "padding", padding, self.axes, least=0)
        if padding not in ("valid", "same"):
            raise ValueError(f"{name}: padding '{padding}' is unknown; known: valid, same, or numbers")
        if padding == "same" and self.stride != (1,) * self.axes:
            raise ValueError(f"{name}: padding='same' needs stride 1, got {self.stride}")
        return padding

    def _check_input(self, input: Tensor) -> None:
        if input.ndim not in (self.axes + 1, self.axes + 2) or input.shape[-self.axes - 1] != self.in_channels:
            raise ValueError(
                f"{self!r}: got an input of shape {input.shape}, wanted (N, {self.in_channels}, "
                f"{'H, W' if self.axes == 2 else 'L'}); the weight has shape {self.weight.shape}"
            )

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input and the zeros it still needs: other modes pad first."""
        if self.padding_mode == "zeros":
            return input, self.padding
        from ..ops.pad import pad

        sides = conv.sides_of(type(self).__name__, self.padding, self.kernel_size, self.stride, self.dilation)
        pairs = [sides[i : i + 2] for i in range(0, len(sides), 2)]
        return pad(input, [n for pair in reversed(pairs) for n in pair], self.padding_mode), (0,) * self.axes

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none, one = (0,) * self.axes, (1,) * self.axes
        if self.padding != none:
            text += f", padding={self.padding}"
        if self.dilation != one:
            text += f", dilation={self.dilation}"
        if self.output_padding != none:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


def _check_channels(name: str, in_channels: int, out_channels: int, groups: int) -> None:
    if groups < 1:
        raise ValueError(f"{name}: groups must be positive, got {groups}")
    for which, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels < 1 or channels % groups:
            raise ValueError(f"{name}: {which} must be a positive multiple of groups={groups}, got {channels}")


class _Direct(_Conv):
    """The constructor of the layers that are not transposed."""

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
        self._set_up(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )


class Conv1d(_Direct):
    """Cross-correlation of signals with a bank of filters, (N, C, L) to (N, O, L'), or without N.

    y[n, o, i] = b[o] + Σ_c,u W[o, c, u] x[n, c, i s + u d - p], with zeros outside of x, and
    L' = floor((L + 2p - d (k - 1) - 1) / s) + 1.

    The arguments are those of `Conv2d`, with one number or a tuple of one number.

    Attributes:
        weight: W, (O, C/groups, k), at first uniform in ±1/√(k C/groups). Its memory order is (k, C/groups, O).
        bias: b, (O,), drawn alike, or None.

    >>> import tinydl
    >>> Conv1d(3, 8, 5, padding="same")(tinydl.ones(2, 3, 10)).shape
    (2, 8, 10)
    """

    axes = 1

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """f of the convolution, where f is fused into it: None (the identity), "relu", "sigmoid" or "tanh"."""
        self._check_input(input)
        input, padding = self._padded(input)
        return conv.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, activation)


class Conv2d(_Direct):
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
        padding_mode: what lies outside of x: "zeros", or, as `tinydl.nn.functional.pad` has them, "reflect",
            "replicate" or "circular".
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight: W, (O, C/groups, k, k), at first uniform in ±1/√(k k C/groups). Its memory order is (k, k, C/groups, O).
        bias: b, (O,), drawn alike, or None.

    >>> import tinydl
    >>> Conv2d(3, 8, 3, padding=1, stride=2)(tinydl.ones(1, 3, 9, 9)).shape
    (1, 8, 5, 5)
    """

    axes = 2

    def forward(self, input: Tensor, activation: str | None = None, windows: pool.Windows | None = None) -> Tensor:
        """The convolution, and what `Sequential` fuses into it: an activation, and the windows of a `MaxPool2d`."""
        self._check_input(input)
        input, padding = self._padded(input)
        return conv.conv2d_max_pool(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, activation, windows
        )


class _ConvTranspose(_Conv):
    """What the transposed layers add: output padding, and an output size instead of it."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            output_padding,
        )

    def _padding_for(self, input: Tensor, output_size: Sequence[int] | None) -> Pair:
        """The output padding that leads to `output_size`, given with or without the axes N and O."""
        self._check_input(input)
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)
        if len(wanted) == input.ndim:
            wanted = wanted[-self.axes :]
        if len(wanted) != self.axes:
            raise ValueError(
                f"{self!r}: got output_size={tuple(output_size)}, wanted {self.axes} or {input.ndim} sizes"
            )
        steps = zip(input.shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        least = tuple([(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in steps])
        most = tuple([n + s - 1 for n, s in zip(least, self.stride, strict=True)])
        if any([not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)]):
            raise ValueError(f"{self!r}: got output_size={wanted}, wanted from {least} to {most}")
        return tuple([n - low for n, low in zip(wanted, least, strict=True)])


class ConvTranspose1d(_ConvTranspose):
    """The transpose of a convolution of signals: (N, C, L) to (N, O, L'), or without N.

    L' = (L - 1) s - 2p + d (k - 1) + q + 1. The arguments are those of `ConvTranspose2d`, with one number or a tuple of
    one number.

    Attributes:
        weight: W, (C, O/groups, k), at first uniform in ±1/√(k O/groups). Its memory order is (k, O/groups, C).
        bias: b, (O,), drawn alike, or None.

    >>> import tinydl
    >>> ConvTranspose1d(3, 8, 4, stride=2, padding=1)(tinydl.ones(2, 3, 10)).shape
    (2, 8, 20)
    """

    axes = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that `stride` makes possible."""
        more = self._padding_for(input, output_size)
        return conv_transpose.conv_transpose1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a convolution: (N, C, H, W) to (N, O, H', W'), or without N; every pixel adds a weighted kernel.

    H' = (H - 1) s - 2p + d (k - 1) + q + 1, with stride s, padding p, dilation d, kernel size k and output padding q of
    each axis. With the same arguments, it maps the output's shape of a `Conv2d` back to its input's.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: k, one number or one for each axis; so for the next three.
        stride: s, the step between the kernels in the output.
        padding: p, how many rows and columns are cut off from each side of the output.
        output_padding: q, how many are added at its end; less than stride or dilation.
        groups: the channels fall into that many groups, each with its own kernels; C and O must be multiples of it.
        bias: whether b is added.
        dilation: d, one number or one for each axis.
        padding_mode: "zeros".
        device: where the parameters lie; by default on the CPU.
        dtype: of the parameters, float32 or float64.

    Attributes:
        weight: W, (C, O/groups, k, k), at first uniform in ±1/√(k k O/groups). Its memory order is (k, k, O/groups, C).
        bias: b, (O,), drawn alike, or None.

    >>> import tinydl
    >>> layer = ConvTranspose2d(8, 3, 3, stride=2, padding=1)
    >>> layer(tinydl.ones(1, 8, 5, 5)).shape, layer(tinydl.ones(1, 8, 5, 5), output_size=(10, 10)).shape
    ((1, 3, 9, 9), (1, 3, 10, 10))
    """

    axes = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that `stride` makes possible."""
        more = self._padding_for(input, output_size)
        return conv_transpose.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )
