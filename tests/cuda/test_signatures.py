"""Both devices' modules have the same functions of the same parameters, as they are compiled from the same bindings."""

import re

import pytest

from tinydl import _cpu

CPU_ONLY = (
    r"isa|\w+_isa|\w*num_threads|memory_stats|reset_peak_memory|empty_cache|set_cache_limit|\w*tile_threshold|\w+_trace|"
    r"\w*float32_matmul_precision|limit_\w+|to_dlpack|from_dlpack|export_buffer"
)
CUDA_ONLY = {
    "architectures",
    "set_schedule",
    "set_shared_bytes_of_a_block",
    "mistakes",
    "run_mistake",
    "use_arrays",
    "raise_reported",
    "set_offset_of_replay",
    "set_slots_of_replay",
    "launches_by_offset",
}


def signatures(module):
    """The names and defaults of the parameters by function, without their types, which are the devices' own."""
    out = {}
    for name in dir(module):
        if not name.startswith("_"):
            line = getattr(module, name).__doc__.split("\n")[0].split(" ->")[0]
            out[name] = re.sub(r": [^,=()]*(\[[^=]*?\])?(?=[,)=]| =)", "", line)
    return out


@pytest.mark.parametrize("name", ["_cuda", "_cuda_emulated"])
def test_functions_and_parameters_agree(name):
    module = pytest.importorskip(f"tinydl.{name}", reason=f"built without tinydl.{name}")
    cpu = {name: text for name, text in signatures(_cpu).items() if not re.fullmatch(CPU_ONLY, name)}
    cuda = {name: text for name, text in signatures(module).items() if name not in CUDA_ONLY}
    assert cpu["matmul"] == "matmul(a, b, bias= None, activation= 'none')"
    assert cuda == cpu
