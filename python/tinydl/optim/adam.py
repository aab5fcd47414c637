"""Adam."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, check_range


class Adam(Optimizer):
    """Adaptive moment estimation.

    With the gradient g (negated by `maximize`), at a parameter's step t = 1, 2, ...:

        g = g + weight_decay p
        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    and with `amsgrad` the largest v so far in place of v.

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        betas: (beta1, beta2), the shares of m and v that stay.
        eps: keeps the denominator from 0.
        weight_decay: the factor of the L2 penalty's gradient.
        amsgrad: keep the largest v.
        maximize: climb instead of descending.

    `state[p]` has "step" (an int), "exp_avg" (m), "exp_avg_sq" (v) and, with amsgrad, "max_exp_avg_sq".

    Raises ValueError for a negative or non-finite value, or betas outside [0, 1).

    References: Kingma and Ba 2015, "Adam: a method for stochastic optimization"; Reddi et al. 2018, "On the
    convergence of Adam and beyond" (amsgrad).

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            check_range(self, group, key)
        if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"Adam: got betas = {group['betas']}, wanted two numbers from 0 to below 1")

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        by_step: dict[int, list[Tensor]] = {}
        for p in params:
            by_step.setdefault(self.state[p].get("step", 0) + 1, []).append(p)
        for step, same in by_step.items():
            self._call(group, same, step)
            for p in same:
                self.state[p]["step"] = step

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        backend.of(params[0]._data).adam_step(
            *arrays(params),
            self._states(params, "exp_avg"),
            self._states(params, "exp_avg_sq"),
            self._states(params, "max_exp_avg_sq") if group["amsgrad"] else [],
            step,
            group["lr"],
            *group["betas"],
            group["eps"],
            group["weight_decay"],
            group["amsgrad"],
            group["maximize"],
        )
