"""Adamax."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the root mean square.

    With the gradient g (negated by `maximize`), at a parameter's step t = 1, 2, ...:

        g = g + weight_decay p
        m = beta1 m + (1 - beta1) g
        u = max(beta2 u, |g| + eps)
        p = p - lr / (1 - beta1^t) m / u

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        betas: (beta1, beta2), the shares of m and u that stay.
        eps: keeps u from 0.
        weight_decay: the factor of the L2 penalty's gradient.
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "exp_avg" (m) and "exp_inf" (u).

    Raises ValueError for a negative or non-finite value, or betas outside [0, 1).

    Reference: Kingma and Ba 2015, "Adam: a method for stochastic optimization", section 7.1.

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    _ranges = ("lr", "eps", "weight_decay", "betas")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _epsilons(self, group: dict[str, Any]) -> tuple[float, float]:
        """What is added within the maximum, and what to the denominator."""
        return group["eps"], 0.0

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        beta1, beta2 = group["betas"]
        backend.of(params[0]._data).adamax_step(
            *arrays(params),
            self._states(params, "exp_avg"),
            self._states(params, "exp_inf"),
            group["lr"] / (1 - beta1**step),
            beta1,
            beta2,
            *self._epsilons(group),
            *decay(group),
        )
