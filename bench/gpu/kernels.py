"""The rows of single operations, forward and backward, as users call them: through each library's own functions.

A backward row keeps the graph of one forward pass and asks for the gradients again and again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from typing import Any

import tinydl
from tinydl import nn

from ..conv import LAYERS
from .timing import COMPILED, Call, Devices, Named, Row

WIDTH = {"float32": 4, "float16": 2, "bfloat16": 2}  # bytes of an element


@dataclass(frozen=True)
class Sizes:
    """How large the work is; that of the tests is small."""

    products: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    other_products: int = 4096  # of float32 and float16
    attention: tuple[tuple[int, int, int, int], ...] = (  # batch, heads, length, features of a head
        *((16, 16, 512, 64), (4, 16, 2048, 64), (1, 16, 16384, 64)),
        *((8, 16, 512, 128), (2, 16, 2048, 128), (1, 16, 8192, 128)),
    )
    layers: tuple[str, ...] = tuple(LAYERS)
    images: int = 256  # batch of the convolutions
    recurrent: tuple[tuple[str, int, int, int], ...] = (  # layer, steps, batch, units
        *(("LSTM", 40, 64, 128), ("LSTM", 128, 64, 512), ("LSTM", 512, 64, 1024)),
        *(("GRU", 40, 64, 128), ("GRU", 128, 64, 512), ("GRU", 512, 64, 1024)),
    )
    rows: tuple[int, int] = (1 << 16, 1 << 11)  # of softmax and layer norm
    classes: tuple[int, int] = (1 << 13, 50304)  # of cross-entropy
    maps: tuple[int, int, int] = (256, 64, 56)  # batch, channels, size of batch norm and pooling
    elements: int = 1 << 27
    parameters: tuple[int, ...] = (1 << 22,) * 24  # elements of each that Adam updates


@dataclass(frozen=True)
class Operation:
    """One operation of both libraries: `call(library, *operands)`."""

    name: str
    call: Callable[..., Any]
    operands: Callable[[Devices], list[Any]]  # PyTorch's tensors
    dtype: str = "bfloat16"
    flops: float = 0
    bytes: float = 0
    backward_flops: float = 0
    backward_bytes: float = 0  # or neither, and there is no backward row
    compare: bool = True
    compile: bool = False
    backends: tuple[str, ...] = ()  # of PyTorch's attention, each a peer
    others: tuple[tuple[str, Callable[..., Any]], ...] = ()  # PyTorch's other ways to the same result, as `call`

    def rows(self, devices: Devices) -> Iterator[Named]:
        yield self.name, partial(forward, self, devices)
        if self.backward_flops or self.backward_bytes:
            yield f"{self.name} backward", partial(backward, self, devices)


def forward(op: Operation, devices: Devices) -> Row:
    import torch

    theirs = op.operands(devices)
    peers = {name: partial(without_tape, torch, call, theirs) for name, call in torch_calls(op).items()}
    ours = without_tape(tinydl, op.call, [devices.share(operand) for operand in theirs])
    return Row(op.name, op.dtype, ours, peers, op.flops, op.bytes, op.compare)


def backward(op: Operation, devices: Devices) -> Row:
    import torch

    theirs = op.operands(devices)
    ours = [devices.share(operand) for operand in theirs]
    with torch.no_grad():
        up = torch.randn_like(op.call(torch, *theirs))
    peers = {name: partial(gradients, torch, call, theirs, up) for name, call in torch_calls(op).items()}
    call = gradients(tinydl, op.call, ours, devices.share(up))
    return Row(f"{op.name} backward", op.dtype, call, peers, op.backward_flops, op.backward_bytes, op.compare)


def without_tape(library: Any, call: Callable[..., Any], operands: list[Any]) -> Call:
    def run() -> Any:
        with library.no_grad():
            return call(library, *operands)

    return run


def gradients(library: Any, call: Callable[..., Any], operands: list[Any], up: Any) -> Call:
    """A call that computes the gradients of the operands with a fraction, from one forward pass."""
    fresh = [x.detach() for x in operands]
    leaves = [x.requires_grad_() for x in fresh if x.is_floating_point()]
    y = call(library, *fresh)
    return lambda: library.autograd.grad(y, leaves, up, retain_graph=True)


def compiled_call(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, compiled when it is first made."""
    import torch

    compiled = cache(lambda: torch.compile(partial(call, torch), dynamic=False))
    return lambda _, *operands: compiled()(*operands)


