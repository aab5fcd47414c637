"""Batch, group and layer norm, forward and backward; the rate counts each look at memory that a kernel needs."""

from tinydl import _cpu

from .harness import TORCH_FORMATS, Row, Rows, channels_last, close, have_torch, normal

IMAGES = [(128, 16, 32), (64, 64, 56), (32, 512, 7), (128, 64, 8)]  # batch, channels, size
EPS = 1e-5


def images(n: int, channels: int, size: int) -> Rows:
    """Batch norm in training, and its gradients."""
    x = channels_last(normal(n, channels, size, size))
    grad = channels_last(normal(n, channels, size, size)[::-1, ::-1])
    w, b = 1 + normal(channels) / 4, normal(channels)
    _, stats = _cpu.channel_norm(x, w, b, None, None, 0, EPS)
    forward, backward = {}, {}
    for peer, layout in TORCH_FORMATS.items() if have_torch() else ():
        forward[peer], backward[peer] = torch_calls(x, grad, w, b, layout)
    name = f"batch norm ({n}, {channels}, {size}, {size})"
    yield Row(
        name,
        lambda: _cpu.channel_norm(x, w, b, None, None, 0, EPS)[0],
        forward,
        bytes=3 * x.nbytes,
        check=close,
    )
    yield Row(
        f"{name} backward",
        lambda: _cpu.channel_norm_backward(grad, x, w, stats, 0, EPS, False, True, True)[0],
        backward,
        bytes=5 * x.nbytes,
        check=close,
    )


def torch_calls(x, grad, w, b, layout):
    """PyTorch's batch norm and the gradient of x."""
    import torch

    leaf, up = (torch.tensor(a).contiguous(memory_format=getattr(torch, layout)) for a in (x, grad))
    plain, tw, tb = leaf.clone(), torch.tensor(w, requires_grad=True), torch.tensor(b, requires_grad=True)
    leaf.requires_grad_()
    y = torch.nn.functional.batch_norm(leaf, None, None, tw, tb, True)
    fixed = tw.detach(), tb.detach()
    return (
        lambda: torch.nn.functional.batch_norm(plain, None, None, *fixed, True),
        lambda: torch.autograd.grad(y, (leaf, tw, tb), up, retain_graph=True)[0],
    )


def tokens(rows: int, n: int) -> Rows:
    """Layer norm and its gradients."""
    x, grad, w, b = normal(rows, n), normal(rows, n)[::-1].copy(), 1 + normal(n) / 4, normal(n)
    _, stats = _cpu.row_norm(x, w, b, 1, EPS, True)
    forward, backward = {}, {}
    if have_torch():
        import torch

        plain, up = torch.tensor(x), torch.tensor(grad)
        leaf, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
        y = torch.nn.functional.layer_norm(leaf, (n,), tw, tb)
        fixed = tw.detach(), tb.detach()
        forward = {"torch": lambda: torch.nn.functional.layer_norm(plain, (n,), *fixed)}
        backward = {"torch": lambda: torch.autograd.grad(y, (leaf, tw, tb), up, retain_graph=True)[0]}
    name = f"layer norm ({rows}, {n})"
    yield Row(name, lambda: _cpu.row_norm(x, w, b, 1, EPS, True)[0], forward, bytes=2 * x.nbytes, check=close)
    yield Row(
        f"{name} backward",
        lambda: _cpu.row_norm_backward(grad, x, w, stats, 1, EPS, True, True, True)[0],
        backward,
        bytes=3 * x.nbytes,
        check=close,
    )


def rows() -> Rows:
    for shape in IMAGES:
        yield from images(*shape)
    for shape in ((128, 64), (4096, 768), (16384, 768), (1024, 16384)):
        yield from tokens(*shape)
