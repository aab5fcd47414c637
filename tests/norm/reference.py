"""Normalisation in float64, one statistic after the other."""

import numpy as np

EPS = 1e-5


def sets_of(shape, scheme):
    """Index arrays into the flattened input, one for each statistic.

    `scheme` is ("batch",), ("groups", count) or ("rows", axes).
    """
    index = np.arange(int(np.prod(shape))).reshape(shape)
    kind = scheme[0]
    if kind == "batch":
        return [index[:, c].ravel() for c in range(shape[1])]
    if kind == "groups":
        width = shape[1] // scheme[1]
        return [index[n, g * width : (g + 1) * width].ravel() for n in range(shape[0]) for g in range(scheme[1])]
    return list(index.reshape(-1, int(np.prod(shape[len(shape) - scheme[1] :]))))


def spread(vector, shape, scheme):
    """A parameter as an array of the input's shape."""
    if scheme[0] == "rows":
        return np.broadcast_to(vector.astype(np.float64), shape)
    return np.broadcast_to(vector.astype(np.float64).reshape((1, -1) + (1,) * (len(shape) - 2)), shape)


def gather(full, scheme):
    """The sum of an array of the input's shape over what shares a parameter."""
    if scheme[0] == "rows":
        return full.sum(tuple(range(full.ndim - scheme[1])))
    return full.sum((0, *range(2, full.ndim)))


def forward(x, w, b, scheme, centered=True, eps=EPS):
    """y, z, and the reciprocal deviation of each element's set."""
    wide = x.astype(np.float64).ravel()
    z, r = np.empty_like(wide), np.empty_like(wide)
    for s in sets_of(x.shape, scheme):
        values = wide[s]
        mean = sum(values) / len(values) if centered else 0.0
        var = sum((values - mean) ** 2) / len(values)
        r[s] = 1 / np.sqrt(var + eps)
        z[s] = (values - mean) * r[s]
    z, r = z.reshape(x.shape), r.reshape(x.shape)
    return z * spread(w, x.shape, scheme) + spread(b, x.shape, scheme), z, r


def backward(dy, x, w, scheme, centered=True, eps=EPS):
    """dx by the product with each set's Jacobian r (I - 1/M - z z^T/M), dw and db."""
    dy = dy.astype(np.float64)
    _, z, r = forward(x, w, 0 * w, scheme, centered, eps)
    g = (dy * spread(w, x.shape, scheme)).ravel()
    dx = np.empty_like(g)
    flat_z, flat_r = z.ravel(), r.ravel()
    for s in sets_of(x.shape, scheme):
        count = len(s)
        jacobian = np.eye(count) - np.outer(flat_z[s], flat_z[s]) / count
        if centered:
            jacobian -= 1 / count
        dx[s] = flat_r[s] * (jacobian @ g[s])
    return dx.reshape(x.shape), gather(dy * z, scheme), gather(dy, scheme)
