"""Gradients of several tensors, and with respect to some."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Array, Tensor
from .engine import no_second_derivatives, root_gradient, walk
from .function import Function, order
from .gradient import accumulate, add
from .wanted import Wanted

Tensors = Tensor | Sequence[Tensor]
Gradients = Tensor | Sequence[Tensor | None] | None


class _Ends(Function):
    """The node above all outputs: it hands each of them its gradient."""

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        self._order = next(order)
        self._outputs = len(outputs)
        self._edges = [(t.grad_fn or t, t._output_index) for t in outputs]

    def backward(self, *grads: Array) -> tuple[Array, ...]:
        return grads


def backward(
    tensors: Tensors,
    grad_tensors: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Gradients = None,
    inputs: Tensors | None = None,
) -> None:
    """Accumulate into `.grad` of every leaf (or of `inputs`) the gradients of all `tensors`: see `Tensor.backward`.

    `grad_tensors` has one gradient, or None, for each of the tensors; `grad_variables` is its former name.

    >>> x = Tensor(np.array(2.0), requires_grad=True)
    >>> backward([x * x, 3 * x])
    >>> x.grad
    tensor(7., dtype=float64)
    """
    if create_graph:
        raise no_second_derivatives("backward")
    if grad_variables is not None:
        if grad_tensors is not None:
            raise ValueError("backward: got both grad_tensors and grad_variables, its former name")
        warnings.warn("grad_variables is deprecated; use grad_tensors", FutureWarning, stacklevel=2)
        grad_tensors = grad_variables
    roots, first = _outputs("backward", tensors, grad_tensors)
    if inputs is not None:
        into_inputs(roots, first, retain_graph, inputs)
    elif roots:
        walk(_Ends(roots), first, retain_graph)


def into_inputs(roots: list[Tensor], first: list[Array | None], retain_graph: bool | None, inputs: Tensors) -> None:
    """Accumulate into `.grad` of the inputs alone."""
    chosen = _inputs("backward", inputs)
    start = _Ends(roots)
    wanted = Wanted(start, chosen)

    def deliver(leaf: Tensor, gradient: Array, fresh: bool) -> None:
        if id(leaf) in wanted.leaves:
            accumulate(leaf, gradient, fresh)

    walk(start, first, retain_graph, deliver, wanted)
    arrived = wanted.arrived()
    for t in {id(t): t for t in chosen}.values():
        found = arrived[t.grad_fn][t._output_index] if t.grad_fn in arrived else None
        if found is not None and not t.retains_grad:
            accumulate(t, found, False)


def _inputs(op: str, inputs: Tensors) -> list[Tensor]:
    found = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not found:
        raise ValueError(f"{op}: got no inputs, wanted one or more")
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(f"{op}: an input is of type {type(t).__name__}, wanted a tensor")
        if not t.requires_grad:
            raise ValueError(f"{op}: an input of shape {t.shape} requires no gradient")
    return found


def _outputs(op: str, outputs: Tensors, grads: Gradients) -> tuple[list[Tensor], list[Array | None]]:
    """The tensors to differentiate, and the gradient of each."""
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    given = [grads] * (len(roots) if grads is None else 1) if grads is None or isinstance(grads, Tensor) else [*grads]
    if len(given) != len(roots):
        raise ValueError(f"{op}: got {len(given)} gradients for {len(roots)} tensors")
    for root in roots:
        if not root.requires_grad:
            raise RuntimeError(f"{op}: a tensor of shape {root.shape} requires no gradient and has no grad_fn")
    return roots, [root_gradient(op, root, g) for root, g in zip(roots, given, strict=True)]


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of (the sum of) `outputs` with respect to `inputs`, returned instead of accumulated into `.grad`.

    The walk goes no further than the inputs, leaves or not: what lies before them can still be walked.

    Args:
        outputs: the tensors to differentiate.
        inputs: the tensors whose gradients are wanted.
        grad_outputs: for each output the gradient to start with, or None where it has one element.
        retain_graph: keep the saved arrays, so that the outputs can be differentiated again.
        create_graph, is_grads_batched: not available; gradients are off the tape, and taken one at a time.
        only_inputs: deprecated in PyTorch; it warns of anything but True.
        allow_unused: give None for inputs that the outputs do not depend on.
        materialize_grads: give zeros for them.

    Raises:
        RuntimeError: an input is not used and neither of the two is set; and where `Tensor.backward` raises it.
        ValueError: an input requires no gradient, or there are none; a gradient has another shape than its output.
        NotImplementedError: create_graph or is_grads_batched is set.

    >>> x = Tensor(np.array(2.0), requires_grad=True)
    >>> hidden = x * x
    >>> grad(hidden * hidden, [hidden, x])
    (tensor(8., dtype=float64), tensor(32., dtype=float64))
    """
    _check_options(create_graph, only_inputs, allow_unused, is_grads_batched, materialize_grads)
    chosen = _inputs("grad", inputs)
    roots, first = _outputs("grad", outputs, grad_outputs)
    start = _Ends(roots)
    wanted = Wanted(start, chosen)
    leaves: dict[int, Array] = {}

    def collect(leaf: Tensor, gradient: Array, fresh: bool) -> None:
        if id(leaf) in wanted.leaves:
            before = leaves.get(id(leaf))
            own = gradient if fresh or before is not None else gradient.copy(order="K")
            leaves[id(leaf)] = own if before is None else add(before, gradient)

    walk(start, first, retain_graph, collect, wanted)
    arrived = wanted.arrived()
    found: list[Any] = []
    for number, t in enumerate(chosen):
        if t.grad_fn is None:
            array = leaves.get(id(t))
        else:
            array = arrived[t.grad_fn][t._output_index] if t.grad_fn in arrived else None
            array = None if array is None else array.copy(order="K")
        if array is None and materialize_grads:
            array = np.zeros_like(t._data)
        if array is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {number}; allow_unused=True gives None")
        found.append(None if array is None else Tensor(array))
    return tuple(found)


def _check_options(create_graph: bool, only: bool, allow_unused: bool | None, batched: bool, zeros: bool) -> None:
    if create_graph:
        raise no_second_derivatives("grad")
    if batched:
        raise NotImplementedError("grad: is_grads_batched=True, several gradients at once, is not supported")
    if zeros and allow_unused is False:
        raise ValueError("grad: allow_unused=False contradicts materialize_grads=True")
    if not only:
        warnings.warn("only_inputs is deprecated, and always True", FutureWarning, stacklevel=3)
