"""Which kernels a call chose, read from the notes of tinydl.explain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tinydl

PRODUCT = re.compile(r"product of \((\d+), (\d+)\) and \(\d+, (\d+)\): (.*)")
TILES = re.compile(r"matrix tiles(?:, (\w+) products?)?")
COUNTS = {"one": 1, "three": 3, "six": 6}


@dataclass(frozen=True)
class Part:
    """One implementation's share of a call's operations."""

    name: str
    share: float
    tile_products: int = 0  # products of bfloat16 tiles for each one of the call; 0 for multiply-adds


@dataclass(frozen=True)
class Choice:
    """What a call ran: its notes, and its implementations, the one with the largest share first."""

    notes: str = ""
    parts: tuple[Part, ...] = ()

    def __str__(self) -> str:
        """The largest implementations' short names: `fma`, `tiles x6 93%, small 7%`; `-` where there is no choice."""
        shown = [part for part in self.parts[:2] if part.share >= 0.005]
        if len(shown) < 2:
            return self.parts[0].name if self.parts else "-"
        return ", ".join(f"{part.name} {part.share:.0%}" for part in shown)


def choice_of(call: Callable[[], Any]) -> Choice:
    """What one call runs."""
    return read_notes(tinydl.explain(call).splitlines()[1:])


def read_notes(lines: list[str]) -> Choice:
    """Lines that occur several times are written once, with their number."""
    work: dict[tuple[str, int], float] = {}
    for line in lines:
        name, products, operations = _read(line)
        work[name, products] = work.get((name, products), 0.0) + operations
    total = sum(work.values())
    parts = [Part(name, done / total if total else 1 / len(work), products) for (name, products), done in work.items()]
    counted = [line if count == 1 else f"{count} times: {line}" for line, count in Counter(lines).items()]
    return Choice("\n".join(counted), tuple(sorted(parts, key=lambda part: -part.share)))


def _read(line: str) -> tuple[str, int, float]:
    """A note's short name, its products of tiles for each product, and its multiply-adds (0 if it does not tell)."""
    product = PRODUCT.match(line)
    if not product:
        return " ".join(line.split(":")[0].split()[-2:]), 0, 0.0
    m, k, n = (float(side) for side in product.groups()[:3])
    how = product[4]
    tiles = TILES.match(how)
    if tiles:
        count = COUNTS.get(tiles[1] or "one", 1)
        return f"tiles x{count}", count, m * k * n
    if how.startswith("fused multiply-adds"):
        return "small" if "too small" in how else "fma", 0, m * k * n
    return re.split("[,;]", how)[0], 0, m * k * n
