"""Whole training steps, from the same weights, in bfloat16 by autocast; PyTorch eager and compiled are the peers.

PyTorch has what makes it fast: its fused Adam, and for images the channels-last format, eager beside the other one.

The losses of the first step must agree. FLOPs are those of the products, forward and backward. Each step is timed as it
is, beside PyTorch's eager one, and replayed from a CUDA graph, beside the compiled one too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

import tinydl
from tinydl import nn
from tinydl.train.graphed import PLAIN, GraphedSteps

from ..models import network
from ..sequence_models import VOCABULARY, text_model
from .timing import COMPILED, Call, Devices, Named, Row


@dataclass(frozen=True)
class Sizes:
    """How large the work is; that of the tests is small."""

    cnn: tuple[int, ...] = (128, 2048)  # batches
    text: tuple[int, int] = (64, 40)  # batch, steps
    encoder: tuple[int, int, int, int, int] = (32, 128, 768, 12, 12)  # batch, length, features, heads, layers


@dataclass(frozen=True)
class Problem:
    """A model of either library, its loss, and the operands of a step."""

    name: str
    model: Callable[[Any], Any]  # of a library's nn
    loss: Callable[..., Any]  # of (library, model, x, targets)
    operands: Callable[[Devices], tuple[Any, Any]]  # PyTorch's
    flops: float
    images: bool = False  # whether PyTorch's channels-last format is for it


Step = Callable[..., Any]  # of inputs and targets


def step_of(library: Any, model: Any, problem: Problem, device: str, loss: Any = None) -> tuple[Step, Any]:
    """A step and its optimiser."""
    fused = {} if library is tinydl or device != "cuda" else {"fused": True}
    optimizer = library.optim.Adam(model.parameters(), lr=1e-3, **fused)
    loss_of = loss or partial(problem.loss, library)

    def step(x: Any, targets: Any) -> Any:
        with library.autocast(device, dtype=library.bfloat16):
            value = loss_of(model, x, targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    return step, optimizer


def replayed(step: Step, model: Any, optimizer: Any, plain: Step) -> Step:
    """The step from a CUDA graph, from the second call on; its first replay must have the loss of a plain model's."""
    steps = GraphedSteps(step, SimpleNamespace(model=model, optimizer=optimizer, loss=None, forward=None))
    begun = False

    def call(*operands: Any) -> Any:
        nonlocal begun
        loss = steps(*operands)
        if not begun:
            wanted = [plain(*operands).item() for _ in range(PLAIN + 1)]
            found = [steps(*operands).item() for _ in range(PLAIN)]
            if not np.allclose(found, wanted[1:], rtol=1e-4, atol=0):
                raise AssertionError(f"losses, the last from a graph: {found}; of plain steps: {wanted[1:]}")
        begun = True
        return loss

    return call


def step_row(problem: Problem, devices: Devices, graph: bool = False) -> Row:
    import torch

    torch.manual_seed(0)
    make = problem.model
    theirs = make(torch.nn).to(devices.theirs)
    ours = make(nn).to(devices.ours)
    formats = {"torch": "contiguous_format", **({"torch channels-last": "channels_last"} if problem.images else {})}
    best = formats.get("torch channels-last", "contiguous_format")
    ours.load_state_dict({name: devices.share(value).clone() for name, value in theirs.state_dict().items()})
    x, targets = problem.operands(devices)

    def peer(model: Any, layout: str, loss: Any = None) -> Call:
        laid = {"memory_format": getattr(torch, layout)} if problem.images else {}
        step, _ = step_of(torch, model.to(**laid), problem, devices.theirs, loss)
        return partial(step, x.contiguous(**laid), targets)

    def compiled(model: Any) -> Call:
        return peer(model, best, torch.compile(partial(problem.loss, torch), dynamic=False))

    peers = {name: partial(peer, copy.deepcopy(theirs), layout) for name, layout in formats.items()}
    step, optimizer = step_of(tinydl, ours, problem, devices.ours)
    if graph:
        twin = copy.deepcopy(ours)
        step = replayed(step, ours, optimizer, step_of(tinydl, twin, problem, devices.ours)[0])
        peers[COMPILED] = partial(compiled, theirs)
    our_call = partial(step, devices.share(x), devices.share(targets))
    return Row(name_of(problem, graph), "bfloat16", our_call, peers, problem.flops)


def name_of(problem: Problem, graph: bool) -> str:
    return f"{problem.name}, in a CUDA graph" if graph else problem.name


def classified(library: Any, model: Any, x: Any, labels: Any) -> Any:
    return library.nn.functional.cross_entropy(model(x), labels)


def cnn(batch: int) -> Problem:
    """The 32-64-64 CNN of 28 x 28 images; each layer's multiply-adds 3 times, but for the images' gradient."""
    first = 26**2 * 9 * 32
    macs = first + 11**2 * 9 * 32 * 64 + 3**2 * 9 * 64 * 64 + 576 * 64 + 64 * 10
    return Problem(
        f"CNN 32-64-64 training step, batch {batch}",
        network,
        classified,
        lambda devices: (devices.tensor(batch, 1, 28, 28, dtype="float32"), devices.integers(10, batch)),
        batch * (6.0 * macs - 2.0 * first),
        images=True,
    )


def text(batch: int, steps: int) -> Problem:
    def loss(library: Any, model: Any, ids: Any, targets: Any) -> Any:
        states = model["lstm"](model["embedding"](ids))[0]
        return library.nn.functional.cross_entropy(model["linear"](states).flatten(0, 1), targets.flatten())

    return Problem(
        f"LSTM text training step, {batch} x {steps}",
        text_model,
        loss,
        lambda devices: (devices.integers(VOCABULARY, batch, steps), devices.integers(VOCABULARY, batch, steps)),
        6.0 * batch * steps * (4 * 128 * (64 + 128) + 128 * VOCABULARY),
    )


def encoder(batch: int, length: int, features: int, heads: int, layers: int) -> Problem:
    """A Transformer encoder of BERT-base's size, without dropout so that the losses can be compared.

    Attention's products are not counted a second time for gradients that compute them again, and neither is the
    gradient of the first layer's input.
    """

    def make(library_nn: Any) -> Any:
        layer = library_nn.TransformerEncoderLayer(
            features, heads, 4 * features, dropout=0.0, activation="gelu", batch_first=True
        )
        return library_nn.TransformerEncoder(layer, layers)

    def loss(library: Any, model: Any, x: Any, targets: Any) -> Any:
        return library.nn.functional.mse_loss(model(x), targets)

    tokens = batch * length
    return Problem(
        f"Transformer encoder training step, {batch} x {length}, {layers} layers of {features}",
        make,
        loss,
        lambda devices: tuple(devices.tensor(batch, length, features, dtype="float32", seed=seed) for seed in range(2)),
        6.0 * layers * tokens * (12 * features**2 + 2 * length * features) - 2.0 * tokens * 3 * features**2,
    )


def rows(devices: Devices, sizes: Sizes | None = None) -> Iterator[Named]:
    """Every row by its name, with what makes it."""
    sizes = sizes or Sizes()
    problems = [*map(cnn, sizes.cnn), text(*sizes.text), encoder(*sizes.encoder)]
    for problem in problems:
        for graph in (True, False):
            yield name_of(problem, graph), partial(step_row, problem, devices, graph)
