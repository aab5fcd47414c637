"""The tape: operations that know their derivatives, and the walk back over them.

An operation is a `Function` with two explicit methods on arrays: `forward`, and `backward`, which turns the gradient
of the output into the gradients of the inputs. Applying one to tensors that require gradients leaves the Function
object behind as a node of the tape: the output points at it (`grad_fn`), and it points at the inputs' nodes.

The rules for gradients, stated once:

- The first gradient that reaches a tensor is stored (`=`), later ones are added (`+=`).
- `backward` returns, for each input, None or an array of the input's shape: the gradient it was given, a view of it, or
  a fresh array that it keeps no reference to. It computes nothing for inputs whose `needs` is False.
- Arrays that `backward` reads go through `save`, which releases them after it. Each is an input or the output itself
  (the version counters of their tensors are checked, so that a change in place between forward and backward is an
  error, not a wrong gradient), or private to the Function.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import backend
from .grad_mode import _mode, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .hooks import RemovableHandle
from .tensor import Array, Tensor

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

_order = itertools.count()


class Function:
    """One application of a differentiable operation; its constructor takes what is not a tensor.

    >>> class Square(Function):
    ...     def forward(self, x):
    ...         self.save(x)
    ...         return x * x
    ...     def backward(self, grad):
    ...         (x,) = self.saved
    ...         return 2 * x * grad
    >>> x = Tensor(np.array([3.0]), requires_grad=True)
    >>> Square().apply(x).backward()
    >>> x.grad
    tensor([6.], dtype=float64)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.__dict__.get("forward"), staticmethod):  # in PyTorch's style, on tensors and a context
            from .custom import apply

            cls.apply = classmethod(apply)  # type: ignore[assignment]

    needs: tuple[bool, ...] = ()
    saved: tuple[Any, ...] = ()
    returns_view = False  # whether the output may share the first input's memory
    _edges: Sequence[tuple[Function | Tensor, int] | None] = ()
    _guards: Sequence[tuple[list[int], int]] = ()
    _order = 0
    _outputs = 1
    _released = False
    _hooks: Sequence[dict[int, Any]] | None = None  # for each output, what is called with its gradient
    _kept: Sequence[tuple[int, weakref.ref[Tensor]]] = ()  # tensors that keep the gradients of their outputs

    def forward(self, *inputs: Any) -> Any:
        """The output array (or a tuple of them) from the input arrays; an input may be None."""
        raise NotImplementedError

    def backward(self, *grads: Any) -> Any:
        """The gradients of the inputs (one, or a tuple of them) from the output's."""
        raise NotImplementedError

    def save(self, *arrays: Array | None) -> None:
        """Keep arrays for `backward`, which finds them in `saved`; None stands for one that it will not read."""
        self.saved = arrays

    def apply(self, *inputs: Tensor | None) -> Any:
        """Run `forward` on the inputs' arrays, and record it if a gradient will be wanted."""
        enabled = _mode.enabled
        self.needs = needs = tuple([t is not None and enabled and t.requires_grad for t in inputs])
        out = self.forward(*[None if t is None else t._data for t in inputs])
        if type(out) is tuple:
            results = tuple([Tensor(array) for array in out])
            if True in needs:
                self._record(inputs, results)
            return results
        result = Tensor(out)
        if self.returns_view and _same_memory(out, inputs[0]._data):  # type: ignore[union-attr]
            inputs[0]._share_version(result)  # type: ignore[union-attr]
        if True in needs:
            self._record(inputs, (result,))
        return result

    def _record(self, inputs: Sequence[Tensor | None], results: Sequence[Tensor]) -> None:
        self._order = next(_order)
        self._outputs = len(results)
        self._edges = [(t.grad_fn or t, t._output_index) if t is not None and t.requires_grad else None for t in inputs]
        if self.saved:
            kept = [*map(id, self.saved)]
            self._guards = [
                (t._version, t._version[0]) for t in (*inputs, *results) if t is not None and id(t._data) in kept
            ]
        for index, result in enumerate(results):
            result.requires_grad = True
            result.grad_fn = self
            if index:
                result._output_index = index

    def _input_grads(self, grads: list[Array | None]) -> tuple[Array | None, ...]:
        if self._released:
            raise RuntimeError(
                f"backward: {type(self).__name__} was walked before and its arrays are released; "
                "pass retain_graph=True to the first backward"
            )
        for version, expected in self._guards:
            if version[0] != expected:
                raise RuntimeError(
                    f"backward: a tensor that {type(self).__name__} saved was changed in place afterwards "
                    f"(version {version[0]}, expected {expected})"
                )
        result = self.backward(*grads)
        out: tuple[Array | None, ...] = result if type(result) is tuple else (result,)
        if len(out) != len(self._edges):
            raise AssertionError(f"{type(self).__name__}.backward: {len(out)} gradients for {len(self._edges)} inputs")
        return out

    def _show(self, grads: list[Array | None]) -> None:
        """Call the hooks of the outputs, which may replace the gradients, and let tensors keep theirs."""
        for output, hooks in enumerate(self._hooks or ()):
            grad = grads[output]
            if grad is not None:
                grads[output] = _hooked(hooks, grad)
        for output, ref in self._kept:
            tensor, grad = ref(), grads[output]
            if tensor is not None and grad is not None:
                _accumulate(tensor, grad, False)

    def _release(self) -> None:
        self.saved = self._guards = ()
        self._released = True


