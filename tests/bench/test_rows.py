"""Which rows there are: those of --quick, and of work bound by memory one in the caches and one beyond."""

import importlib
import re
from collections import defaultdict

import numpy as np
import pytest

from bench.__main__ import GROUPS, MODULES
from bench.harness import CACHE, Later
from bench.quick import ROWS, in_quick


def rows_of(family, monkeypatch):
    """A family's rows on zeros, which cost nothing to make, and without peers."""
    module = importlib.import_module(f"bench.{family}")
    monkeypatch.setattr(module, "have_torch", lambda: False, raising=False)
    if hasattr(module, "normal"):
        monkeypatch.setattr(module, "normal", lambda *shape: np.zeros(shape, np.float32))
    if hasattr(module, "channels_last"):
        monkeypatch.setattr(module, "channels_last", lambda array: array.transpose(0, 2, 3, 1).transpose(0, 3, 1, 2))
    return module.rows()


@pytest.mark.parametrize("family", MODULES)
def test_quick_times_some_rows_of_each_of_its_families(family, monkeypatch):
    names = [row.name for row in rows_of(family, monkeypatch)]
    assert len(names) == len(set(names)) > 0
    chosen = [name for name in names if in_quick(family, name)]
    assert bool(chosen) == (family in ROWS)
    assert len(chosen) < 40


def kind_of(name):
    """A row's name without its sizes."""
    return " ".join(re.sub(r"\(.*?\)|[\d/]+|,", " ", name).split())


def test_the_kind_of_a_row():
    assert kind_of("max, recorded 2/2 (32, 64, 11, 11)") == "max recorded"
    assert kind_of("cross-entropy (128, 10) backward") == "cross-entropy backward"


@pytest.mark.parametrize("family", sorted({*MODULES} - {"limits"}))
def test_work_bound_by_memory_is_timed_in_the_caches_and_beyond(family, monkeypatch):
    beyond = defaultdict(set)
    for row in rows_of(family, monkeypatch):
        row = row.make() if isinstance(row, Later) and "step, 93322" in row.name else row
        if not isinstance(row, Later) and row.bytes and not row.flops:
            beyond[kind_of(row.name)].add(row.bytes >= 4 * CACHE)
        elif isinstance(row, Later) and "parameters" in row.name:
            beyond[kind_of(row.name)].add(True)
    assert {kind for kind, sizes in beyond.items() if len(sizes) < 2} == set()
    assert bool(beyond) == (family not in ("conv", "matmul", "models", "overhead", *GROUPS["sequences"]))
