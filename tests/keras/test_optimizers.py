"""The optimisers' steps against Keras's formulas."""

from __future__ import annotations

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.keras import optimizers


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("epsilon", [1e-7, 0.5])
def test_adam_adds_epsilon_to_the_uncorrected_root(rng, epsilon, amsgrad):
    p = rng.standard_normal((3, 4))
    weight = tinydl.tensor(p, requires_grad=True)
    optimizer = optimizers.Adam(0.1, 0.8, 0.95, epsilon, amsgrad).bind([weight])
    m, v, largest = (np.zeros_like(p) for _ in range(3))
    for t in range(1, 21):
        g = rng.standard_normal(p.shape) / t
        weight.grad = tinydl.tensor(g)
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        largest = np.maximum(largest, v)
        rate = 0.1 * np.sqrt(1 - 0.95**t) / (1 - 0.8**t)
        p = p - rate * m / (np.sqrt(largest if amsgrad else v) + epsilon)
    assert_close(weight, p, "optimizer", length=20, scale=np.abs(p) + 20 * 0.1)
