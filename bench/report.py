"""What becomes of a run's results: a picture of them, and a comparison with an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydl.utils.extras import require

Results = dict[str, Any]  # {"machine": ..., "rows": {name: Result.as_json()}, "sweeps": {of what: {name: Points}}}
COLUMN = 70  # bars, one below the other, at most


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
    """Write `draw(results)` as a PNG."""
    require("matplotlib", extra="plots").use("Agg")
    from matplotlib import pyplot

    figure = draw(results)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw(results: Results) -> Any:
    """A roofline of the rows that count operations, the sweeps, and bars of every row's ratio to its best peer."""
    from matplotlib import pyplot

    compared = [(name, ratio) for name, row in results["rows"].items() if (ratio := best_ratio(row))]
    count = max(1, -(-len(compared) // COLUMN))
    length = -(-len(compared) // count)
    columns = [compared[i * length : (i + 1) * length] for i in range(count)]
    lines = [(of, name, points) for of, names in results.get("sweeps", {}).items() for name, points in names.items()]
    heights = [5.0, max(3.0, 0.16 * len(columns[0]))]
    figure = pyplot.figure(figsize=(24, sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    first, *others = above.subplots(1, 1 + len(lines), squeeze=False)[0]
    _roofline(first, results)
    for axes, line in zip(others, lines, strict=True):
        _sweep(axes, *line)
    for axes, bars in zip(below.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        _bars(axes, bars)
    figure.suptitle(f"tinydl {results['machine']['tinydl']} on {results['machine']['processor']}")
    return figure


def _sweep(axes: Any, of: str, name: str, points: dict[str, Any]) -> None:
    """The times over what is swept: ours and each peer's."""
    values = [int(value) for value in points]
    axes.plot(values, [point["seconds"] * 1e3 for point in points.values()], "o-", label="tinydl")
    for peer in next(iter(points.values()))["peers"]:
        axes.plot(values, [point["peers"][peer] * 1e3 for point in points.values()], "o--", label=peer)
    axes.set_xscale("log", base=2)
    axes.set(yscale="log", xlabel=of, ylabel="ms", title=name)
    axes.set_xticks(values, [str(value) for value in values], minor=False)
    axes.legend(fontsize=7)


def _roofline(axes: Any, results: Results) -> None:
    """Rate against operations per byte, under the limits of arithmetic and memory."""
    limits = results["machine"]["limits"]
    copy = next(rate for name, rate in limits.items() if "copy" in name)
    intensity = [2.0**e for e in range(-4, 13)]
    for name, rate in limits.items():
        if "registers" in name or "products" in name:
            axes.plot(intensity, [min(rate, copy * x) / 1e9 for x in intensity], label=name)
        if "products" in name:
            six = [min(rate / 6, copy * x) / 1e9 for x in intensity]
            axes.plot(intensity, six, "--", label="amx: float32 as six of them")
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


def _bars(axes: Any, compared: list[tuple[str, float]]) -> None:
    """How many times faster than the best peer each row is."""
    names, ratios = [name for name, _ in compared], [ratio for _, ratio in compared]
    colours = ["tab:green" if ratio >= 1 else "tab:red" for ratio in ratios]
    axes.barh(names, [ratio - 1 for ratio in ratios], left=1, color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.tick_params(axis="y", labelsize=6)
    axes.set(xlabel="time of the best peer / time of tinydl", title="Against the best peer", xscale="log")
