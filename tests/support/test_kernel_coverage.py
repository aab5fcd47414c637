"""The list of kernels that the emulated GPU ran: that it names what exists, and misses what was not launched."""

import re

import numpy as np
import pytest

from . import devices, kernel_coverage
from .kernel_coverage import SOURCES, KernelCoverage, declared, function_name

EMULATED = "emulated" in devices.available()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("void tinydl::cuda::(anonymous namespace)::map_kernel<float, 4>(long, float const*)", "map_kernel"),
        ("tinydl::cuda::turn_kernel(int)", "turn_kernel"),
        ("void a::fold<a::Rows<float>, (a::Kind)1>(a::Map)::{lambda(int)#1}::operator()(int) const", "call const"),
        ("void a::each<a::b(int)::{lambda(auto:1)#1}>(a::Rows<float>)", "each"),
        ("a::table", "table"),
    ],
)
def test_function_name(symbol, name):
    assert function_name(symbol) == name


def test_every_kernel_of_the_sources_is_declared():
    texts = [p.read_text() for p in SOURCES.rglob("*") if p.suffix in (".cu", ".h") and "emulation" not in p.parts]
    count = sum(len(re.findall(r"__global__", text)) for text in texts)
    assert count == sum(map(len, declared().values())) > 60


@pytest.mark.skipif(not EMULATED, reason="built with TINYDL_CUDA_EMULATE=ON only")
def test_what_was_launched_is_listed_and_the_rest_is_missed(rng):
    offsets = kernel_coverage.built(kernel_coverage.module_file())
    assert {*offsets.values()} == {name for family in declared().values() for name in family}
    kernels = devices.kernels_of("emulated", every_schedule=False)
    before = kernels.module.launches_by_offset()
    kernels.softmax(rng.standard_normal((3, 5)).astype(np.float32), axis=1)
    coverage = KernelCoverage()
    coverage.launches.update(kernels.module.launches_by_offset())
    coverage.launches.subtract(before)
    coverage.launches = +coverage.launches
    assert {offsets[offset] for offset in coverage.launches} == {"map_held_rows"}
    launched = {name: (variants, launches) for _, name, variants, _, launches in coverage.rows() if variants}
    assert launched == {"map_held_rows": (1, 1)}
    assert len(coverage.missed()) == len(coverage.rows()) - 1
