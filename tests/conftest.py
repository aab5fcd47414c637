"""Fixtures that every family's tests use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import tinydl
from tests.support import devices, kernel_coverage
from tinydl import backend

hypothesis.settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.register_profile("sanitized", deadline=None, max_examples=15, derandomize=True)
hypothesis.settings.load_profile("default")

BEST = backend.detected_isa()
CMAKE = Path(__file__).parent.parent / "CMakeLists.txt"
PRODUCT_FAMILIES = re.search(r"set\(PRODUCT_FAMILIES ([^)]+)\)", CMAKE.read_text()).group(1).split()
TIERS = list(backend.ISAS[: backend.ISAS.index(BEST) + 1])
SANITIZED_TIERS = [tier for tier in TIERS if tier != "avx2"]  # the same sources as avx512, on shorter vectors

# So that small products meet matrix tiles too; the default is tested in a process of its own.
backend.set_tile_threshold(32, 128**3)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes")
    parser.addoption("--device", choices=["cuda"], help="run the tests of kernels on a GPU, and no others")
    parser.addoption("--list-kernels", action="store_true", help="say which CUDA kernels the kernel tests ran")
    parser.addoption("--sanitized", action="store_true", help="the extension is built with sanitizers: no torch")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--sanitized"):
        hypothesis.settings.load_profile("sanitized")
    if config.getoption("--list-kernels"):
        kernel_coverage.module_file()  # an error where there is none
        config.pluginmanager.register(kernel_coverage.KernelCoverage())


def repeats_avx512(item: pytest.Item) -> bool:
    """Whether a test runs on the tier amx though its family has no kernels of its own there."""
    spec = getattr(item, "callspec", None)
    if spec is None or spec.params.get("isa") != "amx" or spec.params.get("kernels", "cpu") != "cpu":
        return False
    return item.path.parent.name not in PRODUCT_FAMILIES


def lacks_gpu(item: pytest.Item) -> bool:
    """Whether a test wants a GPU that was not asked for, or its kernels where there are not even emulated ones."""
    if "gpu" in getattr(item, "fixturenames", ()) and not item.config.getoption("--device"):
        return True
    spec = getattr(item, "callspec", None)
    return spec is not None and not isinstance(spec.params.get("gpu_kernels", ""), str)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not repeats_avx512(item) and not lacks_gpu(item)]
    if config.getoption("--device"):
        items[:] = [item for item in items if {"kernels", "gpu_kernels", "gpu"} & {*getattr(item, "fixturenames", ())}]
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="takes minutes; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def pytest_report_header() -> str:
    return f"tinydl {tinydl.__version__}: {BEST}, {backend.num_threads()} threads"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of `kernels` run on every device, those that also name `isa` on each CPU tier; `gpu_kernels` on GPUs."""
    tiers = "isa" in metafunc.fixturenames
    on_cpu = SANITIZED_TIERS if metafunc.config.getoption("--sanitized") else TIERS
    device = metafunc.config.getoption("--device")
    names = [device] if device else devices.available()
    if "gpu_kernels" in metafunc.fixturenames:
        metafunc.parametrize("gpu_kernels", [name for name in names if name != "cpu"], indirect=True)
    if "kernels" in metafunc.fixturenames:
        cases = [(name, tier) for name in names for tier in (on_cpu if tiers and name == "cpu" else [BEST])]
        ids = [tier if tiers and name == "cpu" else name for name, tier in cases]
        values = cases if tiers else [name for name, _ in cases]
        metafunc.parametrize("kernels,isa" if tiers else "kernels", values, indirect=True, ids=ids)
    elif tiers:
        metafunc.parametrize("isa", on_cpu, indirect=True)


@pytest.fixture(scope="session")
def kernels(request: pytest.FixtureRequest) -> Any:
    """The kernels of a device: functions on NumPy arrays."""
    return devices.kernels_of(request.param, every_schedule=not request.config.getoption("--sanitized"))


@pytest.fixture(scope="session")
def gpu_kernels(request: pytest.FixtureRequest) -> Any:
    """The kernels of a GPU, real or emulated, which take 16-bit numbers too."""
    return devices.kernels_of(request.param, every_schedule=not request.config.getoption("--sanitized"))


@pytest.fixture(scope="session")
def gpu() -> None:
    """For tests that nothing but a GPU can run: left out unless `--device cuda` asks for them."""
    tinydl.cuda.load(tinydl.device("cuda"))


@pytest.fixture
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on each instruction-set tier of the machine."""
    with backend.use_isa(request.param):
        yield request.param


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on the test's name alone."""
    return np.random.default_rng(list(request.node.nodeid.encode()))


@pytest.fixture
def torch(request: pytest.FixtureRequest):
    """PyTorch; the test is skipped without it, unless TINYDL_REQUIRE_PEERS asks for a failure."""
    if request.config.getoption("--sanitized"):
        pytest.skip("PyTorch is not loaded beside the sanitizers")
    if os.environ.get("TINYDL_REQUIRE_PEERS"):
        import torch
    else:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: peers)")
    return torch
