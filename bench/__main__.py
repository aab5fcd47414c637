"""`python -m bench [FAMILY ...]`: a table of kernels and models, each beside its peers in the same run."""

from __future__ import annotations

import importlib
import json
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

import bench
from tinydl import backend

from . import faults, sweep
from .harness import Later, Plan, Row, format_row, have_torch, measure, say
from .machine import describe, measure_limits, openmp_libraries
from .peers.remote import LIBRARIES, versions
from .quick import ROWS, in_quick
from .report import compare, plot

NOT_ROWS = ("__main__", "choice", "faults", "gpu", "harness", "machine", "peers", "quick", "report", "sweep")
MODULES = [m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in NOT_ROWS]
GROUPS = {"sequences": ("recurrent", "attention", "sequence_models")}
QUICK_SECONDS = 90  # after which --quick times each row as briefly as it can


def print_machine(info: dict[str, Any]) -> None:
    print("  ".join(f"{key} {value}" for key, value in info.items() if key != "limits"))
    for name, rate in info["limits"].items():
        unit = "GB/s" if "load" in name.split()[1] or "copy" in name else "GFLOP/s"
        print(f"  limit  {name:44} {rate / 1e9:9.1f} {unit}")


def rows_of(families: tuple[str, ...], quick: bool) -> Iterator[Row]:
    """The families' rows, with a progress bar over the families on a terminal."""
    wanted = [name for name in families if name in ROWS or not quick]
    with tqdm(wanted, disable=None, leave=False) as bar:
        for name in bar:
            for row in importlib.import_module(f"bench.{name}").rows():
                if not quick or in_quick(name, row.name):
                    bar.set_postfix_str(row.name)
                    yield row.make() if isinstance(row, Later) else row


def peers() -> dict[str, str]:
    """The versions of the peers; those that are not installed are named."""
    found = {}
    if have_torch():
        import torch

        torch.set_num_threads(backend.num_threads())
        found["torch"] = torch.__version__
    missing = [] if found else ["PyTorch"]
    for name, modules in LIBRARIES.items():
        installed = versions(*modules)
        if not all(installed.values()):
            missing.append(name)
        found |= {module: version for module, version in installed.items() if version}
    if missing:
        print(f"not installed, and left out: {', '.join(missing)} (pip install 'tinydl[peers]')")
    return found


def plan_of(quick: bool, rounds: int | None, elapsed: float) -> Plan:
    """How a row is timed that comes `elapsed` seconds after the first."""
    if not quick:
        return Plan(rounds or 15)
    return Plan(2 if elapsed > QUICK_SECONDS else rounds or 5, 0.005, budget=2.0, wait=0.03, slow_peers=False)


def time_rows(families: tuple[str, ...], quick: bool, rounds: int | None) -> dict[str, Any]:
    """Time and print the rows; the JSON of each, by name."""
    start, written = time.monotonic(), {}
    for row in rows_of(families, quick):
        result = measure(row, plan_of(quick, rounds, time.monotonic() - start))
        written[row.name] = result.as_json()
        say(format_row(result))
    print(f"{len(written)} rows in {time.monotonic() - start:.0f} s")
    return written


def time_sweeps(names: tuple[str, ...], quick: bool, rounds: int | None) -> dict[str, Any]:
    """Time and print the sweeps; the JSON of each, by name."""
    plan = Plan(rounds or 5, 0.005, budget=2.0) if quick else Plan(rounds or 9, budget=10.0)
    return {name: sweep.run(name, plan, say) for name in names}


def count_faults(quick: bool) -> dict[str, float]:
    """Count and print the page faults of training steps."""
    counts = faults.training_faults((32,) if quick else (32, 128))
    for name, count in counts.items():
        print(f"{name}: {count:.2f} minor page faults a step, over {faults.STEPS} steps")
    return counts


@click.command()
@click.argument("families", nargs=-1)
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    help="How often each contender is timed, in turn, at most.  [default: 15, or 5 with --quick]",
)
@click.option("--quick", is_flag=True, help="The rows that matter most, in about three minutes; no sweeps.")
@click.option("--isa", type=click.Choice(backend.ISAS), help="Cap the instruction set that tinydl uses.")
@click.option(
    "--sweep",
    "sweeps",
    type=click.Choice(sweep.SWEEPS),
    multiple=True,
    help="Time a training step and a product over batches or over threads, or attention over lengths: these sweeps, "
    "and no rows of FAMILIES that are not named.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the results to this file.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path), help="Also draw them into this PNG.")
@click.option(
    "--compare",
    "old_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Afterwards, print what changed since this JSON file was written.",
)
def main(
    families: tuple[str, ...],
    rounds: int | None,
    quick: bool,
    isa: str | None,
    sweeps: tuple[str, ...],
    json_path: Path | None,
    plot_path: Path | None,
    old_path: Path | None,
) -> None:
    """Time the rows of FAMILIES (by default all, the page faults of training, and, without --quick, the sweeps).

    "sequences" stands for the families recurrent, attention and sequence_models.
    """
    families = tuple(member for name in families for member in GROUPS.get(name, (name,)))
    for name in families:
        if name not in MODULES:
            raise click.BadParameter(f"'{name}' is not one of {', '.join([*MODULES, *GROUPS])}")
    everything = not families and not sweeps
    if isa:
        backend.set_isa(isa)
    start = time.monotonic()
    info = {**describe(), **peers(), "limits": measure_limits()}
    print_machine(info)
    written: dict[str, Any] = {"machine": info, "rows": {}, "sweeps": {}, "page faults": {}}
    if families or everything:
        written["rows"] = time_rows(families or tuple(MODULES), quick, rounds)
    if everything or "models" in families:
        written["page faults"] = count_faults(quick)
    write(written, json_path, None, None)  # for a run that is stopped during the sweeps
    written["sweeps"] = time_sweeps(sweeps or (sweep.SWEEPS if everything and not quick else ()), quick, rounds)
    print("OpenMP libraries in this process:", ", ".join(openmp_libraries()) or "none")
    print(f"{time.monotonic() - start:.0f} s altogether")
    write(written, json_path, plot_path, old_path)


def write(written: dict[str, Any], json_path: Path | None, plot_path: Path | None, old_path: Path | None) -> None:
    """What was asked for: the file, the picture, the comparison."""
    if json_path:
        json_path.write_text(json.dumps(written, indent=1) + "\n")
    if plot_path:
        plot(written, plot_path)
    if old_path:
        print(compare(json.loads(old_path.read_text()), written))


if __name__ == "__main__":
    main()
