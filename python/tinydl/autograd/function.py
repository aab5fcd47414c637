"""Operations that know their derivatives."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any

from .. import backend
from ..refusal import told
from ..tensor import Array, Tensor
from .grad_mode import state
from .gradient import accumulate, hooked

order = itertools.count()  # of applications: backward walks from the latest to the earliest


class Function:
    """One application of a differentiable operation; its constructor takes what is not a tensor.

    >>> class Square(Function):
    ...     def forward(self, x):
    ...         self.save(x)
    ...         return x * x
    ...     def backward(self, grad):
    ...         (x,) = self.saved
    ...         return 2 * x * grad
    >>> import tinydl
    >>> x = tinydl.tensor([3.0], requires_grad=True)
    >>> Square().apply(x).backward()
    >>> x.grad
    tensor([6.])
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.__dict__.get("forward"), staticmethod):  # in PyTorch's style, on tensors and a context
            from .custom import apply

            cls.apply = classmethod(apply)  # type: ignore[assignment]

    needs: Sequence[bool] = ()
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
        enabled = state.enabled
        needs: list[bool] = []
        arrays: list[Array | None] = []
        self.needs = needs
        try:
            for t in inputs:  # one loop: a comprehension is a call of its own
                if t is None:
                    arrays.append(None)
                    needs.append(False)
                else:
                    arrays.append(t._data)
                    needs.append(enabled and t.requires_grad)
        except AttributeError:
            wrong = next(t for t in inputs if t is not None and not isinstance(t, Tensor))
            raise TypeError(f"{type(self).__name__.lower()}: got {type(wrong).__name__}, wanted a tensor") from None
        try:
            out = self.forward(*arrays)
        except TypeError as error:
            moved = _on_one_device(self, inputs)
            if moved is not None:
                return self.apply(*moved)
            if "incompatible function arguments" not in str(error):
                raise
            raise TypeError(f"{type(self).__name__.lower()}: {told(error)}") from None
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
        self._order = next(order)
        self._outputs = len(results)
        edges: list[tuple[Function | Tensor, int] | None] = []
        self._edges = edges
        for t in inputs:
            edges.append((t.grad_fn or t, t._output_index) if t is not None and t.requires_grad else None)
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
                grads[output] = hooked(hooks, grad)
        for output, ref in self._kept:
            tensor, grad = ref(), grads[output]
            if tensor is not None and grad is not None:
                accumulate(tensor, grad, False)

    def _release(self) -> None:
        self.saved = self._guards = ()
        self._released = True


def _on_one_device(function: Function, inputs: Sequence[Tensor | None]) -> list[Tensor | None] | None:
    """The inputs with those of the CPU without axes moved to the GPU of the others; None where all lie together.

    RuntimeError, which names the devices, where tensors with axes lie on two.
    """
    name = type(function).__name__.lower()
    arrays = [t._data for t in inputs if t is not None]
    there = next((t for t in inputs if t is not None and not backend.is_on_host(t._data)), None)
    lone = [t is not None and not t.ndim and backend.is_on_host(t._data) for t in inputs]
    if there is None or not any(lone):
        backend.check_together(name, *arrays, *vars(function).values())
        return None
    from ..ops.elementwise import move

    moved = [t if t is None or not far else move(t, there.device) for t, far in zip(inputs, lone, strict=True)]
    backend.check_together(name, *[t._data for t in moved if t is not None])
    return moved


def _same_memory(view: Array, array: Array) -> bool:
    return view.base is array or (view.base is not None and view.base is array.base)
