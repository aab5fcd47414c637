"""Sets of axes to reduce over."""

import itertools

from tinydl import _cpu


def every_axes(shape):
    for count in range(len(shape) + 1):
        yield from itertools.combinations(range(len(shape)), count)


def axes_on(kernels, shape, seed):
    """Every set of axes for the CPU's kernels, two for others."""
    every = list(every_axes(shape))
    return every if kernels is _cpu else [every[seed % len(every)], every[seed // 16 % len(every)]]
