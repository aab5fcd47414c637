"""Activation functions, by name or as functions of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import as_tensor
from ..ops import activation, piecewise
from ..ops import softmax as softmax_op
from ..ops.elementwise import exp
from ..ops.selection import where
from ..tensor import Tensor
from .lookup import find


def linear(x: Any) -> Any:
    """The input itself."""
    return x


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x above `threshold`, at most `max_value`; negative_slope (x - threshold) below.

    >>> relu([-4.0, 0.5, 2.0, 9.0], negative_slope=0.5, max_value=6.0, threshold=1.0)
    tensor([-2.5 , -0.25,  2.  ,  6.  ])
    """
    x = as_tensor(x)
    if max_value is None and not threshold:
        return activation.leaky_relu(x, negative_slope) if negative_slope else activation.relu(x)
    above = x * (x > threshold).to(x.dtype) if threshold else activation.relu(x)
    if max_value is not None:
        above = above.clamp(0.0, max_value)
    return above - activation.relu(threshold - x) * negative_slope if negative_slope else above


def relu6(x: Any) -> Tensor:
    """min(max(x, 0), 6)."""
    return piecewise.relu6(as_tensor(x))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x for x > 0, negative_slope x elsewhere.

    >>> leaky_relu([-1.0, 1.0])
    tensor([-0.2,  1. ])
    """
    return activation.leaky_relu(as_tensor(x), negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x for x > 0, alpha (e^x - 1) elsewhere."""
    return activation.elu(as_tensor(x), alpha)


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(0, alpha (e^(x/alpha) - 1))."""
    return activation.celu(as_tensor(x), alpha)


def selu(x: Any) -> Tensor:
    """The self-normalising ELU: 1.0507 x for x > 0, 1.0507 · 1.67326 (e^x - 1) elsewhere."""
    return activation.selu(as_tensor(x))


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x Φ(x), with the normal distribution's Φ, or its approximation by tanh."""
    return activation.gelu(as_tensor(x), "tanh" if approximate else "none")


def silu(x: Any) -> Tensor:
    """x/(1 + e^-x), also called swish."""
    return activation.silu(as_tensor(x))


def mish(x: Any) -> Tensor:
    """x tanh(log(1 + e^x))."""
    return activation.mish(as_tensor(x))


def softplus(x: Any) -> Tensor:
    """log(1 + e^x)."""
    return activation.softplus(as_tensor(x))


def softsign(x: Any) -> Tensor:
    """x/(1 + |x|)."""
    return activation.softsign(as_tensor(x))


def squareplus(x: Any, b: float = 4) -> Tensor:
    """(x + √(x² + b))/2.

    >>> squareplus([0.0])
    tensor([1.])
    """
    x = as_tensor(x)
    return (x + (x * x + b).sqrt()) * 0.5  # type: ignore[no-any-return]


def sigmoid(x: Any) -> Tensor:
    """1/(1 + e^-x)."""
    return activation.sigmoid(as_tensor(x))


def log_sigmoid(x: Any) -> Tensor:
    """-log(1 + e^-x)."""
    return activation.logsigmoid(as_tensor(x))


def hard_sigmoid(x: Any) -> Tensor:
    """min(max(x + 3, 0), 6)/6."""
    return piecewise.hardsigmoid(as_tensor(x))


def hard_silu(x: Any) -> Tensor:
    """x min(max(x + 3, 0), 6)/6, also called hard swish."""
    return piecewise.hardswish(as_tensor(x))


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return activation.tanh(as_tensor(x))


def hard_tanh(x: Any) -> Tensor:
    """min(max(x, -1), 1)."""
    return piecewise.hardtanh(as_tensor(x))


def tanh_shrink(x: Any) -> Tensor:
    """x - tanh(x)."""
    return activation.tanhshrink(as_tensor(x))


def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, else 0."""
    return piecewise.hardshrink(as_tensor(x), threshold)


def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """x moved by `threshold` towards 0, at most to 0."""
    return piecewise.softshrink(as_tensor(x), threshold)


def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """x where it is above `threshold`, else `default_value`."""
    return piecewise.threshold(as_tensor(x), threshold, default_value)


def exponential(x: Any) -> Tensor:
    """e^x."""
    return exp(as_tensor(x))


def sparse_plus(x: Any) -> Tensor:
    """0 for x ≤ -1, x for x ≥ 1, (x + 1)²/4 between.

    >>> sparse_plus([-2.0, 0.0, 3.0])
    tensor([0.  , 0.25, 3.  ])
    """
    x = as_tensor(x)
    between = (x.clamp(-1.0, 1.0) + 1.0) ** 2 * 0.25
    return where(x < 1.0, between, x)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """e^(x_i) / Σ_j e^(x_j) along an axis."""
    return softmax_op.softmax(as_tensor(x), axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """x_i - log Σ_j e^(x_j) along an axis."""
    return softmax_op.log_softmax(as_tensor(x), axis)


def glu(x: Any, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of its second half."""
    return activation.glu(as_tensor(x), axis)


ELEMENTWISE: tuple[Callable[..., Any], ...] = (
    celu,
    elu,
    exponential,
    gelu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    linear,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
"""The functions that do not care which axis is which."""

FUSED: dict[Callable[..., Any], str] = {relu: "relu", sigmoid: "sigmoid", tanh: "tanh"}
"""The activations that the kernels of matmul and conv take in, with their names there."""

KNOWN: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (*ELEMENTWISE, glu, log_softmax, softmax)},
    "hard_swish": hard_silu,
    "swish": silu,
}

swish, hard_swish = silu, hard_silu


def get(identifier: Any) -> Callable[..., Any]:
    """The function of a name; None is `linear`, functions are returned as they are.

    >>> get("swish").__name__, get(None).__name__
    ('silu', 'linear')
    """
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    return find("activation", identifier, KNOWN)  # type: ignore[no-any-return]


def fused_name(function: Callable[..., Any]) -> str | None:
    """The name under which the kernels know the function, if they do."""
    for known, name in FUSED.items():
        if function is known:
            return name
    return None


def is_elementwise(function: Callable[..., Any]) -> bool:
    """Whether the function is known not to care which axis is which."""
    return any(function is known for known in ELEMENTWISE)
