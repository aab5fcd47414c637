"""CUDA graphs: the launches of a step, recorded once and replayed by one call."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np

from . import backend, capture, gpu_memory
from .streams import Stream, _cupy, stream
from .tensor import Tensor

_SLOTS = 4096, 128  # an optimiser's updates in a graph (a group, dtype and step number each), and bytes for one


class CUDAGraph:
    """Launches that `with tinydl.cuda.graph(g): ...` recorded; `replay` runs them again on the same memory.

    Random numbers go on from replay to replay as they would without a graph, and so do the optimisers' steps that it
    holds: their step numbers, and the learning rates that are set by then. Everything else that Python did is not
    repeated: choices, numbers from the CPU, hooks.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._memory: tuple[Any, ...] = ()  # what the launches read and write, and nobody else may
        self._drawn: capture.Draws | None = None
        self._offset: Any = None  # on the GPU: how far beyond that offset a replay begins
        self._steps: list[capture.Step] = []  # of optimisers
        self._slots: Any = None  # the numbers of these steps
        self._replayed: Any = None  # the event after the last replay

    def replay(self) -> None:
        """Queue all launches in the current stream, behind the replay before, on whichever stream that was.

        Raises:
            RuntimeError: nothing was captured; the random generator was seeded anew since, or an optimiser's
                parameters, groups or states were changed, which needs a new capture.
            ValueError: a hyperparameter of a captured step is out of range by now; nothing runs.
            IndexError: a kernel that ran before met a label or an index out of range.
        """
        if self._graph is None:
            raise RuntimeError("CUDAGraph.replay: nothing was captured")
        capture.refuse("CUDAGraph.replay", "capture the other graph's block instead")
        drawn = self._drawn
        if drawn is not None and drawn.generator.state()[0] != drawn.seed:
            raise capture.StaleGraphError(
                f"CUDAGraph.replay: the random numbers were captured with the seed {drawn.seed}, now it is "
                f"{drawn.generator.state()[0]}; capture again"
            )
        self._fill_slots()
        if drawn is not None:
            begin = drawn.generator.reserve(4 * drawn.counters)[1]
            self._wait()
            self._offset.fill(np.uint64((begin - drawn.offset) % (1 << 64)))
        self._graph.launch()
        cupy = _cupy()
        if self._replayed is None:
            self._replayed = cupy.cuda.Event(disable_timing=True)
        self._replayed.record(cupy.cuda.get_current_stream())
        import_module("tinydl._cuda").raise_reported()

    def _fill_slots(self) -> None:
        """Go through the captured steps of optimisers once more, which now write their numbers for the next replay."""
        if not self._steps:
            return
        before = [step.optimizer._numbers_of(step.gradients) for step in self._steps]
        self._wait()
        try:
            slots = self._slots.filled_anew()
            for step in self._steps:
                with slots.taken(fills=True):
                    step.optimizer._repeat(step.gradients)
            if slots.keys != self._slots.keys:
                raise capture.StaleGraphError(
                    "CUDAGraph.replay: an optimiser's step would not be the captured one, since groups, step numbers "
                    "of single parameters, or the arrays of parameters or states (load_state_dict) have changed; "
                    "capture again"
                )
        except BaseException:  # no step was taken
            for step, states in zip(self._steps, before, strict=True):
                step.optimizer._set_back(states)
            raise

    def _wait(self) -> None:
        """Let the current stream wait for the last replay, before what that reads is written."""
        if self._replayed is not None:
            _cupy().cuda.get_current_stream().wait_event(self._replayed)

    def pool(self) -> Any:
        """The memory of its launches, for `graph(other, pool=...)`; None before the capture."""
        return self._memory[0] if self._memory else None

    def reset(self) -> None:
        """Forget the launches; their memory is the next capture's, or the GPU's after `empty_cache`."""
        self.__init__()  # type: ignore[misc]


