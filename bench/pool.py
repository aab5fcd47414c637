"""Maximum and average pooling, forward and backward, channels-last; the rate counts what must be read and written."""

import tinydl
from tinydl import _cpu
from tinydl.ops.adaptive_pool import adaptive_avg_pool2d

from .harness import TORCH_FORMATS, Row, Rows, channels_last, close, have_torch, normal

# batch, channels, size, kernel, stride, padding
IMAGES = [
    (128, 32, 26, 2, 2, 0),
    (32, 64, 11, 2, 2, 0),
    (128, 64, 56, 2, 2, 0),
    (64, 64, 55, 3, 2, 0),
    (32, 64, 56, 3, 2, 1),
    (32, 192, 28, 3, 1, 1),
]


def layer(n: int, channels: int, size: int, kernel: int, stride: int, padding: int) -> Rows:
    """Both poolings of one layer, and their gradients."""
    x = channels_last(normal(n, channels, size, size))
    window = (kernel, kernel), (stride, stride), (padding, padding)
    y, taps = _cpu.max_pool2d(x, *window, (1, 1), False, True)
    grad = channels_last(normal(*y.shape))
    ours = {
        "max": lambda: _cpu.max_pool2d(x, *window, (1, 1), False, False)[0],
        "max, recorded": lambda: _cpu.max_pool2d(x, *window, (1, 1), False, True)[0],
        "max backward": lambda: _cpu.max_pool2d_backward(grad, taps, (size, size), *window, (1, 1), False),
        "average": lambda: _cpu.avg_pool2d(x, *window, False, True, 0),
        "average backward": lambda: _cpu.avg_pool2d_backward(grad, (size, size), *window, False, True, 0),
    }
    formats = TORCH_FORMATS if have_torch() else {}
    peers = {name: torch_calls(x, grad, kernel, stride, padding, layout) for name, layout in formats.items()}
    for which, call in ours.items():
        name = f"{which} {kernel}/{stride} ({n}, {channels}, {size}, {size})"
        theirs = {peer: calls[which] for peer, calls in peers.items()}
        extra = taps.nbytes if which in ("max, recorded", "max backward") else 0
        yield Row(name, call, theirs, bytes=x.nbytes + y.nbytes + extra, check=close)


def torch_calls(x, grad, kernel, stride, padding, layout):
    import torch

    functional = torch.nn.functional
    leaf, upstream = (torch.tensor(a).contiguous(memory_format=getattr(torch, layout)) for a in (x, grad))
    plain = leaf.clone()
    leaf.requires_grad_()
    highest, average = (
        functional.max_pool2d(leaf, kernel, stride, padding),
        functional.avg_pool2d(leaf, kernel, stride, padding),
    )

    def backward(y):
        return torch.autograd.grad(y, leaf, upstream, retain_graph=True)[0]

    return {
        "max": lambda: functional.max_pool2d(plain, kernel, stride, padding),
        "max, recorded": lambda: functional.max_pool2d(plain, kernel, stride, padding),
        "max backward": lambda: backward(highest),
        "average": lambda: functional.avg_pool2d(plain, kernel, stride, padding),
        "average backward": lambda: backward(average),
    }


def global_average(n: int, channels: int, size: int) -> Rows:
    """The average of whole images: adaptive pooling to one pixel."""
    x = channels_last(normal(n, channels, size, size))
    peers = {}
    if have_torch():
        import torch

        plain = torch.tensor(x).contiguous(memory_format=torch.channels_last)
        peers["torch"] = lambda: torch.nn.functional.adaptive_avg_pool2d(plain, 1)
    image = tinydl.from_numpy(x)
    name = f"global average ({n}, {channels}, {size}, {size})"
    yield Row(name, lambda: adaptive_avg_pool2d(image, 1), peers, bytes=x.nbytes, check=close)


def rows() -> Rows:
    for image in IMAGES:
        yield from layer(*image)
    for whole in [(32, 512, 7), (8, 256, 28), (1, 1280, 7), (64, 256, 28)]:
        yield from global_average(*whole)
