"""Convolution over the layers of the documents' models, forward and both gradients, channels-last; and in groups.

A depthwise layer is bound by memory unless it fits into the caches: per element of the output 18 FLOP (3 x 3) for
12 bytes (a read, a write, and the fetch of what is written). Read its rows' GFLOP/s times 2/3 as GB/s.
"""

from tinydl import _cpu

from .harness import TORCH_FORMATS, Row, Rows, channels_last, close, have_torch, normal

# name: batch, channels, size, filters, kernel, stride, padding[, groups]
LAYERS = {
    "cnn 1": (32, 1, 28, 32, 3, 1, 0),
    "cnn 2": (32, 32, 13, 64, 3, 1, 0),
    "cnn 3": (32, 64, 5, 64, 3, 1, 0),
    "alexnet 1": (64, 3, 224, 64, 11, 4, 2),
    "alexnet 2": (64, 64, 27, 192, 5, 1, 2),
    "alexnet 3": (64, 192, 13, 384, 3, 1, 1),
    "alexnet 4": (64, 384, 13, 256, 3, 1, 1),
    "alexnet 5": (64, 256, 13, 256, 3, 1, 1),
    "alexnet 6": (64, 256, 6, 384, 3, 1, 1),
    "alexnet 7": (64, 384, 6, 256, 3, 1, 1),
    "alexnet 8": (64, 256, 6, 256, 3, 1, 1),
    "depthwise 56": (8, 144, 56, 144, 3, 1, 1, 144),
    "depthwise 112, stride": (8, 96, 112, 96, 3, 2, 1, 96),
    "depthwise 28, 5 x 5": (8, 240, 28, 240, 5, 1, 2, 240),
    "depthwise 7": (8, 960, 7, 960, 3, 1, 1, 960),
    "depthwise 28, times 4": (8, 32, 28, 128, 3, 1, 1, 32),
    "groups of 4": (8, 128, 28, 128, 3, 1, 1, 32),
    "groups of 8": (8, 256, 28, 256, 3, 1, 1, 32),
}


def layer(name: str) -> Rows:
    """The forward pass, input gradient and weight gradient of one layer."""
    n, c, size, filters, kernel, stride, padding, *rest = LAYERS[name]
    groups = rest[0] if rest else 1
    x = channels_last(normal(n, c, size, size))
    weight = normal(kernel, kernel, c // groups, filters).transpose(3, 2, 0, 1)
    options = ((stride, stride), (padding,) * 4, (1, 1), groups)
    after = (size + 2 * padding - kernel) // stride + 1
    grad = channels_last(normal(n, filters, after, after))
    ours = {
        "forward": lambda: _cpu.conv2d(x, weight, None, *options, "none"),
        "input gradient": lambda: _cpu.conv2d_input_grad(grad, weight, x.shape, *options),
        "weight gradient": lambda: _cpu.conv2d_weight_grad(x, grad, weight.shape, *options),
    }
    formats = TORCH_FORMATS if have_torch() else {}
    peers = {peer: torch_calls(x, weight, grad, stride, padding, groups, layout) for peer, layout in formats.items()}
    for which, call in ours.items():
        flops = 2 * grad.size * weight[0].size
        moved = x.nbytes + weight.nbytes + grad.nbytes
        theirs = {peer: calls[which] for peer, calls in peers.items()}
        yield Row(f"conv {name} {which}", call, theirs, flops=flops, bytes=moved, check=close)


def torch_calls(x, weight, grad, stride, padding, groups, layout):
    import torch

    like = {"memory_format": getattr(torch, layout)}
    tx, tw, tg = (torch.tensor(array).contiguous(**like) for array in (x, weight, grad))
    pair = ((stride, stride), (padding, padding), (1, 1), False, (0, 0), groups)

    def gradient(which):
        mask = [which == 0, which == 1, False]
        return torch.ops.aten.convolution_backward(tg, tx, tw, None, *pair, mask)[which]

    return {
        "forward": lambda: torch.nn.functional.conv2d(tx, tw, None, stride, padding, 1, groups),
        "input gradient": lambda: gradient(0),
        "weight gradient": lambda: gradient(1),
    }


def rows() -> Rows:
    for name in LAYERS:
        yield from layer(name)
