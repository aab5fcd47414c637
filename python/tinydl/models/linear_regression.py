"""Linear regression with two parameters, trained by hand-written back-propagation and by autograd.

The model of document 004, section "反向传播算法示例": ŷ = w x + b for y = 2x + 1 + noise, with x and the noise uniform
in [0, 1), so that w tends to 2 and b to 1.5. Each step goes down the gradient

    ∂L/∂w = Σ x (ŷ - y),  ∂L/∂b = Σ (ŷ - y),

which is that of L = ½ Σ (y - ŷ)². The document reports the mean squared error, (2/n) L, whose gradient is smaller by
the factor 2/n; like the document, both functions step by the gradient of L and report the mean.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import creation, nn, sampling
from ..autograd import grad, no_grad
from ..ops.matmul import matmul
from ..random import Generator
from ..tensor import Tensor


class Fit(NamedTuple):
    """The parameters, w (1, 1) and b (1,), and the mean squared error before each step."""

    w: Tensor
    b: Tensor
    losses: list[float]


def linear_regression() -> nn.Linear:
    """The model as a layer, ŷ = w x + b."""
    return nn.Linear(1, 1)


def make_data(count: int = 100, dtype: str = "float64", generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """x (count, 1), uniform in [0, 1), and y = 2x + 1 + noise, uniform alike."""
    x = sampling.rand(count, 1, dtype=dtype, generator=generator)
    return x, 2 * x + 1 + sampling.rand(count, 1, dtype=dtype, generator=generator)


def fit_by_hand(x: Tensor, y: Tensor, lr: float = 0.01, steps: int = 1000) -> Fit:
    """Train with the gradients written out, as in the document.

    >>> import tinydl
    >>> x = tinydl.tensor([[0.0], [1.0]], dtype="float64")
    >>> w, b, losses = fit_by_hand(x, 2 * x + 1)
    >>> round(w.item(), 3), round(b.item(), 3)
    (1.978, 1.013)
    """
    w, b = creation.zeros(1, 1, dtype=x.dtype), creation.zeros(1, dtype=x.dtype)
    losses = []
    with no_grad():
        for _ in range(steps):
            error = matmul(x, w) + b - y
            losses.append((error**2).mean().item())
            grad_w = matmul(x.t(), error)
            grad_b = error.sum(0)
            w -= lr * grad_w
            b -= lr * grad_b
    return Fit(w, b, losses)


def fit_by_autograd(x: Tensor, y: Tensor, lr: float = 0.01, steps: int = 1000) -> Fit:
    """Train with the gradients that the tape computes: the same numbers as `fit_by_hand`."""
    w = creation.zeros(1, 1, dtype=x.dtype, requires_grad=True)
    b = creation.zeros(1, dtype=x.dtype, requires_grad=True)
    losses = []
    for _ in range(steps):
        squares = (matmul(x, w) + b - y) ** 2
        losses.append(squares.mean().item())
        grad_w, grad_b = grad(0.5 * squares.sum(), (w, b))
        with no_grad():
            w -= lr * grad_w
            b -= lr * grad_b
    return Fit(w.detach(), b.detach(), losses)
