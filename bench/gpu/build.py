"""Builds both extension modules from the checkout with cmake, for a machine that has nothing yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(architectures: str) -> None:
    """Compile `_cpu` and `_cuda` into the checkout's package; RuntimeError with the compiler's last words."""
    folder = ROOT / "build" / "gpu"
    pybind11 = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=False
    )
    if pybind11.returncode:
        raise RuntimeError("the build needs pybind11: pip install pybind11")
    definitions = {
        "TINYDL_CUDA": "ON",
        "CMAKE_CUDA_ARCHITECTURES": architectures,
        "CMAKE_UNITY_BUILD": "ON",
        "pybind11_DIR": pybind11.stdout.strip(),
        "Python_EXECUTABLE": sys.executable,
    }
    usual = Path("/usr/local/cuda/bin/nvcc")
    if shutil.which("nvcc") is None and "CUDACXX" not in os.environ and usual.exists():
        definitions["CMAKE_CUDA_COMPILER"] = str(usual)
    given = [f"-D{name}={value}" for name, value in definitions.items()]
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(["cmake", "-S", str(ROOT), "-B", str(folder), *generator, *given])
    run(["cmake", "--build", str(folder), "--parallel", str(os.cpu_count() or 1), "--target", "_cpu", "_cuda"])
    for module in folder.glob("_c*.so"):
        shutil.copy(module, ROOT / "python" / "tinydl")


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{last}")
