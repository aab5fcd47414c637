"""`python -m bench.gpu`: builds, checks and times the GPU's kernels in one command, within a number of minutes."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from .build import ROOT, build


def describe() -> dict[str, Any]:
    """What a result must be read with."""
    import cupy
    import torch

    import tinydl

    return {
        "device": tinydl.cuda.get_device_name(),
        "capability": ".".join(map(str, tinydl.cuda.get_device_capability())),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "torch": torch.__version__,
        "cupy": cupy.__version__,
        "tinydl": tinydl.__version__,
        "python": platform.python_version(),
    }


def missing() -> str | None:
    """What the benchmark lacks here, or None."""
    import tinydl

    if find_spec("torch") is None:
        return "PyTorch with CUDA is the peer of every row: pip install torch"
    try:
        tinydl.cuda.load(tinydl.device("cuda"))
    except ValueError as error:
        return str(error)
    import torch

    return None if torch.cuda.is_available() else "this PyTorch has no CUDA"


def time_rows(wanted: str, deadline: float, rounds: int, results: dict[str, Any]) -> list[str]:
    """Time and print the rows whose name contains `wanted`; returns what went wrong or was left out."""
    import torch

    from . import kernels, models
    from .timing import Devices, format_row, measure, measure_limits

    torch.backends.cudnn.benchmark = True  # cuDNN's fastest algorithm for each shape
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is float32
    devices = Devices()
    limits = measure_limits(devices)
    results["limits"] = {"copy": limits.copy, **limits.products}
    print(
        f"copy {limits.copy / 1e12:.2f} TB/s  "
        + "  ".join(f"{k} {v / 1e12:.0f} TFLOP/s" for k, v in limits.products.items())
    )
    problems = []
    named = [row for row in (*models.rows(devices), *kernels.rows(devices)) if wanted in row[0]]
    for name, make in tqdm(named, disable=None, leave=False):
        if time.monotonic() > deadline:
            problems.append(f"{name}: left out, the time is up")
            continue
        try:
            result = measure(make(), limits, devices, rounds)
        except Exception as error:  # a row that fails must not cost the others
            problems.append(f"{name}: {type(error).__name__}: {error}")
            continue
        results["rows"][name] = result.as_json()
        tqdm.write(format_row(result))
        torch.cuda.empty_cache()
    return problems


def run_tests(deadline: float) -> str:
    """The GPU suite in the time that is left: its last line."""
    left = max(30.0, deadline - time.monotonic())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--device", "cuda", "tests"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=left, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not finished in {left:.0f} s"
    failures = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "\n".join([*failures[:40], *done.stdout.strip().splitlines()[-1:]])


@click.command()
@click.option("--build/--no-build", "wants_build", default=True, help="Compile the modules from the checkout first.")
@click.option(
    "--architectures", default="90a-real", show_default=True, help="GPUs to compile for, as cmake names them."
)
@click.option("--tests/--no-tests", default=True, help="Run the kernel tests on the GPU, in what is left of the time.")
@click.option("--only", default="", help="Time only rows whose name contains this.")
@click.option("--rounds", type=click.IntRange(min=2), default=7, show_default=True, help="Samples of each contender.")
@click.option("--minutes", type=float, default=9.0, show_default=True, help="The whole command's time.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the results to this file.")
def main(
    wants_build: bool, architectures: str, tests: bool, only: str, rounds: int, minutes: float, json_path: Path | None
) -> None:
    """Build, check and time the GPU's kernels beside cuBLAS, cuDNN, FlashAttention and torch.compile."""
    start = time.monotonic()
    if wants_build:
        try:
            build(architectures)
        except RuntimeError as error:
            raise click.ClickException(str(error)) from None
        print(f"built in {time.monotonic() - start:.0f} s")
        sys.path.insert(0, str(ROOT / "python"))
    problem = missing()
    if problem:
        raise click.ClickException(problem)
    results: dict[str, Any] = {"machine": describe(), "rows": {}}
    print("  ".join(f"{key} {value}" for key, value in results["machine"].items()))
    problems = time_rows(only, start + 60 * minutes * (0.7 if tests else 1), rounds, results)
    if tests:
        results["tests"] = run_tests(start + 60 * minutes)
        print(results["tests"])
    for line in problems:
        print(line)
    results["problems"] = problems
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{len(results['rows'])} rows in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
