"""Minor page faults of steady-state training: how often a step asks the system for memory that it did not have."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

WARM_UP, STEPS = 50, 200


def faults_per_step(step: Callable[[], Any], steps: int = STEPS, warm_up: int = WARM_UP) -> float:
    """Minor faults of the whole process for each of `steps` calls, after `warm_up` calls."""
    for _ in range(warm_up):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps


def training_faults(batches: tuple[int, ...] = (32, 128)) -> dict[str, float]:
    """Of the training steps of the 32-64-64 CNN, by their names."""
    from .models import our_step, step_name

    return {step_name(batch): faults_per_step(our_step(batch)) for batch in batches}
