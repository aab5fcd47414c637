"""Which of the CUDA kernels the kernel tests ran on the emulated GPU: `pytest --list-kernels`."""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Generator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parents[2] / "csrc" / "cuda"
KERNEL = re.compile(r"__global__ (?:void )?(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s+)?(?:void )?(\w+)\(")


def declared() -> dict[str, list[str]]:
    """The names of the kernels in the sources of each family."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(SOURCES.rglob("*")):
        place = path.relative_to(SOURCES)
        if path.suffix in (".cu", ".h") and place.parts[0] != "emulation":
            names[place.parts[0].removesuffix(".cu")] += KERNEL.findall(path.read_text())
    return {family: sorted(found) for family, found in sorted(names.items()) if found}


def function_name(demangled: str) -> str:
    """The name of a function without its namespaces, template arguments and parameters."""
    text = demangled.replace("(anonymous namespace)", "anonymous").replace("operator()", "call")
    shorter = re.sub(r"<[^<>]*>|\([^()]*\)", "", text)
    while shorter != text:
        text, shorter = shorter, re.sub(r"<[^<>]*>|\([^()]*\)", "", shorter)
    return text.rpartition("::")[2].strip()


def built(module: str) -> dict[int, str]:
    """The offset of every kernel's code in the module's file, with its name: one for each set of template arguments."""
    names = {name for family in declared().values() for name in family}
    symbols = subprocess.run(["nm", "-C", "--defined-only", module], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in symbols.splitlines():
        address, kind, symbol = line.split(" ", 2)
        if kind in "tTwW" and not symbol.endswith("]") and (name := function_name(symbol)) in names:
            found[int(address, 16)] = name
    return found


class KernelCoverage:
    """Adds the table to the end of pytest's output; the session fails where no kernel test launched a kernel."""

    def __init__(self) -> None:
        self.launches: Counter[int] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if not item.path.name.endswith("kernels.py"):
            return (yield)
        before = Counter(launches_so_far())
        result = yield
        self.launches.update(Counter(launches_so_far()) - before)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.launches.update(dict(getattr(node, "workeroutput", {}).get("launches", ())))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):  # of pytest-xdist's worker, sent to the session that prints
            session.config.workeroutput["launches"] = list(self.launches.items())
            return
        if self.missed() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def missed(self) -> list[str]:
        launched = {name for _, name, variants, _, _ in self.rows() if variants}
        return [name for family in declared().values() for name in family if name not in launched]

    def rows(self) -> list[tuple[str, str, int, int, int]]:
        """Family, kernel, variants launched, variants built, launches."""
        kernels = built(module_file())
        rows = []
        for family, names in declared().items():
            for name in names:
                offsets = [offset for offset, own in kernels.items() if own == name]
                counts = [self.launches[offset] for offset in offsets]
                rows.append((family, name, sum(map(bool, counts)), len(counts), sum(counts)))
        return rows

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("CUDA kernels that the kernel tests ran on the emulated GPU")
        rows = self.rows()
        for family, name, launched, variants, launches in rows:
            terminalreporter.line(f"{family:12} {name:28} {launched:4} of {variants:4} variants {launches:9,} launches")
        launched, variants, launches = (sum(row[column] for row in rows) for column in (2, 3, 4))
        terminalreporter.line(f"{len(rows)} kernels: {launched} of {variants} variants, {launches:,} launches")
        if missed := self.missed():
            terminalreporter.line(f"never launched: {', '.join(missed)}", red=True)


def launches_so_far() -> dict[int, int]:
    counts: dict[int, int] = import_module("tinydl._cuda_emulated").launches_by_offset()
    return counts


def module_file() -> str:
    spec = find_spec("tinydl._cuda_emulated")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("--list-kernels: this build of tinydl has no emulated GPU (TINYDL_CUDA_EMULATE=ON)")
    return spec.origin