def torch_calls(op: Operation) -> dict[str, Callable[..., Any]]:
    """PyTorch's own choice, each backend of its attention that was asked for, and the compiled call."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def through(backend: str, library: Any, *operands: Any) -> Any:
        with sdpa_kernel(getattr(SDPBackend, backend)):
            return op.call(library, *operands)

    calls = {"torch": op.call, **dict(op.others), **{name.lower(): partial(through, name) for name in op.backends}}
    return {**calls, COMPILED: compiled_call(op.call)} if op.compile else calls


# -- Products ---------------------------------------------------------------------------------------------------


def products(sizes: Sizes) -> Iterator[Operation]:
    kinds = [(n, "bfloat16") for n in sizes.products]
    for n, dtype in [*kinds, (sizes.other_products, "float16"), (sizes.other_products, "float32")]:
        yield Operation(
            f"matmul {n}, {dtype}",
            lambda library, a, b: a @ b,
            lambda devices, n=n, dtype=dtype: [devices.tensor(n, n, dtype=dtype, seed=seed) for seed in (0, 1)],
            dtype,
            flops=2.0 * n**3,
            bytes=3.0 * n * n * WIDTH[dtype],
        )


def convolutions(sizes: Sizes) -> Iterator[Operation]:
    """The layers of `bench.conv`, channels-last, at a batch that fills a GPU."""
    for name in sizes.layers:
        _, c, size, filters, kernel, stride, padding, *rest = LAYERS[name]
        groups = rest[0] if rest else 1
        after = (size + 2 * padding - kernel) // stride + 1
        x, w = (sizes.images, c, size, size), (filters, c // groups, kernel, kernel)
        y = (sizes.images, filters, after, after)
        flops = 2.0 * math.prod(y) * math.prod(w[1:])
        x_bytes, w_bytes, y_bytes = (2.0 * math.prod(shape) for shape in (x, w, y))

        def call(
            library: Any, x: Any, w: Any, stride: int = stride, padding: int = padding, groups: int = groups
        ) -> Any:
            return library.nn.functional.conv2d(x, w, None, stride, padding, 1, groups)

        def operands(devices: Devices, x: tuple[int, ...] = x, w: tuple[int, ...] = w) -> list[Any]:
            return [channels_last(devices.tensor(*shape, seed=seed)) for seed, shape in enumerate((x, w))]

        yield Operation(
            f"conv {name}",
            call,
            operands,
            flops=flops,
            bytes=x_bytes + w_bytes + y_bytes,
            backward_flops=2 * flops,
            backward_bytes=2 * x_bytes + 2 * w_bytes + y_bytes,  # x, w and dy are read, dx and dw written
        )


def channels_last(images: Any) -> Any:
    import torch

    return images.contiguous(memory_format=torch.channels_last)


def attention(sizes: Sizes) -> Iterator[Operation]:
    for shape in sizes.attention:
        batch, heads, length, features = shape
        for causal in (False, True):
            keys = (length + 1) / 2 if causal else length

            def call(library: Any, q: Any, k: Any, v: Any, causal: bool = causal) -> Any:
                return library.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

            flops, moved = 4.0 * batch * heads * length * keys * features, 8.0 * math.prod(shape)
            yield Operation(
                f"attention{' causal' if causal else ''} {batch} x {heads} heads of {features}, length {length}",
                call,
                lambda devices, shape=shape: [devices.tensor(*shape, seed=seed) for seed in range(3)],
                flops=flops,
                bytes=moved,
                backward_flops=2.5 * flops,  # the scores again, and the gradients of scores, q, k and v
                backward_bytes=1.75 * moved,  # q, k, v and dy are read, dq, dk and dv written
                backends=("FLASH_ATTENTION", "CUDNN_ATTENTION"),
            )


# -- What memory bounds -----------------------------------------------------------------------------------------
#
# Bytes: each input is read once and each output written once; vectors beside matrices are left out. What a library
# moves beside that is its own affair, such as PyTorch's masks of dropout and indices of pooling.


def memory_bound(sizes: Sizes) -> Iterator[Operation]:
    n, length = sizes.rows
    row_bytes = 2.0 * n * length
    rows = {"operands": lambda devices: [devices.tensor(n, length)], "compile": True}
    yield Operation(
        f"softmax ({n}, {length})",
        lambda library, x: library.softmax(x, -1),
        bytes=2 * row_bytes,
        backward_bytes=3 * row_bytes,  # y and dy are read, dx is written
        **rows,
    )
    yield Operation(
        f"gelu ({n}, {length})", lambda library, x: library.nn.functional.gelu(x), bytes=2 * row_bytes, **rows
    )
    yield Operation(f"sum over rows ({n}, {length})", lambda library, x: x.sum(-1), bytes=row_bytes, **rows)
    yield Operation(
        f"layer norm ({n}, {length})",
        lambda library, x, w, b: library.nn.functional.layer_norm(x, (length,), w, b),
        lambda devices: [devices.tensor(n, length), *(devices.tensor(length, seed=seed) for seed in (1, 2))],
        bytes=2 * row_bytes,
        backward_bytes=3 * row_bytes,  # x and dy are read, dx is written
        compile=True,
    )
    count = sizes.elements
    yield Operation(
        f"dropout ({count},)",
        lambda library, x: library.nn.functional.dropout(x, 0.1, True),
        lambda devices: [devices.tensor(count)],
        bytes=4.0 * count,
        compare=False,
        compile=True,
    )
    yield Operation(
        f"add ({count},)",
        lambda library, a, b: a + b,
        lambda devices: [devices.tensor(count, seed=seed) for seed in (0, 1)],
        bytes=6.0 * count,
    )
    yield from losses(sizes)
    yield from maps(sizes)


def losses(sizes: Sizes) -> Iterator[Operation]:
    n, classes = sizes.classes
    yield Operation(
        f"cross-entropy ({n}, {classes})",
        lambda library, x, labels: library.nn.functional.cross_entropy(x, labels),
        lambda devices: [devices.tensor(n, classes), devices.integers(classes, n)],
        bytes=2.0 * n * classes,
        backward_bytes=4.0 * n * classes,  # x is read, dx is written
        compile=True,
    )


def maps(sizes: Sizes) -> Iterator[Operation]:
    batch, channels, size = sizes.maps
    shape, moved = (batch, channels, size, size), 2.0 * batch * channels * size * size

    def batch_norm(library: Any, x: Any, w: Any, b: Any) -> Any:
        """With the batch's own statistics, and no running ones."""
        return library.nn.functional.batch_norm(x, None, None, w, b, True)

    def in_float32(library: Any, x: Any, w: Any, b: Any) -> Any:
        """The scales that cuDNN asks for."""
        return batch_norm(library, x, w.float(), b.float())

    yield Operation(
        f"batch norm {shape}",
        batch_norm,
        lambda devices: [
            channels_last(devices.tensor(*shape)),
            *(devices.tensor(channels, seed=seed) for seed in (1, 2)),
        ],
        bytes=2 * moved,
        backward_bytes=3 * moved,  # x and dy are read, dx is written
        compile=True,
        others=(("torch float32 scales", in_float32),),
    )
    yield Operation(
        f"max pooling 2 x 2 {shape}",
        lambda library, x: library.nn.functional.max_pool2d(x, 2),
        lambda devices: [channels_last(devices.tensor(*shape))],
        bytes=1.25 * moved,
        compile=True,
    )


