"""Adam, with the penalty's gradient or with decoupled weight decay."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class Adam(Optimizer):
    """Adaptive moment estimation.

    With the gradient g (negated by `maximize`), at a parameter's step t = 1, 2, ...:

        g = g + weight_decay p                  (with decoupled_weight_decay instead: p = p - lr weight_decay p)
        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    and with `amsgrad` the largest v so far in place of v.

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        betas: (beta1, beta2), the shares of m and v that stay.
        eps: keeps the denominator from 0.
        weight_decay: the factor of the L2 penalty's gradient, or of the decoupled decay.
        amsgrad: keep the largest v.
        maximize: climb instead of descending.
        foreach, capturable, differentiable, fused: see `Optimizer`.
        decoupled_weight_decay: shrink the weights themselves, as `AdamW` does.

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

    _ranges = ("lr", "eps", "weight_decay", "betas")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _rates(self, group: dict[str, Any], step: int) -> tuple[float, float, float]:
        """The kernel's rate of m, factor of sqrt(v), and what is added to it."""
        beta1, beta2 = group["betas"]
        return group["lr"] / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step), group["eps"]

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        avg_rate, root_scale, eps = self._rates(group, step)
        backend.of(params[0]._data).adam_step(
            *arrays(params),
            self._states(params, "exp_avg"),
            self._states(params, "exp_avg_sq"),
            self._states(params, "max_exp_avg_sq") if group["amsgrad"] else [],
            *group["betas"],
            avg_rate,
            0.0,
            root_scale,
            eps,
            group["amsgrad"],
            *decay(group),
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: p = p - lr weight_decay p, then Adam's step without a penalty.

    Arguments and state are those of `Adam`; only the default of weight_decay differs.

    Reference: Loshchilov and Hutter 2019, "Decoupled weight decay regularization".

    >>> import tinydl
    >>> w = tinydl.tensor([2.0, -4.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.5, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 1. , -2.5], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict` of this class or of Adam; the decay stays decoupled."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
