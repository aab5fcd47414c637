"""Training steps replayed from CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import cuda
from ..tensor import Tensor

PLAIN = 3  # the steps on a kind of batch before its capture: they fill caches and begin the optimiser's states
MOST = 16  # kinds that are captured: each graph keeps memory of its own

Part = Any  # of a batch: a tensor or a list of tensors


class GraphedSteps:
    """Calls step(*batch), and from the fourth batch of a kind on replays a CUDA graph of it: the same numbers, sooner.

    A kind are the shapes and dtypes of a batch and the parameters that are trained. Batches of rare kinds, such as an
    epoch's shorter last one in a short run, are stepped plainly, and so are those of a seventeenth kind.

    Args:
        step: of the parts of a batch, tensors or lists of tensors; zeroes gradients, computes them and steps the
            optimiser.
        optimizer: that one.

    Raises ValueError where the optimiser's parameters are not on a GPU.
    """

    def __init__(self, step: Callable[..., Any], optimizer: Any) -> None:
        self._step = step
        self._parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        elsewhere = next((p.device for p in self._parameters if p.device.type == "cpu"), None)
        if elsewhere is not None:
            raise ValueError(f"fit: graph=True wants a model on 'cuda', its parameters are on '{elsewhere}'")
        self._met: dict[Any, int] = {}
        self._graphs: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *batch: Part) -> Any:
        """What step(*batch) returns; from a graph, tensors whose elements the next step of the kind writes again."""
        tensors = [t for part in batch for t in (part if isinstance(part, list) else [part])]
        kind = (
            *((t.shape, t.dtype) for t in tensors),
            *(len(part) if isinstance(part, list) else None for part in batch),
            *(p.requires_grad for p in self._parameters),
        )
        if kind not in self._graphs:
            self._met[kind] = met = self._met.get(kind, 0) + 1
            if met <= PLAIN or len(self._graphs) == MOST:
                return self._step(*batch)
            self._graphs[kind] = self._captured(batch, tensors)
        return self._graphs[kind](*tensors)

    def _captured(self, batch: tuple[Part, ...], tensors: list[Tensor]) -> Callable[..., Any]:
        """A function of a batch's tensors that replays the step on batches like this one."""
        sizes = [len(part) if isinstance(part, list) else None for part in batch]

        def step(*parts: Tensor) -> Any:
            left = iter(parts)
            return self._step(*(next(left) if n is None else [next(left) for _ in range(n)] for n in sizes))

        trained = [p for p in self._parameters if p.requires_grad]
        return cuda.make_graphed_step(step, tensors, trained, num_warmup_iters=0)
