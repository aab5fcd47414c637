"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays, decay


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    With the gradient g (negated by `maximize`), at each step:

        g = g + weight_decay p
        b = momentum b + (1 - dampening) g      (b = g at a parameter's first step)
        p = p - lr d,  where d = g without momentum, g + momentum b with nesterov, else b

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the learning rate.
        momentum: the share of b that stays, in `state[p]["momentum_buffer"]`.
        dampening: the share of the gradient that b does not take up.
        weight_decay: the factor of the L2 penalty's gradient.
        nesterov: Nesterov's momentum; needs a momentum and no dampening.
        maximize: climb instead of descending.
        foreach, differentiable, fused: see `Optimizer`.

    Raises ValueError for a negative or non-finite value, or nesterov without its conditions.

    Reference: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8, 1.6], requires_grad=True)
    """

    _ranges = ("lr", "momentum", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum above 0 and no dampening")

    def _rates(self, group: dict[str, Any]) -> tuple[float, float]:
        """The kernel's rate of d, and the factor of g within d and b."""
        return group["lr"], 1.0

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if group["momentum"] == 0:
            self._call(group, params, False)
            return
        begun = [self.state[p].get("momentum_buffer") is not None for p in params]
        for first in (True, False):
            self._call(group, [p for p, b in zip(params, begun, strict=True) if b != first], first)

    def _call(self, group: dict[str, Any], params: list[Tensor], first: int) -> None:
        if not params:
            return
        buffers = []
        if group["momentum"] != 0:
            key = "momentum_buffer"
            buffers = [np.empty_like(p._data) for p in params] if first else self._states(params, key)
        backend.of(params[0]._data).sgd_step(
            *arrays(params),
            buffers,
            *self._rates(group),
            group["momentum"],
            group["dampening"],
            group["nesterov"],
            bool(first),
            *decay(group),
        )
        if first:
            for p, buffer in zip(params, buffers, strict=True):
                self.state[p]["momentum_buffer"] = Tensor(buffer)
