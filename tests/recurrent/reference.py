"""The cells' equations, one sequence, one step and one unit block at a time, in float64."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(cell, x, h, c, w, u, b, b_h):
    """(h, c) after one step, from the vectors x, h and c."""
    a, r = w @ x + b, u @ h + b_h
    size = h.size
    if cell == "rnn_tanh":
        return np.tanh(a + r), c
    if cell == "rnn_relu":
        return np.maximum(a + r, 0), c
    if cell == "lstm":
        i, f, g, o = (a + r).reshape(4, size)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    s, z = sigmoid((a + r)[: 2 * size]).reshape(2, size)
    n = np.tanh(a[2 * size :] + s * r[2 * size :])
    return (1 - z) * n + z * h, c


def run(cell, x, w, u, b, b_h, h0, c0, mask=None, valid=None, reverse=False):
    """(h of all steps, c of all steps) for x (T, B, I)."""
    steps, batch, _ = x.shape
    hs, cs = np.zeros((2, steps, batch, u.shape[1]))
    for row in range(batch):
        h, c = h0[row].astype(np.float64), c0[row].astype(np.float64)
        for t in range(steps)[:: -1 if reverse else 1]:
            if valid is None or valid[t, row]:
                seen = h if mask is None else h * mask[row]
                h, c = step(cell, x[t, row].astype(np.float64), seen, c, w, u, b, b_h)
            hs[t, row], cs[t, row] = h, c
    return hs, cs
