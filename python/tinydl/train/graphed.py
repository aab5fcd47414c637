"""Training steps replayed from CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import cuda
from ..capture import StaleGraphError

PLAIN = 3  # the steps on a kind of batch before its capture: they fill caches and begin the optimiser's states
MOST = 16  # kinds that are captured

Part = Any  # of a batch: a tensor or a list of tensors


class GraphedSteps:
    """Calls step(*batch), and from the fourth batch of a kind on replays a CUDA graph of it.

    A kind are the shapes, dtypes and memory orders of a batch, the parameters that are trained, and which layers are in
    training mode. Batches of rare kinds, such as an epoch's shorter last one in a short run, are stepped plainly, and
    so are those of a seventeenth kind. All kinds begin again where the optimiser, its groups or states, the loss, the
    forward function, or an array of the model were replaced.

    The graphs share memory: what a step returns lasts until the next one.

    Args:
        step: of the parts of a batch, tensors or lists of tensors; zeroes gradients, computes them and steps the
            optimiser.
        trainer: has the `model` and the `optimizer`, `loss` and `forward` of the step.

    Raises ValueError where the optimiser's parameters are not on a GPU.
    """

    def __init__(self, step: Callable[..., Any], trainer: Any) -> None:
        self._step = step
        self._trainer = trainer
        elsewhere = next((p.device for p in self._parameters() if p.device.type == "cpu"), None)
        if elsewhere is not None:
            raise ValueError(f"fit: graph=True wants a model on 'cuda', its parameters are on '{elsewhere}'")
        self.forget()

    def forget(self) -> None:
        """Leave the graphs' memory to the next ones, and begin again."""
        model = self._trainer.model
        self._modules = list(model.modules())
        self._tensors = [*model.parameters(), *model.buffers()]
        self._parts = self._present_parts()
        self._met: dict[Any, int] = {}
        self._graphs: dict[Any, Callable[..., Any]] = {}
        self._pool: Any = None

    def __call__(self, *batch: Part) -> Any:
        """What step(*batch) returns; from a graph, tensors that last until the next call."""
        if any(now is not then for now, then in zip(self._present_parts(), self._parts, strict=True)):
            self.forget()
        tensors = [t for part in batch for t in (part if isinstance(part, list) else [part])]
        kind = (
            *((t.shape, t.dtype, t._data.strides) for t in tensors),
            *(len(part) if isinstance(part, list) else None for part in batch),
            *(p.requires_grad for p in self._parameters()),
            *(module.training for module in self._modules),
        )
        if kind not in self._graphs:
            self._met[kind] = met = self._met.get(kind, 0) + 1
            if met <= PLAIN or len(self._graphs) == MOST:
                return self._step(*batch)
            self._graphs[kind] = self._captured(batch, tensors)
        try:
            return self._graphs[kind](*tensors)
        except StaleGraphError:  # before anything ran
            self.forget()
            return self(*batch)

    def _parameters(self) -> list[Any]:
        return [p for group in self._trainer.optimizer.param_groups for p in group["params"]]

    def _present_parts(self) -> list[Any]:
        """What a graph was captured from and does not see change; kept, so that replays write no freed memory."""
        trainer = self._trainer
        return [trainer.optimizer, trainer.loss, trainer.forward, *(t._data for t in self._tensors)]

    def _captured(self, batch: tuple[Part, ...], tensors: list[Any]) -> Callable[..., Any]:
        """A function of a batch's tensors that replays the step on batches like this one."""
        sizes = [len(part) if isinstance(part, list) else None for part in batch]

        def step(*parts: Any) -> Any:
            left = iter(parts)
            return self._step(*(next(left) if n is None else [next(left) for _ in range(n)] for n in sizes))

        made = cuda.make_graphed_step(step, tensors, self._parameters(), num_warmup_iters=0, pool=self._pool)
        self._pool = made.graph.pool()  # type: ignore[attr-defined]
        return made
