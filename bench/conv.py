"""Convolution over the layers of the documents' models, forward and both gradients, channels-last; and in groups.

A depthwise layer is bound by memory unless it fits into the caches: per element of the output 18 FLOP (3 x 3) for
12 bytes (a read, a write, and the fetch of what is written). Read its rows' GFLOP/s times 2/3 as GB/s.
"""

from tinydl import _cpu

from .harness import Row, Rows, channels_last, close, have_torch, normal

# name: batch, channels, size, filters, kernel, stride, padding[, groups]
LAYERS = {
    "cnn 1": (32, 1, 28, 32, 3, 1, 0),
    "cnn 2": (32, 32, 13, 64, 3, 1, 0),
    "cnn 3": (32, 64, 5, 64, 3, 1, 0),
    "alexnet 1": (8, 3, 224, 64, 11, 4, 2),
    "alexnet 2": (8, 64, 27, 192, 5, 1, 2),
    "alexnet 3": (8, 192, 13, 384, 3, 1, 1),
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
    y = _cpu.conv2d(x, weight, None, *options, "none")
    grad = channels_last(normal(*y.shape))
    ours = {
        "forward": lambda: _cpu.conv2d(x, weight, None, *options, "none"),
        "input gradient": lambda: _cpu.conv2d_input_grad(grad, weight, x.shape, *options),
        "weight gradient": lambda: _cpu.conv2d_weight_grad(x, grad, weight.shape, *options),
    }
    peers = torch_calls(x, weight, grad, stride, padding, groups) if have_torch() else {}
    for which, call in ours.items():
        flops = 2 * y.size * weight[0].size
        yield Row(f"conv {name} {which}", call, peers.get(which, {}), flops=flops, check=close)


def torch_calls(x, weight, grad, stride, padding, groups):
    import torch

    like = {"memory_format": torch.channels_last}
    tx, tw, tg = (torch.tensor(array).contiguous(**like) for array in (x, weight, grad))
    pair = ((stride, stride), (padding, padding), (1, 1), False, (0, 0), groups)

    def gradient(which):
        mask = [which == 0, which == 1, False]
        return torch.ops.aten.convolution_backward(tg, tx, tw, None, *pair, mask)[which]

    return {
        "forward": {"torch": lambda: torch.nn.functional.conv2d(tx, tw, None, stride, padding, 1, groups)},
        "input gradient": {"torch": lambda: gradient(0)},
        "weight gradient": {"torch": lambda: gradient(1)},
    }


def rows() -> Rows:
    for name in LAYERS:
        yield from layer(name)
