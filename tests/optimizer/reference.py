"""The optimisers' equations in NumPy, one array at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Sgd:
    def __init__(
        self, p: Array, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False
    ) -> None:
        self.p = p.astype(np.float64)
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight_decay, self.nesterov, self.maximize = weight_decay, nesterov, maximize
        self.b: Array | None = None

    def step(self, gradient: Array) -> None:
        g = gradient.astype(np.float64) * (-1 if self.maximize else 1) + self.weight_decay * self.p
        direction = g
        if self.momentum:
            self.b = g if self.b is None else self.momentum * self.b + (1 - self.dampening) * g
            direction = g + self.momentum * self.b if self.nesterov else self.b
        self.p = self.p - self.lr * direction


class Adam:
    def __init__(
        self, p: Array, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False
    ) -> None:
        self.p = p.astype(np.float64)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.weight_decay, self.amsgrad, self.maximize = weight_decay, amsgrad, maximize
        self.t, self.m, self.v, self.w = 0, np.zeros(p.shape), np.zeros(p.shape), np.zeros(p.shape)

    def step(self, gradient: Array) -> None:
        self.t += 1
        beta1, beta2 = self.betas
        g = gradient.astype(np.float64) * (-1 if self.maximize else 1) + self.weight_decay * self.p
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        self.w = np.maximum(self.w, self.v)
        second = self.w if self.amsgrad else self.v
        denominator = np.sqrt(second) / np.sqrt(1 - beta2**self.t) + self.eps
        self.p = self.p - self.lr / (1 - beta1**self.t) * self.m / denominator
