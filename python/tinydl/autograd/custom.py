"""Functions in PyTorch's style: static `forward` and `backward` on tensors, with a context between them."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ..tensor import Array, Tensor
from .function import Function
from .grad_mode import no_grad


class Context:
    """What `forward` hands to `backward`: saved tensors, and any attributes.

    Attributes:
        needs_input_grad: for each argument of `apply`, whether its gradient is wanted.
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self, node: Function) -> None:
        self._node = weakref.ref(node)  # which holds the context: no cycle, so that memory goes at once
        self._constant: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which is refused if one of them is changed in place meanwhile."""
        node = self._node()
        if node is not None:
            node.save(*[None if t is None else t._data for t in tensors])

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that were saved."""
        node = self._node()
        return () if node is None else tuple([None if array is None else Tensor(array) for array in node.saved])

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Name outputs that require no gradient."""
        self._constant = outputs


class CustomFunction(Function):
    """The record of one application of a class in PyTorch's style."""

    def __init__(self, rule: Any, args: tuple[Any, ...]) -> None:
        self.rule = rule
        self.args: tuple[Any, ...] = args
        self.places = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        self.count = len(args)
        self.context = Context(self)

    def forward(self, *arrays: Array) -> Any:
        """The arrays of what the class's forward returns."""
        context, args = self.context, self.args
        self.args = ()
        needs = dict(zip(self.places, self.needs, strict=True))
        context.needs_input_grad = tuple([needs.get(i, False) for i in range(self.count)])
        with no_grad():
            if "setup_context" in vars(self.rule):
                out = self.rule.forward(*args)
                self.rule.setup_context(context, args, out)
            else:
                out = self.rule.forward(context, *args)
        outputs = out if isinstance(out, tuple) else (out,)
        if not all(isinstance(t, Tensor) for t in outputs):
            raise TypeError(f"{self.rule.__name__}.forward: returned {type(out).__name__}, wanted a tensor or several")
        self.constant = [any(t is c for c in context._constant) for t in outputs]
        context._constant = ()
        self.shapes = [(t.shape, t.dtype) for t in outputs]
        own = [t._data.copy() if any(np.may_share_memory(t._data, a) for a in arrays) else t._data for t in outputs]
        return tuple(own) if isinstance(out, tuple) else own[0]

    def backward(self, *grads: Array | None) -> Any:
        """The arrays of the gradients of those arguments that are tensors."""
        filled = [np.zeros(*like) if g is None else g for g, like in zip(grads, self.shapes, strict=True)]
        with no_grad():
            result = self.rule.backward(self.context, *[Tensor(g) for g in filled])
        found = result if isinstance(result, tuple) else (result,)
        if len(found) < self.count or any(g is not None for g in found[self.count :]):
            raise ValueError(
                f"{self.rule.__name__}.backward: returned {len(found)} gradients for {self.count} arguments of forward"
            )
        return tuple([None if found[i] is None else found[i]._data for i in self.places])


def apply(cls: Any, *args: Any) -> Any:
    """Run `cls.forward(ctx, *args)`, and record it if a gradient will be wanted.

    >>> class Square(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad
    >>> import tinydl
    >>> x = tinydl.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """
    node = CustomFunction(cls, args)
    out = node.apply(*[args[i] for i in node.places])
    for t, constant in zip(out if isinstance(out, tuple) else (out,), node.constant, strict=True):
        if constant:
            t.requires_grad, t.grad_fn = False, None
    return out
