"""The learning rate of the recipes whose steps are many."""

from __future__ import annotations

import math
from typing import Any

from ...optim.lr_scheduler import LambdaLR
from ..callbacks import LRSchedule

__all__ = ["WarmUpCosine"]


class WarmUpCosine(LRSchedule):
    """A learning rate that rises linearly for the first steps, and then falls along half a cosine, step by step.

    Args:
        epochs: of the run.
        warm_up: how many steps it rises, at most a tenth of the run's.
        floor: the share of the rate at which it ends.
    """

    def __init__(self, epochs: int, warm_up: int = 0, floor: float = 0.0) -> None:
        super().__init__(self._scheduled, every="batch")
        self.epochs = epochs
        self.warm_up = warm_up
        self.floor = floor

    def _scheduled(self, optimizer: Any) -> LambdaLR:
        steps: int = self.epochs * self.params["steps"]
        rising = max(min(self.warm_up, steps // 10), 1)

        def factor(step: int) -> float:
            falling = (1 + math.cos(math.pi * min(step / steps, 1))) / 2
            return min((step + 1) / rising, self.floor + (1 - self.floor) * falling)

        return LambdaLR(optimizer, factor)
