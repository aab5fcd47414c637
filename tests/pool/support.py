"""Pooling by its definition, in float64."""

from itertools import product

import numpy as np


def outputs(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows there are along an axis, found by laying them one after the other."""
    extent = (kernel - 1) * dilation + 1
    end = size + padding  # of the padded axis, whose start is -padding
    count = 0
    while True:
        start = count * stride - padding
        fits = start + extent <= end
        begins = start + extent - stride < end and start < size  # of the part beyond, less than a stride
        if not (fits or (ceil_mode and begins)):
            return count
        count += 1


def taps_of(size, kernel, stride, padding, dilation, ceil_mode):
    """For each window along an axis, the positions that its taps read, inside or not."""
    count = outputs(size, kernel, stride, padding, dilation, ceil_mode)
    return [[o * stride - padding + i * dilation for i in range(kernel)] for o in range(count)]


def windows(shape, kernel, stride, padding, dilation, ceil_mode):
    """Pairs ((oh, ow), [(h, w), ...]) of every window and the taps of it that lie inside the image."""
    rows, columns = (taps_of(shape[2 + d], kernel[d], stride[d], padding[d], dilation[d], ceil_mode) for d in (0, 1))
    for (oh, hs), (ow, ws) in product(enumerate(rows), enumerate(columns)):
        yield (oh, ow), [(h, w) for h, w in product(hs, ws) if 0 <= h < shape[2] and 0 <= w < shape[3]]


def output_shape(shape, kernel, stride, padding, dilation, ceil_mode):
    sizes = (outputs(shape[2 + d], kernel[d], stride[d], padding[d], dilation[d], ceil_mode) for d in (0, 1))
    return (*shape[:2], *sizes)


def max_pool(x, grad, geometry):
    """(y, indices, dx): the first maximum wins, but the last NaN does."""
    y = np.full(output_shape(x.shape, *geometry), -np.inf)
    indices, dx = np.zeros(y.shape, np.int64), np.zeros(x.shape)
    for at, taps in windows(x.shape, *geometry):
        for n, c in np.ndindex(x.shape[:2]):
            where = (n, c, *at)
            winner = None
            for h, w in taps:
                if winner is None or x[n, c, h, w] > y[where] or np.isnan(x[n, c, h, w]):
                    winner, y[where] = (h, w), x[n, c, h, w]
            if winner is not None:
                indices[where] = winner[0] * x.shape[3] + winner[1]
                dx[n, c, winner[0], winner[1]] += grad[where]
    return y, indices, dx


def avg_pool(x, grad, geometry, count_include_pad, divisor_override):
    """(y, dx, scale of y, scale of dx)."""
    kernel, stride, padding, ceil_mode = geometry
    full = kernel, stride, padding, (1, 1), ceil_mode
    y = np.zeros(output_shape(x.shape, *full))
    scale, dx, dx_scale = np.zeros(y.shape), np.zeros(x.shape), np.zeros(x.shape)
    for (oh, ow), taps in windows(x.shape, *full):
        counts = []
        for d, o in ((0, oh), (1, ow)):
            positions = [o * stride[d] - padding[d] + i for i in range(kernel[d])]
            margin = padding[d] if count_include_pad else 0
            counts.append(sum(-margin <= position < x.shape[2 + d] + margin for position in positions))
        divisor = divisor_override or counts[0] * counts[1]
        for h, w in taps:
            y[:, :, oh, ow] += x[:, :, h, w] / divisor
            scale[:, :, oh, ow] += np.abs(x[:, :, h, w] / divisor)
            dx[:, :, h, w] += grad[:, :, oh, ow] / divisor
            dx_scale[:, :, h, w] += np.abs(grad[:, :, oh, ow] / divisor)
    return y, dx, scale, dx_scale
