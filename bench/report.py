"""What becomes of a run's results: a picture of them, and a comparison with an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydl.utils.extras import require

Results = dict[str, Any]  # {"machine": ..., "rows": {name: Result.as_json()}}


def best_ratio(row: dict[str, Any]) -> float | None:
    """The time of the row's fastest peer over ours."""
    return min(row["ratios"].values(), default=None)


def compare(old: Results, new: Results) -> str:
    """One line for each row of both runs: both ratios to the best peer, or both times where there is no peer.

    Ratios are compared rather than times, because the machine may have been busier in one of the runs.
    """
    lines = []
    for name, row in new["rows"].items():
        before = old["rows"].get(name)
        if before is None:
            continue
        then, now = best_ratio(before), best_ratio(row)
        if then and now:
            lines.append((now / then, f"{name:44} {then:6.2f} x -> {now:6.2f} x  ({now / then - 1:+.0%})"))
        else:
            ratio = before["seconds"] / row["seconds"]
            times = f"{before['seconds'] * 1e6:.1f} us -> {row['seconds'] * 1e6:.1f} us"
            lines.append((ratio, f"{name:44} {times}  ({ratio - 1:+.0%})"))
    if not lines:
        return "no row is in both runs"
    return "\n".join(["changes since the earlier run, the worst first:", *(line for _, line in sorted(lines))])


def plot(results: Results, path: Path) -> None:
    """A roofline of the rows that count operations, and bars of every row's ratio to its best peer."""
    require("matplotlib", extra="plots").use("Agg")
    from matplotlib import pyplot

    compared = {name: best_ratio(row) for name, row in results["rows"].items() if row["ratios"]}
    height = max(4.0, 0.16 * len(compared))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(16, height), width_ratios=(2, 3), layout="constrained")
    _roofline(left, results)
    _bars(right, compared)
    figure.suptitle(f"tinydl {results['machine']['tinydl']} on {results['machine']['processor']}")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _roofline(axes: Any, results: Results) -> None:
    """Rate against operations per byte, under the limits of arithmetic and memory."""
    limits = results["machine"]["limits"]
    copy = next(rate for name, rate in limits.items() if "copy" in name)
    intensity = [2.0**e for e in range(-4, 13)]
    for name, rate in limits.items():
        if "registers" in name or "products" in name:
            axes.plot(intensity, [min(rate, copy * x) / 1e9 for x in intensity], label=name)
    points = [row for row in results["rows"].values() if row["flops"] and row["bytes"]]
    axes.scatter(
        [row["flops"] / row["bytes"] for row in points],
        [row["flops"] / row["seconds"] / 1e9 for row in points],
        s=14,
        color="black",
        label="rows",
    )
    axes.set(xscale="log", yscale="log", xlabel="FLOP per byte", ylabel="GFLOP/s", title="Roofline")
    axes.legend(fontsize=7)


def _bars(axes: Any, compared: dict[str, float | None]) -> None:
    """How many times faster than the best peer each row is."""
    names, ratios = list(compared), [ratio or 0.0 for ratio in compared.values()]
    axes.barh(names, ratios, color=["tab:green" if ratio >= 1 else "tab:red" for ratio in ratios])
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=6)
    axes.set(xlabel="time of the best peer / time of tinydl", title="Against the best peer", xscale="log")
