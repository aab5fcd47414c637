"""NAdam."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    With the gradient g (negated by `maximize`), m and v as in `Adam`, at a parameter's step t = 1, 2, ...:

        mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
        c_t = mu_1 mu_2 ... mu_t
        p = p - lr (mu_{t+1} m / (1 - c_{t+1}) + (1 - mu_t) g / (1 - c_t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        betas: (beta1, beta2), the shares of m and v that stay.
        eps: keeps the denominator from 0.
        weight_decay: the factor of the L2 penalty's gradient, or of the decoupled decay.
        momentum_decay: how fast mu rises to beta1.
        decoupled_weight_decay: shrink the weights themselves, as `AdamW` does.
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "mu_product" (c, a float), "exp_avg" (m) and "exp_avg_sq" (v).

    Raises ValueError for a negative or non-finite value, or betas outside [0, 1).

    Reference: Dozat 2016, "Incorporating Nesterov momentum into Adam".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> [round(x, 3) for x in w.tolist()]
    [0.894, -1.894]
    """

    _numbers = ("step", "mu_product")

    _ranges = ("lr", "eps", "weight_decay", "momentum_decay", "betas")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        lr, (beta1, beta2), speed = group["lr"], group["betas"], group["momentum_decay"]
        for (step, product), alike in self._alike(params, step=0, mu_product=1.0):
            t = step + 1
            mu, following = (beta1 * (1 - 0.96 ** (s * speed) / 2) for s in (t, t + 1))
            product *= mu
            backend.of(params[0]._data).adam_step(
                *arrays(alike),
                self._states(alike, "exp_avg"),
                self._states(alike, "exp_avg_sq"),
                [],
                beta1,
                beta2,
                lr * following / (1 - product * following),
                lr * (1 - mu) / (1 - product),
                (1 - beta2**t) ** -0.5,
                group["eps"],
                False,
                *decay(group),
            )
            for p in alike:
                self.state[p].update(step=t, mu_product=product)
