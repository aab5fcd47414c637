"""The kernel tests on the GPU, in what is left of the time, spread over processes that share it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from .build import ROOT

PROCESSES = 8
SUMMARY = 10.0  # seconds that pytest has for its summary once it is interrupted
# A test that has just failed, as one process prints it and as several do; and a line of pytest's summary.
ENDED = re.compile(
    r"^(?P<alone>tests/.*) (?:FAILED|ERROR) +\[ *\d+%\]$|^\[gw\d+\] .*(?:FAILED|ERROR) (?P<spread>tests/.*)$"
)
SUMMED = re.compile(r"^(?:FAILED|ERROR) (tests/.*)$")


def run_tests(deadline: float, log: Path) -> str:
    """Run the suite until it ends or the time is up; its output goes to `log`. What failed, and the last line."""
    tests = [path for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))]
    folders = sorted(tests, key=lambda path: (path.name == "cuda", path.name))  # kernels first, operations last
    spread = ["-n", str(PROCESSES)] if find_spec("xdist") else []
    options = ["-v", "--tb=short", "-p", "no:cacheprovider", "--device", "cuda"]
    return run_until(deadline, [sys.executable, "-m", "pytest", *options, *spread, *map(str, folders)], log)


def run_until(deadline: float, command: list[str], log: Path, least: float = 30.0) -> str:
    """Run pytest, at least for some seconds; past the deadline it and all its processes are ended."""
    import tinydl

    left = max(least, deadline - time.monotonic() - SUMMARY)
    threads = max(1, (os.cpu_count() or 1) // PROCESSES)
    package = Path(tinydl.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{package}:{ROOT}", "OMP_NUM_THREADS": str(threads), "COLUMNS": "200"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(left)
            ended = ""
        except subprocess.TimeoutExpired:
            ended = f"not finished in {left:.0f} s: "
            process.send_signal(signal.SIGINT)  # of which pytest makes a summary
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SUMMARY)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = log.read_text(errors="replace")
    last = text.strip().splitlines()[-1:]
    return "\n".join([*failures(text), f"{ended}{''.join(last)} ({log})"])


def failures(text: str, most: int = 40) -> list[str]:
    """What failed, each test once, with the reason where pytest came to its summary."""
    found: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if match := ENDED.match(line):
            found.setdefault(name := match["alone"] or match["spread"], f"FAILED {name}")
        elif match := SUMMED.match(line):
            found[named(match[1], found)] = line
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return [*list(found.values())[:most], *more]


def named(summary: str, known: dict[str, str]) -> str:
    """The test of a line "test - reason", in either of which there may be more such dashes."""
    parts = summary.split(" - ")
    prefixes = (" - ".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in known), parts[0])
