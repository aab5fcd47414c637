"""Rates from functions of the epoch."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .scheduler import LRScheduler, checked, per_group

Function = Callable[[int], float]


class _OfFunctions(LRScheduler):
    """A schedule with a function for each group. Of a function the state holds nothing, of an object its attributes."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | list[Function], last_epoch: int = -1) -> None:
        self.optimizer = checked(self, optimizer)
        self.lr_lambdas: list[Function] = per_group(self, "lr_lambda", optimizer, lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"{type(self).__name__}: lr_lambda is a {type(function).__name__}, wanted a function")
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer and functions; of callable objects, copies of their attributes."""
        state = super().state_dict()
        state["lr_lambdas"] = [None if _stateless(f) else f.__dict__.copy() for f in self.lr_lambdas]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`; the functions stay those of the constructor."""
        functions = self.lr_lambdas
        super().load_state_dict(state_dict)
        self.lr_lambdas = functions
        for function, attributes in zip(functions, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)


class LambdaLR(_OfFunctions):
    """base_lr lr_lambda(epoch), with one function for all groups or a list of one for each.

    >>> from tinydl import ones, optim
    >>> optimizer = optim.SGD([ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`."""
        self._within_step()
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(_OfFunctions):
    """Multiply the rate by lr_lambda(epoch) at each epoch but the first."""

    def get_lr(self) -> list[float]:
        """The rates at `last_epoch`, from those before."""
        self._within_step()
        if self._is_initial:
            return self._rates()
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self._rates(), strict=True)]


def _stateless(function: Any) -> bool:
    return isinstance(function, types.FunctionType) or not hasattr(function, "__dict__")
