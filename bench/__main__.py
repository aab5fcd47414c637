"""`python -m bench [FAMILY ...]`: a table of kernels and models, each beside its peers in the same run."""

from __future__ import annotations

import importlib
import json
import pkgutil
import platform
from pathlib import Path

import click

import bench
import tinydl
from tinydl import backend

from .harness import format_row, have_torch, measure

MODULES = [m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in ("__main__", "harness")]


def machine() -> dict[str, object]:
    """What a result must be read with."""
    info: dict[str, object] = {
        "tinydl": tinydl.__version__,
        "isa": backend.isa(),
        "threads": backend.num_threads(),
        "python": platform.python_version(),
    }
    if have_torch():
        import torch

        torch.set_num_threads(backend.num_threads())
        info["torch"] = torch.__version__
    return info


@click.command()
@click.argument("families", nargs=-1)
@click.option(
    "--rounds",
    default=15,
    type=click.IntRange(min=2),
    show_default=True,
    help="How often each contender is timed, in turn.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the medians to this file.")
def main(families: tuple[str, ...], rounds: int, json_path: Path | None) -> None:
    """Time the rows of FAMILIES (all by default)."""
    for name in families:
        if name not in MODULES:
            raise click.BadParameter(f"'{name}' is not one of {', '.join(MODULES)}")
    info = machine()
    print("  ".join(f"{key} {value}" for key, value in info.items()))
    if not have_torch():
        print("PyTorch is not installed: rows stand alone (pip install 'tinydl[peers]')")
    results: dict[str, dict[str, float]] = {}
    for name in families or MODULES:
        for row in importlib.import_module(f"bench.{name}").rows():
            timings = measure(row, rounds)
            results[row.name] = {who: timing.median for who, timing in timings.items()}
            print(format_row(row, timings), flush=True)
    if json_path:
        json_path.write_text(json.dumps({"machine": info, "seconds": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