class graph:
    """`with tinydl.cuda.graph(g): ...` records a block's launches in a `CUDAGraph`; they do not run.

    Results of the block are tensors whose memory every replay writes again. Inputs must be tensors that were made
    before and stay alive; new values are copied into them. Run the block a few times before, so that caches are filled.

    Not everything can be captured: what waits for the GPU (`item`, `GradScaler.unscale_`, indexing by masks), and
    copies from and to the CPU. What Python keeps from call to call stays as it was at the capture: the states of a
    stateful recurrent layer, counters, the results of conditions.

    Args:
        cuda_graph: an empty `CUDAGraph`.
        pool: `pool()` of another graph, to share its memory. Their replays must not overlap, and the results of one
            last until the next replay of another.
        stream: where to record; by default a stream of its own.

    Raises RuntimeError within another capture, and for what cannot be captured.
    """

    def __init__(self, cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None) -> None:
        self.cuda_graph = cuda_graph
        self.pool = pool
        self.stream = stream

    def __enter__(self) -> None:
        if capture.active is not None:
            raise RuntimeError("cuda.graph: another capture is going on")
        if self.cuda_graph._graph is not None:
            raise RuntimeError("cuda.graph: the graph holds a capture; reset() it, or take another")
        cupy = _cupy()
        kernels = import_module("tinydl._cuda")
        self._offset = cupy.zeros(1, np.uint64)
        self._capture = capture.Capture(capture.Slots(cupy.empty(_SLOTS, np.uint8)))
        cupy.cuda.Device().synchronize()
        gc.collect()  # what was freed is the graph's to take, whose pool is another one
        gpu_memory.give_back_unused(cupy)
        self._pool = self.pool or gpu_memory.GraphMemory(cupy, Stream)
        self._stream = self._pool.stream if self.stream is None else self.stream
        with ExitStack() as undo:
            # Its own memory: what the block frees goes to nobody else, since replays write there.
            undo.enter_context(cupy.cuda.using_allocator(gpu_memory.explaining(self._pool.malloc, cupy)))
            undo.enter_context(stream(self._stream))
            kernels.set_offset_of_replay(self._offset)
            undo.callback(kernels.set_offset_of_replay, None)
            self._stream.cupy_stream.begin_capture()
            capture.active = self._capture
            self._undo = undo.pop_all()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        capture.active = None
        failed = _cupy().cuda.runtime.CUDARuntimeError
        captured = None
        try:
            captured = self._stream.cupy_stream.end_capture()
        except failed as failure:
            error = failure if error is None else error
        finally:
            self._undo.close()
        if isinstance(error, failed):
            raise capture.CaptureError(
                f"cuda.graph: the capture failed ({error}); what waits for the GPU (item, GradScaler.unscale_, masks "
                "as indices) and copies from and to the CPU cannot be captured"
            ) from error
        if error is None:
            graph = self.cuda_graph
            graph._graph, graph._drawn, graph._offset = captured, self._capture.drawn, self._offset
            graph._memory = self._pool, self._capture.kept
            graph._slots, graph._steps = self._capture.slots, self._capture.steps


def make_graphed_step(
    function: Callable[..., Any],
    sample_args: Sequence[Tensor],
    parameters: Iterable[Tensor] = (),
    num_warmup_iters: int = 3,
    pool: Any = None,
) -> Callable[..., Any]:
    """A function that does what `function` does, by replaying a CUDA graph of it.

    The usual one is a training step:

        def train(x, y):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        step = tinydl.cuda.make_graphed_step(train, (x, y), model.parameters())
        for x, y in loader:
            loss = step(x, y)
            scheduler.step()

    Args:
        function: of tensors; what `graph` says of a block holds for it.
        sample_args: tensors on the GPU; later ones must have their shapes and dtypes, and may be on the CPU.
        parameters: the tensors whose gradients it computes, which each call gives them again.
        num_warmup_iters: how often the function runs before it is captured. That moves what it moves: running
            statistics, random numbers, and with an optimiser's step the parameters.
        pool: see `graph`; the graph is the returned function's `graph`.

    Returns:
        The function. Its results are the same tensors in each call, whose elements the next call writes again.

    Raises:
        ValueError: a sample is not on a GPU; later, an argument of another shape or dtype.
        RuntimeError: the function does what cannot be captured; later, what it was captured from has changed (see
            `CUDAGraph.replay`).
    """
    for number, sample in enumerate(sample_args):
        if sample.device.type != "cuda":
            raise ValueError(f"make_graphed_step: sample {number} is on '{sample.device}', wanted one on 'cuda'")
    inputs = [Tensor(sample._data.copy(order="K"), sample.requires_grad) for sample in sample_args]
    for _ in range(num_warmup_iters):
        function(*inputs)
    captured, parameters = CUDAGraph(), list(parameters)
    before = [p.grad for p in parameters]
    try:
        with graph(captured, pool):
            outputs = function(*inputs)
    except BaseException:
        for parameter, gradient in zip(parameters, before, strict=True):
            parameter._grad = gradient  # not those that were captured, which nothing has written
        raise
    gradients = [(p, p.grad) for p in parameters]

    @functools.wraps(function)
    def step(*args: Tensor) -> Any:
        _check(inputs, args)
        captured._wait()
        for to, value in zip(inputs, args, strict=True):
            to._data[...] = backend.place(value._data, to.device)
        captured.replay()
        for parameter, gradient in gradients:
            parameter._grad = gradient
        return outputs

    step.graph = captured  # type: ignore[attr-defined]
    return step


def _check(inputs: Sequence[Tensor], args: Sequence[Tensor]) -> None:
    """ValueError unless arguments fit where a graph reads them."""
    if len(args) != len(inputs):
        raise ValueError(f"graphed step: got {len(args)} arguments, wanted {len(inputs)}")
    for number, (to, value) in enumerate(zip(inputs, args, strict=True)):
        if value.shape != to.shape or value.dtype != to.dtype:
            raise ValueError(
                f"graphed step: argument {number} has shape {value.shape} and dtype {value.dtype}, the captured one "
                f"{to.shape} and {to.dtype}; call the function itself for others"
            )
