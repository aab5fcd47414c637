"""The walk back over the tape, and the hooks that it calls."""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Sequence

from .. import backend
from ..hooks import RemovableHandle
from ..tensor import Array, Tensor
from .function import Function
from .gradient import accumulate, add, hooked
from .wanted import Wanted


def backward_from(
    root: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate into `.grad` of every leaf that `root` depends on the gradient of `root`.

    Args:
        root: the tensor to differentiate, usually a loss.
        gradient: dL/d(root), of root's shape; may be left out for a root of one element, where it is 1.
        retain_graph: keep the saved arrays, so that backward can run again.
        create_graph: not available: gradients are not differentiable themselves.
        inputs: the tensors that get their gradients; by default all leaves.

    Raises:
        RuntimeError: root requires no gradient, has several elements and no `gradient`, was walked before without
            `retain_graph`, or a saved tensor was changed in place.
        ValueError: `gradient` has another shape than root, or an input requires no gradient.
        NotImplementedError: create_graph is set.
    """
    if create_graph:
        raise no_second_derivatives("backward")
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor requires no gradient and has no grad_fn")
    first = root_gradient("backward", root, gradient)
    if inputs is not None:
        from .gradients import into_inputs

        into_inputs([root], [first], retain_graph, inputs)
    elif root.grad_fn is None:
        accumulate(root, first if root._hooks is None else hooked(root._hooks, first), False)
    else:
        grads: list[Array | None] = [None] * root.grad_fn._outputs
        grads[root._output_index] = first
        walk(root.grad_fn, grads, retain_graph)


def no_second_derivatives(op: str) -> NotImplementedError:
    """The refusal of `create_graph`."""
    return NotImplementedError(f"{op}: create_graph=True, gradients of gradients, is not supported")


def root_gradient(op: str, root: Tensor, grad: Tensor | None) -> Array:
    """The gradient that a walk starts with, of root's shape and dtype."""
    if grad is None:
        if root._data.size != 1:
            raise RuntimeError(
                f"{op}: a tensor of shape {root.shape} has no default gradient; pass one, or reduce to a scalar"
            )
        return backend.ones(root._data.shape, root._data)
    array = grad._data if isinstance(grad, Tensor) else backend.asarray(grad)
    if type(array) is not type(root._data):
        backend.check_together(op, array, root._data)
    if array.dtype is not root._data.dtype:
        array = array.astype(root._data.dtype)
    if array.shape != root._data.shape:
        raise ValueError(f"{op}: got a gradient of shape {array.shape} for a tensor of shape {root.shape}")
    return array


def walk(
    start: Function,
    first: list[Array | None],
    retain_graph: bool | None,
    deliver: Callable[[Tensor, Array, bool], None] = accumulate,
    wanted: Wanted | None = None,
) -> None:
    """Visit the functions from the latest to the earliest: each is reached after everything that used its output.

    Calls deliver(leaf, gradient, fresh) for each gradient that reaches a leaf; a fresh one may be kept. `wanted` ends
    the walk at some tensors.
    """
    held: dict[Tensor, Array] = {}  # the gradients of leaves with hooks, which see the sum
    pending: dict[Function, list[Array | None]] = {} if wanted is None else wanted
    pending[start] = first
    queue = [(-start._order, start)]
    while queue:
        function = heapq.heappop(queue)[1]
        grads = pending.pop(function)
        if function._hooks is not None or function._kept:
            function._show(grads)
        for edge, input_grad in zip(function._edges, function._input_grads(grads)):  # noqa: B905
            if edge is None or input_grad is None:
                continue
            target, output = edge
            if isinstance(target, Tensor):
                if target._hooks is not None:
                    held[target] = add(held[target], input_grad) if target in held else input_grad
                    continue
                fresh = type(input_grad.base) is not type(input_grad)
                for g in grads:
                    fresh = fresh and input_grad is not g
                deliver(target, input_grad, fresh)
                continue
            arrived = pending.get(target)
            if arrived is None:
                arrived = pending[target] = [None] * target._outputs
                heapq.heappush(queue, (-target._order, target))
            before = arrived[output]
            arrived[output] = input_grad if before is None else add(before, input_grad)
        if not retain_graph:
            function._release()
    for leaf, total in held.items():
        if wanted is None or id(leaf) in wanted.leaves:
            deliver(leaf, hooked(leaf._hooks or {}, total), False)


# -- Hooks ------------------------------------------------------------------------------------------------------


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call hook(grad) whenever `backward` has the tensor's gradient; what it returns, if not None, replaces it.

    Returns a handle whose `remove()` takes the hook back. Raises RuntimeError if the tensor requires no gradient.

    >>> import numpy as np
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> handle = register_hook(x, lambda grad: grad * 10)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([20., 40.], dtype=float64)
    """
    if not tensor.requires_grad:
        raise RuntimeError("register_hook: the tensor requires no gradient")
    function = tensor.grad_fn
    if function is None:
        if tensor._hooks is None:
            tensor._hooks = {}
        return RemovableHandle(tensor._hooks, hook)
    if function._hooks is None:
        function._hooks = [{} for _ in range(function._outputs)]
    return RemovableHandle(function._hooks[tensor._output_index], hook)


def retain_grad(tensor: Tensor) -> None:
    """Let `backward` fill `.grad` of a tensor that is no leaf, too (leaves always have theirs).

    Raises RuntimeError if the tensor requires no gradient.

    >>> import numpy as np
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> y = x * x
    >>> y.retain_grad()
    >>> y.sum().backward()
    >>> y.grad
    tensor([1., 1.], dtype=float64)
    """
    if not tensor.requires_grad:
        raise RuntimeError("retain_grad: the tensor requires no gradient")
    function = tensor.grad_fn
    if function is not None and not tensor.retains_grad:
        function._kept = [*function._kept, (tensor._output_index, weakref.ref(tensor))]
