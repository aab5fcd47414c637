"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays


class ASGD(Optimizer):
    """Stochastic gradient descent that also averages the parameters.

    With the gradient g (negated by `maximize`), at a parameter's step t = 1, 2, ..., eta = lr and mu = 1 at first:

        g = g + weight_decay p
        p = p - lambd eta p - eta g
        a = a + mu (p - a)
        eta = lr / (1 + lambd lr t)^alpha;  mu = 1 / max(1, t - t0)

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        lambd: the decay of the parameters.
        alpha: the power with which the rate falls.
        t0: the step after which the average is more than the last parameter.
        weight_decay: the factor of the L2 penalty's gradient.
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "eta" and "mu" (floats), and "ax" (a).

    Raises ValueError for a negative or non-finite lr or weight_decay.

    Reference: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.1, lambd=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8, -1.6], requires_grad=True)
    """

    _numbers = ("step", "eta", "mu")

    _ranges = ("lr", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        lr, lambd = group["lr"], group["lambd"]
        for (step, eta, mu), alike in self._alike(params, step=0, eta=lr, mu=1.0):
            backend.of(params[0]._data).asgd_step(
                *arrays(alike),
                self._states(alike, "ax"),
                eta,
                mu,
                group["weight_decay"],
                1 - lambd * eta,
                group["maximize"],
            )
            t = step + 1
            eta, mu = lr / (1 + lambd * lr * t) ** group["alpha"], 1 / max(1, t - group["t0"])
            for p in alike:
                self.state[p].update(step=t, eta=eta, mu=mu)
