"""Covariances and correlations of the rows of a matrix, whose columns are observations."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..tensor import Tensor
from .arguments import check_tensors
from .elementwise import cast
from .matmul import matmul


def _check_weights(name: str, weights: Tensor, count: int, kinds: str) -> None:
    check_tensors("cov", **{name: weights})
    if weights.dtype.kind not in kinds:
        raise TypeError(f"cov: {name} has dtype {weights.dtype}, wanted {'integers' if kinds == 'iu' else 'floats'}")
    if weights.shape != (count,) or (weights._data < 0).any():
        raise ValueError(f"cov: {name} of shape {weights.shape}: wanted {count} weights from 0")


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """C_ij = sum over the columns k of w_k (x_ik - mean_i) (x_jk - mean_j) / norm.

    Args:
        input: a matrix whose rows are variables and whose columns are observations, or a vector: one variable.
        correction: subtracted from the number of observations (with aweights a, times sum of w a / sum of w), to norm.
        fweights: how often each observation counts, whole numbers.
        aweights: how much it counts; w is the product of both.

    >>> import tinydl
    >>> tinydl.cov(tinydl.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    check_tensors("cov", input=input)
    if input.ndim > 2 or input.dtype == np.bool_:
        raise ValueError(f"cov: got shape {input.shape} and dtype {input.dtype}, wanted numbers in two axes at most")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    if not dtypes.is_floating_point(x.dtype):
        x = cast(x, dtypes.float32)
    count = x.shape[1]
    for name, weights, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "f")):
        if weights is not None:
            _check_weights(name, weights, count, kinds)
    if fweights is None and aweights is None:
        centred = x - x.sum(1, keepdim=True) / count
        return (matmul(centred, centred.mT) / max(count - correction, 0)).squeeze()
    ones = Tensor(backend.numpy_of(input._data).ones(count, np.int64))
    w = (ones if fweights is None else fweights) * (ones if aweights is None else aweights)
    total = w.sum()
    if not total.item() > 0:
        raise ValueError("cov: the weights sum to 0")
    centred = x - (x * w).sum(1, keepdim=True) / total
    lost: Any = correction if aweights is None else correction * (w * aweights).sum() / total
    out: Tensor = matmul(centred, (centred * w).mT) / (total - lost).clamp(min=0)
    return out.squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients C_ij / (C_ii C_jj)^(1/2) of the rows; see `cov`.

    >>> import tinydl
    >>> tinydl.corrcoef(tinydl.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if c.ndim == 0:
        return c / c
    deviations = c.diagonal().sqrt()
    return (c / deviations.unsqueeze(1) / deviations).clamp(-1, 1)
