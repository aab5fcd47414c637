"""Resilient backpropagation."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor
from .optimizer import Optimizer, Params, arrays


class Rprop(Optimizer):
    """Steps that look at the signs of the gradient alone, for training on the whole data set at once.

    Each element has a step s, lr at first. With the gradient g (negated by `maximize`) and the one before, h:

        s = s etaplus if g h > 0, s etaminus if g h < 0, else s; then kept within step_sizes
        g = 0 where g h < 0
        p = p - sign(g) s

    Args:
        params: tensors, or dicts of groups (see `Optimizer`).
        lr: the first steps.
        etas: (etaminus, etaplus).
        step_sizes: (the smallest step, the largest step).
        maximize: climb instead of descending.
        foreach, capturable, differentiable: see `Optimizer`.

    `state[p]` has "step" (an int), "prev" (h) and "step_size" (s).

    Raises ValueError for a negative or non-finite lr, or unless 0 < etaminus < 1 < etaplus.

    Reference: Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning".

    >>> import tinydl
    >>> w = tinydl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    _ranges = ("lr",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if len(group["etas"]) != 2 or not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(f"Rprop: got etas = {group['etas']}, wanted one below 1 and one above, both positive")

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        backend.of(params[0]._data).rprop_step(
            *arrays(params),
            self._states(params, "prev"),
            self._states(params, "step_size", group["lr"]),
            *group["etas"],
            *group["step_sizes"],
            0.0,
            1.0,
            group["maximize"],
        )
