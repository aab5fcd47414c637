"""RMSprop."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class RMSprop(Optimizer):
    """Rates that fall with the moving average of squared gradients.

    With the gradient g (negated by `maximize`), at each step:

        g = g + weight_decay p
        v = alpha v + (1 - alpha) g^2
        d = g / (sqrt(v) + eps)
        p = p - lr d

    With `centered` v is replaced in d by the variance v - a^2, where a = alpha a + (1 - alpha) g; with a momentum
    b = momentum b + d replaces d in the last line.

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        alpha: the share of the averages that stays.
        eps: keeps the denominator from 0.
        weight_decay: the factor of the L2 penalty's gradient.
        momentum: the share of b that stays.
        centered: divide by the standard deviation.
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "square_avg" (v), "grad_avg" (a, with centered) and "momentum_buffer" (b, with a
    momentum).

    Raises ValueError for a negative or non-finite value.

    References: Hinton 2012, lecture 6e of "Neural networks for machine learning"; Graves 2013, "Generating sequences
    with recurrent neural networks" (centered).

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8, -1.8], requires_grad=True)
    """

    _ranges = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _rates(self, group: dict[str, Any]) -> tuple[float, float]:
        """The kernel's rate of d, and the factor of g within d."""
        return group["lr"], 1.0

    def _epsilons(self, group: dict[str, Any]) -> tuple[float, float]:
        """What is added under the root, and what to it."""
        return 0.0, group["eps"]

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        backend.of(params[0]._data).rmsprop_step(
            *arrays(params),
            self._states(params, "square_avg"),
            self._states(params, "grad_avg") if group["centered"] else [],
            self._states(params, "momentum_buffer") if group["momentum"] != 0 else [],
            *self._rates(group),
            group["alpha"],
            *self._epsilons(group),
            group["momentum"],
            group["centered"],
            *decay(group),
        )
