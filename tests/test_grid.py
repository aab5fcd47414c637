"""One word names a family everywhere: every cell of the grid of design exists, so every path can be guessed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAMILIES = re.search(r"set\(FAMILIES ([^)]+)\)", (ROOT / "CMakeLists.txt").read_text()).group(1).split()

# Layers with a better name than their family's, or none.
LAYERS = {"elementwise": "activation", "index": "padding", "matmul": "linear", "random": "dropout"}
NO_LAYER = {"reduce", "optimizer", "limits"}
CPU_ONLY = {"limits"}
NO_OP = {"optimizer", "limits"}  # tinydl.optim calls the one, the benchmark the other


@pytest.mark.parametrize("family", FAMILIES)
def test_every_cell_exists(family):
    cells = [
        f"csrc/contract/{family}.h",
        f"csrc/cpu/{family}/kernels.cpp",
        f"csrc/bind/{family}.cpp",
        f"tests/{family}/test_kernels.py",
        f"bench/{family}.py",
    ]
    if family not in CPU_ONLY:
        cells.append(f"csrc/cuda/{family}.cu")
    if family not in NO_OP:
        cells += [f"python/tinydl/ops/{family}.py", f"tests/{family}/test_ops.py"]
    if family not in NO_LAYER:
        cells.append(f"python/tinydl/nn/{LAYERS.get(family, family)}.py")
    missing = [cell for cell in cells if not (ROOT / cell).is_file()]
    assert not missing


def test_no_family_is_left_out():
    folders = {path.name for path in (ROOT / "csrc/cpu").iterdir() if path.is_dir()} - {"runtime", "simd"}
    assert folders == set(FAMILIES)
    assert {path.stem for path in (ROOT / "csrc/bind").glob("*.cpp")} - set(FAMILIES) == {
        "activation",
        "arrays",
        "cuda_module",
        "device_array",
        "numpy_array",
        "dlpack",
        "module",
        "pair_loss",
    }


@pytest.mark.parametrize("header", sorted(ROOT.glob("csrc/contract/*.h")), ids=lambda path: path.stem)
def test_contract_headers_are_short(header):
    assert len(header.read_text().splitlines()) < 120


def imported(path):
    """The sibling packages that a module of the package imports."""
    text = path.read_text()
    depth = len(path.relative_to(ROOT / "python/tinydl").parts)
    dots = "." * depth
    names = re.findall(rf"^\s*from {re.escape(dots)}(\w+)", text, re.M)
    for group in re.findall(rf"^\s*from {re.escape(dots)} import \(?([\w\s,]+)", text, re.M):
        names += re.findall(r"\w+", group)
    return set(names)


LAYERING = {
    "ops": {"amp", "nn", "optim", "utils", "vision", "models", "train", "keras", "cli"},
    "nn": {"amp", "optim", "vision", "models", "train", "keras", "cli"},
    "optim": {"amp", "nn", "vision", "models", "train", "keras", "cli"},
    "utils": {"amp", "nn", "optim", "vision", "models", "train", "keras", "cli"},
    "text": {"amp", "nn", "optim", "models", "train", "keras", "cli"},
    "amp": {"vision", "models", "train", "keras", "cli"},
    "models": {"train", "keras", "cli"},
    "train": {"keras", "cli"},
    "keras": {"cli"},
}


@pytest.mark.parametrize("package", LAYERING)
def test_nothing_below_imports_from_above(package):
    for path in (ROOT / "python/tinydl" / package).rglob("*.py"):
        assert not imported(path) & LAYERING[package], path
