"""Attention and its gradients in float64, with the whole matrix of scores."""

import numpy as np


def scores_of(q, k, mask, scale, causal):
    s = scale * q @ k.swapaxes(-1, -2)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == np.bool_ else s + mask
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    return s


def softmax(s):
    """Over the last axis; zeros where a row sees nothing."""
    top = np.max(s, -1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(np.isneginf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0)


def run(q, k, v, grad, mask=None, scale=1.0, causal=False, factors=1.0):
    """(o, dq, dk, dv, dmask), the last of the scores' shape; `factors` are dropout's."""
    group = q.shape[1] // k.shape[1]
    q, k, v, grad = (np.asarray(x, np.float64) for x in (q, k, v, grad))
    keys, values = (np.repeat(x, group, 1) for x in (k, v))
    p = softmax(scores_of(q, keys, mask, scale, causal))
    o = (p * factors) @ values
    dp = grad @ values.swapaxes(-1, -2) * factors
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))
    dv = (p * factors).swapaxes(-1, -2) @ grad
    dk = scale * ds.swapaxes(-1, -2) @ q
    dk, dv = (x.reshape(k.shape[0], k.shape[1], group, *x.shape[2:]).sum(2) for x in (dk, dv))
    return o, scale * ds @ keys, dk, dv, ds


def magnitudes(q, k, v, grad, mask=None, scale=1.0, causal=False, factors=1.0):
    """What rounding errors of o, dq, dk and dv are relative to: their sums without signs, times the scores' size."""
    group = q.shape[1] // k.shape[1]
    q, k, v, grad = (np.asarray(x, np.float64) for x in (q, k, v, grad))
    keys, values = (np.repeat(x, group, 1) for x in (k, v))
    p = softmax(scores_of(q, keys, mask, scale, causal))
    sizes = scores_of(np.abs(q), np.abs(keys), None if mask is None else np.abs(mask), scale, False)
    size = 1 + np.max(sizes, initial=0, where=p > 0)
    dp = np.abs(grad) @ np.abs(values).swapaxes(-1, -2) * factors
    ds = p * (dp + (p * dp).sum(-1, keepdims=True))
    dv = (p * factors).swapaxes(-1, -2) @ np.abs(grad)
    dk = scale * ds.swapaxes(-1, -2) @ np.abs(q)
    dk, dv = (x.reshape(k.shape[0], k.shape[1], group, *x.shape[2:]).sum(2) for x in (dk, dv))
    return [size * x for x in ((p * factors) @ np.abs(values), scale * ds @ np.abs(keys), dk, dv)]
