"""RAdam."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class RAdam(Optimizer):
    """Rectified Adam: no adaptive rates until the variance of v allows them.

    With the gradient g (negated by `maximize`), m and v as in `Adam`, at a parameter's step t = 1, 2, ...:

        R = 2 / (1 - beta2) - 1;  r = R - 2 t beta2^t / (1 - beta2^t)
        a = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)) sqrt(1 - beta2^t) / (sqrt(v) + eps) if r > 5, else 1
        p = p - lr m / (1 - beta1^t) a

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        betas: (beta1, beta2), the shares of m and v that stay.
        eps: keeps the denominator from 0.
        weight_decay: the factor of the L2 penalty's gradient, or of the decoupled decay.
        decoupled_weight_decay: shrink the weights themselves, as `AdamW` does.
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "exp_avg" (m) and "exp_avg_sq" (v).

    Raises ValueError for a negative or non-finite value, or betas outside [0, 1).

    Reference: Liu et al. 2020, "On the variance of the adaptive learning rate and beyond".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8, -1.6], requires_grad=True)
    """

    _ranges = ("lr", "eps", "weight_decay", "betas")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        beta1, beta2 = group["betas"]
        unbiased = 1 - beta2**step
        most = 2 / (1 - beta2) - 1
        length = most - 2 * step * beta2**step / unbiased
        rate, root_scale, eps = group["lr"] / (1 - beta1**step), 0.0, 1.0  # a root of 1
        if length > 5:
            shares = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
            rate, root_scale, eps = rate * (shares * unbiased) ** 0.5, 1.0, group["eps"]
        backend.of(params[0]._data).adam_step(
            *arrays(params),
            self._states(params, "exp_avg"),
            self._states(params, "exp_avg_sq"),
            [],
            beta1,
            beta2,
            rate,
            0.0,
            root_scale,
            eps,
            False,
            *decay(group),
        )