# -- Recurrent layers and the optimiser -------------------------------------------------------------------------


def recurrent_rows(sizes: Sizes, devices: Devices) -> Iterator[Named]:
    for kind, steps, batch, units in sizes.recurrent:
        for dtype in ("bfloat16", "float32"):
            for backward in (False, True):
                name = f"{kind} {steps} steps, {batch} x {units} -> {units}, {dtype}"
                name += ", with gradients" if backward else ""
                yield name, partial(recurrent_row, name, devices, kind, steps, batch, units, dtype, backward)


def recurrent_row(
    name: str, devices: Devices, kind: str, steps: int, batch: int, units: int, dtype: str, backward: bool
) -> Row:
    """The layer alone, for inference, or with all gradients; cuDNN's weights are ours."""
    import torch

    layer = getattr(torch.nn, kind)(units, units).to(devices.theirs, getattr(torch, dtype)).train(backward)
    ours = getattr(nn, kind)(units, units).to(getattr(tinydl, dtype)).to(devices.ours).train(backward)
    for mine, its in zip(ours.parameters(), layer.parameters(), strict=True):
        mine.detach().copy_(devices.share(its))
    x, up = (devices.tensor(steps, batch, units, dtype=dtype, seed=seed) for seed in (0, 1))
    flops = 4.0 * steps * batch * {"LSTM": 4, "GRU": 3}[kind] * units * units
    calls = [
        layer_call(library, which, backward, *operands)
        for library, which, operands in (
            (tinydl, ours, [devices.share(x), devices.share(up)]),
            (torch, layer, [x, up]),
        )
    ]
    return Row(name, dtype, calls[0], {"cudnn": lambda: calls[1]}, flops * (3 if backward else 1))


