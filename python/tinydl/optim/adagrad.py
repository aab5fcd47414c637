"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class Adagrad(Optimizer):
    """Rates that fall with the sum of squared gradients.

    With the gradient g (negated by `maximize`), at a parameter's step t = 1, 2, ...:

        g = g + weight_decay p
        s = s + g^2
        p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        lr_decay: how fast the rate falls with the steps.
        weight_decay: the factor of the L2 penalty's gradient.
        initial_accumulator_value: s before the first step.
        eps: keeps the denominator from 0.
        maximize: climb instead of descending.
        foreach, differentiable, fused: see `Optimizer`.

    `state[p]` has "step" (an int) and "sum" (s), both from the beginning.

    Raises ValueError for a negative or non-finite value.

    Reference: Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic optimization".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    _ranges = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                full = Tensor(np.full_like(p._data, group["initial_accumulator_value"]))
                self.state[p].update(step=0, sum=full)

    def _epsilons(self, group: dict[str, Any]) -> tuple[float, float]:
        """What is added under the root, and what to it."""
        return 0.0, group["eps"]

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        backend.of(params[0]._data).adagrad_step(
            *arrays(params),
            self._states(params, "sum", group["initial_accumulator_value"]),
            group["lr"] / (1 + (step - 1) * group["lr_decay"]),
            *self._epsilons(group),
            *decay(group),
        )
