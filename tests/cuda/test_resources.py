"""What nvcc's assembler says of every GPU kernel: none may spill registers or keep a stack frame."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
SOURCES = [*sorted(path.stem for path in (CSRC / "cuda").glob("*.cu")), "runtime/report"]
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads",
    re.DOTALL,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed"),
]


def report_on(source: Path, architecture: str, out: Path) -> list[re.Match]:
    command = f"nvcc -cubin -arch={architecture} -std=c++17 -O3 -I{CSRC} -DTINYDL_CUDA -Xptxas=-v {source} -o {out}"
    run = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "warning" not in run.stderr, run.stderr
    return list(KERNEL.finditer(run.stderr))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("source", SOURCES)
def test_no_kernel_spills(source, architecture, tmp_path):
    kernels = report_on(CSRC / "cuda" / f"{source}.cu", architecture, tmp_path / "kernels.cubin")
    assert kernels, "nvcc reports on no kernel"
    spilling = {k["name"]: k.groups()[1:] for k in kernels if any(int(n) for n in k.groups()[1:])}
    assert not spilling, f"{len(spilling)} of {len(kernels)} kernels: {spilling}"


def test_the_report_shows_a_spill(tmp_path):
    source = tmp_path / "spill.cu"
    source.write_text("""
        extern "C" __global__ void indexed(const int* at, float* out) {
          float values[64];
          for (int i = 0; i < 64; ++i) values[i] = out[i];
          for (int i = 0; i < 64; ++i) values[at[i]] += values[at[63 - i]];
          for (int i = 0; i < 64; ++i) out[i] = values[i];
        }""")
    (kernel,) = report_on(source, "sm_90a", tmp_path / "spill.cubin")
    assert int(kernel["stack"]) >= 256