def layer_call(library: Any, layer: Any, backward: bool, x: Any, up: Any) -> Call:
    leaf = x.detach().requires_grad_()
    wanted = [leaf, *layer.parameters()]

    def forward() -> Any:
        with library.no_grad():
            return layer(x)[0]

    return (lambda: library.autograd.grad(layer(leaf)[0], wanted, up)) if backward else forward


def adam_row(name: str, sizes: Sizes, devices: Devices) -> Row:
    """One step over many parameters: reads of parameter, gradient and both moments, writes of all but the gradient."""
    import torch

    def step_of(library: Any, parameters: list[Any], grads: list[Any], **options: Any) -> Call:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        optimizer = library.optim.Adam(parameters, lr=1e-3, **options)

        def step() -> Any:
            optimizer.step()
            return parameters

        return step

    theirs = [devices.tensor(n, dtype="float32", seed=i) for i, n in enumerate(sizes.parameters)]
    grads = [devices.tensor(n, dtype="float32", seed=i) for i, n in enumerate(sizes.parameters)]
    ours = [devices.share(p.clone()).requires_grad_() for p in theirs]
    shared = [devices.share(g) for g in grads]
    fused = [p.requires_grad_() for p in theirs]
    peers = {"torch fused": partial(step_of, torch, fused, grads, fused=True)}
    return Row(name, "float32", step_of(tinydl, ours, shared), peers, bytes=28.0 * sum(sizes.parameters))


FAMILIES = (products, attention, convolutions, memory_bound)


def rows(devices: Devices, sizes: Sizes | None = None) -> Iterator[Named]:
    """Every row by its name, with what makes it: of each family in turn, so that all show when time is short."""
    sizes = sizes or Sizes()
    name = f"Adam, {len(sizes.parameters)} x {sizes.parameters[0]} parameters"
    yield name, partial(adam_row, name, sizes, devices)
    families = [[op.rows(devices) for op in family(sizes)] for family in FAMILIES]
    recurrent = [iter([row]) for row in recurrent_rows(sizes, devices)]
    for in_turn in zip_longest(*families, recurrent, fillvalue=()):
        for of_operation in in_turn:
            yield from of_operation
