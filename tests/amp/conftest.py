"""The devices by the names that tensors know, for the kernels that the tests run on."""

from typing import Any

import pytest

NAMES = {"cpu": "cpu", "emulated": "cuda-emulated", "cuda": "cuda"}


@pytest.fixture
def device(kernels: Any) -> str:
    return NAMES[getattr(kernels, "device", "cpu")]


@pytest.fixture
def gpu_name(gpu_kernels: Any) -> str:
    return NAMES[gpu_kernels.device]
