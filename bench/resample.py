"""Interpolation of channels-last images, forward and backward; the rate counts what must be read and written."""

from tinydl import tensor
from tinydl.ops.resample import interpolate

from .harness import Row, Rows, channels_last, close, have_torch, normal

# batch, channels, size, new size, mode
IMAGES = [
    (8, 64, 32, 64, "nearest"),
    (8, 64, 32, 64, "bilinear"),
    (8, 64, 64, 32, "bilinear"),
    (8, 64, 32, 64, "bicubic"),
    (8, 3, 224, 112, "bilinear"),
    (8, 64, 32, 7, "area"),
    (32, 64, 56, 112, "nearest"),
    (32, 64, 56, 112, "bilinear"),
    (32, 64, 112, 56, "bilinear"),
    (32, 64, 56, 112, "bicubic"),
    (32, 64, 112, 7, "area"),
]


def image(n: int, channels: int, before: int, after: int, mode: str) -> Rows:
    """One mode, and its gradient."""
    x = channels_last(normal(n, channels, before, before))
    grad = channels_last(normal(n, channels, after, after))
    plain, leaf, upstream = tensor(x), tensor(x, requires_grad=True), tensor(grad)

    def backward():
        leaf.grad = None
        interpolate(leaf, after, mode=mode).backward(upstream)
        return leaf.grad

    peers = torch_calls(x, grad, after, mode) if have_torch() else [{}, {}]
    name = f"{mode} ({n}, {channels}, {before}, {before}) to {after}"
    size = x.nbytes + grad.nbytes
    yield Row(name, lambda: interpolate(plain, after, mode=mode), peers[0], bytes=size, check=close)
    yield Row(f"{name}, both ways", backward, peers[1], bytes=2 * size, check=close)


def torch_calls(x, grad, after, mode):
    import torch

    plain, upstream = (torch.tensor(a).contiguous(memory_format=torch.channels_last) for a in (x, grad))
    leaf = plain.clone().requires_grad_()

    def backward():
        y = torch.nn.functional.interpolate(leaf, after, mode=mode)
        return torch.autograd.grad(y, leaf, upstream)[0]

    return [{"torch": lambda: torch.nn.functional.interpolate(plain, after, mode=mode)}, {"torch": backward}]


def rows() -> Rows:
    for case in IMAGES:
        yield from image(*case)
