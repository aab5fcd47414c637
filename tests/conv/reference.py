"""A convolution in float64 by its definition, independent of the library: loops over taps."""

import numpy as np


def taps(x, weight, stride, padding, dilation, groups):
    """Yields (filters, tap row, tap column, the channels and input pixels that each output reads through the tap)."""
    top, bottom, left, right = padding
    framed = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    filters, per_group, kh, kw = weight.shape
    oh = (framed.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (framed.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    for g in range(groups):
        chosen = slice(g * filters // groups, (g + 1) * filters // groups)
        channels = slice(g * per_group, (g + 1) * per_group)
        for r in range(kh):
            for s in range(kw):
                rows = slice(r * dilation[0], r * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
                columns = slice(s * dilation[1], s * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
                yield chosen, r, s, (slice(None), channels, rows, columns), framed


def conv2d(x, weight, stride, padding, dilation, groups):
    y = 0
    for chosen, r, s, window, framed in taps(x, weight, stride, padding, dilation, groups):
        part = np.einsum("nchw,oc->nohw", framed[window], weight[chosen, :, r, s].astype(np.float64))
        if isinstance(y, int):
            y = np.zeros((part.shape[0], weight.shape[0], *part.shape[2:]))
        y[:, chosen] += part
    return y


def gradients(x, weight, grad, stride, padding, dilation, groups):
    """dx and dw of sum(grad * conv2d(x, weight))."""
    grad = grad.astype(np.float64)
    top, bottom, left, right = padding
    n, c, h, w = x.shape
    framed_dx = np.zeros((n, c, h + top + bottom, w + left + right))
    dw = np.zeros(weight.shape)
    for chosen, r, s, window, framed in taps(x, weight, stride, padding, dilation, groups):
        framed_dx[window] += np.einsum("nohw,oc->nchw", grad[:, chosen], weight[chosen, :, r, s].astype(np.float64))
        dw[chosen, :, r, s] = np.einsum("nohw,nchw->oc", grad[:, chosen], framed[window])
    return framed_dx[:, :, top : top + h, left : left + w], dw
