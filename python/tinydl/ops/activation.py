"""Activations: elementwise functions between the layers of a network. Those made of straight pieces: `piecewise`."""

from __future__ import annotations

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .elementwise import Binary, Unary, abs, add, apply_binary, apply_float, div, mul, refuse_bool, sub
from .indexing import getitem
from .inplace import change
from .reduce import axes_of
from .view import reshape


class Relu(Unary):
    """y = max(x, 0); dy/dx = [y > 0]."""

    kernel = "relu"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).relu_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Sigmoid(Unary):
    """y = 1/(1 + e^-x); dy/dx = y (1 - y)."""

    kernel = "sigmoid"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).sigmoid_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Tanh(Unary):
    """y = tanh x; dy/dx = 1 - y^2."""

    kernel = "tanh"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).tanh_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Activation(Function):
    """y = f(x; parameters) by the kernel of that name; its gradient by `<kernel>_backward`."""

    kernel: str

    def __init__(self, *parameters: float) -> None:
        self.parameters = parameters

    def forward(self, x: Array) -> Array:
        self.save(x)
        return getattr(backend.of(x), self.kernel)(x, *self.parameters)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        kernel = getattr(backend.of(grad), self.kernel + "_backward")
        return kernel(grad, self.saved[0], *self.parameters)  # type: ignore[no-any-return]


class LeakyRelu(Activation):
    """y = x for x > 0, slope x elsewhere; dy/dx = 1 or slope."""

    kernel = "leaky_relu"


class Elu(Activation):
    """y = scale x for x > 0, scale alpha (e^(k x) - 1) elsewhere; dy/dx = scale or scale alpha k e^(k x)."""

    kernel = "elu"


class Gelu(Activation):
    """y = x P(x) with the normal distribution's P; dy/dx = P(x) + x p(x)."""

    kernel = "gelu"


class GeluTanh(Activation):
    """y = x (1 + t)/2, t = tanh u, u = (2/pi)^(1/2) (x + 0.044715 x^3); dy/dx = (1 + t + x (1 - t^2) du/dx)/2."""

    kernel = "gelu_tanh"


class Silu(Activation):
    """y = x s with s = 1/(1 + e^-x); dy/dx = s (1 + x (1 - s))."""

    kernel = "silu"


class Mish(Activation):
    """y = x t with t = tanh(ln(1 + e^x)); dy/dx = t + x (1 - t^2)/(1 + e^-x)."""

    kernel = "mish"


class Softplus(Activation):
    """y = ln(1 + e^(beta x))/beta, x from beta x > threshold on; dy/dx = 1/(1 + e^(-beta x)), 1 there."""

    kernel = "softplus"


class Prelu(Binary):
    """y = x for x > 0, w x elsewhere; dy/dx = 1 or w, dy/dw = 0 or x."""

    def compute(self, a: Array, b: Array) -> Array:
        kernels = backend.of(a)
        return kernels.where(backend.asarray(a > 0), a, kernels.mul(a, b))  # type: ignore[no-any-return]

    def save_for(self, a: Array, b: Array, y: Array) -> None:
        self.save(a, b)

    def grad_a(self, grad: Array) -> Array:
        a, b = self.saved
        kernels = backend.of(grad)
        return kernels.where(backend.asarray(a > 0), grad, kernels.mul(grad, b))  # type: ignore[no-any-return]

    def grad_b(self, grad: Array) -> Array:
        a, _ = self.saved
        kernels = backend.of(grad)
        return kernels.where(backend.asarray(a > 0), backend.scalar(0, grad), kernels.mul(grad, a))  # type: ignore[no-any-return]


def apply_activation(op: str, function: Function, input: Tensor) -> Tensor:
    """The function of a floating-point tensor; TypeError for other dtypes."""
    if isinstance(input, Tensor) and input._data.dtype.kind in "iub":
        raise TypeError(f"{op}: got dtype {input.dtype}, wanted a floating-point dtype")
    return apply_float(op, function, input)