def _same_memory(view: Array, array: Array) -> bool:
    return view.base is array or (view.base is not None and view.base is array.base)


def backward(root: Tensor, grad: Tensor | None = None, retain_graph: bool = False) -> None:
    """Accumulate into `.grad` of every leaf that `root` depends on the gradient of `root`.

    Args:
        root: the tensor to differentiate, usually a loss.
        grad: dL/d(root), of root's shape; may be left out for a root of one element, where it is 1.
        retain_graph: keep the saved arrays, so that backward can run again.

    Raises:
        RuntimeError: root requires no gradient, has several elements and no `grad`, was walked before without
            `retain_graph`, or a saved tensor was changed in place.
        ValueError: `grad` has another shape than root.
    """
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor requires no gradient and has no grad_fn")
    start = _root_gradient(root, grad)
    _walk(root, start, retain_graph, _accumulate)


def _root_gradient(root: Tensor, grad: Tensor | None) -> Array:
    if grad is None:
        if root._data.size != 1:
            raise RuntimeError(
                f"backward: a tensor of shape {root.shape} has no default gradient; pass one, or reduce to a scalar"
            )
        return np.ones(root._data.shape, root._data.dtype)
    array = grad._data if isinstance(grad, Tensor) else np.asarray(grad)
    if array.dtype is not root._data.dtype:
        array = array.astype(root._data.dtype)
    if array.shape != root._data.shape:
        raise ValueError(f"backward: got a gradient of shape {array.shape} for a tensor of shape {root.shape}")
    return array


_Deliver = Callable[[Tensor, Array, bool], None]


def _walk(root: Tensor, grad: Array, retain_graph: bool, deliver: _Deliver) -> None:
    """Visit the functions from the latest to the earliest: each is reached after everything that used its output.

    Calls deliver(leaf, gradient, fresh) for each gradient that reaches a leaf; a fresh one may be kept.
    """
    start = root.grad_fn
    if start is None:
        deliver(root, grad if root._hooks is None else _hooked(root._hooks, grad), False)
        return
    held: dict[Tensor, Array] = {}  # the gradients of leaves with hooks, which see the sum
    first: list[Array | None] = [None] * start._outputs
    first[root._output_index] = grad
    pending = {start: first}
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
                    held[target] = _sum(held[target], input_grad) if target in held else input_grad
                    continue
                fresh = type(input_grad.base) is not np.ndarray and all([input_grad is not g for g in grads])
                deliver(target, input_grad, fresh)
                continue
            arrived = pending.get(target)
            if arrived is None:
                arrived = pending[target] = [None] * target._outputs
                heapq.heappush(queue, (-target._order, target))
            before = arrived[output]
            arrived[output] = input_grad if before is None else _sum(before, input_grad)
        if not retain_graph:
            function._release()
    for leaf, total in held.items():
        deliver(leaf, _hooked(leaf._hooks or {}, total), False)


def _hooked(hooks: dict[int, Any], grad: Array) -> Array:
    """The gradient after the hooks, each of which may replace it."""
    for hook in tuple(hooks.values()):
        with no_grad():
            new = hook(Tensor(grad))
        if new is None:
            continue
        if not isinstance(new, Tensor):
            raise TypeError(f"register_hook: a hook returned {type(new).__name__}, wanted a tensor or None")
        if new.shape != grad.shape or new.dtype != grad.dtype:
            raise ValueError(
                f"register_hook: a hook returned shape {new.shape} and dtype {new.dtype} for a gradient of shape "
                f"{grad.shape} and dtype {grad.dtype}"
            )
        grad = new._data
    return grad


