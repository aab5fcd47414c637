"""Gradients of some tensors only: what lies between them and the end, and what arrives at them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Array, Tensor
from .function import Function

Grads = list[Array | None]


class Wanted(dict[Function, Grads]):
    """The gradients on their way, in a walk that ends at the tensors that are asked for.

    Functions that lead to none of these are here from the start: gradients arrive there, and the walk, which visits a
    function when it first needs an entry, passes them by. They keep their saved arrays, for a walk of their own.

    Attributes:
        leaves: the ids of those of the tensors that are leaves.
    """

    def __init__(self, start: Function, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.leaves = {id(t) for t in tensors if t.grad_fn is None}
        self._ends = {t.grad_fn for t in tensors if t.grad_fn is not None}
        self._passed: dict[Function, Grads] = {}
        leads: set[Function] = set()
        for function in sorted(_reached(start), key=lambda f: f._order):
            targets = [edge[0] for edge in function._edges if edge is not None]
            if any(id(t) in self.leaves or t in leads or t in self._ends for t in targets):
                leads.add(function)
            else:
                self[function] = [None] * function._outputs

    def pop(self, function: Function, *default: Any) -> Any:
        """Take an entry out; one that is asked for is remembered, and seen as hooks leave it."""
        grads = super().pop(function, *default)
        if function in self._ends:
            self._passed[function] = grads
        return grads

    def arrived(self) -> dict[Function, Grads]:
        """After the walk: the gradients of the functions that made the tensors, after their hooks."""
        for function in self._ends:
            if function not in self._passed and function in self:
                grads = self[function]
                function._show(grads)
                self._passed[function] = grads
        return self._passed


def _reached(start: Function) -> set[Function]:
    """The functions that a walk from `start` would visit."""
    found, waiting = {start}, [start]
    while waiting:
        for edge in waiting.pop()._edges:
            if edge is not None and isinstance(edge[0], Function) and edge[0] not in found:
                found.add(edge[0])
                waiting.append(edge[0])
    return found
