"""Adadelta."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class Adadelta(Optimizer):
    """Rates from the ratio of past steps to past gradients.

    With the gradient g (negated by `maximize`), at each step:

        g = g + weight_decay p
        v = rho v + (1 - rho) g^2
        d = sqrt(u + eps) / sqrt(v + eps) g
        u = rho u + (1 - rho) d^2
        p = p - lr d

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        rho: the share of the averages that stays, from 0 to 1.
        eps: keeps the denominator from 0, and the first steps from being 0.
        weight_decay: the factor of the L2 penalty's gradient.
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "square_avg" (v) and "acc_delta" (u).

    Raises ValueError for a negative or non-finite value, or a rho above 1.

    Reference: Zeiler 2012, "ADADELTA: an adaptive learning rate method".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adadelta([w], eps=0.01)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> [round(x, 3) for x in w.tolist()]
    [0.688, -1.685]
    """

    _ranges = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"{self._name}: got rho = {group['rho']}, wanted a number from 0 to 1")

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        backend.of(params[0]._data).adadelta_step(
            *arrays(params),
            self._states(params, "square_avg"),
            self._states(params, "acc_delta"),
            group["lr"],
            group["rho"],
            group["eps"],
            *decay(group),
        )