def relu(input: Tensor) -> Tensor:
    """The rectified linear unit y = max(x, 0), elementwise; NaN stays NaN.

    >>> import tinydl
    >>> tinydl.relu(tinydl.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if isinstance(input, Tensor) and input._data.dtype.kind in "iub":
        refuse_bool("relu", input)
        return Tensor(backend.asarray(np.maximum(input._data, 0)))
    return apply_float("relu", Relu(), input)


def sigmoid(input: Tensor) -> Tensor:
    """The logistic function y = 1/(1 + e^-x), elementwise, without overflow at either end."""
    return apply_float("sigmoid", Sigmoid(), input)


def tanh(input: Tensor) -> Tensor:
    """y = tanh x, elementwise."""
    return apply_float("tanh", Tanh(), input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x for x > 0, negative_slope x elsewhere; in the input's memory if `inplace`.

    >>> import tinydl
    >>> tinydl.nn.functional.leaky_relu(tinydl.tensor([-1.0, 2.0]), 0.25)
    tensor([-0.25,  2.  ])
    """
    if inplace:
        return change("leaky_relu_", input, leaky_relu, negative_slope)
    return apply_activation("leaky_relu", LeakyRelu(negative_slope), input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """The exponential linear unit: y = x for x > 0, alpha (e^x - 1) elsewhere (Clevert et al., 2015)."""
    if inplace:
        return change("elu_", input, elu, alpha)
    return apply_activation("elu", Elu(alpha, 1.0, 1.0), input)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising y = s x for x > 0, s a (e^x - 1) elsewhere, s = 1.0507, a = 1.67326 (Klambauer, 2017)."""
    if inplace:
        return change("selu_", input, selu)
    return apply_activation("selu", Elu(SELU_ALPHA, SELU_SCALE, 1.0), input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x for x > 0, alpha (e^(x/alpha) - 1) elsewhere (Barron, 2017); ValueError for alpha = 0."""
    if alpha == 0:
        raise ValueError("celu: got alpha=0, wanted another number")
    if inplace:
        return change("celu_", input, celu, alpha)
    return apply_activation("celu", Elu(alpha, 1.0, 1.0 / alpha), input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """The Gaussian error linear unit y = x P(x), P the normal distribution (Hendrycks and Gimpel, 2016).

    With approximate="tanh": y = x (1 + tanh((2/pi)^(1/2) (x + 0.044715 x^3)))/2. ValueError for other words.

    >>> import tinydl
    >>> tinydl.nn.functional.gelu(tinydl.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.15865526,  0.        ,  0.8413447 ])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: got approximate={approximate!r}, wanted 'none' or 'tanh'")
    return apply_activation("gelu", GeluTanh() if approximate == "tanh" else Gelu(), input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """The sigmoid linear unit, also called swish: y = x/(1 + e^-x), elementwise."""
    if inplace:
        return change("silu_", input, silu)
    return apply_activation("silu", Silu(), input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x tanh(ln(1 + e^x)), elementwise (Misra, 2019)."""
    if inplace:
        return change("mish_", input, mish)
    return apply_activation("mish", Mish(), input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e^(beta x))/beta, elementwise; x itself where beta x > threshold.

    >>> import tinydl
    >>> tinydl.nn.functional.softplus(tinydl.tensor([0.0, 100.0]))
    tensor([  0.6931472, 100.       ])
    """
    return apply_activation("softplus", Softplus(beta, threshold), input)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of the logistic function, y = -ln(1 + e^-x), elementwise, without overflow."""
    return apply_activation("logsigmoid", Softplus(-1.0, float("inf")), input)


def softsign(input: Tensor) -> Tensor:
    """y = x/(1 + |x|), elementwise."""
    return div(input, add(abs(input), 1))


def tanhshrink(input: Tensor) -> Tensor:
    """y = x - tanh x, elementwise."""
    refuse_bool("tanhshrink", input)
    return sub(input, tanh(input))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = x for x > 0, w x elsewhere; the weight holds one number, or one for each channel (axis 1 of the input).

    ValueError for another number of weights, TypeError for another dtype than the input's.

    >>> import tinydl
    >>> tinydl.prelu(tinydl.tensor([[-1.0, -1.0]]), tinydl.tensor([0.25, 0.5]))
    tensor([[-0.25, -0.5 ]])
    """
    if autocast.on:
        input, weight = autocast.inputs("prelu", input, weight)
    if weight.ndim > 1:
        raise ValueError(f"prelu: got a weight of shape {weight.shape}, wanted at most one axis")
    if input.dtype != weight.dtype or not dtypes.is_floating_point(input.dtype):
        raise TypeError(f"prelu: got dtypes {input.dtype} and {weight.dtype}, wanted one floating-point dtype")
    if weight.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.numel() != channels:
            raise ValueError(f"prelu: got {weight.numel()} weights for {channels} channels (input {input.shape})")
        weight = reshape(weight, (1, -1) + (1,) * (input.ndim - 2))
    elif weight.ndim:
        weight = reshape(weight, ())
    return apply_binary(Prelu, input, weight)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The gated linear unit y = a/(1 + e^-b), where a and b are the halves of the input along `dim`.

    ValueError where that axis has an odd size or there is none.

    >>> import tinydl
    >>> tinydl.nn.functional.glu(tinydl.tensor([4.0, 0.0]))
    tensor([2.])
    """
    if not input.ndim:
        raise ValueError("glu: got a tensor without axes, which has no halves")
    (axis,) = axes_of("glu", dim, input.ndim)
    if input.shape[axis] % 2:
        raise ValueError(
            f"glu: got size {input.shape[axis]} along dim {dim} of shape {input.shape}, wanted an even size"
        )
    if input._data.dtype.kind in "iub":
        raise TypeError(f"glu: got dtype {input.dtype}, wanted a floating-point dtype")
    half = input.shape[axis] // 2
    before = (slice(None),) * axis
    return mul(getitem(input, (*before, slice(None, half))), sigmoid(getitem(input, (*before, slice(half, None)))))
