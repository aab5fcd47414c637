"""Hooks of modules: called before and after `forward`, and on the way back with the gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import refusal
from ..autograd import Function
from ..hooks import RemovableHandle
from ..tensor import Array, Tensor


class Hooks:
    """A module's hooks by the numbers of their handles, in the order of the calls."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Any, bool]] = {}  # hook, whether it takes kwargs
        self.after: dict[int, tuple[Any, bool, bool]] = {}  # and whether it is called after an exception, too
        self.backward_before: dict[int, Any] = {}
        self.backward_after: dict[int, Any] = {}


class Hookable:
    """The part of a module that is called, and the registration of its hooks."""

    _hooks: Hooks | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, between the hooks."""
        if self._hooks is None:
            try:
                return self.forward(*args, **kwargs)
            except refusal.ACCIDENTS as error:
                if not type(self).forward.__module__.startswith("tinydl."):
                    raise
                better = refusal.explained(self.forward, error, args, kwargs, type(self).__name__)
                if better is error:
                    raise
                raise better from better.__cause__
        return call(self, self._hooks, args, kwargs)

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args) before `forward`; what it returns, if not None, becomes the arguments.

        `with_kwargs`: hook(module, args, kwargs) returns None or (args, kwargs). `prepend`: before the other hooks.
        """
        return RemovableHandle(self._own_hooks().before, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call hook(module, args, output) after `forward`; what it returns, if not None, becomes the output.

        `with_kwargs`: hook(module, args, kwargs, output). `always_call`: also where `forward` raised an exception.
        """
        return RemovableHandle(self._own_hooks().after, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_output) when the gradients of the outputs are there; it may return others."""
        return RemovableHandle(self._own_hooks().backward_before, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_input, grad_output) when the gradients of the inputs are there; it may return others.

        Both are tuples, with None for what needs no gradient. Inputs and outputs must not be changed in place.
        """
        return RemovableHandle(self._own_hooks().backward_after, hook, prepend)


def call(module: Hookable, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward` between its hooks."""
    ran: set[int] = set()
    result = None
    try:
        args, kwargs = _before(module, hooks, args, kwargs)
        boundary = Boundary(module, hooks) if hooks.backward_before or hooks.backward_after else None
        if boundary:
            args = boundary.enter(args)
        result = module.forward(*args, **kwargs)
        for key, (hook, with_kwargs, _) in tuple(hooks.after.items()):
            ran.add(key)
            changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            result = result if changed is None else changed
        return boundary.leave(result) if boundary else result
    except Exception:
        for key, (hook, with_kwargs, always) in tuple(hooks.after.items()):
            if always and key not in ran:
                hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        raise


def _before(
    module: Hookable, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook, with_kwargs in tuple(hooks.before.values()):
        if not with_kwargs:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
            continue
        changed = hook(module, args, kwargs)
        if changed is not None:
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise TypeError(f"a forward pre-hook must return None or (args, kwargs), got {changed!r}")
            args, kwargs = changed
    return args, kwargs


Grads = tuple[Tensor | None, ...]


class Boundary:
    """Identities around a module's inputs and outputs, which see the gradients on their way back."""

    def __init__(self, module: Hookable, hooks: Hooks) -> None:
        self.module = module
        self.hooks = hooks
        self.grad_output: Grads = ()
        self.inputs = 0  # how many arguments there were
        self.recorded = False  # whether a gradient reaches the inputs

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments; those that need a gradient pass through an identity."""
        self.inputs = len(args)
        passed, self.recorded = _pass(args, self.at_inputs)
        return passed

    def leave(self, result: Any) -> Any:
        """The output, a tensor or a tuple, likewise."""
        if isinstance(result, Tensor):
            return _pass((result,), self.at_outputs)[0][0]
        if isinstance(result, tuple):
            return _pass(result, self.at_outputs)[0]
        warnings.warn(f"backward hooks need a tensor or a tuple as output, got {type(result).__name__}", stacklevel=4)
        return result

    def at_outputs(self, grads: Grads) -> Grads:
        """Call the backward pre-hooks, and the backward hooks if the gradient goes no further."""
        for hook in tuple(self.hooks.backward_before.values()):
            grads = _replaced(grads, hook(self.module, grads))
        self.grad_output = grads
        if not self.recorded:
            self.at_inputs((None,) * self.inputs)
        return grads

    def at_inputs(self, grads: Grads) -> Grads:
        """Call the backward hooks."""
        for hook in tuple(self.hooks.backward_after.values()):
            grads = _replaced(grads, hook(self.module, grads, self.grad_output))
        return grads


def _replaced(grads: Grads, returned: Any) -> Grads:
    if returned is None:
        return grads
    new = returned if isinstance(returned, tuple) else (returned,)
    if len(new) != len(grads):
        raise ValueError(f"a backward hook returned {len(new)} gradients, wanted {len(grads)}")
    return new


class _Identity(Function):
    """y = x for the tensors of a tuple at `positions`; `see` looks at, and may replace, the gradients of all."""

    def __init__(self, count: int, positions: list[int], see: Any) -> None:
        self.count = count
        self.positions = positions
        self.see = see

    def forward(self, *x: Array) -> tuple[Array, ...]:
        return tuple([array[...] for array in x])

    def backward(self, *grads: Array | None) -> tuple[Array | None, ...]:
        seen: list[Tensor | None] = [None] * self.count
        for position, grad in zip(self.positions, grads, strict=True):
            seen[position] = None if grad is None else Tensor(grad)
        new = self.see(tuple(seen))
        return tuple([None if new[i] is None else new[i]._data for i in self.positions])


def _pass(values: tuple[Any, ...], see: Any) -> tuple[tuple[Any, ...], bool]:
    positions = [i for i, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]
    if not positions:
        return values, False
    results = _Identity(len(values), positions, see).apply(*[values[i] for i in positions])
    out = list(values)
    for position, result in zip(positions, results, strict=True):
        values[position]._share_version(result)
        out[position] = result
    return tuple(out), results[0].grad_fn is not None
