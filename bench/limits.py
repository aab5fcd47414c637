"""The machine's limits as rows of their own: what every other row is read against."""

from tinydl import backend

from .harness import Row, Rows
from .machine import limits


def rows() -> Rows:
    for isa, limit in limits():
        if isa != backend.isa() and not (isa == "avx512" and backend.isa() == "amx"):
            continue  # the table of limits above the rows has the other tiers
        work = limit.call()
        size = {"flops": work} if limit.unit == "FLOP" else {"bytes": work}
        yield Row(f"limit: {limit.what}", limit.call, bounded=False, **size)
