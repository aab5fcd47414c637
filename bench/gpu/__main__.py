"""`python -m bench.gpu`: builds, checks and times the GPU's kernels in one command, within a number of minutes."""

from __future__ import annotations

import json
import platform
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from .build import ROOT, build
from .suite import run_tests

# Of the time, when the rows must be done and when the compiled ones; the tests have the rest.
SHARES = (0.6, 0.75)


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

    try:
        tinydl.cuda.load(tinydl.device("cuda"))
    except ValueError as error:
        return str(error)
    import torch

    return None if torch.cuda.is_available() else "this PyTorch has no CUDA"


def prepare() -> None:
    """PyTorch as fast as it is for the same numbers."""
    import torch
    from torch._functorch import config

    torch.backends.cudnn.benchmark = True  # cuDNN's fastest algorithm for each shape
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is float32
    if hasattr(config, "donated_buffer"):  # which would allow one backward pass of a compiled graph
        config.donated_buffer = False


def time_rows(wanted: str, deadlines: tuple[float, float], rounds: int, results: dict[str, Any]) -> list[str]:
    """Time and print the rows whose name contains `wanted`, then those that torch.compile has a part in with that.

    The deadlines are those of the two parts, the results `rows` and `compiled`. Returns what went wrong or was left
    out.
    """
    from . import kernels, models
    from .timing import Devices, measure_limits

    prepare()
    devices = Devices()
    limits = measure_limits(devices)
    results["limits"] = {"copy": limits.copy, **limits.products}
    rates = "  ".join(f"{dtype} {rate / 1e12:.0f} TFLOP/s" for dtype, rate in limits.products.items())
    print(f"copy {limits.copy / 1e12:.2f} TB/s  {rates}")
    named = [row for row in (*models.rows(devices), *kernels.rows(devices)) if wanted in row[0]]
    problems: list[str] = []
    for part, deadline in zip(("rows", "compiled"), deadlines, strict=True):
        print(f"-- {part}, {len(named)} of them")
        more = []
        for name, make in tqdm(named, disable=None, leave=False):
            if time.monotonic() > deadline:
                problems.append(f"{name}: left out of the {part}, the time is up")
                continue
            try:
                result, compiles = time_row(make, part == "compiled", limits, devices, rounds)
            except Exception as error:  # a row that fails must not cost the others
                problems.append(f"{name}: {type(error).__name__}: {error}")
                continue
            results[part][name] = result
            more += [(name, make)] if compiles else []
        named = more
    return problems


def time_row(make: Any, compiled: bool, limits: Any, devices: Any, rounds: int) -> tuple[dict[str, Any], bool]:
    """Time and print a row, against the compiled peer alone or all others; and whether it has a compiled one."""
    import torch

    from .timing import COMPILED, format_row, measure

    row = make()
    peer = row.peers.pop(COMPILED, None)
    if compiled:
        row.peers = {COMPILED: peer}
        torch._dynamo.reset()  # the rows before count as variants of this one otherwise, of which there are few
    try:
        result = measure(row, limits, devices, rounds)
    finally:
        torch.cuda.empty_cache()
    tqdm.write(format_row(result))
    return result.as_json(), peer is not None


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
    results: dict[str, Any] = {"rows": {}, "compiled": {}}
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what was printed outlives a kill
    absent = [name for name in ("torch", "cupy") if find_spec(name) is None]
    if absent:
        raise click.ClickException(f"the benchmark wants PyTorch with CUDA and CuPy: there is no {absent[0]}")
    if wants_build:
        try:
            build(architectures)
        except RuntimeError as error:
            raise click.ClickException(str(error)) from None
        results["build"] = time.monotonic() - start
        print(f"built in {results['build']:.0f} s")
        sys.path.insert(0, str(ROOT / "python"))
    problem = missing()
    if problem:
        raise click.ClickException(problem)
    results["machine"] = describe()
    print("  ".join(f"{key} {value}" for key, value in results["machine"].items()))
    shares = SHARES if tests else [share / SHARES[1] for share in SHARES]
    eager, compiled = (start + 60 * minutes * share for share in shares)
    results["problems"] = time_rows(only, (eager, compiled), rounds, results)
    print(*results["problems"], sep="\n")
    print(f"{len(results['rows'])} rows and {len(results['compiled'])} compiled in {time.monotonic() - start:.0f} s")
    write(results, json_path)
    if tests:
        log = json_path.with_suffix(".tests.txt") if json_path else ROOT / "build" / "gpu-tests.txt"
        results["tests"] = run_tests(start + 60 * minutes, log)
        print(results["tests"])
        write(results, json_path)


def write(results: dict[str, Any], path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
