"""`python -m bench [FAMILY ...]`: a table of kernels and models, each beside its peers in the same run."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import click

import bench
from tinydl import backend

from .harness import Result, Row, format_row, have_torch, measure
from .machine import describe, measure_limits, openmp_libraries
from .models import REMOTE
from .peers.remote import has
from .report import compare, plot

NOT_ROWS = ("__main__", "choice", "harness", "machine", "peers", "report")
# The rows that --quick times: the sizes that training meets, one or two of each kind.
QUICK = re.compile(
    "limit|relu of 4|CNN"
    r"|matmul (32|64|128|512|1024|2048|1|8|32 x 576|64 x 4096) x"
    "|conv (cnn 2|cnn 3|alexnet 2|alexnet 3) "
    "|(add|relu|dropout) |max, recorded 2/2 .128|max backward 2/2 .128|cross-entropy .128"
    "|batch norm .(64|128, 64)|layer norm .4096|(SGD|Adam) step"
)
MODULES = [m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in NOT_ROWS]


def print_machine(info: dict[str, object]) -> None:
    print("  ".join(f"{key} {value}" for key, value in info.items() if key != "limits"))
    limits = info["limits"]
    assert isinstance(limits, dict)
    for name, rate in limits.items():
        unit = "GB/s" if "load" in name.split()[1] or "copy" in name else "GFLOP/s"
        print(f"  limit  {name:44} {rate / 1e9:9.1f} {unit}")


def rows_of(families: tuple[str, ...], quick: bool) -> Iterator[Row]:
    for name in families or MODULES:
        for row in importlib.import_module(f"bench.{name}").rows():
            if QUICK.match(row.name) or not quick:
                yield row


def peers() -> dict[str, str]:
    """The versions of the peers that share the process; those that are not installed are named."""
    missing = [name for name, modules in REMOTE.items() if not has(*modules)]
    if not have_torch():
        missing.insert(0, "PyTorch")
    if missing:
        print(f"not installed, and left out: {', '.join(missing)} (pip install 'tinydl[peers]')")
    if not have_torch():
        return {}
    import torch

    torch.set_num_threads(backend.num_threads())
    return {"torch": torch.__version__}


@click.command()
@click.argument("families", nargs=-1)
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    help="How often each contender is timed, in turn.  [default: 15, or 5 with --quick]",
)
@click.option("--quick", is_flag=True, help="The rows that matter most, in about three minutes.")
@click.option("--isa", type=click.Choice(backend.ISAS), help="Cap the instruction set that tinydl uses.")
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
    json_path: Path | None,
    plot_path: Path | None,
    old_path: Path | None,
) -> None:
    """Time the rows of FAMILIES (all by default)."""
    for name in families:
        if name not in MODULES:
            raise click.BadParameter(f"'{name}' is not one of {', '.join(MODULES)}")
    if isa:
        backend.set_isa(isa)
    info = {**describe(), **peers(), "limits": measure_limits()}
    print_machine(info)
    results: list[Result] = []
    for row in rows_of(families, quick):
        results.append(measure(row, rounds or (5 if quick else 15), 0.005 if quick else 0.02))
        print(format_row(results[-1]), flush=True)
    print("OpenMP libraries in this process:", ", ".join(openmp_libraries()) or "none")
    written = {"machine": info, "rows": {result.row.name: result.as_json() for result in results}}
    if json_path:
        json_path.write_text(json.dumps(written, indent=1) + "\n")
    if plot_path:
        plot(written, plot_path)
    if old_path:
        print(compare(json.loads(old_path.read_text()), written))


if __name__ == "__main__":
    main()