def _sum(a: Array, b: Array) -> Array:
    total: Array = backend.of(a).add(a, b) if a.dtype.char in "fd" else a + b
    return total


def _accumulate(leaf: Tensor, grad: Array, fresh: bool) -> None:
    if grad.shape != leaf._data.shape:
        raise AssertionError(f"a gradient of shape {grad.shape} was computed for a tensor of shape {leaf.shape}")
    if leaf.grad is None:
        leaf.grad = Tensor(grad if fresh else grad.copy(order="K"))
    else:
        np.add(leaf.grad._data, grad, out=leaf.grad._data)
        leaf.grad._version[0] += 1


def grad(
    outputs: Tensor,
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `outputs` with respect to leaf tensors, returned instead of accumulated into `.grad`.

    Gradients are arrays off the tape: NotImplementedError for `create_graph`, which asks for their own gradients.

    >>> x = Tensor(np.array(2.0), requires_grad=True)
    >>> grad(x * x, x)
    (tensor(4., dtype=float64),)
    """
    if create_graph:
        raise NotImplementedError("grad: create_graph=True, gradients of gradients, is not supported")
    leaves = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for leaf in leaves:
        if not leaf.requires_grad or leaf.grad_fn is not None:
            raise ValueError("grad: every input must be a leaf that requires a gradient")
    found: dict[int, Array] = {}

    def collect(leaf: Tensor, gradient: Array, fresh: bool) -> None:
        before = found.get(id(leaf))
        own = gradient if fresh else gradient.copy(order="K")
        found[id(leaf)] = own if before is None else _sum(before, gradient)

    _walk(outputs, _root_gradient(outputs, grad_outputs), retain_graph, collect)
    return tuple([Tensor(found[id(t)] if id(t) in found else np.zeros_like(t._data)) for t in leaves])


# -- Hooks ------------------------------------------------------------------------------------------------------


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call hook(grad) whenever `backward` has the tensor's gradient; what it returns, if not None, replaces it.

    Returns a handle whose `remove()` takes the hook back. Raises RuntimeError if the tensor requires no gradient.

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


# -- Checking derivatives ---------------------------------------------------------------------------------------


def gradcheck(
    func: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Tensor | Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    seed: int = 0,
) -> bool:
    """Compare the gradients of `func` with central differences, under a random upstream gradient.

    For every element of every float64 input that requires a gradient: with v drawn at random,
    d(v . func(x))/dx_i from `backward` must equal v . (func(x + eps e_i) - func(x - eps e_i)) / (2 eps).

    Raises AssertionError where they differ, naming the input and the element; returns True otherwise.
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    rng = np.random.default_rng(seed)
    outputs = _outputs(func(*tensors))
    upstream = [rng.standard_normal(out.shape).astype(out.dtype) for out in outputs]
    for t in tensors:
        t.grad = None
    for out, v in zip(outputs, upstream, strict=True):
        if out.requires_grad:
            backward(out, Tensor(v), retain_graph=True)

    def weighted() -> float:
        with no_grad():
            pairs = zip(_outputs(func(*tensors)), upstream, strict=True)
            return float(sum(np.sum(out._data.astype(np.float64) * v) for out, v in pairs))

    for number, t in enumerate(tensors):
        if not t.requires_grad:
            continue
        if t.dtype != np.float64:
            raise TypeError(f"gradcheck: input {number} has dtype {t.dtype}, wanted float64")
        got = np.zeros(t.shape) if t.grad is None else t.grad._data
        _compare(number, got, _differences(t._data, weighted, eps), atol, rtol)
    return True


def _outputs(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def _differences(array: Array, value: Callable[[], float], eps: float) -> Array:
    out = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + eps
        above = value()
        array[index] = kept - eps
        below = value()
        array[index] = kept
        out[index] = (above - below) / (2 * eps)
    return out


def _compare(number: int, got: Array, expected: Array, atol: float, rtol: float) -> None:
    wrong = ~(np.abs(got - expected) <= atol + rtol * np.abs(expected))
    if wrong.any():
        index: Iterable[int] = (int(i) for i in np.argwhere(wrong)[0])
        at = tuple(index)
        raise AssertionError(
            f"gradcheck: input {number}, element {at}: backward gives {got[at]}, differences give {expected[at]} "
            f"({int(wrong.sum())} of {wrong.size} elements differ)"
        )
